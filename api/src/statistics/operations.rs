//! `GET /stats`, `GET /stats/activity` and `GET /stats/associations`, as they are served and as they are documented.

use super::activity::{Activity, ActivityCache};
use super::associations::{Associations, AssociationsCache};
use super::counts::{CountCache, Stats};
use crate::auth::tokens::Scope;
use crate::broker::BrokerHandle;
use crate::http::json_body::JsonBody;
use crate::http::parameters::Moment;
use crate::openapi::responses::{Unlisted, Unreadable, broker_problems};
use crate::openapi::rules::OperationRules;
use catalog::CatalogReader;
use poem_openapi::param::Query;
use poem_openapi::{ApiResponse, OpenApi, Tags};

/// The documented operations.
#[derive(Debug)]
pub struct StatisticsOperations {
    catalog: CatalogReader,
    broker: BrokerHandle,
    counts: CountCache,
    activity: ActivityCache,
    associations: AssociationsCache,
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
        Self {
            catalog,
            broker,
            counts: CountCache::default(),
            activity: ActivityCache::default(),
            associations: AssociationsCache::default(),
        }
    }
}

/// What each operation needs, and what the audit trail records of it.
pub(crate) const RULES: [OperationRules; 3] = [
    OperationRules::new("getStats", Scope::Read, None),
    OperationRules::new("getActivity", Scope::Read, None),
    OperationRules::new("getAssociations", Scope::Read, None),
];

#[OpenApi]
impl StatisticsOperations {
    /// Count what there is
    ///
    /// Series by state, modality and rule, and what they come to.
    #[oai(path = "/stats", method = "get", operation_id = "getStats", tag = "Group::Statistics")]
    async fn stats(&self) -> Result<Counted, Unreadable> {
        Ok(Counted::Done(JsonBody(self.counts.of(&self.catalog, &self.broker).await?)))
    }

    /// Count what was completed lately
    ///
    /// Series and instances of 24 hours by hour and by sender, from the catalogue.
    #[oai(
        path = "/stats/activity",
        method = "get",
        operation_id = "getActivity",
        tag = "Group::Statistics"
    )]
    async fn activity(
        &self,
        /// When the last of the 24 hours ends; now without. The hours of a reader begin with theirs if this is the end of
        /// one, for example `2026-02-04T00:00:00Z`
        #[oai(name = "Until")]
        until: Query<Option<Moment>>,
    ) -> Result<CountedLately, Unlisted> {
        let until = until.0.map(|moment| moment.0);
        Ok(CountedLately::Done(JsonBody(self.activity.of(&self.catalog, until).await?)))
    }

    /// Show what senders did lately
    ///
    /// Associations of 24 hours by calling AE title: how they ended, how many instances were accepted and refused, and what
    /// the sender was told of those that were refused. From the events of associations, of which NATS keeps those
    /// of `HISTORY`.
    #[oai(
        path = "/stats/associations",
        method = "get",
        operation_id = "getAssociations",
        tag = "Group::Statistics"
    )]
    async fn associations(&self) -> Result<ReadLately, NotRead> {
        Ok(ReadLately::Done(JsonBody(self.associations.of(&self.broker).await?)))
    }
}

#[derive(ApiResponse)]
enum Counted {
    /// The counts, of two seconds ago at most
    #[oai(status = 200)]
    Done(JsonBody<Stats>),
}

#[derive(ApiResponse)]
enum CountedLately {
    /// The counts, of five seconds ago at most
    #[oai(status = 200)]
    Done(JsonBody<Activity>),
}

#[derive(ApiResponse)]
enum ReadLately {
    /// What senders did, as of five seconds ago at most
    #[oai(status = 200)]
    Done(JsonBody<Associations>),
}

broker_problems!(NotRead {
    /// A parameter is unknown; `errors` names it
    422 Wrong;
    /// NATS is away; try again after `Retry-After` seconds
});
