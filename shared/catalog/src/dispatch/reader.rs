//! The API's end of the catalogue.

use super::file::no_file;
use crate::activity::RecentActivity;
use crate::announcements::Delivered;
use crate::batch::{Bookmark, RegistrationOutcome};
use crate::error::CatalogError;
use crate::postgres::{self, within};
use crate::records::{
    Details, InstanceRecord, RevisionRecord, SenderRecord, SeriesRecord, Statistics,
    StoredInstance, StudyRecord,
};
use crate::removals::{KeptFile, Place};
use crate::search::{LevelSearch, Page, Position, SeriesSearch, StoredSearch, StudySearch};
use crate::settings::CatalogSettings;
use crate::sqlite;
use contract::uid::{SeriesInstanceUid, StudyInstanceUid};
use jiff::Timestamp;
use std::collections::HashSet;
use std::path::Path;

/// The catalogue as the API has it, which reads it, and writes how far its webhooks are. Clones share its
/// connections.
#[derive(Debug, Clone)]
pub enum CatalogReader {
    /// In one file.
    #[doc(hidden)]
    Sqlite(sqlite::CatalogReader),
    /// In a database on a server.
    #[doc(hidden)]
    Postgres(postgres::CatalogReader),
}

impl CatalogReader {
    /// Opens the catalogue of somebody else, when it is first used.
    ///
    /// # Errors
    /// When the url names no SQLite file.
    pub fn open(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        if settings.is_postgres() {
            return Ok(Self::Postgres(postgres::CatalogReader::open(settings)?));
        }
        Ok(Self::Sqlite(sqlite::CatalogReader::open(settings)?))
    }

    /// Whether the owner has brought the catalogue up to this version.
    ///
    /// # Errors
    /// [`CatalogError::NotMigrated`] when not, or what is wrong with the file.
    pub async fn check(&self) -> Result<(), CatalogError> {
        on!(self, one => one.check())
    }

    /// Copies the catalogue as it is at this moment into a file that must not exist. Others go on
    /// writing meanwhile.
    ///
    /// # Errors
    /// When the file can't be written, or is there.
    pub async fn backup(&self, into: &Path) -> Result<(), CatalogError> {
        match self {
            Self::Sqlite(one) => one.backup(into).await,
            Self::Postgres(_) => Err(no_file("back it up with `pg_dump`")),
        }
    }

