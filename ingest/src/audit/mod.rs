//! The audit trail of what was received, and from whom.

mod messages;
pub mod transfers;

pub use messages::{
    AssociationEnd, association_rejected, begin_transferring, connection_refused,
    instances_transferred,
};
