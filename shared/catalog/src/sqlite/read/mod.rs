//! What the API reads, and the little that it writes.

mod comparison;
pub(in crate::sqlite) mod details;
mod history;
mod matching;
mod names;
mod paging;
mod qido;
pub(in crate::sqlite) mod senders;
mod series;
mod statistics;
mod studies;
mod webhooks;
