//! The nodes of a deployment: each service answers on NATS who and how it is, and the API asks all of them.
//!
//! The subjects and answers are those of NATS services (NATS ADR-32, "Service API"), so `nats service ls` lists
//! them too. A node subscribes and answers, and publishes nothing by itself.

use crate::health::Health;
use crate::settings::host_name;
use anyhow::Context as _;
use async_nats::Client;
use bytes::Bytes;
use contract::subject::Service;
use futures_util::StreamExt as _;
use futures_util::stream::select_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What each name of ours begins with.
const PREFIX: &str = "collimator-";

/// What nodes can be asked, as ADR-32 has it.
const VERBS: [&str; 3] = ["PING", "INFO", "STATS"];

/// How long answers are waited for: nobody knows how many there are.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Nodes that are listed at most.
pub const MAX_NODES: usize = 256;

/// Key of the metadata: the `NODE_NAME` of a receiver, by which its events name it.
pub const NODE_NAME: &str = "node_name";

/// Keys of the metadata: how a receiver is called, and the ports of DICOM and of DICOM over TLS that it has.
pub const AE_TITLE: &str = "ae_title";
/// See [`AE_TITLE`].
pub const DICOM_PORT: &str = "dicom_port";
/// See [`AE_TITLE`].
pub const DICOM_TLS_PORT: &str = "dicom_tls_port";

/// Keys of the metadata, beside what [`Health::describe`] tells.
const HOST: &str = "host";
const STARTED: &str = "started";
const READY: &str = "ready";
const REASON: &str = "reason";

/// One process, which is one service or all of them.
#[derive(Debug, Clone)]
pub struct Node {
    services: Vec<(Service, String)>,
    version: &'static str,
    host: String,
    started: Timestamp,
    health: Health,
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What the service is called.
    pub name: String,
    /// What tells this process from others of the same service.
    pub id: String,
    /// Its version.
    pub version: String,
    /// The rest.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl Answer {
    /// The service, without our prefix.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.name.strip_prefix(PREFIX)
    }

    /// The machine that it runs on.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.said(HOST)
    }

    /// When it started.
    #[must_use]
    pub fn started(&self) -> Option<&str> {
        self.said(STARTED)
    }

    /// Whether it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.said(READY) == Some("true")
    }

    /// Why it is not.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.said(REASON)
    }

    /// What else it tells, such as `role`.
    #[must_use]
    pub fn said(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }
}

impl Node {
    /// This process, which runs these services.
    #[must_use]
    pub fn new(services: &[Service], version: &'static str, health: Health) -> Self {
        let id = || uuid::Uuid::new_v4().simple().to_string();
        let services = services.iter().map(|service| (*service, id())).collect();
        Self { services, version, host: host_name(), started: Timestamp::now(), health }
    }

    /// Answers while a service runs. Gives what that ended with.
    pub async fn attend<T>(&self, nats: &Client, service: impl Future<Output = T>) -> T {
        let answering = async {
            if let Err(error) = self.answer(nats).await {
                tracing::warn!(
                    "this service can't answer status requests on NATS, and is missing from GET /health: {error:#}"
                );
            }
            pending::<Infallible>().await
        };
        tokio::select! {
            ended = service => ended,
            never = answering => match never {},
        }
    }

    async fn answer(&self, nats: &Client) -> anyhow::Result<()> {
        let mut questions = Vec::new();
        for (service, id) in &self.services {
            let name = name(*service);
            for verb in VERBS {
                for subject in [
                    format!("$SRV.{verb}"),
                    format!("$SRV.{verb}.{name}"),
                    format!("$SRV.{verb}.{name}.{id}"),
                ] {
                    let asked = nats.subscribe(subject).await.context("subscribing")?;
                    questions.push(asked.map(move |message| (*service, id, verb, message)));
                }
            }
        }
        let mut questions = select_all(questions);
        while let Some((service, id, verb, message)) = questions.next().await {
            if let Some(reply) = message.reply {
                nats.publish(reply, self.says(service, id, verb)).await.context("answering")?;
            }
        }
        Ok(())
    }

    fn says(&self, service: Service, id: &str, verb: &str) -> Bytes {
        let verb = verb.to_lowercase();
        let not_ready = self.health.not_ready();
        let mut metadata = self.health.descriptions();
        metadata.insert(HOST.to_owned(), self.host.clone());
        metadata.insert(STARTED.to_owned(), self.started.to_string());
        metadata.insert(READY.to_owned(), not_ready.is_empty().to_string());
        if !not_ready.is_empty() {
            let reasons: Vec<_> =
                not_ready.iter().map(|(part, reason)| format!("{part}: {reason}")).collect();
            metadata.insert(REASON.to_owned(), reasons.join("; "));
        }
        let answer = json!({
            "type": format!("io.nats.micro.v1.{verb}_response"), "name": name(service), "id": id,
            "version": self.version, "metadata": metadata, "endpoints": [],
            "description": format!("the {} of Collimator", service.as_str()),
            "started": self.started.to_string(),
        });
        answer.to_string().into()
    }
}

/// What a service is called among those of NATS.
fn name(service: Service) -> String {
    format!("{PREFIX}{}", service.as_str())
}

/// Asks who and how all nodes are, and waits half a second for their answers; in the order of services and hosts.
///
/// # Errors
/// When NATS can't be asked.
pub async fn all(nats: &Client) -> anyhow::Result<Vec<Answer>> {
    let inbox = nats.new_inbox();
    let mut answers = nats.subscribe(inbox.clone()).await.context("asking for the nodes")?;
    for service in Service::ALL {
        let subject = format!("$SRV.PING.{}", name(service));
        nats.publish_with_reply(subject, inbox.clone(), Bytes::new()).await?;
    }
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    let mut nodes: BTreeMap<(String, Option<String>, String), Answer> = BTreeMap::new();
    while nodes.len() < MAX_NODES
        && let Ok(Some(message)) = timeout_at(deadline, answers.next()).await
    {
        // Of a service without a node NATS says that nobody listens.
        if message.status.is_none()
            && let Ok(answer) = serde_json::from_slice::<Answer>(&message.payload)
        {
            let host = answer.host().map(str::to_owned);
            nodes.insert((answer.name.clone(), host, answer.id.clone()), answer);
        }
    }
    Ok(nodes.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_who_and_how_it_is() {
        let health = Health::default();
        let nats = health.part("nats");
        health.describe("role", "active");
        let node = Node::new(&[Service::Indexer], "1.2.3", health);
        let said = || {
            let (service, id) = &node.services[0];
            serde_json::from_slice::<Answer>(&node.says(*service, id, "PING")).unwrap()
        };
        let answer = said();
        assert_eq!((answer.service(), &*answer.version), (Some("indexer"), "1.2.3"));
        assert_eq!((answer.is_ready(), answer.reason()), (false, Some("nats: starting")));
        assert_eq!((answer.said("role"), answer.host()), (Some("active"), Some(&*host_name())));
        nats.ready();
        assert_eq!((said().is_ready(), said().reason()), (true, None));
    }
}
