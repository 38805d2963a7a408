//! What writing needs that is written for each database: many rows at once.

mod attribute_columns;
pub(in crate::postgres) mod instance_rows;
pub(in crate::postgres) mod many_rows;
mod rounds;
#[cfg(feature = "synthetic")]
mod synthetic;
mod upserts;
