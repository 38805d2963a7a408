//! What INSTANCES has lost before it was read.

use crate::encoding::{series_uid, timestamp, word};
use crate::error::CatalogError;
use contract::uid::{SeriesInstanceUid, SopInstanceUid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

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

/// A loss as its row has it: the first and the last sequence, the cause, and when it was noticed.
pub(crate) type LossRow = (i64, i64, String, i64);

impl Loss {
    /// Reads a row.
    pub(crate) fn of((first, last, cause, noticed_at): LossRow) -> Result<Self, CatalogError> {
        Ok(Self {
            first: first.unsigned_abs(),
            last: last.unsigned_abs(),
            cause: word(&cause)?,
            noticed_at: timestamp(noticed_at)?,
        })
    }

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

/// A witness as its row has it: the sequence, the SOP Instance UID, the association, and when it was received.
pub(crate) type WitnessRow = (i64, String, String, i64);

impl Witness {
    /// Reads a row.
    pub(crate) fn of(row: WitnessRow) -> Result<Self, CatalogError> {
        let (sequence, uid, association_id, received_at) = row;
        let sop_instance_uid = SopInstanceUid::parse(&uid)
            .map_err(|e| CatalogError::Unreadable(format!("SOPInstanceUID {uid:?} {e}")))?;
        let received_at = timestamp(received_at)?;
        Ok(Self {
            sequence: sequence.unsigned_abs(),
            sop_instance_uid,
            association_id,
            received_at,
        })
    }
}

/// A series that was complete before an association gave its account of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradicted {
    /// How many instances the association had acknowledged and the catalogue does not have.
    pub missing: u64,
    /// AE title of the sender of its latest instance.
    pub sender: String,
}

/// A series, how many of its instances are missing, and their sender.
pub(crate) type ContradictedRow = (String, i64, Option<String>);

pub(crate) fn contradicted(
    rows: Vec<ContradictedRow>,
) -> Result<HashMap<SeriesInstanceUid, Contradicted>, CatalogError> {
    let contradicted = rows.into_iter().map(|(series, missing, sender)| {
        let sender = sender.unwrap_or_default();
        Ok((series_uid(&series)?, Contradicted { missing: missing.unsigned_abs(), sender }))
    });
    contradicted.collect()
}
