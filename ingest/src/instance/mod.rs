//! An instance: the event that it becomes, or why it is refused.

pub mod event;
pub mod pseudonyms;
pub mod receiving;
