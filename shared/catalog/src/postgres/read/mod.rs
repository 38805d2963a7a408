//! What the API reads, and the little that it writes.

mod columns;
mod comparison;
mod details;
mod history;
mod matching;
mod names;
mod paging;
mod qido;
pub(in crate::postgres) mod senders;
mod series;
mod statistics;
mod studies;
mod webhooks;
