//! The NATS subjects of the pipeline: how they are built, and read back.

use crate::uid::{MAX_UID_LENGTH, SeriesInstanceUid};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// How many partitions the series are spread over. Fixed for good: a subject of last year must
/// name the partition of today.
pub const PARTITIONS: u64 = 64;

/// Characters that a token of a name has at most: of a receiver, a webhook, a reason. They are chosen by
/// operators, whose longest is a host name.
const MAX_NAME: usize = 64;

/// Characters of the longest AE title (PS3.5 section 6.2, VR AE).
const MAX_AE_TITLE: usize = 16;

/// The token of a modality that the standard does not define.
pub const OTHER_MODALITY: &str = "OTHER";

/// The defined terms of Modality (0008,0060), retired ones included (PS3.3 section C.7.3.1.1.1), in
/// ascending order.
const MODALITIES: &[&str] = &[
    "ANN",
    "AR",
    "AS",
    "ASMT",
    "AU",
    "BDUS",
    "BI",
    "BMD",
    "CD",
    "CF",
    "CFM",
    "CP",
    "CR",
    "CS",
    "CT",
    "CTPROTOCOL",
    "DD",
    "DF",
    "DG",
    "DM",
    "DMS",
    "DOC",
    "DS",
    "DX",
    "EC",
    "ECG",
    "EEG",
    "EMG",
    "EOG",
    "EPS",
    "ES",
    "FA",
    "FID",
    "FS",
    "GM",
    "HC",
    "HD",
    "IO",
    "IOL",
    "IVOCT",
    "IVUS",
    "KER",
    "KO",
    "LEN",
    "LP",
    "LS",
    "M3D",
    "MA",
    "MG",
    "MR",
    "MS",
    "NM",
    "OAM",
    "OCT",
    "OP",
    "OPM",
    "OPR",
    "OPT",
    "OPTBSV",
    "OPTENF",
    "OPV",
    "OSS",
    "OT",
    "PA",
    "PLAN",
    "POS",
    "PR",
    "PT",
    "PX",
    "REG",
    "RESP",
    "RF",
    "RG",
    "RTDOSE",
    "RTIMAGE",
    "RTINTENT",
    "RTPLAN",
    "RTRAD",
    "RTRECORD",
    "RTSEGANN",
    "RTSTRUCT",
    "RWV",
    "SEG",
    "SM",
    "SMR",
    "SR",
    "SRF",
    "ST",
    "STAIN",
    "TEXTUREMAP",
    "TG",
    "US",
    "VA",
    "VF",
    "XA",
    "XAPROTOCOL",
    "XC",
];

/// One legal subject token made of text that a peer chose: anything outside `[A-Za-z0-9_-]`
/// becomes `_`, so no AE title or modality can inject a token or a wildcard, and its length is bounded, so
/// that no subject exceeds what the broker takes in a line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token(String);

impl Token {
    /// The token for the name of something; blank text becomes `none`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self::of(text, MAX_NAME)
    }

    /// The token for an AE title.
    #[must_use]
    pub fn ae_title(text: &str) -> Self {
        Self::of(text, MAX_AE_TITLE)
    }

    /// The token for a modality: a defined term whatever its case, of several values the first, `none` for
    /// blank text, and `OTHER` for everything else, or senders could choose how many subjects the broker has to know.
    #[must_use]
    pub fn modality(text: &str) -> Self {
        let first = text.split('\\').next().unwrap_or_default();
        match first.trim_matches([' ', '\0']) {
            "" => Self("none".to_owned()),
            text => {
                let known = MODALITIES.iter().find(|term| term.eq_ignore_ascii_case(text));
                Self((*known.unwrap_or(&OTHER_MODALITY)).to_owned())
            }
        }
    }

    fn of(text: &str, most: usize) -> Self {
        let text = text.trim_matches([' ', '\0']);
        let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
        Self::read(&text[..end])
    }

    /// The token of a subject that is there: older versions had no bounds.
    fn read(text: &str) -> Self {
        match sanitise(text) {
            empty if empty.is_empty() => Self("none".to_owned()),
            token => Self(token),
        }
    }

    /// The token's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A Series Instance UID as trailing tokens: the dots stay, so the UID can be pasted into a
