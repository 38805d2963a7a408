//! The store in a bucket of S3, or of anything that speaks its API: Ceph, MinIO, Garage and others.
//!
//! A receiver writes each instance as an object, `objects/<node>/<AssociationID>-<ordinal>.dcm`, which is there whole or not at
//! all, and which nobody writes again. At completion the keeper writes one object more, the manifest that names them. All keys
//! are below the prefix of `STORE_URL`.

mod bucket;
mod connector;
mod failure;
mod keeping;
mod reading;
mod removing;
mod settings;
mod uploading;

pub(crate) use bucket::Bucket;
pub(crate) use keeping::Manifests;
pub(crate) use reading::BucketObject;
pub use removing::BucketRemover;
pub use settings::{BucketPlace, S3Settings};
pub(crate) use uploading::{Upload, Uploaded, Uploads};
