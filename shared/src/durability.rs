//! Whether an acknowledgement of the broker means "on disk": that is a setting of the server, which
//! only its monitoring port tells.

use crate::stream::INSTANCES;
use anyhow::{Context as _, bail};
use async_nats::{Client, jetstream};
use clap::Args;
use serde::Deserialize;
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

/// Looks whether a C-STORE Success is safe from a power cut, and warns if it is not, or if nobody can
/// tell.
pub async fn verify(settings: &MonitorSettings, nats: &Client) {
    let replicas = match jetstream::new(nats.clone()).get_stream(INSTANCES).await {
        Ok(stream) => stream.cached_info().config.num_replicas,
        Err(_) => 1,
    };
    if replicas >= SAFE_REPLICAS {
        tracing::info!(
            replicas,
            "INSTANCES is replicated: a power cut loses no acknowledged event"
        );
        return;
    }
    let Some(url) = &settings.nats_monitor_url else {
        tracing::warn!(
            "nobody can tell whether NATS syncs each event to disk, or a power cut loses what was \
             answered with Success: set NATS_MONITOR_URL, and see sync_interval in nats.conf"
        );
        return;
    };
    match syncs_always(url).await {
        Ok(true) => tracing::info!("NATS syncs each event to disk before it acknowledges it"),
        Ok(false) => tracing::warn!(
            "NATS does not sync each event to disk: a power cut loses what was answered with \
             Success; set `sync_interval: always` in its jetstream block"
        ),
        Err(error) => tracing::warn!(
            "NATS can't be asked whether it syncs each event to disk (see NATS_MONITOR_URL): \
             {error:#}"
        ),
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
