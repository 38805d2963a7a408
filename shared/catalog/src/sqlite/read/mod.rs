//! What the API reads, and the little that it writes.

mod comparison;
pub(in crate::sqlite) mod details;
mod matching;
mod names;
mod paging;
mod qido;
mod series;
mod studies;
