//! The catalogue: all that is known of patients, studies, series and instances.
//!
//! The indexer owns it: [`CatalogWriter`] is its end, and it alone migrates, decides and announces. The API has
//! the other end, [`CatalogReader`]. What the two take and give stands here, the statements in `sql/`, and what each
//! database has of its own in its folder: `sqlite/` and `postgres/`.

mod activity;
mod announcements;
mod attributes;
mod batch;
mod completed_series;
mod completed_study;
mod copying;
mod deleted_series;
mod dispatch;
mod encoding;
mod error;
mod fingerprints;
mod identities;
mod inspection;
mod kept_series;
mod lease;
mod long_reads;
mod losses;
mod names;
mod postgres;
mod purges;
mod records;
mod removals;
mod rows_to_write;
mod search;
mod settings;
mod sqlite;

pub use activity::{Amount, RecentActivity};
pub use announcements::{Announcement, Delivered};
pub use attributes::{Level, attributes_of};
pub use batch::{
    Batch, Bookmark, Committed, EventMark, Listing, Named, Received, Recorded, Registration,
    RegistrationOutcome, Restored, SeriesBookmark, StudiesDecided,
};
pub use completion::PauseSummary;
pub use contract::attributes::{Attribute, Kind, keyword};
pub use dispatch::{
    CatalogReader, CatalogWriter, CopyProgress, NewCatalog, copy, inspect, is_locked, lock,
    restore_backup,
};
pub use error::CatalogError;
pub use inspection::{Inspected, Inspection};
pub use kept_series::{SeriesToKeep, WaitingRevision};
pub use lease::{Lease, RENEW_EVERY};
pub use losses::{Contradicted, Loss, LossCause, Witness};
pub use purges::ToPurge;
pub use records::{
    Details, InstanceRecord, RevisionRecord, SenderRecord, SeriesRecord, Statistics,
    StoredInstance, StudyRecord,
};
pub use removals::{KeptFile, ListedUpTo, Place, ToRemove};
pub use search::{
    ALL_KEPT, KEPT, LevelSearch, Listed, Matching, NONE_KEPT, Page, Position, SOME_KEPT,
    SeriesOrder, SeriesSearch, StoredOrder, StoredSearch, StudySearch,
};
pub use settings::CatalogSettings;
pub use sqlite::{Disk, Lock, RestoredBackup};
