//! What reading needs that each database has of its own.

pub(in crate::postgres) mod columns;
mod comparison;
pub(in crate::postgres) mod conditions;
pub(in crate::postgres) mod names;
pub(in crate::postgres) mod paging;
