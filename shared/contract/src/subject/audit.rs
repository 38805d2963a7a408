//! What the subjects of the audit trail name: a service, and a kind of message.

use std::fmt::{self, Display, Formatter};

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
