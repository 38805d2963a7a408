//! `GET /health`: the nodes of the deployment, and the streams with the servers that keep them.

use crate::broker::BrokerHandle;
use poem::web::Json;
use poem::{IntoResponse as _, Response};
use serde::Serialize;
use shared::nodes::{self, Answer};
use shared::settings::StreamSettings;
use shared::stream::{self, Kept};

/// All of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Deployment {
    nodes: Vec<Node>,
    streams: Vec<Stream>,
}

/// One service on one machine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    ready: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Of an indexer: `active` or `standby`.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

/// A stream on NATS.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Stream {
    name: String,
    replicas: usize,
    /// The server that leads it, in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
    followers: Vec<Follower>,
}

/// Another server that keeps it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Follower {
    name: String,
    away: bool,
    behind: bool,
    lag: u64,
}

impl Node {
    /// `None` of what is no node of ours.
    fn of(answer: &Answer) -> Option<Self> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Some(Self {
            service: answer.service()?.to_owned(),
            host: text(answer.host()),
            version: answer.version.clone(),
            started_at: text(answer.started()),
            ready: answer.is_ready(),
            reason: text(answer.reason()),
            role: text(answer.said("role")).filter(|_| answer.service() == Some("indexer")),
        })
    }
}

impl From<Kept> for Stream {
    fn from(kept: Kept) -> Self {
        let followers = kept.followers.into_iter().map(|follower| Follower {
            name: follower.name,
            away: follower.is_away,
            behind: follower.is_behind,
            lag: follower.lag,
        });
        Self {
            name: kept.name,
            replicas: kept.replicas,
            leader: kept.leader,
            followers: followers.collect(),
        }
    }
}

/// Asks all nodes who and how they are.
pub(crate) async fn deployment(broker: &BrokerHandle) -> Response {
    let asked = broker.ask("the nodes can't be asked", || async {
        let jetstream = broker.connection()?;
        let nats = jetstream.client();
        // What the streams should be like is not known here, nor asked for.
        let settings = StreamSettings::default();
        let (answers, kept) =
            tokio::join!(nodes::all(&nats), stream::inspect(jetstream, &settings));
        let streams = kept?.into_iter().filter_map(|(_, kept)| kept.map(Stream::from)).collect();
        Ok(Deployment { nodes: answers?.iter().filter_map(Node::of).collect(), streams })
    });
    match asked.await {
        Ok(deployment) => Json(deployment).into_response(),
        Err(problem) => problem.into_response(),
    }
}
