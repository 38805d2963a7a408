//! An audit message: what PS3.15 section A.5 says of its parts, as JSON under the standard's own names.

use super::code::{self, Code, EventId};
use contract::subject::{AuditKind, Service, Subject};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happened, who did it, who says so, and to what (PS3.15 A.5.2).
///
/// It has no patient's name in it, but for what somebody has searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AuditMessage {
    /// This message: a UUID.
    #[serde(rename = "MessageID")]
    pub message_id: String,
    /// What happened.
    pub event_identification: EventIdentification,
    /// Who did it, and to whom.
    pub active_participant: Vec<ActiveParticipant>,
    /// Who says so.
    pub audit_source_identification: AuditSourceIdentification,
    /// To what: studies, patients, paths, nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participant_object_identification: Vec<ParticipantObjectIdentification>,
    /// For how many equal events this message stands: for one, unless it says so. No part of the standard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<u64>,
}

impl AuditMessage {
    /// For how many equal events it stands.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.repeated.unwrap_or(1)
    }

    /// Of which kind it is.
    #[must_use]
    pub fn kind(&self) -> AuditKind {
        match self.event_identification.event_id {
            EventId::ApplicationActivity => AuditKind::Activity,
            EventId::BeginTransferring => AuditKind::Transferring,
            EventId::InstancesTransferred => AuditKind::Transferred,
            EventId::InstancesAccessed | EventId::StudyDeleted => AuditKind::Accessed,
            EventId::Query => AuditKind::Query,
            EventId::SecurityAlert => AuditKind::Alert,
        }
    }

    /// Where `service` publishes it.
    #[must_use]
    pub fn subject(&self, service: Service) -> Subject {
        Subject::Audit { service, kind: self.kind() }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventIdentification {
    /// Of which family of events it is (CID 400).
    #[serde(rename = "EventID")]
    pub event_id: EventId,
    /// What was done.
    pub event_action_code: Action,
    /// When, by the clock of whoever says so. Of several equal events, when the latest was.
    pub event_date_time: Timestamp,
    /// What came of it.
    pub event_outcome_indicator: Outcome,
    /// Which of the family it is (CID 401, 403).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_type_code: Vec<Code>,
    /// What came of it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_outcome_description: Option<String>,
}

/// What was done: one letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Something is new.
    #[serde(rename = "C")]
    Create,
    /// It was read.
    #[serde(rename = "R")]
    Read,
    /// It was changed.
    #[serde(rename = "U")]
    Update,
    /// It was deleted.
    #[serde(rename = "D")]
    Delete,
    /// Something was run, or asked for.
    #[serde(rename = "E")]
    Execute,
}

/// A code that the standard writes as a number.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $number:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(into = "u8", try_from = "u8")]
        pub enum $name {
            $($(#[$of])* $variant = $number,)+
        }

        impl From<$name> for u8 {
            fn from(code: $name) -> u8 {
                code as u8
            }
        }

        impl TryFrom<u8> for $name {
            type Error = String;

            fn try_from(number: u8) -> Result<Self, String> {
                match number {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(format!("{number} is no {}", stringify!($name))),
                }
            }
        }
    };
}

numbered! {
    /// What came of it.
    Outcome {
        /// What was wanted; of an alert, that it is for information.
        Success = 0,
        /// It was not done, or not all of it; of an alert, that nobody got further.
        MinorFailure = 4,
        /// Likewise, and worse.
        SeriousFailure = 8,
        /// What happened is worse than what was wanted.
        MajorFailure = 12,
    }
}

numbered! {
    /// How an access point is named.
    AccessPointType {
        /// By the name of a machine.
        MachineName = 1,
        /// By an IP address.
        IpAddress = 2,
        /// By a telephone number.
        TelephoneNumber = 3,
        /// By an email address.
        EmailAddress = 4,
        /// By a URI.
        Uri = 5,
    }
}

numbered! {
    /// What an object is.
    ObjectType {
        /// A person.
        Person = 1,
        /// A thing of a system's: a study, a file, a node.
        SystemObject = 2,
        /// An organisation.
        Organization = 3,
        /// Something else.
        Other = 4,
    }
}

numbered! {
    /// What an object is to what happened: those of the standard's list that we say.
    ObjectRole {
        /// A patient.
        Patient = 1,
        /// A study, and what is asked for.
        Report = 3,
        /// A thing with rights to it: what an alert is about.
        SecurityResource = 13,
    }
}

numbered! {
    /// What kind of program it is that says so.
    SourceType {
        /// A web server.
        WebServer = 3,
        /// A service.
        ApplicationServer = 4,
    }
}

/// Who took part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ActiveParticipant {
    /// Who: an AE title, the name of a token, of a user or of a service.
    #[serde(rename = "UserID")]
    pub user_id: String,
    /// Who, by another name: the subject of a certificate, `AETITLE=` and an AE title.
    #[serde(rename = "AlternativeUserID", default, skip_serializing_if = "Option::is_none")]
    pub alternative_user_id: Option<String>,
    /// A person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// Whether it is the one that wanted it.
    pub user_is_requestor: bool,
    /// In what role (CID 402).
    #[serde(rename = "RoleIDCode", default, skip_serializing_if = "Vec::is_empty")]
    pub role_id_code: Vec<Code>,
    /// From where: an IP address, mostly.
    #[serde(rename = "NetworkAccessPointID", default, skip_serializing_if = "Option::is_none")]
    pub network_access_point_id: Option<String>,
    /// What that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_access_point_type_code: Option<AccessPointType>,
}

