//! `GET /stats`, as it is served and as it is documented.

use super::counts::{CountCache, Stats};
use crate::auth::tokens::Scope;
use crate::broker::BrokerHandle;
use crate::http::json_body::JsonBody;
use crate::openapi::responses::Unreadable;
use crate::openapi::rules::OperationRules;
use catalog::CatalogReader;
use poem_openapi::{ApiResponse, OpenApi, Tags};

/// The documented operation.
#[derive(Debug)]
pub struct StatisticsOperations {
    catalog: CatalogReader,
    broker: BrokerHandle,
    counts: CountCache,
}

#[derive(Tags)]
enum Group {
    /// How much there is.
    Statistics,
}

impl StatisticsOperations {
    /// On a catalogue, and the broker whose stream is counted too.
    #[must_use]
    pub fn new(catalog: CatalogReader, broker: BrokerHandle) -> Self {
        Self { catalog, broker, counts: CountCache::default() }
    }
}

/// What each operation needs, and what the audit trail records of it.
pub(crate) const RULES: [OperationRules; 1] = [OperationRules::new("getStats", Scope::Read, None)];

#[OpenApi]
impl StatisticsOperations {
    /// Count what there is
    ///
    /// Series by state, modality and rule, and what they come to.
    #[oai(path = "/stats", method = "get", operation_id = "getStats", tag = "Group::Statistics")]
    async fn stats(&self) -> Result<Counted, Unreadable> {
        Ok(Counted::Done(JsonBody(self.counts.of(&self.catalog, &self.broker).await?)))
    }
}

#[derive(ApiResponse)]
enum Counted {
    /// The counts, of two seconds ago at most
    #[oai(status = 200)]
    Done(JsonBody<Stats>),
}