    /// Closes all connections, once what runs on them has ended.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(one) => one.close().await,
            Self::Postgres(one) => one.close().await,
        }
    }

    /// All rows as text, by table, in an order that does not depend on when they were written. Two
    /// catalogues that say the same give the same; announcements that wait are not among it.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn rows(&self) -> Result<Vec<String>, CatalogError> {
        on!(self, one => one.rows())
    }

    /// All that is known of a series, in whatever state; `None` if there is no such series.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn series_details(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<Details>, CatalogError> {
        on!(self, one => one.series_details(series))
    }

    /// How many instances a series has by now; `None` if there is no such series.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_instances(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<u64>, CatalogError> {
        on!(self, one => one.count_instances(series))
    }

    /// A page of the instances of a series, in the order in which they came into it.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn instances(
        &self,
        series: &SeriesInstanceUid,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<InstanceRecord>, CatalogError> {
        on!(self, one => one.instances(series, after, limit))
    }

    /// The instances whose files are in the instance store by the catalogue, after a SOP Instance UID.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn kept_files(&self, after: &str, limit: u32) -> Result<Vec<KeptFile>, CatalogError> {
        on!(self, one => one.kept_files(after, limit))
    }

    /// How many they are. This reads all rows.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_kept_files(&self) -> Result<u64, CatalogError> {
        on!(self, one => one.count_kept_files())
    }

    /// One of them, as it is now.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn kept_file(
        &self,
        sop_instance_uid: &str,
    ) -> Result<Option<KeptFile>, CatalogError> {
        on!(self, one => one.kept_file(sop_instance_uid))
    }

    /// The folders of revisions that are in the instance store by the catalogue, after a series and revision.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn kept_places(
        &self,
        after: (&str, i64),
        limit: u32,
    ) -> Result<Vec<Place>, CatalogError> {
        on!(self, one => one.kept_places(after, limit))
    }

    /// Those of one series, the latest first.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn kept_places_of(
        &self,
        series_instance_uid: &str,
    ) -> Result<Vec<String>, CatalogError> {
        on!(self, one => one.kept_places_of(series_instance_uid))
    }

    /// Which of these files and folders wait to be removed, or to be part of a folder.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn places_in_use(&self, places: &[String]) -> Result<HashSet<String>, CatalogError> {
        on!(self, one => one.places_in_use(places))
    }

    /// How far INSTANCES has been read, if it ever was.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn bookmark(&self) -> Result<Option<Bookmark>, CatalogError> {
        on!(self, one => one.bookmark())
    }

    /// The completions and deletions of a series, oldest first; `None` if there never was one.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn history(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<Vec<RevisionRecord>>, CatalogError> {
        on!(self, one => one.history(series))
    }

    /// `receiving` or `complete`; `None` if there is no such series.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn state_of(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<String>, CatalogError> {
        on!(self, one => one.state_of(series))
    }

    /// When a series that is not in the catalogue was deleted from it; `None` if it never was.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn deleted_at(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<Timestamp>, CatalogError> {
        on!(self, one => one.deleted_at(series))
    }

    /// What became of the request of this sequence; `None` as long as the indexer has not acted on it. A
    /// series that exists otherwise is not registered.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn registration(
        &self,
        series: &SeriesInstanceUid,
        sequence: u64,
    ) -> Result<Option<RegistrationOutcome>, CatalogError> {
        on!(self, one => one.registration(series, sequence))
    }

    /// What a search finds, each as its attributes by keyword, and whether there is more. Those
    /// without a value are not in it. Newest first, as people look for them.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn search(&self, search: &LevelSearch) -> Result<(Vec<Details>, bool), CatalogError> {
        on!(self, one => one.search(search))
    }

    /// How many there are that a search finds, wherever it begins. It looks at each.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_found(&self, search: &LevelSearch) -> Result<u64, CatalogError> {
        on!(self, one => one.count_found(search))
    }

    /// The series of a study by their UIDs, those too of which only some instances are of this study.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn series_of_study(
        &self,
        study: &StudyInstanceUid,
    ) -> Result<Vec<String>, CatalogError> {
        on!(self, one => one.series_of_study(study))
    }

    /// The instances of a series that come after one, each with its object in the instance store; at most so many.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn stored_instances(
        &self,
        search: &StoredSearch,
        after: Option<&StoredInstance>,
        limit: u32,
    ) -> Result<Vec<StoredInstance>, CatalogError> {
        on!(self, one => one.stored_instances(search, after, limit))
    }

    /// The senders that were heard of, by AE title.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn senders(&self) -> Result<Vec<SenderRecord>, CatalogError> {
        on!(self, one => one.senders())
    }

    /// A page of the series that a search finds: those after a position, at most so many.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn series(
        &self,
        search: &SeriesSearch,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<SeriesRecord>, CatalogError> {
        on!(self, one => one.series(search, after, limit))
    }

    /// How many series a search finds. It looks at each.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_series(&self, search: &SeriesSearch) -> Result<u64, CatalogError> {
        on!(self, one => one.count_series(search))
    }

    /// Counts what there is. It looks at every series once, so ask it seldom.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn statistics(&self) -> Result<Statistics, CatalogError> {
        on!(self, one => one.statistics())
    }

    /// What was completed in the 24 hours before a time, by hour and by sender.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn recent_activity(&self, until: Timestamp) -> Result<RecentActivity, CatalogError> {
        on!(self, one => one.recent_activity(until))
    }

    /// A page of the studies that a search finds: those after a position, at most so many.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn studies(
        &self,
        search: &StudySearch,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<StudyRecord>, CatalogError> {
        on!(self, one => one.studies(search, after, limit))
    }

    /// How many studies a search finds. It looks at each.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_studies(&self, search: &StudySearch) -> Result<u64, CatalogError> {
        on!(self, one => one.count_studies(search))
    }

    /// A study; `None` if there is no such.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn study(
        &self,
        study: &StudyInstanceUid,
    ) -> Result<Option<StudyRecord>, CatalogError> {
        on!(self, one => one.study(study))
    }

    /// How far a webhook was when that was last kept; `None` of one that was never seen.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn delivered(&self, webhook: &str) -> Result<Option<Delivered>, CatalogError> {
        on!(self, one => one.delivered(webhook))
    }

    /// Keeps how far a webhook is.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn keep_delivered(
        &self,
        webhook: &str,
        delivered: Delivered,
    ) -> Result<(), CatalogError> {
        on!(self, one => one.keep_delivered(webhook, delivered))
    }

    /// Forgets all webhooks but these: one of the same name later is a new one.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn forget_other_webhooks(&self, names: &[&str]) -> Result<(), CatalogError> {
        on!(self, one => one.forget_other_webhooks(names))
    }
}
