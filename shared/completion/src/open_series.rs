//! Series that are arriving: what the rules know of each. It is kept from one start of the indexer to the next.

use crate::asking::Asking;
use contract::event::{Ending, is_zero};
use jiff::Timestamp;
use jiff::fmt::serde::timestamp::nanosecond;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A series that is arriving. All times are the broker's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OpenSeries {
    /// When the first instance of this revision was stored.
    #[serde(rename = "OpenedAtNanoseconds", with = "nanosecond::required")]
    pub opened_at: Timestamp,
    /// The latest sign that it is still arriving.
    #[serde(rename = "LastActivityNanoseconds", with = "nanosecond::required")]
    pub last_activity: Timestamp,
    /// AE title of the sender of the latest instance: its settings hold.
    #[serde(rename = "Source")]
    pub sender: String,
    /// All senders of this revision.
    #[serde(rename = "Sources", default)]
    pub senders: BTreeSet<String>,
    /// The associations that brought instances in this revision and are not known to be closed.
    #[serde(default)]
    pub associations: BTreeMap<String, Share>,
    /// How the last one of those that are closed ended.
    #[serde(default)]
    pub last_closed: Option<Ending>,
    /// One of them was aborted, and no other has brought an instance since.
    #[serde(default)]
    pub interrupted: bool,
    /// Something went wrong on the way, so that a release proves nothing: a C-STORE failed, or an
    /// acknowledged instance is not to be found.
    #[serde(default)]
    pub tainted: bool,
    /// How many instances it is to have, by a sender that is trusted with it.
    #[serde(default)]
    pub expected: Option<u64>,
    /// How many it has; looked up only where it matters, which is where `expected` is known or its source is asked.
    #[serde(default)]
    pub counted: u64,
    /// It was never complete before: all that associations brought of it belongs to this revision.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_first: bool,
    /// How many instances its receivers answered with Success and nobody has seen: INSTANCES has lost
    /// them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u64,
    /// When an operator asked that it be complete.
    #[serde(
        rename = "RequestedAtNanoseconds",
        default,
        with = "nanosecond::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub requested: Option<Timestamp>,
    /// What its source was asked; nothing where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asking: Option<Asking>,
    /// The longest time in milliseconds that it was without activity before the same sender brought an instance; nothing
    /// before its second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_pause_ms: Option<u64>,
}

/// What one association brought of a series so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Share {
    /// Its receiver.
    pub node: String,
    /// Ordinal of the latest C-STORE that was counted: an event that is read twice is not.
    pub last_ordinal: u64,
    /// How many were stored; those before this revision are included, by their own count.
    pub stored: u64,
    /// It began after instances of the series were found to be missing: what is new in it may be those.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub makes_up: bool,
}

impl OpenSeries {
    /// A series of which something is seen for the first time.
    #[must_use]
    pub fn new(at: Timestamp, sender: &str) -> Self {
        Self {
            opened_at: at,
            last_activity: at,
            sender: sender.to_owned(),
            senders: BTreeSet::new(),
            associations: BTreeMap::new(),
            last_closed: None,
            interrupted: false,
            tainted: false,
            expected: None,
            counted: 0,
            is_first: false,
            missing: 0,
            requested: None,
            asking: None,
            longest_pause_ms: None,
        }
    }

    /// Something happened to it.
    pub(crate) fn is_active(&mut self, at: Timestamp) {
        self.last_activity = self.last_activity.max(at);
        if let Some(asking) = &mut self.asking {
            asking.restart();
        }
    }

    /// How many instances its source has, if that is more than are here.
    #[must_use]
    pub fn more_at_source(&self) -> Option<u64> {
        self.asking.as_ref()?.more_than(self.counted)
    }
}
