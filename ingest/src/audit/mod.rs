//! The audit trail of what was received, and from whom.

mod messages;
pub(crate) mod transfers;

pub(crate) use messages::{
    AssociationEnd, begin_transferring, instances_transferred, security_alert,
};
