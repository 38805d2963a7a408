//! Whether an acknowledgement of the broker means "on disk": that is a setting of the server, which
//! only its monitoring port tells.

use crate::stream::INSTANCES;
use anyhow::{Context as _, bail};
use async_nats::{Client, jetstream};
use clap::Args;
use serde::Deserialize;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// How long the monitoring port may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Replicas of a stream that keep an event through the power cut of one of them.
const SAFE_REPLICAS: usize = 3;

/// Where the broker tells about itself.
#[derive(Debug, Clone, Args)]
pub struct MonitorSettings {
    /// The monitoring port of the NATS server, to verify that it syncs each event to disk, such as
    /// http://127.0.0.1:8222 [default: none, it is not verified]
    #[arg(long, env = "NATS_MONITOR_URL")]
    pub nats_monitor_url: Option<String>,
}

/// Whether a C-STORE Success is safe from a power cut.
#[derive(Debug)]
pub enum Durability {
    /// Other servers have the event too: so many copies.
    Replicated(usize),
    /// It is on disk.
    Synced,
    /// It may be in memory only.
    NotSynced,
    /// Nobody said whom to ask.
    Unasked,
    /// The one to ask does not answer.
    Unanswered(anyhow::Error),
}

impl Durability {
    /// What to do about it, where it is not safe or not known to be.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Replicated(_) | Self::Synced => None,
            Self::NotSynced => Some("set `sync_interval: always` in its jetstream block"),
            Self::Unasked => Some("set NATS_MONITOR_URL, and see sync_interval in nats.conf"),
            Self::Unanswered(_) => Some("see NATS_MONITOR_URL"),
        }
    }
}

impl Display for Durability {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replicated(replicas) => write!(
                f,
                "INSTANCES has {replicas} replicas: a power cut loses no acknowledged event"
            ),
            Self::Synced => f.write_str("NATS syncs each event to disk before it acknowledges it"),
            Self::NotSynced => f.write_str(
                "NATS does not sync each event to disk: a power cut loses what was answered with \
                 Success",
            ),
            Self::Unasked => f.write_str(
                "nobody can tell whether NATS syncs each event to disk, or a power cut loses what was \
                 answered with Success",
            ),
            Self::Unanswered(error) => {
                write!(f, "NATS can't be asked whether it syncs each event to disk: {error:#}")
            }
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
}

/// Looks whether a C-STORE Success is safe from a power cut.
pub async fn look(settings: &MonitorSettings, nats: &Client) -> Durability {
    let replicas = match jetstream::new(nats.clone()).get_stream(INSTANCES).await {
        Ok(stream) => stream.cached_info().config.num_replicas,
        Err(_) => 1,
    };
    if replicas >= SAFE_REPLICAS {
        return Durability::Replicated(replicas);
    }
    let Some(url) = &settings.nats_monitor_url else { return Durability::Unasked };
    match syncs_always(url).await {
        Ok(true) => Durability::Synced,
        Ok(false) => Durability::NotSynced,
        Err(error) => Durability::Unanswered(error),
    }
}

async fn syncs_always(url: &str) -> anyhow::Result<bool> {
    #[derive(Deserialize)]
    struct Jsz {
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        sync_always: bool,
    }

    let url = format!("{}/jsz?config=1", url.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let answer = client.get(&url).send().await.with_context(|| url.clone())?;
    if !answer.status().is_success() {
        bail!("{url} answers {}", answer.status());
    }
    let answer: Jsz = answer.json().await.with_context(|| format!("the answer of {url}"))?;
    let config = answer.config.context("the server has no JetStream configuration")?;
    Ok(config.sync_always)
}
