//! Studies: what is known of them, out of their series.

pub mod operations;
pub mod record;
