//! `GET /health`: the nodes of the deployment, and the streams with the servers that keep them.

use crate::broker::{BrokerHandle, unavailable};
use crate::http::problem::Problem;
use anyhow::Context as _;
use futures_util::future::join_all;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use shared::nodes::{self, AE_TITLE, Answer, DICOM_PORT, DICOM_TLS_PORT, NODE_NAME};
use shared::stream::{self, Kept};
use tokio::time::timeout;

pub mod operations;

/// The nodes of the deployment, and the streams that they share
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Deployment {
    /// Each service that answered on NATS within half a second, in the order of services and hosts; a process that
    /// runs all services is listed once for each
    pub nodes: Vec<Node>,
    /// The streams on NATS, with the servers that keep each
    pub streams: Vec<Stream>,
}

/// A service on one machine
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Node {
    /// `api`, `indexer` or `ingest`
    pub service: String,
    /// Name of the machine or container that it runs on
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its version
    pub version: String,
    /// When it started, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Whether it is ready; an indexer that stands by is
    pub ready: bool,
    /// The parts that are not ready, each with its reason; left out if it is ready
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Indexers only: `active` for the one that writes the catalogue, `standby` for one that would replace it; left
    /// out until that is decided
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Receivers only: their `NODE_NAME`, for `POST /receivers/{NodeName}/gone`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Receivers only: their AE title
    #[serde(rename = "AETitle", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "AETitle")]
    pub ae_title: Option<String>,
    /// Receivers only: the port on which they listen for DICOM without TLS; left out if there is none. A container may be
    /// reached by another one
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dicom_port: Option<u16>,
    /// Receivers only: the port on which they listen for DICOM over TLS; left out if there is none
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dicom_tls_port: Option<u16>,
}

/// A stream on NATS
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Stream {
    /// `INSTANCES`, `SERIES`, `DEAD` or `AUDIT`
    pub name: String,
    /// Number of servers that keep it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<usize>,
    /// Name of the server that leads it; left out while there is none
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The other servers that keep it
    pub followers: Vec<Follower>,
    /// Number of messages in it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Size of these on the disk of NATS, in bytes
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Size that it may have, in bytes; left out if there is no limit
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Why NATS can't report on it, such as that it has no leader
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A server that keeps a stream beside its leader
#[derive(Debug, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Follower {
    /// Its name
    pub name: String,
    /// Whether the leader can't reach it
    pub away: bool,
    /// Whether it lacks messages that the stream has, or is away
    pub behind: bool,
    /// Number of operations of the stream that it has not applied yet
    pub lag: u64,
}

impl Node {
    /// `None` of what is no node of ours.
    fn of(answer: &Answer) -> Option<Self> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        // A process that runs all services tells the same of each.
        let of_receiver = |what| answer.said(what).filter(|_| answer.service() == Some("ingest"));
        let port = |what| of_receiver(what).and_then(|port| port.parse().ok());
        Some(Self {
            service: answer.service()?.to_owned(),
            host: text(answer.host()),
            version: answer.version.clone(),
            started_at: text(answer.started()),
            ready: answer.is_ready(),
            reason: text(answer.reason()),
            role: text(answer.said("role")).filter(|_| answer.service() == Some("indexer")),
            node_name: text(of_receiver(NODE_NAME)),
            ae_title: text(of_receiver(AE_TITLE)),
            dicom_port: port(DICOM_PORT),
            dicom_tls_port: port(DICOM_TLS_PORT),
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
            messages: Some(kept.messages),
            bytes: Some(kept.bytes),
            max_bytes: kept.max_bytes,
            reason: None,
        }
    }
}

impl Stream {
    /// One that NATS can't report on, such as one without a leader.
    fn not_read(name: &str, error: &anyhow::Error) -> Self {
        let (name, reason) = (name.to_owned(), Some(format!("{error:#}")));
        Self {
            name,
            replicas: None,
            leader: None,
            followers: Vec::new(),
            messages: None,
            bytes: None,
            max_bytes: None,
            reason,
        }
    }
}

