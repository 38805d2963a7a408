//! What the indexer writes.

use super::database;

mod completions;
pub(crate) mod deletions;
mod facts;
pub(crate) mod losses;
mod open_series;
mod outbox;
pub(crate) mod registrations;
pub(crate) mod releases;
mod renumbering;
pub(crate) mod senders;
mod study_completions;
mod taken_up;
