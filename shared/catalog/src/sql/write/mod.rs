//! What the indexer writes.

use super::{bookmark, database};

mod asking;
mod batch;
mod completions;
mod deletions;
mod facts;
mod identities;
mod lists;
pub(crate) mod losses;
mod open_series;
mod outbox;
mod pauses;
mod purges;
mod registrations;
mod releases;
mod removals;
mod renumbering;
mod senders;
mod series_folders;
mod study_completions;
mod taken_up;
