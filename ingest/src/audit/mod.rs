//! The audit trail of what was received, and from whom.

mod messages;
pub mod transfers;

pub use messages::{AssociationEnd, begin_transferring, instances_transferred, security_alert};
