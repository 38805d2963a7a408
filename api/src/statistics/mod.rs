//! How much there is in the catalogue.

pub mod counts;
pub mod operations;
