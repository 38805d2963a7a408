//! What reading needs that each database has of its own.

pub(in crate::sqlite) mod columns;
mod comparison;
pub(in crate::sqlite) mod conditions;
pub(in crate::sqlite) mod names;
pub(in crate::sqlite) mod paging;
