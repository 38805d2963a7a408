//! An instance: received, identified, made into an event, or refused.

pub mod event;
pub mod identity;
pub mod pseudonyms;
pub mod receiving;
pub mod refusal;
