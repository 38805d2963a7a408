//! What the API reads, and the little that it writes.

use super::database;

mod history;
pub(crate) mod senders;
mod statistics;
mod webhooks;
