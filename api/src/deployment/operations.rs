//! `GET /health`, as it is served and as it is documented.

use super::Deployment;
use crate::auth::tokens::Scope;
use crate::broker::BrokerHandle;
use crate::http::json_body::JsonBody;
use crate::openapi::responses::broker_problems;
use crate::openapi::rules::OperationRules;
use poem_openapi::{ApiResponse, OpenApi, Tags};

/// The documented operation.
#[derive(Debug)]
pub struct DeploymentOperations {
    broker: BrokerHandle,
}

#[derive(Tags)]
enum Group {
    /// The processes and the servers of NATS that run together.
    Deployment,
}

impl DeploymentOperations {
    /// On the NATS that all nodes share.
    #[must_use]
    pub fn new(broker: BrokerHandle) -> Self {
        Self { broker }
    }
}

/// What each operation needs, and what the audit trail records of it.
pub(crate) const RULES: [OperationRules; 1] = [OperationRules::new("getHealth", Scope::Read, None)];

#[OpenApi]
impl DeploymentOperations {
    /// List the nodes of the deployment
    ///
    /// Every service that answers on NATS within half a second, with its version and whether it is ready, which indexer
    /// is active, and the servers of NATS that keep each stream. The answer takes that half second, because
    /// the number of nodes is not known in advance. It is for people and monitoring; load balancers check `/health/ready` of each process, which
    /// needs no token.
    #[oai(path = "/health", method = "get", operation_id = "getHealth", tag = "Group::Deployment")]
    async fn health(&self) -> Result<Found, Unknown> {
        Ok(Found::Done(JsonBody(Deployment::of(&self.broker).await?)))
    }
}

#[derive(ApiResponse)]
enum Found {
    /// The nodes that answered, and the streams
    #[oai(status = 200)]
    Done(JsonBody<Deployment>),
}

broker_problems!(Unknown {
    /// A parameter is unknown; `errors` names it
    422 Wrong;
    /// NATS is away; try again after `Retry-After` seconds
});
