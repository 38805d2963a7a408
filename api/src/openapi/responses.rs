//! The responses that several resources have, and the macros by which each resource declares its own. An
//! error is a problem; its status says which of the documented ones.

use crate::http::json_body::JsonBody;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

/// The outcome of a request
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

/// A list, with the way to its next page.
macro_rules! paged_list_response {
    ($name:ident $(#[doc = $doc:literal])* $record:ty) => {
        #[derive(poem_openapi::ApiResponse)]
        pub(crate) enum $name {
            $(#[doc = $doc])*
            #[oai(status = 200)]
            Done(
                $crate::http::paged_list::JsonList<$record>,
                /// With `limit`: `<...>; rel="next"`, the next page, if there is one (RFC 8288)
                #[oai(header = "Link")]
                Option<String>,
                /// With `count=true`: how many there are in all
                #[oai(header = "X-Total-Count")]
                Option<u64>,
            ),
        }

        impl $name {
            pub(crate) fn new(
                listed: $crate::http::paged_list::PagedList<$record>,
                total: Option<u64>,
            ) -> Self {
                Self::Done(listed.json, listed.link, total)
            }
        }
    };
}
pub(crate) use paged_list_response;

/// One thing, or that the client has it already.
macro_rules! conditional_response {
    ($name:ident $(#[doc = $doc:literal])* $record:ty) => {
        #[derive(poem_openapi::ApiResponse)]
        #[allow(clippy::large_enum_variant, reason = "one lives at a time, and not for long")]
        pub(crate) enum $name {
            $(#[doc = $doc])*
            #[oai(status = 200)]
            Found(
                $crate::http::json_body::JsonBody<$record>,
                /// Stands for this content; `If-None-Match` asks whether there is another
                #[oai(header = "ETag")]
                String,
            ),
            /// Unchanged since the entity tag of `If-None-Match`
            #[oai(status = 304)]
            Known(
                /// The entity tag
                #[oai(header = "ETag")]
                String,
            ),
        }

        impl $name {
            pub(crate) fn new(
                content: $record,
                known: Option<&$crate::http::parameters::Tags>,
            ) -> Result<Self, $crate::http::problem::Problem> {
                let tag = $crate::http::etag::tag(&content)?;
                Ok(match $crate::http::etag::is_known(known, &tag) {
                    true => Self::Known(tag),
                    false => Self::Found($crate::http::json_body::JsonBody(content), tag),
                })
            }
        }
    };
}
pub(crate) use conditional_response;

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
            $variant($crate::http::json_body::JsonBody<$crate::http::problem::Problem>),)*
            $(#[doc = $away])*
            #[oai(status = 503, content_type = "application/problem+json")]
            Away(
                $crate::http::json_body::JsonBody<$crate::http::problem::Problem>,
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
        $crate::openapi::responses::documented_problems!($name {
            $($(#[doc = $doc])* $status $variant),*;
            $(#[doc = $away])*
        });

        impl From<$crate::http::problem::Problem> for $name {
            fn from(problem: $crate::http::problem::Problem) -> Self {
                let status = problem.status;
                let problem = $crate::http::json_body::JsonBody(problem);
                match status {
                    $($status => Self::$variant(problem),)*
                    _ => Self::Away(problem, $crate::http::problem::RETRY_AFTER),
                }
            }
        }
    };
}
pub(crate) use broker_problems;

/// The problems of what asks the catalogue, and the way from a problem to them.
macro_rules! catalog_problems {
    ($name:ident { $($(#[doc = $doc:literal])* $status:literal $variant:ident),* $(,)? }) => {
        $crate::openapi::responses::documented_problems!($name {
            $($(#[doc = $doc])* $status $variant,)*
            /// The catalogue can't be read
            500 Broken;
            /// A part that this request needs is unavailable; try again after `Retry-After` seconds
        });

        impl From<$crate::http::problem::Problem> for $name {
            fn from(problem: $crate::http::problem::Problem) -> Self {
                let status = problem.status;
                let problem = $crate::http::json_body::JsonBody(problem);
                match status {
                    $($status => Self::$variant(problem),)*
                    503 => Self::Away(problem, $crate::http::problem::RETRY_AFTER),
                    _ => Self::Broken(problem),
                }
            }
        }

        impl From<catalog::CatalogError> for $name {
            fn from(error: catalog::CatalogError) -> Self {
                $crate::http::problem::Problem::from(error).into()
            }
        }
    };
}
pub(crate) use catalog_problems;

catalog_problems!(Unreadable {
    /// A parameter is unknown; `errors` names it
    422 Wrong,
});

catalog_problems!(Unlisted {
    /// A parameter is wrong or unknown; `errors` names each
    422 Wrong,
});
