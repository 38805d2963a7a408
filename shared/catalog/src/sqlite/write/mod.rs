//! What the indexer writes.

mod batch;
pub(in crate::sqlite) mod instance_rows;
pub(in crate::sqlite) mod many_rows;
#[cfg(feature = "synthetic")]
mod synthetic;
pub(in crate::sqlite) mod upserts;
