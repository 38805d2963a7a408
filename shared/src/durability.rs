//! Whether an acknowledgement of the broker means "on disk": that is a setting of the server, which
//! only its monitoring port tells.

use crate::http_client::{self, Trust, get_json};
use crate::stream::{INSTANCES, shared_hosts};
use crate::web_url::base_url;
use anyhow::Context as _;
use async_nats::jetstream::stream::PersistenceMode;
use async_nats::{Client, jetstream};
use clap::Args;
use http::Uri;
use serde::Deserialize;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// How long the monitoring port may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes: it is a thousand times shorter.
const MAX_LENGTH: usize = 1 << 20;

/// Where the broker tells about itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "NATS")]
pub struct MonitorSettings {
    /// URL of the NATS server's monitoring port, such as http://127.0.0.1:8222, to verify that it syncs each event
    /// to disk [default: none, not verified]
    #[arg(long, env = "NATS_MONITOR_URL", value_parser = base_url)]
    pub nats_monitor_url: Option<Url>,
}

/// Whether a C-STORE Success is safe from a power cut.
#[derive(Debug)]
pub struct Durability {
    /// On how many servers an acknowledged event is.
    pub replicas: usize,
    /// Whether it is on disk there.
    pub sync: Sync,
    /// Addresses that several servers have in common, which may be one machine.
    pub hosts: Vec<String>,
}

/// Whether an acknowledgement of the broker means "on disk".
#[derive(Debug)]
pub enum Sync {
    /// It does, on the server that was asked.
    Synced,
    /// The event may be in memory only.
    NotSynced,
    /// The stream acknowledges what is not stored yet.
    Asynchronous,
    /// There is no address to ask.
    Unasked,
    /// The server that was asked does not answer.
    Unanswered(anyhow::Error),
}

impl Durability {
    /// The addresses that several servers have in common, where replicas are to be on several.
    #[must_use]
    pub fn shared_hosts(&self) -> Option<String> {
        (self.replicas > 1 && !self.hosts.is_empty()).then(|| self.hosts.join(", "))
    }

    /// What to do about it, where it is not safe or not known to be.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self.sync {
            Sync::Synced => None,
            Sync::NotSynced => Some("set `sync_interval: always` in its jetstream block"),
            Sync::Asynchronous => Some("make INSTANCES anew, without `persist_mode: async`"),
            Sync::Unasked => Some("set NATS_MONITOR_URL, and see sync_interval in nats.conf"),
            Sync::Unanswered(_) => Some("see NATS_MONITOR_URL"),
        }
    }
}

impl Display for Durability {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.sync {
            Sync::Synced => {
                f.write_str("NATS syncs each event to disk before it acknowledges it")?;
            }
            Sync::NotSynced if self.replicas > 1 => f.write_str(
                "NATS does not sync each event to disk: a power cut of all its servers loses what was \
                 answered with Success",
            )?,
            Sync::NotSynced => f.write_str(
                "NATS does not sync each event to disk: a power cut loses what was answered with \
                 Success",
            )?,
            Sync::Asynchronous => f.write_str(
                "INSTANCES acknowledges each event before it is stored: a crash of NATS loses what was \
                 answered with Success",
            )?,
            Sync::Unasked => f.write_str(
                "nobody can tell whether NATS syncs each event to disk, or a power cut loses what was \
                 answered with Success",
            )?,
            Sync::Unanswered(error) => {
                write!(f, "NATS can't be asked whether it syncs each event to disk: {error:#}")?;
            }
        }
        match self.replicas {
            0 | 1 => Ok(()),
            replicas => write!(f, " (INSTANCES has {replicas} replicas)"),
        }
    }
}

/// Looks whether a C-STORE Success is safe from a power cut, and warns if it is not, or if nobody can
/// tell.
pub async fn verify(settings: &MonitorSettings, nats: &Client) {
    let durability = look(settings, nats).await;
    match durability.advice() {
        None => tracing::info!("{durability}"),
        Some(advice) => tracing::warn!("{durability}; {advice}"),
    }
    if let Some(hosts) = durability.shared_hosts() {
        tracing::warn!(
            "servers of NATS have the address {hosts} in common: if they are on one machine, its replicas of \
             INSTANCES are lost together"
        );
    }
}

/// Looks whether a C-STORE Success is safe from a power cut.
pub async fn look(settings: &MonitorSettings, nats: &Client) -> Durability {
    let (replicas, persist_mode) = match jetstream::new(nats.clone()).get_stream(INSTANCES).await {
        Ok(stream) => {
            let config = &stream.cached_info().config;
            (config.num_replicas, config.persist_mode)
        }
        Err(_) => (1, None),
    };
    let sync = match &settings.nats_monitor_url {
        _ if persist_mode == Some(PersistenceMode::Async) => Sync::Asynchronous,
        None => Sync::Unasked,
        Some(url) => match syncs_always(url).await {
            Ok(true) => Sync::Synced,
            Ok(false) => Sync::NotSynced,
            Err(error) => Sync::Unanswered(error),
        },
    };
    Durability { replicas, sync, hosts: shared_hosts(nats) }
}

async fn syncs_always(url: &Url) -> anyhow::Result<bool> {
    #[derive(Deserialize)]
    struct Jsz {
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        sync_always: bool,
    }

    let client: http_client::Client =
        http_client::client(Trust::machine_if(url.scheme() == "https"), None)?;
    let url: Uri = format!("{}/jsz?config=1", url.as_str().trim_end_matches('/')).parse()?;
    let answer = timeout(ANSWER_TIMEOUT, get_json(&client, &url, MAX_LENGTH)).await;
    let answer =
        answer.with_context(|| format!("{url}: no answer within {ANSWER_TIMEOUT:?}"))??;
    let answer: Jsz =
        serde_json::from_slice(&answer).with_context(|| format!("the answer of {url}"))?;
    let config = answer.config.context("the server has no JetStream configuration")?;
    Ok(config.sync_always)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_promise_nothing_that_only_a_sync_does() {
        let of = |replicas, sync| Durability { replicas, sync, hosts: vec!["::1".to_owned()] };
        for sync in [Sync::NotSynced, Sync::Unasked, Sync::Asynchronous] {
            let durability = of(3, sync);
            assert!(durability.advice().is_some(), "{durability}");
            assert!(durability.to_string().contains("loses what was answered with Success"));
        }
        let three =
            "NATS syncs each event to disk before it acknowledges it (INSTANCES has 3 replicas)";
        assert_eq!(of(3, Sync::Synced).to_string(), three);
        assert!(!of(1, Sync::Synced).to_string().contains("replicas"));
        assert_eq!(of(3, Sync::Synced).shared_hosts().as_deref(), Some("::1"));
        assert_eq!(of(1, Sync::Synced).shared_hosts(), None);
    }
}
