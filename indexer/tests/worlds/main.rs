//! The indexer in virtual time. The completion rules, the order of the stream and what is kept of
//! it are the real ones; the stream, its senders and the moments of reading, deciding and dying
//! are made up.
//!
//! `scenarios` are worlds with a name and an expected end. `random` are as many as are asked for,
//! checked against what must be true in any world:
//!
//! ```sh
//! COLLIMATOR_WORLDS=100000 cargo test --release -p indexer --test worlds -- --nocapture
//! COLLIMATOR_SEED=4711 cargo test -p indexer --test worlds -- --nocapture     # that one again
//! ```
#![allow(unreachable_pub, missing_docs, reason = "a test is nobody's library")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asking;
mod check;
mod indexer;
mod lists;
mod memory;
mod random;
mod real_catalogue;
mod scenarios;
mod senders;
mod stream;
