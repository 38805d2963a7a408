//! Why a source gave no answer.

use dimse::net::ScuError;
use dimse::requestor::RequestorError;

/// Why a source gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// It aborted the association.
    Aborted,
    /// The connection was lost.
    ConnectionLost,
    /// It takes no presentation context for queries.
    NoContext,
    /// SOURCES_FILE of this receiver has no `ask` for it.
    NotConfigured,
    /// It answered with a failure Status.
    Refused,
    /// It rejected the association.
    Rejected,
    /// It did not answer in time.
    Silent,
    /// The hand-shake of TLS failed.
    Tls,
    /// Nobody listens there.
    Unreachable,
    /// It answered with something that is no answer.
    Unreadable,
}

impl NoAnswer {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Aborted,
        Self::ConnectionLost,
        Self::NoContext,
        Self::NotConfigured,
        Self::Refused,
        Self::Rejected,
        Self::Silent,
        Self::Tls,
        Self::Unreachable,
        Self::Unreadable,
    ];

    /// The word for it in events and metrics.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::ConnectionLost => "connection_lost",
            Self::NoContext => "no_context",
            Self::NotConfigured => "not_configured",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Silent => "silent",
            Self::Tls => "tls",
            Self::Unreachable => "unreachable",
            Self::Unreadable => "unreadable",
        }
    }

    /// Whether questions that waited for this one would fare no better.
    #[must_use]
    pub(crate) fn is_of_all(self) -> bool {
        matches!(self, Self::Silent | Self::Tls | Self::Unreachable | Self::Rejected)
    }
}

impl From<ScuError> for NoAnswer {
    fn from(error: ScuError) -> Self {
        match error {
            ScuError::Connect(_) => Self::Unreachable,
            ScuError::Silent(_) | ScuError::NotTaken(_) => Self::Silent,
            ScuError::Tls(_) => Self::Tls,
            ScuError::Lost(_) => Self::ConnectionLost,
            ScuError::Aborted | ScuError::ReleaseRequested => Self::Aborted,
            ScuError::Requestor(RequestorError::Rejected(_)) => Self::Rejected,
            ScuError::Requestor(_)
            | ScuError::Proposal(_)
            | ScuError::NotAResponse
            | ScuError::OtherOperation(_)
            | ScuError::OtherMessage { .. } => Self::Unreadable,
        }
    }
}