impl Deployment {
    /// Asks all nodes who and how they are, and for each stream once: one without a leader must not hold up what there
    /// is to tell of the rest.
    ///
    /// # Errors
    /// 503 when NATS does not answer.
    pub(crate) async fn of(broker: &BrokerHandle) -> Result<Self, Problem> {
        let read = timeout(broker.timeout(), Self::read(broker)).await;
        let read = read.context("NATS does not answer in time").flatten();
        read.map_err(|error| unavailable("the state of the deployment can't be read", &error))
    }

    async fn read(broker: &BrokerHandle) -> anyhow::Result<Self> {
        let jetstream = broker.connection()?;
        let nats = jetstream.client();
        let streams = join_all(stream::ALL.map(|name| stream::look(jetstream, name)));
        let (answers, kept) = tokio::join!(nodes::all(&nats), streams);
        let nodes: Vec<_> = answers?.iter().filter_map(Node::of).collect();
        let mut streams = Vec::new();
        for (name, kept) in stream::ALL.into_iter().zip(kept) {
            match kept {
                Ok(kept) => streams.extend(kept.map(Stream::from)),
                // No node answered, not even this process: NATS is away.
                Err(error) if nodes.is_empty() => return Err(error),
                Err(error) => streams.push(Stream::not_read(name, &error)),
            }
        }
        Ok(Self { nodes, streams })
    }
}

impl Example for Deployment {
    fn example() -> Self {
        let node = |service: &str, host: &str, role: Option<&str>| Node {
            service: service.into(),
            host: Some(host.into()),
            role: role.map(str::to_owned),
            ..Node::example()
        };
        let standby = node("indexer", "indexer-2", Some("standby"));
        let nodes = vec![
            node("api", "api-1", None),
            Node::example(),
            standby,
            Node {
                node_name: Some("ingest-1".into()),
                ae_title: Some("COLLIMATOR".into()),
                dicom_port: Some(11112),
                ..node("ingest", "ingest-1", None)
            },
        ];
        Self { nodes, streams: vec![Stream::example()] }
    }
}

impl Example for Node {
    fn example() -> Self {
        Self {
            service: "indexer".into(),
            host: Some("indexer-1".into()),
            version: "1.2.0".into(),
            started_at: Some("2026-02-03T04:05:06.5Z".into()),
            ready: true,
            reason: None,
            role: Some("active".into()),
            node_name: None,
            ae_title: None,
            dicom_port: None,
            dicom_tls_port: None,
        }
    }
}

impl Example for Stream {
    fn example() -> Self {
        let up_to_date =
            Follower { name: "nats-3".into(), behind: false, lag: 0, ..Follower::example() };
        Self {
            name: stream::INSTANCES.into(),
            replicas: Some(3),
            leader: Some("nats-1".into()),
            followers: vec![Follower::example(), up_to_date],
            messages: Some(98_311),
            bytes: Some(140_623_104),
            max_bytes: Some(4_294_967_296),
            reason: None,
        }
    }
}

impl Example for Follower {
    fn example() -> Self {
        Self { name: "nats-2".into(), away: false, behind: true, lag: 12 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out_and_the_order_stays() {
        let reason = anyhow::anyhow!("no leader");
        let mut deployment = Deployment {
            nodes: vec![Node::example()],
            streams: vec![Stream::example(), Stream::not_read(stream::SERIES, &reason)],
        };
        deployment.streams[0].followers.pop();
        assert_eq!(
            serde_json::to_string(&deployment).unwrap(),
            concat!(
                r#"{"Nodes":[{"Service":"indexer","Host":"indexer-1","Version":"1.2.0","#,
                r#""StartedAt":"2026-02-03T04:05:06.5Z","Ready":true,"Role":"active"}],"#,
                r#""Streams":[{"Name":"INSTANCES","Replicas":3,"Leader":"nats-1","Followers":["#,
                r#"{"Name":"nats-2","Away":false,"Behind":true,"Lag":12}],"Messages":98311,"Bytes":140623104,"MaxBytes":4294967296},"#,
                r#"{"Name":"SERIES","Followers":[],"Reason":"no leader"}]}"#,
            )
        );
    }
}
