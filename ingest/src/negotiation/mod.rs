//! Who may send, and with which presentation contexts.

pub mod admission;
pub mod certificate;
pub mod negotiator;
pub mod rejection;
pub mod rejection_limit;
pub mod user_identity;