/// subscription and a UID root is a wildcard. For a legal UID this is the UID itself; in others
/// illegal characters become `_` and empty tokens vanish.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UidTokens(String);

impl UidTokens {
    /// The tokens for `series`.
    #[must_use]
    pub fn new(series: &SeriesInstanceUid) -> Self {
        Self::from_text(series.as_str())
    }

    /// The tokens' text, parted by dots.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of text that may be no UID: as long as one may be.
    fn bounded(text: &str) -> Self {
        let end = text.char_indices().nth(MAX_UID_LENGTH).map_or(text.len(), |(end, _)| end);
        Self::from_text(&text[..end])
    }

    fn from_text(text: &str) -> Self {
        let tokens: Vec<String> = text.split('.').filter(|t| !t.is_empty()).map(sanitise).collect();
        match tokens.join(".") {
            empty if empty.is_empty() => Self("none".to_owned()),
            tokens => Self(tokens),
        }
    }
}

fn sanitise(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' })
        .collect()
}

/// The partition of a series, below [`PARTITIONS`]: a stable hash of its UID, so that all
/// instances of one series are in one partition on every machine and in every version.
#[must_use]
pub fn partition(series: &SeriesInstanceUid) -> u8 {
    let hash = blake3::hash(series.as_str().as_bytes());
    (u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default()) % PARTITIONS) as u8
}

/// What happened to an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssociationChange {
    /// Its first C-STORE arrived.
    Opened,
    /// Closed by A-RELEASE.
    Released,
    /// Closed by A-ABORT, a lost connection or our own limits.
    Aborted,
    /// Never accepted.
    Rejected,
}

impl AssociationChange {
    const ALL: [Self; 4] = [Self::Opened, Self::Released, Self::Aborted, Self::Rejected];

    fn kind(self) -> &'static str {
        match self {
            Self::Opened => "dicom.association.opened",
            Self::Released => "dicom.association.released",
            Self::Aborted => "dicom.association.aborted",
            Self::Rejected => "dicom.association.rejected",
        }
    }
}

/// Who says something in the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// The receiver.
    Ingest,
    /// The catalogue's writer.
    Indexer,
    /// The HTTP API.
    Api,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ingest, Self::Indexer, Self::Api];

    /// Its name: the token of a subject.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Indexer => "indexer",
            Self::Api => "api",
        }
    }
}

impl Display for Service {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an audit message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditKind {
    /// A program started or stopped.
    Activity,
    /// Instances are about to come.
    Transferring,
    /// Instances came.
    Transferred,
    /// Something of a study was read or changed.
    Accessed,
    /// Somebody searched.
    Query,
    /// Somebody was refused.
    Alert,
}

impl AuditKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Activity,
        Self::Transferring,
        Self::Transferred,
        Self::Accessed,
        Self::Query,
        Self::Alert,
    ];

    /// Its word: the token of a subject.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Transferring => "transferring",
            Self::Transferred => "transferred",
            Self::Accessed => "accessed",
            Self::Query => "query",
            Self::Alert => "alert",
        }
    }
}

