//! Studies, made of their series.

pub mod operations;
pub mod record;
