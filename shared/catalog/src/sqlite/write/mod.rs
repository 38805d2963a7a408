//! What the indexer writes.

mod batch;
mod completions;
mod deletions;
mod facts;
pub(in crate::sqlite) mod instance_rows;
pub(in crate::sqlite) mod losses;
mod open_series;
mod outbox;
mod registrations;
mod releases;
mod renumbering;
mod senders;
mod study_completions;
#[cfg(feature = "synthetic")]
mod synthetic;
mod taken_up;
pub(in crate::sqlite) mod upserts;
