//! The instance store: instances as DICOM files (PS3.10 section 7), each on disk before its event is published.
//!
//! `STORE_URL` says where it is. A key says where an object is from the root of the store, with `/` between names, so
//! that it means the same in a folder and in a bucket. Receivers write into the [`Spool`], each in a folder of its own, and
//! of what they wrote [`SeriesFolders`] has each revision of a series whole. Who reads has [`Objects`].

mod error;
mod files;
mod inspecting;
mod objects;
mod removing;
mod series_folder;
mod settings;
mod spool;

pub use error::StoreError;
pub use inspecting::{InStore, Standing, StoreInspector};
pub use objects::{CHUNK, Object, ObjectError, ObjectReader, Objects};
pub use removing::{Removed, StoreRemover, ToSync};
pub use series_folder::{KeepError, RevisionToKeep, SeriesFolder, SeriesFolders};
pub use settings::{StoreSettings, StoreUrl};
pub use spool::{Spool, Spooled, Writing};
