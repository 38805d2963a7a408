//! Who may send, and with which presentation contexts.

pub(crate) mod admission;
pub(crate) mod certificate;
pub(crate) mod negotiator;
pub(crate) mod rejection;
mod rejection_limit;
mod user_identity;
