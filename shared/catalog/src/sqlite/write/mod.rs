//! What writing needs that is written for each database: many rows at once.

pub(in crate::sqlite) mod instance_rows;
pub(in crate::sqlite) mod many_rows;
#[cfg(feature = "synthetic")]
mod synthetic;
pub(in crate::sqlite) mod upserts;
