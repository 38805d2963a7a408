//! What happened, before somebody says it.

use super::{Action, ActiveParticipant, Code, EventId, Outcome, ParticipantObjectIdentification};

/// An audit message but for when, and who says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What happened.
    pub event: EventId,
    /// What was done.
    pub action: Action,
    /// What came of it.
    pub outcome: Outcome,
    /// Which of the family it is.
    pub types: Vec<Code>,
    /// What came of it, for people.
    pub description: Option<String>,
    /// Who did it, and to whom.
    pub participants: Vec<ActiveParticipant>,
    /// To what.
    pub objects: Vec<ParticipantObjectIdentification>,
}

impl Draft {
    /// Of nobody, to nothing.
    #[must_use]
    pub fn new(event: EventId, action: Action, outcome: Outcome) -> Self {
        Self {
            event,
            action,
            outcome,
            types: Vec::new(),
            description: None,
            participants: Vec::new(),
            objects: Vec::new(),
        }
    }
}
