//! The audit trail (PS3.15 section A.5): who sent, read, searched or was refused, as messages on
//! `dicom.audit.>`.

mod auditor;
pub mod code;
mod draft;
mod message;
mod repeats;
#[cfg(test)]
mod tests;

pub use auditor::{AuditSettings, Auditor};
pub use code::{Code, EventId};
pub use draft::Draft;
pub use message::{
    AccessPointType, Action, ActiveParticipant, AuditMessage, AuditSourceIdentification, Detail,
    EventIdentification, ObjectRole, ObjectType, Outcome, ParticipantObjectIdentification,
    SopClass, SourceType,
};
