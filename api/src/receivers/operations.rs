//! The operations on receivers, as they are served and as they are documented.

use crate::auth::tokens::Scope;
use crate::broker::{BrokerHandle, request_id};
use crate::http::parameters::{parameter, text_schema, within};
use crate::openapi::responses::{Requested, broker_problems};
use crate::openapi::rules::{Audited, OperationRules};
use contract::event::GoneRequested;
use jiff::Timestamp;
use poem_openapi::param::Path;
use poem_openapi::registry::MetaSchema;
use poem_openapi::{OpenApi, Tags};

/// Longest name of a receiver, in characters: that of a host and an address.
const MAX_NODE_NAME: usize = 128;

/// The documented operations.
#[derive(Debug)]
pub struct ReceiverOperations {
    broker: BrokerHandle,
}

#[derive(Tags)]
enum Group {
    /// The processes that receive DICOM, by `NODE_NAME`.
    Receivers,
}

impl ReceiverOperations {
    /// On a way to ask something of the indexer.
    #[must_use]
    pub fn new(broker: BrokerHandle) -> Self {
        Self { broker }
    }
}

/// What each operation needs, and what the audit trail records of it.
pub(crate) const RULES: [OperationRules; 1] =
    [OperationRules::new("receiverGone", Scope::Admin, Some(Audited::Configuration))];

#[OpenApi]
impl ReceiverOperations {
    /// Declare a receiver gone
    ///
    /// For a receiver that was killed and does not start again under its name, which would say the same: the
    /// associations that are open at it count as aborted, so that their series do not wait for them. If it is
    /// alive, its next instance counts its association as open again. Nothing happens if there is no such receiver.
    #[oai(
        path = "/receivers/:NodeName/gone",
        method = "post",
        operation_id = "receiverGone",
        tag = "Group::Receivers"
    )]
    async fn gone(
        &self,
        /// Name of the receiver, as `NodeName` of its events has it
        #[oai(name = "NodeName")]
        node_name: Path<NodeName>,
    ) -> Result<Requested, GoneRefused> {
        let (request_id, requested_at) = (request_id(), Timestamp::now());
        let node_name = node_name.0.0;
        self.broker.publish(&GoneRequested { node_name, request_id, requested_at }).await?;
        Ok(Requested::accepted("Declared gone"))
    }
}

/// The receiver that a path names.
#[derive(Debug, Clone)]
pub struct NodeName(pub String);

broker_problems!(GoneRefused {
    /// The path names no receiver
    422 Wrong;
    /// NATS is away; try again after `Retry-After` seconds
});

parameter!(
    NodeName,
    MetaSchema { example: Some("ingest-1".into()), ..text_schema(None, MAX_NODE_NAME) },
    |text| { within(text, MAX_NODE_NAME).map(Self) }
);
