//! The responses of the operations on series, as they are documented.

use super::details::SeriesDetails;
use super::evidence::CompletionEvidence;
use super::instances::Instance;
use super::record::ListedSeries;
use super::register::StoreMessage;
use super::revisions::Revision;
use crate::http::json_body::JsonBody;
use crate::openapi::responses::{
    broker_problems, catalog_problems, conditional_response, paged_list_response,
};
use poem_openapi::ApiResponse;

#[derive(ApiResponse)]
pub(super) enum Stored {
    /// The series is in the catalogue: new, or as it was before
    #[oai(status = 200)]
    Done(JsonBody<StoreMessage>),
}

paged_list_response!(SeriesFound
    /// The series, as a JSON array; `[]` when there are none
    ListedSeries
);

paged_list_response!(InstancesFound
    /// The instances, in the order in which they came into the series
    Instance
);

conditional_response!(SeriesResponse
    /// The series
    SeriesDetails
);

#[derive(ApiResponse)]
pub(super) enum ListedRevisions {
    /// The completions and deletions of the series, oldest first; `[]` while there was none
    #[oai(status = 200)]
    Done(JsonBody<Vec<Revision>>),
}

#[derive(ApiResponse)]
pub(super) enum ListedEvidence {
    /// What was known at each completion that NATS still has, the oldest first: the latest 100; `[]` when there is none
    #[oai(status = 200)]
    Done(JsonBody<Vec<CompletionEvidence>>),
}

broker_problems!(EvidenceMissing {
    /// The path names no series, or a parameter is unknown; `errors` names it
    422 Wrong;
    /// NATS is away; try again after `Retry-After` seconds
});

catalog_problems!(StoreRefused {
    /// The body is longer than 65,536 bytes
    413 TooLarge,
    /// The body is not declared as JSON
    415 NotJson,
    /// A field is missing or wrong; `errors` names each
    422 Wrong,
});

catalog_problems!(SeriesMissing {
    /// There is no such series
    404 Missing,
    /// The series was deleted; its history is still there
    410 Gone,
    /// The path names no series, or a parameter is wrong or unknown; `errors` names each
    422 Wrong,
});

catalog_problems!(HistoryMissing {
    /// There never was such a series
    404 Missing,
    /// The path names no series, or a parameter is unknown; `errors` names each
    422 Wrong,
});

catalog_problems!(CompletionRefused {
    /// There is no such series
    404 Missing,
    /// The series is complete already
    409 Complete,
    /// The series was deleted
    410 Gone,
    /// The path names no series
    422 Wrong,
});

catalog_problems!(DeletionRefused {
    /// There is no such series
    404 Missing,
    /// The series is deleted already
    410 Gone,
    /// The path names no series
    422 Wrong,
});
