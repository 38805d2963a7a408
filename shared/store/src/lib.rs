//! The instance store: instances as DICOM files (PS3.10 section 7), each on disk before its event is published.
//!
//! `STORE_URL` says where it is. A key says where an object is from the root of the store, with `/` between names, so
//! that it means the same in a folder and in a bucket. Receivers write into the [`Spool`], each in a folder of its own, and
//! of what they wrote [`SeriesFolders`] has each revision of a series whole. Who reads has [`Objects`]. What of these is a
//! folder and what a bucket of S3 is said in `backends.rs`, and by [`Objects`].

mod backends;
mod error;
mod files;
mod inspecting;
mod objects;
mod removing;
mod s3;
mod series_folder;
mod settings;
mod spool;

pub use backends::{SeriesFolders, Spool, Spooled, StoreRemover, Writing};
pub use error::StoreError;
pub use inspecting::{InStore, Standing, StoreInspector};
pub use objects::{CHUNK, Object, ObjectError, ObjectReader, Objects};
pub use removing::{Removal, Removed};
pub use s3::{BucketPlace, BucketRemover, S3Settings};
pub use series_folder::{KeepError, RevisionToKeep, SeriesFolder};
pub use settings::{StoreSettings, StoreUrl};
