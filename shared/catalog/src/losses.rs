//! What INSTANCES has lost before it was read.

use contract::uid::SopInstanceUid;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Why events are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossCause {
    /// They are missing between others: a file of the stream is damaged, or somebody deleted them.
    Missing,
    /// The stream begins after them: somebody purged it, its first file is damaged, or the catalogue
    /// is older than what was trimmed since.
    Purged,
    /// The stream ended before them, and gave out their sequences again: its last file was damaged, or an
    /// older copy of it was put back. What the catalogue had of them it keeps.
    Replaced,
}

impl LossCause {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Missing, Self::Purged, Self::Replaced];

    /// The word for it in metrics and in the catalogue.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Purged => "purged",
            Self::Replaced => "replaced",
        }
    }
}

/// Events that are gone, by their sequences in INSTANCES.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// Why.
    pub cause: LossCause,
    /// When it was noticed, in the broker's time.
    pub noticed_at: Timestamp,
}

impl Loss {
    /// How many events.
    #[must_use]
    pub fn events(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

/// An instance in the catalogue, as far as it tells its event from another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its sequence in INSTANCES.
    pub sequence: u64,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: SopInstanceUid,
    /// The association that brought it.
    pub association_id: String,
    /// When it was received, by the receiver's clock.
    pub received_at: Timestamp,
}

/// A series that was complete before an association gave its account of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradicted {
    /// How many instances the association had acknowledged and the catalogue does not have.
    pub missing: u64,
    /// AE title of the sender of its latest instance.
    pub sender: String,
}
