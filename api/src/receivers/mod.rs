//! Receivers, by `NODE_NAME`.

pub mod operations;
pub(crate) mod silence;
