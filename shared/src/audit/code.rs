//! Coded values of audit messages: those of DICOM (PS3.16 CID 400 to 404) and of RFC 3881 that we say.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A coded value, in the words of the message's schema (PS3.15 A.5.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Code {
    /// The value.
    #[serde(rename = "csd-code")]
    pub csd_code: Cow<'static, str>,
    /// Who says what it means.
    #[serde(rename = "codeSystemName")]
    pub code_system_name: Cow<'static, str>,
    /// What it means.
    #[serde(rename = "originalText")]
    pub original_text: Cow<'static, str>,
}

impl Code {
    const fn of(system: &'static str, code: &'static str, meaning: &'static str) -> Self {
        Self {
            csd_code: Cow::Borrowed(code),
            code_system_name: Cow::Borrowed(system),
            original_text: Cow::Borrowed(meaning),
        }
    }

    const fn dcm(code: &'static str, meaning: &'static str) -> Self {
        Self::of("DCM", code, meaning)
    }

    const fn rfc3881(code: &'static str, meaning: &'static str) -> Self {
        Self::of("RFC-3881", code, meaning)
    }
}

/// A program that has started.
pub const APPLICATION_START: Code = Code::dcm("110120", "Application Start");
/// A program that stops.
pub const APPLICATION_STOP: Code = Code::dcm("110121", "Application Stop");
/// A node that may not associate, or can't prove who it is.
pub const NODE_AUTHENTICATION: Code = Code::dcm("110126", "Node Authentication");
/// How the pipeline works was changed.
pub const SOFTWARE_CONFIGURATION: Code = Code::dcm("110131", "Software Configuration");
/// A user who did not prove who it is.
pub const AUTHENTICATION_DECISION: Code = Code::dcm("110143", "Authentication Decision");
/// A user who is known, and may not.
pub const AUTHORIZATION_DECISION: Code = Code::dcm("110144", "Authorization Decision");
/// What may not be asked like that, whoever asks.
pub const ACCESS_CONTROL_DECISION: Code = Code::dcm("110147", "Access Control Decision");

/// A program.
pub const APPLICATION: Code = Code::dcm("110150", "Application");
/// Who receives data, or answers a query.
pub const DESTINATION: Code = Code::dcm("110152", "Destination Role ID");
/// Who sends data, or asks.
pub const SOURCE: Code = Code::dcm("110153", "Source Role ID");

/// The object is named by a Study Instance UID.
pub const STUDY_INSTANCE_UID: Code = Code::dcm("110180", "Study Instance UID");
/// The object is named by the address or name of a node.
pub const NODE_ID: Code = Code::dcm("110182", "Node ID");
/// The object is named by a Patient ID.
pub const PATIENT_NUMBER: Code = Code::rfc3881("2", "Patient Number");
/// The object is named by a URI, or the path of one.
pub const URI: Code = Code::rfc3881("12", "URI");

/// What an audit message is about (CID 400).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Code", try_from = "Code")]
pub enum EventId {
    /// A program started or stopped (PS3.15 A.5.3.1).
    ApplicationActivity,
    /// Instances are about to come (A.5.3.3).
    BeginTransferring,
    /// Something of a study was read or changed (A.5.3.6).
    InstancesAccessed,
    /// Instances came (A.5.3.7).
    InstancesTransferred,
    /// All of a study was deleted (A.5.3.8).
    StudyDeleted,
    /// Somebody searched (A.5.3.10).
    Query,
    /// Somebody was refused (A.5.3.11).
    SecurityAlert,
}

impl EventId {
    const ALL: [Self; 7] = [
        Self::ApplicationActivity,
        Self::BeginTransferring,
        Self::InstancesAccessed,
        Self::InstancesTransferred,
        Self::StudyDeleted,
        Self::Query,
        Self::SecurityAlert,
    ];

    /// Its code.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::ApplicationActivity => Code::dcm("110100", "Application Activity"),
            Self::BeginTransferring => Code::dcm("110102", "Begin Transferring DICOM Instances"),
            Self::InstancesAccessed => Code::dcm("110103", "DICOM Instances Accessed"),
            Self::InstancesTransferred => Code::dcm("110104", "DICOM Instances Transferred"),
            Self::StudyDeleted => Code::dcm("110105", "DICOM Study Deleted"),
            Self::Query => Code::dcm("110112", "Query"),
            Self::SecurityAlert => Code::dcm("110113", "Security Alert"),
        }
    }
}

impl From<EventId> for Code {
    fn from(id: EventId) -> Self {
        id.code()
    }
}

/// It is not about anything that we say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no event of our audit messages: {0}")]
pub struct UnknownEvent(String);

impl TryFrom<Code> for EventId {
    type Error = UnknownEvent;

    fn try_from(code: Code) -> Result<Self, UnknownEvent> {
        let same = |id: &Self| {
            let own = id.code();
            own.csd_code == code.csd_code && own.code_system_name == code.code_system_name
        };
        let unknown = || UnknownEvent(format!("{} {}", code.code_system_name, code.csd_code));
        Self::ALL.into_iter().find(same).ok_or_else(unknown)
    }
}
