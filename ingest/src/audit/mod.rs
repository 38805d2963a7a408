//! The audit trail of what was received, and from whom.

pub mod messages;
pub mod transfers;
