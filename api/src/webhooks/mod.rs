//! Webhooks: completions sent by HTTP to whoever the webhooks file names.
//!
//! Each is a durable consumer of SERIES, so what is still owed to it, and when that is tried again,
//! is with the broker: a service that is killed forgets none of it, and several share the work.
//! Delivered at least once and in no promised order; the `Revision` tells which of two is newer.

mod cloud_event;
mod consumers;
mod deliveries;
mod file;
mod metrics;
pub mod operations;
mod pauses;
mod post;
mod record;
mod resuming;
mod signature;
mod state;

use crate::broker::Requests;
use crate::http::problem::Problem;
use async_nats::HeaderMap;
use catalog::Catalog;
use contract::subject::Subject;
use deliveries::Deliveries;
use file::Hook;
use metrics::WebhookMetrics;
use poem::http::StatusCode;
use post::{Post, Refusal};
use record::Record;
use shared::metrics::Metrics;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// All webhooks of the file. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Webhooks {
    requests: Requests,
    /// `None` when no file is set: then nothing on the broker is touched.
    all: Option<Arc<[Told]>>,
    post: Option<Post>,
}

/// A webhook, and how its deliveries went.
#[derive(Debug)]
struct Told {
    hook: Hook,
    record: Record,
}

impl Told {
    /// Its receiver took a delivery. Said when it had trouble before.
    fn succeeded(&self) {
        if let Some(dead_letters) = self.record.succeeded() {
            let hook = self.hook.name.as_str();
            tracing::info!(hook, dead_letters, "the webhook takes deliveries again");
        }
    }

    /// Its receiver did not take a delivery. Said when the trouble begins.
    fn failed(&self, cause: &str) {
        if self.record.failed(cause) {
            tracing::warn!(hook = self.hook.name, cause, "a delivery failed");
        }
    }

    /// A completion is a dead letter. Said of the first since it took one.
    fn gave_up(&self, sequence: u64, error: &str) {
        let hook = self.hook.name.as_str();
        match self.record.gave_up() {
            true => tracing::warn!(hook, sequence, error, "a completion is a dead letter"),
            false => tracing::debug!(hook, sequence, error, "a completion is a dead letter"),
        }
    }
}

impl Webhooks {
    /// Those that a file names, told through the broker that `requests` go to, and counted among
    /// `metrics`.
    ///
    /// # Errors
    /// When the file can't be read or understood.
    pub fn new(file: Option<&Path>, requests: Requests, metrics: &Metrics) -> anyhow::Result<Self> {
        let metrics = WebhookMetrics::registered(metrics);
        let Some(file) = file else { return Ok(Self { requests, ..Self::default() }) };
        let hooks = file::read(file)?;
        let post = Post::new(hooks.iter().any(|hook| hook.url.scheme_str() == Some("https")))?;
        let told = |hook: Hook| Told { record: Record::new(metrics.of(&hook.name)), hook };
        Ok(Self { requests, all: Some(hooks.into_iter().map(told).collect()), post: Some(post) })
    }

    /// Delivers a completion that is a dead letter, once.
    ///
    /// # Errors
    /// 409 when no webhook wants it, 502 when its receiver did not take it.
    pub(crate) async fn deliver_again(
        &self,
        subject: &str,
        payload: &[u8],
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        let never = |detail: &str| Problem::new(StatusCode::CONFLICT, detail);
        let all = self.all.as_deref().unwrap_or_default();
        let told =
            all.iter().find(|told| Subject::undelivered(&told.hook.name).to_string() == subject);
        let (Some(told), Some(post)) = (told, &self.post) else {
            return Err(never("WEBHOOKS_FILE has no such webhook any more; drop the letter"));
        };
        let hook = &told.hook;
        let event = cloud_event::of(hook, payload, Some(headers));
        let event = event.map_err(|cause| never(&format!("{cause}; drop the letter")))?;
        let event =
            event.ok_or_else(|| never("the webhook wants no such any more; drop the letter"))?;
        post.deliver(hook, event).await.map_err(|Refusal { cause, .. }| {
            told.failed(&cause);
            let detail = format!("the webhook's receiver did not take it: {cause}");
            Problem::new(StatusCode::BAD_GATEWAY, detail)
        })?;
        told.succeeded();
        Ok(())
    }

    /// Delivers until told to stop. The `catalog` keeps how far each is.
    pub async fn run(&self, catalog: &Catalog, stop: &CancellationToken) {
        let (Some(all), Some(post)) = (&self.all, &self.post) else { return };
        let jetstream = tokio::select! {
            jetstream = self.requests.connected() => jetstream,
            () = stop.cancelled() => return,
        };
        let mut tasks = JoinSet::new();
        for place in 0..all.len() {
            let deliveries = Deliveries {
                all: all.clone(),
                place,
                post: post.clone(),
                jetstream: jetstream.clone(),
                catalog: catalog.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(deliveries.run());
        }
        consumers::remove_others(jetstream, catalog, all, stop).await;
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!("a webhook's deliveries ended: {error}");
            }
        }
    }
}
