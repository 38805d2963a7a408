//! What the indexer writes.

mod attribute_columns;
mod batch;
mod instance_rows;
pub(in crate::postgres) mod many_rows;
mod rounds;
mod upserts;
