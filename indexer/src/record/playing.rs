//! Events and decisions put into the order in which they were: before a decision come the events up to the
//! sequence that it names.

use super::place::Place;
use super::rebuilding::Rebuilding;
use super::tape::Events;
use crate::decision::Decision;
use async_nats::Client;
use shared::stream::Position;

/// A catalogue in which INSTANCES is played, from where it ends.
pub struct Playing {
    rebuilding: Rebuilding,
    events: Events,
    /// Sequence of the last event that was played.
    played: u64,
}

impl Playing {
    /// After the event of sequence `last`.
    ///
    /// # Errors
    /// When the broker does not give its stream.
    pub async fn after(nats: &Client, rebuilding: Rebuilding, last: u64) -> anyhow::Result<Self> {
        Ok(Self { rebuilding, events: Events::after(nats, last).await?, played: last })
    }

    /// Sequence of the last event that was played.
    #[must_use]
    pub fn played(&self) -> u64 {
        self.played
    }

    /// Plays the events up to this sequence.
    ///
    /// # Errors
    /// When the broker does not give them, or the catalogue can't be written.
    pub async fn up_to(&mut self, sequence: u64) -> anyhow::Result<&mut Rebuilding> {
        while let Some(event) = self.events.next_up_to(sequence).await? {
            self.played = event.sequence;
            self.rebuilding.event(event.sequence, event.mark, event.reading).await?;
        }
        Ok(&mut self.rebuilding)
    }

    /// Plays a decision that belongs to this place of an INSTANCES that stood at `end`.
    ///
    /// # Errors
    /// When the broker does not give the events before it, or the catalogue can't be written.
    pub async fn decision(
        &mut self,
        decision: Decision,
        place: Place,
        end: &Position,
    ) -> anyhow::Result<()> {
        let decision = match place {
            Place::FormerStream => {
                self.rebuilding.report.of_former_stream += 1;
                decision.of_no_sequence()
            }
            Place::After(sequence) => {
                self.up_to(sequence).await?;
                decision
            }
            Place::BeyondEnd | Place::Later => {
                self.rebuilding.report.beyond_end += 1;
                self.up_to(end.last).await?;
                decision
            }
        };
        self.rebuilding.decision(&decision).await
    }

    /// What has been made of it so far.
    #[must_use]
    pub fn end(self) -> Rebuilding {
        self.rebuilding
    }
}
