//! The NATS subjects of the pipeline: how they are built, and read back.

mod audit;
mod parsing;
#[cfg(test)]
mod tests;
mod tokens;

pub use audit::{AuditKind, Service};
pub use parsing::UnknownSubject;
pub use tokens::{OTHER_MODALITY, Token, UidTokens};

use crate::uid::SeriesInstanceUid;
use std::fmt::{self, Display, Formatter};

/// How many partitions the series are spread over. Fixed for good: a subject of last year must
/// name the partition of today.
pub const PARTITIONS: u64 = 64;

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
    /// `dicom.evidence.asked.<CallingAETitle>`: a source is asked how many instances it has.
    SourceAsked {
        /// Who is asked, by the title by which it calls.
        calling_ae: Token,
    },
    /// `dicom.evidence.answered.<CallingAETitle>`: what came of it.
    SourceAnswered {
        /// Who was asked, by the title by which it calls.
        calling_ae: Token,
    },
    /// `dicom.evidence.wanted.<CallingAETitle>`: instances are fetched from a source.
    InstancesWanted {
        /// From whom, by the title by which it calls.
        calling_ae: Token,
    },
    /// `dicom.evidence.fetched.<CallingAETitle>`: what came of it.
    InstancesFetched {
        /// From whom, by the title by which it calls.
        calling_ae: Token,
    },
    /// `dicom.evidence.listed.<CallingAETitle>`: a peer has listed instances.
    InstancesListed {
        /// Who lists them.
        calling_ae: Token,
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
    /// `dicom.request.release.<message id>`: an operator lets an announcement go out.
    ReleaseRequested {
        /// Id of the announcement.
        message_id: Token,
    },
    /// `dicom.request.gone.<NODE_NAME>`: an operator says that a receiver does not come back.
    GoneRequested {
        /// The receiver.
        node: Token,
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
    /// `dicom.series.kept.<Modality>.<SeriesInstanceUID>`: a revision is a folder of the instance store.
    SeriesKept {
        /// Modality (0008,0060).
        modality: Token,
        /// The series.
        series: UidTokens,
    },
    /// `dicom.series.purged.<Modality>.<SeriesInstanceUID>`: its files are no longer in the instance store.
    SeriesPurged {
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
    /// Subject of `dicom.instance.stored`.
    #[must_use]
    pub fn instance_stored(modality: &str, series: &SeriesInstanceUid) -> Self {
        Self::InstanceStored {
            partition: partition(series),
            modality: Token::modality(modality),
            series: UidTokens::new(series),
        }
    }

    /// Subject of `dicom.instance.receiving`.
    #[must_use]
    pub fn instance_receiving(modality: &str, series: &SeriesInstanceUid) -> Self {
        Self::InstanceReceiving {
            partition: partition(series),
            modality: Token::modality(modality),
            series: UidTokens::new(series),
        }
    }

    /// Subject of `dicom.association.<change>`.
    #[must_use]
    pub fn association(change: AssociationChange, calling_ae_title: &str) -> Self {
        Self::Association { change, calling_ae: Token::ae_title(calling_ae_title) }
    }

    /// Subject of `dicom.ingest.started`.
    #[must_use]
    pub fn ingest_started(node_name: &str) -> Self {
        Self::IngestStarted { node: Token::new(node_name) }
    }

    /// Subject of `dicom.ingest.resumed`.
    #[must_use]
    pub fn ingest_resumed(node_name: &str) -> Self {
        Self::IngestResumed { node: Token::new(node_name) }
    }

    /// Subject of `dicom.clock`.
    #[must_use]
    pub fn clock(node_name: &str) -> Self {
        Self::Clock { node: Token::new(node_name) }
    }

    /// Subject of `dicom.evidence.asked`.
    #[must_use]
    pub fn source_asked(calling_ae_title: &str) -> Self {
        Self::SourceAsked { calling_ae: Token::ae_title(calling_ae_title) }
    }

    /// Subject of `dicom.evidence.answered`.
    #[must_use]
    pub fn source_answered(calling_ae_title: &str) -> Self {
        Self::SourceAnswered { calling_ae: Token::ae_title(calling_ae_title) }
    }

    /// Subject of `dicom.evidence.wanted`.
    #[must_use]
    pub fn instances_wanted(calling_ae_title: &str) -> Self {
        Self::InstancesWanted { calling_ae: Token::ae_title(calling_ae_title) }
    }

    /// Subject of `dicom.evidence.fetched`.
    #[must_use]
    pub fn instances_fetched(calling_ae_title: &str) -> Self {
        Self::InstancesFetched { calling_ae: Token::ae_title(calling_ae_title) }
    }

    /// Subject of `dicom.evidence.listed`.
    #[must_use]
    pub fn instances_listed(calling_ae_title: &str) -> Self {
        Self::InstancesListed { calling_ae: Token::ae_title(calling_ae_title) }
    }

    /// Subject of `dicom.request.register`.
    #[must_use]
    pub fn registration_requested(series: &SeriesInstanceUid) -> Self {
        Self::RegistrationRequested { series: UidTokens::new(series) }
    }

    /// Subject of `dicom.request.complete`.
    #[must_use]
    pub fn completion_requested(series: &SeriesInstanceUid) -> Self {
        Self::CompletionRequested { series: UidTokens::new(series) }
    }

    /// Subject of `dicom.request.delete`.
    #[must_use]
    pub fn deletion_requested(series: &SeriesInstanceUid) -> Self {
        Self::DeletionRequested { series: UidTokens::new(series) }
    }

    /// Subject of `dicom.request.trust`.
    #[must_use]
    pub fn trust_requested(calling_ae_title: &str) -> Self {
        Self::TrustRequested { calling_ae: Token::ae_title(calling_ae_title) }
    }

    /// Subject of `dicom.request.release`.
    #[must_use]
    pub fn release_requested(message_id: &str) -> Self {
        Self::ReleaseRequested { message_id: Token::new(message_id) }
    }

    /// Subject of `dicom.request.gone`.
    #[must_use]
    pub fn gone_requested(node_name: &str) -> Self {
        Self::GoneRequested { node: Token::new(node_name) }
    }

    /// Subject of `dicom.series.completed`.
    #[must_use]
    pub fn series_completed(modality: &str, series: &SeriesInstanceUid) -> Self {
        Self::SeriesCompleted {
            modality: Token::modality(modality),
            series: UidTokens::new(series),
        }
    }

    /// Subject of `dicom.series.deleted`.
    #[must_use]
    pub fn series_deleted(modality: &str, series: &SeriesInstanceUid) -> Self {
        Self::SeriesDeleted { modality: Token::modality(modality), series: UidTokens::new(series) }
    }

    /// Subject of `dicom.series.kept`.
    #[must_use]
    pub fn series_kept(modality: &str, series: &SeriesInstanceUid) -> Self {
        Self::SeriesKept { modality: Token::modality(modality), series: UidTokens::new(series) }
    }

    /// Subject of `dicom.series.purged`.
    #[must_use]
    pub fn series_purged(modality: &str, series: &SeriesInstanceUid) -> Self {
        Self::SeriesPurged { modality: Token::modality(modality), series: UidTokens::new(series) }
    }

    /// Subject of `dicom.study.completed`.
    #[must_use]
    pub fn study_completed(study_instance_uid: &str) -> Self {
        Self::StudyCompleted { study: UidTokens::bounded(study_instance_uid) }
    }

    /// Subject of `dicom.dead`.
    #[must_use]
    pub fn dead(reason: &str) -> Self {
        Self::Dead { reason: Token::new(reason) }
    }

    /// Subject of `dicom.dead.webhook`.
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
            Self::SourceAsked { .. } => "dicom.evidence.asked",
            Self::SourceAnswered { .. } => "dicom.evidence.answered",
            Self::InstancesWanted { .. } => "dicom.evidence.wanted",
            Self::InstancesFetched { .. } => "dicom.evidence.fetched",
            Self::InstancesListed { .. } => "dicom.evidence.listed",
            Self::RegistrationRequested { .. } => "dicom.request.register",
            Self::CompletionRequested { .. } => "dicom.request.complete",
            Self::DeletionRequested { .. } => "dicom.request.delete",
            Self::TrustRequested { .. } => "dicom.request.trust",
            Self::ReleaseRequested { .. } => "dicom.request.release",
            Self::GoneRequested { .. } => "dicom.request.gone",
            Self::SeriesCompleted { .. } => "dicom.series.completed",
            Self::SeriesDeleted { .. } => "dicom.series.deleted",
            Self::SeriesKept { .. } => "dicom.series.kept",
            Self::SeriesPurged { .. } => "dicom.series.purged",
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
                write!(f, "{partition:02}.{}.{}", modality.as_str(), series.as_str())
            }
            Self::SeriesCompleted { modality, series }
            | Self::SeriesDeleted { modality, series }
            | Self::SeriesKept { modality, series }
            | Self::SeriesPurged { modality, series } => {
                write!(f, "{}.{}", modality.as_str(), series.as_str())
            }
            Self::Audit { service, kind } => write!(f, "{service}.{}", kind.as_str()),
            Self::RegistrationRequested { series: uid }
            | Self::CompletionRequested { series: uid }
            | Self::DeletionRequested { series: uid }
            | Self::StudyCompleted { study: uid } => f.write_str(uid.as_str()),
            Self::Association { calling_ae: name, .. }
            | Self::SourceAsked { calling_ae: name }
            | Self::SourceAnswered { calling_ae: name }
            | Self::InstancesWanted { calling_ae: name }
            | Self::InstancesFetched { calling_ae: name }
            | Self::InstancesListed { calling_ae: name }
            | Self::TrustRequested { calling_ae: name }
            | Self::ReleaseRequested { message_id: name }
            | Self::IngestStarted { node: name }
            | Self::IngestResumed { node: name }
            | Self::Clock { node: name }
            | Self::GoneRequested { node: name }
            | Self::Undelivered { hook: name }
            | Self::Dead { reason: name } => f.write_str(name.as_str()),
        }
    }
}
