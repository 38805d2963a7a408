//! The documentation of the API: responses that several resources have, security, and examples.

pub mod attributes;
mod completion_rules;
pub mod document;
mod examples;
pub mod responses;
pub mod rules;
pub mod security;
