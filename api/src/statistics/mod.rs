//! How much there is in the catalogue.

pub mod activity;
pub mod associations;
pub mod counts;
pub mod operations;
