//! `GET /health`: the nodes of the deployment, and the streams with the servers that keep them.

use crate::broker::{BrokerHandle, unavailable};
use futures_util::future::join_all;
use poem::web::Json;
use poem::{IntoResponse as _, Response};
use serde::Serialize;
use shared::nodes::{self, Answer};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<usize>,
    /// The server that leads it, in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
    followers: Vec<Follower>,
    /// Why no more is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
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
            replicas: Some(kept.replicas),
            leader: kept.leader,
            followers: followers.collect(),
            reason: None,
        }
    }
}

impl Stream {
    /// One that NATS does not tell of, such as one without a leader.
    fn not_read(name: &str, error: &anyhow::Error) -> Self {
        let (name, reason) = (name.to_owned(), Some(format!("{error:#}")));
        Self { name, replicas: None, leader: None, followers: Vec::new(), reason }
    }
}

/// Asks all nodes who and how they are, and for each stream once: one without a leader must not hold up what there is
/// to tell of the rest.
pub(crate) async fn deployment(broker: &BrokerHandle) -> Response {
    match read(broker).await {
        Ok(deployment) => Json(deployment).into_response(),
        Err(error) => {
            unavailable("the state of the deployment can't be read", &error).into_response()
        }
    }
}

async fn read(broker: &BrokerHandle) -> anyhow::Result<Deployment> {
    let jetstream = broker.connection()?;
    let nats = jetstream.client();
    let streams = join_all(stream::ALL.map(|name| stream::look(jetstream, name)));
    let (answers, kept) = tokio::join!(nodes::all(&nats), streams);
    let nodes: Vec<_> = answers?.iter().filter_map(Node::of).collect();
    let mut streams = Vec::new();
    for (name, kept) in stream::ALL.into_iter().zip(kept) {
        match kept {
            Ok(kept) => streams.extend(kept.map(Stream::from)),
            // Not even this process has answered: it is NATS that does not.
            Err(error) if nodes.is_empty() => return Err(error),
            Err(error) => streams.push(Stream::not_read(name, &error)),
        }
    }
    Ok(Deployment { nodes, streams })
}
