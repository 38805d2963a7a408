//! The broker's clock, on the record.

use super::{Event, INDEXER};
use crate::subject::Subject;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An indexer asks what time it is, where INSTANCES has replicas. The answer is when the broker stores this, and it
/// counts once it is read: a server that no longer leads the stream can give no such answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ClockTicked {
    /// The machine of the indexer.
    pub node_name: String,
    /// This tick: a UUID.
    #[serde(rename = "TickID")]
    pub tick_id: String,
    /// When it was asked, by the indexer's clock.
    pub asked_at: Timestamp,
}

impl Event for ClockTicked {
    const SOURCE: &'static str = INDEXER;

    fn subject(&self) -> Subject {
        Subject::clock(&self.node_name)
    }

    fn id(&self) -> String {
        self.tick_id.clone()
    }

    fn time(&self) -> Timestamp {
        self.asked_at
    }
}