/// A subject of the pipeline. `Display` builds it, `FromStr` reads it back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `dicom.instance.stored.<partition>.<Modality>.<SeriesInstanceUID>`: an instance was
    /// received whole.
    InstanceStored {
        /// Of the series, below [`PARTITIONS`].
        partition: u8,
        /// Modality (0008,0060).
        modality: Token,
        /// The series of the instance.
        series: UidTokens,
    },
    /// `dicom.instance.receiving.<partition>.<Modality>.<SeriesInstanceUID>`: heartbeat of an
    /// instance that takes long to arrive.
    InstanceReceiving {
        /// Of the series, below [`PARTITIONS`].
        partition: u8,
        /// Modality (0008,0060).
        modality: Token,
        /// The series of the instance.
        series: UidTokens,
    },
    /// `dicom.association.<opened|released|aborted|rejected>.<CallingAETitle>`.
    Association {
        /// What happened.
        change: AssociationChange,
        /// Who called.
        calling_ae: Token,
    },
    /// `dicom.ingest.started.<NODE_NAME>`.
    IngestStarted {
        /// The receiver's name.
        node: Token,
    },
    /// `dicom.ingest.resumed.<NODE_NAME>`.
    IngestResumed {
        /// The receiver's name.
        node: Token,
    },
    /// `dicom.clock.<node>`: an indexer asks what time it is.
    Clock {
        /// The machine of the indexer.
        node: Token,
    },
    /// `dicom.request.register.<SeriesInstanceUID>`: somebody vouches for a series.
    RegistrationRequested {
        /// The series.
        series: UidTokens,
    },
    /// `dicom.request.complete.<SeriesInstanceUID>`: an operator wants a series to be complete.
    CompletionRequested {
        /// The series.
        series: UidTokens,
    },
    /// `dicom.request.delete.<SeriesInstanceUID>`: an operator wants a series out of the catalogue.
    DeletionRequested {
        /// The series.
        series: UidTokens,
    },
    /// `dicom.request.trust.<CallingAETitle>`: an operator wants a sender to be believed again.
    TrustRequested {
        /// Who calls.
        calling_ae: Token,
    },
    /// `dicom.series.completed.<Modality>.<SeriesInstanceUID>`.
    SeriesCompleted {
        /// Modality (0008,0060).
        modality: Token,
        /// The series.
        series: UidTokens,
    },
    /// `dicom.series.deleted.<Modality>.<SeriesInstanceUID>`.
    SeriesDeleted {
        /// Modality (0008,0060).
        modality: Token,
        /// The series.
        series: UidTokens,
    },
    /// `dicom.study.completed.<StudyInstanceUID>`.
    StudyCompleted {
        /// The study.
        study: UidTokens,
    },
    /// `dicom.dead.<reason>`: a message that can't be processed.
    Dead {
        /// Why, in one word.
        reason: Token,
    },
    /// `dicom.dead.webhook.<name>`: a completion that a webhook's receiver did not take.
    Undelivered {
        /// The webhook.
        hook: Token,
    },
    /// `dicom.audit.<service>.<kind>`: who sent, read, searched or was refused.
    Audit {
        /// Who says so.
        service: Service,
        /// What it is about.
        kind: AuditKind,
    },
}

impl Subject {
    /// Where the event of a stored instance goes.
    #[must_use]
    pub fn instance_stored(modality: &str, series: &SeriesInstanceUid) -> Self {
        Self::InstanceStored {
            partition: partition(series),
            modality: Token::modality(modality),
            series: UidTokens::new(series),
        }
    }

    /// Where the heartbeat of an instance goes that takes long to arrive.
    #[must_use]
    pub fn instance_receiving(modality: &str, series: &SeriesInstanceUid) -> Self {
        Self::InstanceReceiving {
            partition: partition(series),
            modality: Token::modality(modality),
            series: UidTokens::new(series),
        }
    }

    /// Where it goes what happens to an association.
    #[must_use]
    pub fn association(change: AssociationChange, calling_ae_title: &str) -> Self {
        Self::Association { change, calling_ae: Token::ae_title(calling_ae_title) }
    }

    /// Where the start of a receiver goes.
    #[must_use]
    pub fn ingest_started(node_name: &str) -> Self {
        Self::IngestStarted { node: Token::new(node_name) }
    }

    /// Where it goes that a receiver's events are stored again.
    #[must_use]
    pub fn ingest_resumed(node_name: &str) -> Self {
        Self::IngestResumed { node: Token::new(node_name) }
    }

    /// Where the question goes what time it is.
    #[must_use]
    pub fn clock(node_name: &str) -> Self {
        Self::Clock { node: Token::new(node_name) }
    }

    /// Where the request goes that a series be registered.
    #[must_use]
    pub fn registration_requested(series: &SeriesInstanceUid) -> Self {
        Self::RegistrationRequested { series: UidTokens::new(series) }
    }

    /// Where the request goes that a series be complete.
    #[must_use]
    pub fn completion_requested(series: &SeriesInstanceUid) -> Self {
        Self::CompletionRequested { series: UidTokens::new(series) }
    }

    /// Where the request goes that a series be deleted.
    #[must_use]
    pub fn deletion_requested(series: &SeriesInstanceUid) -> Self {
        Self::DeletionRequested { series: UidTokens::new(series) }
    }

