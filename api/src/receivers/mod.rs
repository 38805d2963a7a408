//! Receivers, by `NODE_NAME`.

pub mod operations;
