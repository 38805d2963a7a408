//! What the indexer writes.

mod attribute_columns;
mod batch;
mod completions;
mod deletions;
mod facts;
mod instance_rows;
pub(in crate::postgres) mod losses;
mod open_series;
mod outbox;
mod registrations;
mod releases;
mod renumbering;
mod rounds;
mod senders;
mod study_completions;
mod taken_up;
mod upserts;