    /// Where the request goes that a sender be believed again.
    #[must_use]
    pub fn trust_requested(calling_ae_title: &str) -> Self {
        Self::TrustRequested { calling_ae: Token::ae_title(calling_ae_title) }
    }

    /// Where the completion of a series goes.
    #[must_use]
    pub fn series_completed(modality: &str, series: &SeriesInstanceUid) -> Self {
        Self::SeriesCompleted {
            modality: Token::modality(modality),
            series: UidTokens::new(series),
        }
    }

    /// Where the deletion of a series goes.
    #[must_use]
    pub fn series_deleted(modality: &str, series: &SeriesInstanceUid) -> Self {
        Self::SeriesDeleted { modality: Token::modality(modality), series: UidTokens::new(series) }
    }

    /// Where the completion of a study goes.
    #[must_use]
    pub fn study_completed(study_instance_uid: &str) -> Self {
        Self::StudyCompleted { study: UidTokens::bounded(study_instance_uid) }
    }

    /// Where a message goes that can't be processed.
    #[must_use]
    pub fn dead(reason: &str) -> Self {
        Self::Dead { reason: Token::new(reason) }
    }

    /// Where a completion goes that could not be delivered to a webhook.
    #[must_use]
    pub fn undelivered(hook: &str) -> Self {
        Self::Undelivered { hook: Token::new(hook) }
    }

    /// What kind of event it is: the tokens before those that name something.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::InstanceStored { .. } => "dicom.instance.stored",
            Self::InstanceReceiving { .. } => "dicom.instance.receiving",
            Self::Association { change, .. } => change.kind(),
            Self::IngestStarted { .. } => "dicom.ingest.started",
            Self::IngestResumed { .. } => "dicom.ingest.resumed",
            Self::Clock { .. } => "dicom.clock",
            Self::RegistrationRequested { .. } => "dicom.request.register",
            Self::CompletionRequested { .. } => "dicom.request.complete",
            Self::DeletionRequested { .. } => "dicom.request.delete",
            Self::TrustRequested { .. } => "dicom.request.trust",
            Self::SeriesCompleted { .. } => "dicom.series.completed",
            Self::SeriesDeleted { .. } => "dicom.series.deleted",
            Self::StudyCompleted { .. } => "dicom.study.completed",
            Self::Dead { .. } => "dicom.dead",
            Self::Undelivered { .. } => "dicom.dead.webhook",
            Self::Audit { .. } => "dicom.audit",
        }
    }
}

impl Display for Subject {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.kind())?;
        match self {
            Self::InstanceStored { partition, modality, series }
            | Self::InstanceReceiving { partition, modality, series } => {
                write!(f, "{partition:02}.{}.{}", modality.0, series.0)
            }
            Self::SeriesCompleted { modality, series }
            | Self::SeriesDeleted { modality, series } => {
                write!(f, "{}.{}", modality.0, series.0)
            }
            Self::Audit { service, kind } => write!(f, "{service}.{}", kind.as_str()),
            Self::RegistrationRequested { series: uid }
            | Self::CompletionRequested { series: uid }
            | Self::DeletionRequested { series: uid }
            | Self::StudyCompleted { study: uid } => f.write_str(&uid.0),
            Self::Association { calling_ae: name, .. }
            | Self::TrustRequested { calling_ae: name }
            | Self::IngestStarted { node: name }
            | Self::IngestResumed { node: name }
            | Self::Clock { node: name }
            | Self::Undelivered { hook: name }
            | Self::Dead { reason: name } => f.write_str(&name.0),
        }
    }
}

/// The text is no subject of this pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a subject of the pipeline: {0:?}")]
pub struct UnknownSubject(String);

impl FromStr for Subject {
    type Err = UnknownSubject;

    fn from_str(text: &str) -> Result<Self, UnknownSubject> {
        read(text)
            // Only what we would build ourselves is ours: this refuses wildcards, stray
            // characters, one-digit partitions and empty tokens in one stroke.
            .filter(|subject| subject.to_string() == text)
            .ok_or_else(|| UnknownSubject(text.to_owned()))
    }
}

