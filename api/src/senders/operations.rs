//! The operations on senders, as they are served and as they are documented.

use super::record::Sender;
use crate::auth::tokens::Scope;
use crate::broker::{BrokerHandle, request_id};
use crate::http::json_body::JsonBody;
use crate::http::parameters::{parameter, text_schema, within};
use crate::http::problem::Problem;
use crate::openapi::responses::{Requested, Unreadable, catalog_problems};
use crate::openapi::rules::{Audited, OperationRules};
use catalog::CatalogReader;
use contract::event::TrustRequested;
use jiff::Timestamp;
use poem_openapi::param::Path;
use poem_openapi::registry::MetaSchema;
use poem_openapi::{ApiResponse, OpenApi, Tags};

/// The documented operations.
#[derive(Debug)]
pub struct SenderOperations {
    catalog: CatalogReader,
    broker: BrokerHandle,
}

#[derive(Tags)]
enum Group {
    /// Senders by calling AE title, and whether their evidence is trusted.
    Sources,
}

impl SenderOperations {
    /// On a catalogue, and a way to ask something of the indexer.
    #[must_use]
    pub fn new(catalog: CatalogReader, broker: BrokerHandle) -> Self {
        Self { catalog, broker }
    }
}

/// What each operation needs, and what the audit trail records of it.
pub(crate) const RULES: [OperationRules; 2] = [
    OperationRules::new("listSources", Scope::Read, None),
    OperationRules::new("trustSource", Scope::Admin, Some(Audited::Configuration)),
];

#[OpenApi]
impl SenderOperations {
    /// List the senders
    ///
    /// Everyone who ever sent an instance, by calling AE title. A rule is believed of a sender
    /// until a series that was complete by it grows again within the quiet period; from then on
    /// its series are complete by quiet period, until an operator resets it. `Expected` is used
    /// only for senders that are configured with a source of expected counts.
    #[oai(path = "/sources", method = "get", operation_id = "listSources", tag = "Group::Sources")]
    async fn senders(&self) -> Result<ListedSenders, Unreadable> {
        let senders = self.catalog.senders().await?;
        Ok(ListedSenders::Done(JsonBody(senders.into_iter().map(Sender::from).collect())))
    }

    /// Believe a sender again
    ///
    /// Forgets what has proved its evidence wrong, for instance since it was set right.
    #[oai(
        path = "/sources/:CallingAETitle/trust",
        method = "post",
        operation_id = "trustSource",
        tag = "Group::Sources"
    )]
    async fn trust(
        &self,
        /// AE title of the sender, as it calls itself
        #[oai(name = "CallingAETitle")]
        calling_ae_title: Path<AeTitle>,
    ) -> Result<Requested, TrustRefused> {
        let known = self.catalog.senders().await?;
        if !known.iter().any(|sender| sender.calling_ae_title == calling_ae_title.0.0) {
            return Err(Problem::not_found("unknown sender; GET /sources lists them").into());
        }
        let (request_id, requested_at) = (request_id(), Timestamp::now());
        let calling_ae_title = calling_ae_title.0.0;
        self.broker.publish(&TrustRequested { calling_ae_title, request_id, requested_at }).await?;
        Ok(Requested::accepted("Trust requested"))
    }
}

/// The sender that a path names (PS3.5 section 6.2, VR AE).
#[derive(Debug, Clone)]
pub struct AeTitle(pub String);

parameter!(AeTitle, MetaSchema { example: Some("MR1".into()), ..text_schema(None, 64) }, |text| {
    within(text, 64).map(Self)
});

#[derive(ApiResponse)]
enum ListedSenders {
    /// The senders, by AE title; `[]` when there are none
    #[oai(status = 200)]
    Done(JsonBody<Vec<Sender>>),
}

catalog_problems!(TrustRefused {
    /// Unknown sender
    404 Missing,
    /// The path names no sender
    422 Wrong,
});