impl ActiveParticipant {
    /// The one that wanted it.
    #[must_use]
    pub fn requestor(user_id: impl Into<String>) -> Self {
        Self {
            user_id: user_id.into(),
            alternative_user_id: None,
            user_name: None,
            user_is_requestor: true,
            role_id_code: Vec::new(),
            network_access_point_id: None,
            network_access_point_type_code: None,
        }
    }

    /// One that did not want it, or not by itself.
    #[must_use]
    pub fn other(user_id: impl Into<String>) -> Self {
        Self { user_is_requestor: false, ..Self::requestor(user_id) }
    }

    /// In that role.
    #[must_use]
    pub fn role(mut self, role: Code) -> Self {
        self.role_id_code.push(role);
        self
    }

    /// From that IP address.
    #[must_use]
    pub fn from_address(mut self, address: impl ToString) -> Self {
        self.network_access_point_id = Some(address.to_string());
        self.network_access_point_type_code = Some(AccessPointType::IpAddress);
        self
    }
}

/// Who says so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AuditSourceIdentification {
    /// The service and its node: `ingest@radiology`.
    #[serde(rename = "AuditSourceID")]
    pub audit_source_id: String,
    /// What kind of program that is.
    pub audit_source_type_code: SourceType,
}

impl AuditSourceIdentification {
    /// Of a service on a node.
    #[must_use]
    pub fn new(service: Service, node: &str) -> Self {
        Self {
            audit_source_id: format!("{service}@{node}"),
            audit_source_type_code: match service {
                Service::Api => SourceType::WebServer,
                Service::Ingest | Service::Indexer => SourceType::ApplicationServer,
            },
        }
    }
}

/// To what it happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ParticipantObjectIdentification {
    /// Which one.
    #[serde(rename = "ParticipantObjectID")]
    pub participant_object_id: String,
    /// What names it (CID 404).
    #[serde(rename = "ParticipantObjectIDTypeCode")]
    pub participant_object_id_type_code: Code,
    /// What it is.
    pub participant_object_type_code: ObjectType,
    /// What it is to what happened.
    pub participant_object_type_code_role: ObjectRole,
    /// How sensitive, in the words of a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant_object_sensitivity: Option<String>,
    /// A name of it. We name no patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant_object_name: Option<String>,
    /// What was searched for, as it was asked, in base64. That may be a patient's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant_object_query: Option<String>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participant_object_detail: Vec<Detail>,
    /// The accession numbers of a study.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accession: Vec<String>,
    /// What instances of a study there are.
    #[serde(rename = "SOPClass", default, skip_serializing_if = "Vec::is_empty")]
    pub sop_class: Vec<SopClass>,
}

impl ParticipantObjectIdentification {
    fn new(id: String, named_by: Code, what: ObjectType, role: ObjectRole) -> Self {
        Self {
            participant_object_id: id,
            participant_object_id_type_code: named_by,
            participant_object_type_code: what,
            participant_object_type_code_role: role,
            participant_object_sensitivity: None,
            participant_object_name: None,
            participant_object_query: None,
            participant_object_detail: Vec::new(),
            accession: Vec::new(),
            sop_class: Vec::new(),
        }
    }

    /// A study. The standard wants a name where there is no query; a description might name the patient,
    /// so it is the UID again.
    #[must_use]
    pub fn study(study_instance_uid: &str) -> Self {
        let uid = study_instance_uid.to_owned();
        let named_by = code::STUDY_INSTANCE_UID;
        Self {
            participant_object_name: Some(uid.clone()),
            ..Self::new(uid, named_by, ObjectType::SystemObject, ObjectRole::Report)
        }
    }

    /// A patient, by Patient ID alone: the name is the standard's to ask for, and it does not.
    #[must_use]
    pub fn patient(patient_id: &str) -> Self {
        let id = patient_id.to_owned();
        Self::new(id, code::PATIENT_NUMBER, ObjectType::Person, ObjectRole::Patient)
    }

    /// What is at a path of the API.
    #[must_use]
    pub fn path(path: &str) -> Self {
        let uri = path.to_owned();
        Self {
            participant_object_name: Some(uri.clone()),
            ..Self::new(uri, code::URI, ObjectType::SystemObject, ObjectRole::Report)
        }
    }

    /// A search at a path of the API, by this query string.
    #[must_use]
    pub fn search(path: &str, query: &str) -> Self {
        Self {
            participant_object_name: None,
            participant_object_query: Some(base64(query)),
            ..Self::path(path)
        }
    }

    /// What an alert is about: a path of the API.
    #[must_use]
    pub fn guarded_path(path: &str) -> Self {
        Self { participant_object_type_code_role: ObjectRole::SecurityResource, ..Self::path(path) }
    }

    /// What an alert is about: a node, by its address or name.
    #[must_use]
    pub fn node(id: &str) -> Self {
        let id = id.to_owned();
        let role = ObjectRole::SecurityResource;
        Self {
            participant_object_name: Some(id.clone()),
            ..Self::new(id, code::NODE_ID, ObjectType::SystemObject, role)
        }
    }

    /// With this detail.
    #[must_use]
    pub fn detail(mut self, kind: &str, value: &str) -> Self {
        self.participant_object_detail.push(Detail { kind: kind.to_owned(), value: base64(value) });
        self
    }
}

/// More about an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Detail {
    /// What it says.
    #[serde(rename = "type")]
    pub kind: String,
    /// What that is, in base64.
    #[serde(rename = "value")]
    pub value: String,
}

/// Instances of one SOP class.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SopClass {
    /// Which class.
    #[serde(rename = "UID")]
    pub uid: String,
    /// How many.
    pub number_of_instances: u64,
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
