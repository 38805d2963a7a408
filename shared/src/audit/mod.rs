//! The audit trail (PS3.15 section A.5): who sent, read, searched or was refused, as messages on
//! `dicom.audit.>`.

pub mod code;
mod message;
#[cfg(test)]
mod tests;

pub use code::{Code, EventId};
pub use message::{
    AccessPointType, Action, ActiveParticipant, AuditMessage, AuditSourceIdentification, Detail,
    EventIdentification, ObjectRole, ObjectType, Outcome, ParticipantObjectIdentification,
    SopClass, SourceType,
};
