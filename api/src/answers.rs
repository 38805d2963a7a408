//! The answers that operations can give, as they are documented. What goes wrong is a problem; its
//! status says which of the documented ones.

use crate::details::SeriesDetails;
use crate::entity;
use crate::history::Revision;
use crate::instances::Instance;
use crate::listing::{JsonList, Listed};
use crate::parameters::Tags;
use crate::payload::JsonBody;
use crate::problem::{self, Problem};
use crate::series::ListedSeries;
use crate::sources::Source;
use crate::statistics::Stats;
use crate::store::StoreMessage;
use crate::studies::Study;
use catalog::CatalogError;
use poem::http::StatusCode;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

/// What became of a request
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[oai(example)]
pub struct RequestMessage {
    /// `Completion requested`, `Deletion requested` or `Trust requested`
    pub message: String,
}

impl Example for RequestMessage {
    fn example() -> Self {
        Self { message: "Completion requested".into() }
    }
}

#[derive(ApiResponse)]
pub(crate) enum Stored {
    /// The series is in the catalogue: new, or as it was before
    #[oai(status = 200)]
    Done(JsonBody<StoreMessage>),
}

/// A list, with the way to its next page.
macro_rules! lists {
    ($($name:ident $(#[doc = $doc:literal])* $record:ty;)*) => {$(
        #[derive(ApiResponse)]
        pub(crate) enum $name {
            $(#[doc = $doc])*
            #[oai(status = 200)]
            Done(
                JsonList<$record>,
                /// With `limit`: `<...>; rel="next"`, the next page, if there is one (RFC 8288)
                #[oai(header = "Link")]
                Option<String>,
                /// With `count=true`: how many there are in all
                #[oai(header = "X-Total-Count")]
                Option<u64>,
            ),
        }

        impl $name {
            pub(crate) fn new(listed: Listed<$record>, total: Option<u64>) -> Self {
                Self::Done(listed.json, listed.link, total)
            }
        }
    )*};
}

lists! {
    SeriesFound
    /// The series, as a JSON array; `[]` when there are none
    ListedSeries;
    InstancesFound
    /// The instances, in the order in which they came into the series
    Instance;
    StudiesFound
    /// The studies, as a JSON array; `[]` when there are none
    Study;
}

/// One thing, or that the client has it already.
macro_rules! things {
    ($($name:ident $(#[doc = $doc:literal])* $record:ty;)*) => {$(
        #[derive(ApiResponse)]
        #[allow(clippy::large_enum_variant, reason = "one lives at a time, and not for long")]
        pub(crate) enum $name {
            $(#[doc = $doc])*
            #[oai(status = 200)]
            Found(
                JsonBody<$record>,
                /// Stands for this content; `If-None-Match` asks whether there is another
                #[oai(header = "ETag")]
                String,
            ),
            /// It is still what the entity tag of `If-None-Match` stands for
            #[oai(status = 304)]
            Known(
                /// The entity tag
                #[oai(header = "ETag")]
                String,
            ),
        }

        impl $name {
            pub(crate) fn new(content: $record, known: Option<&Tags>) -> Result<Self, Problem> {
                let tag = entity::tag(&content)?;
                Ok(match entity::is_known(known, &tag) {
                    true => Self::Known(tag),
                    false => Self::Found(JsonBody(content), tag),
                })
            }
        }
    )*};
}

things! {
    SeriesTold
    /// The series
    SeriesDetails;
    StudyTold
    /// The study
    Study;
}

#[derive(ApiResponse)]
pub(crate) enum Counted {
    /// The counts, of two seconds ago at most
    #[oai(status = 200)]
    Done(JsonBody<Stats>),
}

#[derive(ApiResponse)]
pub(crate) enum ListedRevisions {
    /// The completions and deletions of the series, oldest first; `[]` while there was none
    #[oai(status = 200)]
    Done(JsonBody<Vec<Revision>>),
}

#[derive(ApiResponse)]
pub(crate) enum ListedSources {
    /// The senders, by AE title; `[]` when there are none
    #[oai(status = 200)]
    Done(JsonBody<Vec<Source>>),
}

#[derive(ApiResponse)]
pub(crate) enum Requested {
    /// The request is on the stream, and takes effect when the indexer has read up to it
    #[oai(status = 202)]
    Accepted(JsonBody<RequestMessage>),
}

impl Requested {
    pub(crate) fn accepted(message: &str) -> Self {
        Self::Accepted(JsonBody(RequestMessage { message: message.to_owned() }))
    }
}

/// One documented set of problems. What is there last is said of 503.
macro_rules! documented_problems {
    ($name:ident {
        $($(#[doc = $doc:literal])* $status:literal $variant:ident),*;
        $(#[doc = $away:literal])*
    }) => {
        #[derive(poem_openapi::ApiResponse)]
        pub(crate) enum $name {
            $($(#[doc = $doc])*
            #[oai(status = $status, content_type = "application/problem+json")]
            $variant($crate::payload::JsonBody<$crate::problem::Problem>),)*
            $(#[doc = $away])*
            #[oai(status = 503, content_type = "application/problem+json")]
            Away(
                $crate::payload::JsonBody<$crate::problem::Problem>,
                #[oai(header = "Retry-After")] u32,
            ),
        }
    };
}
pub(crate) use documented_problems;

/// The problems of what asks the broker and nothing else, and the way from a problem to them.
macro_rules! broker_problems {
    ($name:ident {
        $($(#[doc = $doc:literal])* $status:literal $variant:ident),*;
        $(#[doc = $away:literal])*
    }) => {
        $crate::answers::documented_problems!($name {
            $($(#[doc = $doc])* $status $variant),*;
            $(#[doc = $away])*
        });

        impl From<$crate::problem::Problem> for $name {
            fn from(problem: $crate::problem::Problem) -> Self {
                let (status, problem) = (problem.status, $crate::payload::JsonBody(problem));
                match status {
                    $($status => Self::$variant(problem),)*
                    _ => Self::Away(problem, $crate::problem::RETRY_AFTER),
                }
            }
        }
    };
}
pub(crate) use broker_problems;

/// The problems of what asks the catalogue, and the way from a problem to them.
macro_rules! problems {
    ($name:ident { $($(#[doc = $doc:literal])* $status:literal $variant:ident),* $(,)? }) => {
        documented_problems!($name {
            $($(#[doc = $doc])* $status $variant,)*
            /// The catalogue can't be read
            500 Broken;
            /// What this needs is not there at the moment; try again after `Retry-After` seconds
        });

        impl From<Problem> for $name {
            fn from(problem: Problem) -> Self {
                match problem.status {
                    $($status => Self::$variant(JsonBody(problem)),)*
                    503 => Self::Away(JsonBody(problem), problem::RETRY_AFTER),
                    _ => Self::Broken(JsonBody(problem)),
                }
            }
        }

        impl From<CatalogError> for $name {
            fn from(error: CatalogError) -> Self {
                Problem::from(error).into()
            }
        }
    };
}

problems!(Unreadable {
    /// A parameter is unknown; `errors` names it
    422 Wrong,
});

problems!(StoreRefused {
    /// The body is longer than 65,536 bytes
    413 TooLarge,
    /// The body is not declared as JSON
    415 NotJson,
    /// A field is missing or wrong; `errors` names each
    422 Wrong,
});

problems!(Unlisted {
    /// A parameter is wrong or unknown; `errors` names each
    422 Wrong,
});

problems!(SeriesMissing {
    /// There is no such series
    404 Missing,
    /// The series was deleted; its history is still there
    410 Gone,
    /// The path names no series, or a parameter is wrong or unknown; `errors` names each
    422 Wrong,
});

problems!(NeverThere {
    /// There never was such a series
    404 Missing,
    /// The path names no series, or a parameter is unknown; `errors` names each
    422 Wrong,
});

problems!(StudyMissing {
    /// There is no such study
    404 Missing,
    /// The path names no study, or a parameter is unknown; `errors` names each
    422 Wrong,
});

problems!(CompletionRefused {
    /// There is no such series
    404 Missing,
    /// The series is complete already
    409 Complete,
    /// The series was deleted
    410 Gone,
    /// The path names no series
    422 Wrong,
});

problems!(DeletionRefused {
    /// There is no such series
    404 Missing,
    /// The series is deleted already
    410 Gone,
    /// The path names no series
    422 Wrong,
});

problems!(TrustRefused {
    /// No such sender was ever heard of
    404 Missing,
    /// The path names no sender
    422 Wrong,
});

/// There is nothing of that name.
pub(crate) fn missing(what: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, what)
}
