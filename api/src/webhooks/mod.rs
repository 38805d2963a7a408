//! Webhooks: completions sent by HTTP to whoever the webhooks file names.
//!
//! Each is a durable consumer of SERIES, so what is still owed to it, and when that is tried again,
//! is with the broker: a service that is killed forgets none of it, and several share the work.
//! Delivered at least once and in no promised order; the `Revision` tells which of two is newer.

mod cloud_event;
mod consumers;
mod deliveries;
mod delivery_record;
mod file;
mod metrics;
pub mod operations;
mod post;
mod retry_delay;
mod signature;
mod start_position;
mod status;

use crate::broker::BrokerHandle;
use crate::http::problem::Problem;
use async_nats::HeaderMap;
use catalog::CatalogReader;
use contract::subject::Subject;
use deliveries::Deliveries;
use delivery_record::DeliveryRecord;
use file::Hook;
use metrics::WebhookMetrics;
use poem::http::StatusCode;
use post::{Post, Refusal};
use shared::metrics::Metrics;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// All webhooks of the file. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Webhooks {
    broker: BrokerHandle,
    /// `None` when no file is set: then nothing on the broker is touched.
    all: Option<Arc<[TrackedHook]>>,
    post: Option<Post>,
}

/// A webhook, and how its deliveries went.
#[derive(Debug)]
struct TrackedHook {
    hook: Hook,
    record: DeliveryRecord,
}

impl TrackedHook {
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
    /// The webhooks of a file, with the completions of this broker, and counted among
    /// `metrics`.
    ///
    /// # Errors
    /// When the file can't be read or understood.
    pub fn new(
        file: Option<&Path>,
        broker: BrokerHandle,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let metrics = WebhookMetrics::registered(metrics);
        let Some(file) = file else { return Ok(Self { broker, ..Self::default() }) };
        let hooks = file::read(file)?;
        let post = Post::new(hooks.iter().any(|hook| hook.url.scheme_str() == Some("https")))?;
        let tracked =
            |hook: Hook| TrackedHook { record: DeliveryRecord::new(metrics.of(&hook.name)), hook };
        Ok(Self { broker, all: Some(hooks.into_iter().map(tracked).collect()), post: Some(post) })
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
        let tracked = all
            .iter()
            .find(|tracked| Subject::undelivered(&tracked.hook.name).to_string() == subject);
        let (Some(tracked), Some(post)) = (tracked, &self.post) else {
            return Err(never("WEBHOOKS_FILE has no such webhook any more; drop the letter"));
        };
        let hook = &tracked.hook;
        let event = cloud_event::of(hook, payload, Some(headers));
        let event = event.map_err(|cause| never(&format!("{cause}; drop the letter")))?;
        let event =
            event.ok_or_else(|| never("the webhook wants no such any more; drop the letter"))?;
        post.deliver(hook, event).await.map_err(|Refusal { cause, .. }| {
            tracked.failed(&cause);
            let detail = format!("the webhook's receiver did not take it: {cause}");
            Problem::new(StatusCode::BAD_GATEWAY, detail)
        })?;
        tracked.succeeded();
        Ok(())
    }

    /// Delivers until told to stop. The `catalog` keeps how far each is.
    pub async fn run(&self, catalog: &CatalogReader, stop: &CancellationToken) {
        let (Some(all), Some(post)) = (&self.all, &self.post) else { return };
        let jetstream = tokio::select! {
            jetstream = self.broker.connected() => jetstream,
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
