//! What the API reads, and the little that it writes.

use super::{bookmark, database, filings};

mod activity;
pub(crate) mod details;
mod expressions;
mod history;
pub(crate) mod matching;
mod names;
mod objects;
mod paging;
pub(crate) mod qido;
pub(crate) mod senders;
pub(crate) mod series;
mod statistics;
mod store;
pub(crate) mod studies;
mod webhooks;