fn read(text: &str) -> Option<Subject> {
    let (kind, rest) = text.strip_prefix("dicom.")?.split_once('.')?;
    if kind == "dead" {
        return Some(match rest.strip_prefix("webhook.") {
            Some(hook) => Subject::Undelivered { hook: Token::read(hook) },
            None => Subject::Dead { reason: Token::read(rest) },
        });
    }
    if kind == "clock" {
        return Some(Subject::Clock { node: Token::read(rest) });
    }
    let (what, rest) = rest.split_once('.')?;
    match (kind, what) {
        ("instance", "stored" | "receiving") => {
            let (partition, rest) = rest.split_once('.')?;
            let partition = partition.parse().ok().filter(|p| u64::from(*p) < PARTITIONS)?;
            let (modality, series) = rest.split_once('.')?;
            let (modality, series) = (Token::read(modality), UidTokens::from_text(series));
            Some(if what == "stored" {
                Subject::InstanceStored { partition, modality, series }
            } else {
                Subject::InstanceReceiving { partition, modality, series }
            })
        }
        ("association", change) => {
            let named = |known: &AssociationChange| known.kind().ends_with(&format!(".{change}"));
            let change = AssociationChange::ALL.into_iter().find(named)?;
            Some(Subject::Association { change, calling_ae: Token::read(rest) })
        }
        ("ingest", "started") => Some(Subject::IngestStarted { node: Token::read(rest) }),
        ("ingest", "resumed") => Some(Subject::IngestResumed { node: Token::read(rest) }),
        ("request", "trust") => Some(Subject::TrustRequested { calling_ae: Token::read(rest) }),
        ("request", "register") => {
            Some(Subject::RegistrationRequested { series: UidTokens::from_text(rest) })
        }
        ("request", "complete") => {
            Some(Subject::CompletionRequested { series: UidTokens::from_text(rest) })
        }
        ("request", "delete") => {
            Some(Subject::DeletionRequested { series: UidTokens::from_text(rest) })
        }
        ("series", "completed" | "deleted") => {
            let (modality, series) = rest.split_once('.')?;
            let (modality, series) = (Token::read(modality), UidTokens::from_text(series));
            Some(if what == "completed" {
                Subject::SeriesCompleted { modality, series }
            } else {
                Subject::SeriesDeleted { modality, series }
            })
        }
        ("study", "completed") => {
            Some(Subject::StudyCompleted { study: UidTokens::from_text(rest) })
        }
        ("audit", service) => Some(Subject::Audit {
            service: Service::ALL.into_iter().find(|known| known.as_str() == service)?,
            kind: AuditKind::ALL.into_iter().find(|known| known.as_str() == rest)?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn series(uid: &str) -> SeriesInstanceUid {
        SeriesInstanceUid::parse(uid).unwrap()
    }

    #[test]
    fn a_uid_keeps_its_dots_and_the_partition_is_stable() {
        let subject = Subject::instance_stored("MR", &series("1.2.840.113619.2.410"));
        assert_eq!(subject.to_string(), "dicom.instance.stored.27.MR.1.2.840.113619.2.410");
    }

    #[test]
    fn hostile_names_become_one_legal_token() {
        for (text, token) in [
            ("", "none"),
            ("  ", "none"),
            ("MY PACS", "MY_PACS"),
            ("a.b", "a_b"),
            (">", "_"),
            ("*", "_"),
            ("ÄRZTE", "_RZTE"),
            ("A\r\nPUB x", "A__PUB_x"),
        ] {
            assert_eq!(Token::new(text).as_str(), token, "{text:?}");
            assert_eq!(Token::ae_title(text).as_str(), token, "{text:?}");
        }
    }

    #[test]
    fn no_text_makes_a_long_token() {
        let long = "ä".repeat(5000);
        assert_eq!(Token::new(&long).as_str(), "_".repeat(64));
        assert_eq!(Token::ae_title(&long).as_str(), "_".repeat(16));
        let longest = [
            Subject::instance_stored(&long, &series(&"1".repeat(64))),
            Subject::association(AssociationChange::Opened, &long),
            Subject::ingest_started(&long),
            Subject::clock(&long),
            Subject::study_completed(&long),
            Subject::dead(&long),
        ];
        for subject in longest {
            assert!(subject.to_string().len() < 128, "{subject}");
        }
    }

    #[test]
    fn a_modality_is_a_defined_term_or_other() {
        for (modality, token) in [
            ("MR", "MR"),
            ("mr", "MR"),
            ("US ", "US"),
            ("TEXTUREMAP", "TEXTUREMAP"),
            ("", "none"),
            (" \0", "none"),
            ("MR\\PR", "MR"),
            ("XYZ", "OTHER"),
            ("other", "OTHER"),
            (&"M".repeat(5000), "OTHER"),
        ] {
            assert_eq!(Token::modality(modality).as_str(), token, "{modality:?}");
        }
    }

    #[test]
    fn subjects_of_older_versions_read_back() {
        let long = "M".repeat(3800);
        for text in [
            format!("dicom.instance.stored.07.{long}.1.2"),
            "dicom.instance.stored.07.mr.1.2".to_owned(),
            format!("dicom.series.completed.{long}.1.2"),
            format!("dicom.association.opened.{long}"),
            format!("dicom.study.completed.{}", "1".repeat(200)),
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_uid_that_is_none_gives_a_legal_subject() {
        for (uid, tokens) in
            [("..", "none"), ("1..2", "1.2"), (".>", "_"), ("a b.*", "a_b._"), ("1.2.", "1.2")]
        {
            assert_eq!(UidTokens::new(&series(uid)).as_str(), tokens, "{uid:?}");
        }
    }

    #[test]
    fn foreign_subjects_are_not_ours() {
        for text in [
            "",
            "dicom",
            "dicom.",
            "dicom.dead.",
            "dicom.instance.stored.7.MR.1.2",
            "dicom.instance.stored.64.MR.1.2",
            "dicom.instance.stored.07.MR",
            "dicom.instance.stored.07.MR.1..2",
            "dicom.instance.stored.07.*.>",
            "dicom.association.lost.PACS",
            "dicom.association.opened.A.B",
            "dicom.ingest.started.a.b",
            "dicom.ingest.stopped.a",
            "dicom.clock.",
            "dicom.clock.a.b",
            "dicom.request.register.",
            "dicom.request.complete.",
            "dicom.request.delete.",
            "dicom.series.deleted.MR",
            "dicom.study.completed.",
            "dicom.request.trust.A.B",
            "dicom.audit.ingest",
            "dicom.audit.ingest.gossip",
            "dicom.audit.somebody.query",
            "dicom.audit.api.query.x",
            "other.instance.stored.07.MR.1.2",
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_audit_subject_reads_back() {
        for service in Service::ALL {
            for kind in AuditKind::ALL {
                let subject = Subject::Audit { service, kind };
                assert_eq!(subject.to_string().parse(), Ok(subject));
            }
        }
        let alert = Subject::Audit { service: Service::Api, kind: AuditKind::Alert };
        assert_eq!(alert.to_string(), "dicom.audit.api.alert");
    }

    proptest! {
        #[test]
        fn every_subject_is_legal_and_reads_back(
            modality in ".{0,20}", ae in ".{0,20}", uid in "[ -~]{1,64}",
        ) {
            // All-blank text is no UID and never gets this far.
            prop_assume!(!uid.trim().is_empty());
            let series = series(&uid);
            for subject in [
                Subject::instance_stored(&modality, &series),
                Subject::instance_receiving(&modality, &series),
                Subject::series_completed(&modality, &series),
                Subject::association(AssociationChange::Aborted, &ae),
                Subject::ingest_started(&ae),
                Subject::ingest_resumed(&ae),
                Subject::clock(&ae),
                Subject::registration_requested(&series),
                Subject::completion_requested(&series),
                Subject::deletion_requested(&series),
                Subject::study_completed(&uid),
                Subject::series_deleted(&modality, &series),
                Subject::trust_requested(&ae),
                Subject::dead(&ae),
                Subject::undelivered(&ae),
            ] {
                let text = subject.to_string();
                prop_assert!(text.split('.').all(|token| !token.is_empty()
                    && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))));
                prop_assert_eq!(text.parse::<Subject>(), Ok(subject));
            }
        }
    }
}
