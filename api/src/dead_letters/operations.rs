//! The operations on dead letters, as they are served and as they are documented.

pub use super::letter::DeadLetter;
use super::{DeadLetters, LetterPage};
use crate::auth::tokens::Scope;
use crate::http::json_body::JsonBody;
use crate::http::parameters::{Limit, parameter};
use crate::openapi::responses::broker_problems;
use crate::openapi::rules::{Audited, OperationRules};
use poem_openapi::param::{Path, Query};
use poem_openapi::registry::MetaSchema;
use poem_openapi::{ApiResponse, OpenApi, Tags};
use shared::audit::Action;

/// Letters of a list, unless more or fewer are asked for.
const PAGE: u32 = 100;

/// The documented operations.
#[derive(Debug)]
pub struct DeadLetterOperations {
    letters: DeadLetters,
}

#[derive(Tags)]
enum Group {
    /// What could not be processed: events that can't be read, completions that no webhook took, and those that
    /// wait for a person.
    #[oai(rename = "Dead letters")]
    DeadLetters,
}

impl DeadLetterOperations {
    /// On these letters.
    #[must_use]
    pub fn new(letters: DeadLetters) -> Self {
        Self { letters }
    }
}

/// What each operation needs, and what the audit trail records of it.
pub(crate) const RULES: [OperationRules; 3] = [
    OperationRules::new("listDeadLetters", Scope::Read, Some(Audited::Query)),
    OperationRules::new("replayDeadLetter", Scope::Admin, Some(Audited::Access(Action::Update))),
    OperationRules::new("dropDeadLetter", Scope::Admin, Some(Audited::Access(Action::Delete))),
];

#[OpenApi]
impl DeadLetterOperations {
    /// List the dead letters
    ///
    /// The oldest first. For the next ones ask again with the last `Sequence` as `after`. The message
    /// itself is in the stream: `nats stream get DEAD 3`.
    #[oai(
        path = "/dead-letters",
        method = "get",
        operation_id = "listDeadLetters",
        tag = "Group::DeadLetters"
    )]
    async fn list(
        &self,
        /// At most so many; 100 without
        limit: Query<Option<Limit>>,
        /// Only those after this one, for example `2`
        after: Query<Option<After>>,
    ) -> Result<ListedLetters, LettersUnknown> {
        let after = after.0.map_or(0, |sequence| sequence.0);
        let limit = limit.0.map_or(PAGE, |limit| limit.0);
        let LetterPage { letters, total } = self.letters.after(after, limit).await?;
        Ok(ListedLetters::Done(JsonBody(letters), total))
    }

    /// Replay a dead letter
    ///
    /// Once what was wrong is mended. An event goes into its stream again, behind what is there; if it
    /// still can't be read, it is a dead letter again. A completion is posted to its webhook once; one that was
    /// held back is announced. The letter is gone when that has succeeded.
    #[oai(
        path = "/dead-letters/:Sequence/replay",
        method = "post",
        operation_id = "replayDeadLetter",
        tag = "Group::DeadLetters"
    )]
    async fn replay(
        &self,
        /// Its sequence in the stream `DEAD`
        #[oai(name = "Sequence")]
        sequence: Path<LetterSequence>,
    ) -> Result<Gone, NotReplayed> {
        self.letters.replay(sequence.0.0).await?;
        Ok(Gone::Done)
    }

    /// Drop a dead letter
    ///
    /// It is gone for good, and its message with it.
    #[oai(
        path = "/dead-letters/:Sequence",
        method = "delete",
        operation_id = "dropDeadLetter",
        tag = "Group::DeadLetters"
    )]
    async fn discard(
        &self,
        /// Its sequence in the stream `DEAD`
        #[oai(name = "Sequence")]
        sequence: Path<LetterSequence>,
    ) -> Result<Gone, NotDropped> {
        self.letters.discard(sequence.0.0).await?;
        Ok(Gone::Done)
    }
}

/// The dead letter that a path names, by its sequence in its stream.
#[derive(Debug, Clone, Copy)]
pub struct LetterSequence(pub u64);

parameter!(LetterSequence, MetaSchema { example: Some(3.into()), ..sequence_schema() }, |text| {
    sequence(text).map(Self)
});

/// The dead letter after which a list begins.
#[derive(Debug, Clone, Copy)]
pub struct After(pub u64);

parameter!(After, sequence_schema(), |text| sequence(text).map(Self));

/// More than a stream will ever have, and a number that every reader of JSON has exactly.
const MAX_SEQUENCE: u64 = 1_000_000_000_000_000;

fn sequence_schema() -> MetaSchema {
    MetaSchema {
        minimum: Some(1.0),
        maximum: Some(MAX_SEQUENCE as f64),
        ..MetaSchema::new_with_format("integer", "int64")
    }
}

fn sequence(text: &str) -> Result<u64, String> {
    let sequence = text.parse().ok().filter(|sequence| (1..=MAX_SEQUENCE).contains(sequence));
    sequence.ok_or_else(|| "must be a whole number from 1 on".to_owned())
}

#[derive(ApiResponse)]
enum ListedLetters {
    /// The letters; `[]` when there are none
    #[oai(status = 200)]
    Done(
        JsonBody<Vec<DeadLetter>>,
        /// How many there are in all
        #[oai(header = "X-Total-Count")]
        u64,
    ),
}

#[derive(ApiResponse)]
enum Gone {
    /// The letter is gone
    #[oai(status = 204)]
    Done,
}

broker_problems!(LettersUnknown {
    /// A parameter is wrong or unknown; `errors` names it
    422 Wrong;
    /// NATS is away; try again after `Retry-After` seconds
});

broker_problems!(NotDropped {
    /// There is no such letter
    404 Missing,
    /// The sequence is none
    422 Wrong;
    /// NATS is away; try again after `Retry-After` seconds
});

broker_problems!(NotReplayed {
    /// There is no such letter
    404 Missing,
    /// The letter does not have its whole message, or its webhook no longer exists
    409 Never,
    /// The sequence is none
    422 Wrong,
    /// The receiver of the webhook did not take it; the letter stays
    502 Refused;
    /// NATS is away; try again after `Retry-After` seconds
});
