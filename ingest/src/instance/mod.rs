//! An instance: received, identified, made into an event, or refused.

pub(crate) mod event;
pub(crate) mod identity;
pub(crate) mod pseudonyms;
pub(crate) mod receiving;
pub(crate) mod refusal;
