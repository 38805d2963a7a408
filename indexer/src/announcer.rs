//! The announcer: empties the outbox into the SERIES stream, oldest first.

use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishError};
use prometheus_client::metrics::gauge::Gauge;
use shared::acknowledgements::{Acknowledgements, is_silence};
use shared::catalog::{Announcement, Catalog};
use shared::event::{Event, SeriesCompleted};
use shared::health::Part;
use shared::stream::headers;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Announcements that are published before the outbox is brought up to date.
const BATCH: u32 = 100;

/// How often the outbox is looked into without being told: the api fills it too, from another
/// process, and what failed is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Announces what is in the outbox of `catalog` until told to stop; `depth` is how many wait there.
pub async fn run(
    catalog: Catalog,
    jetstream: Context,
    filled: Arc<Notify>,
    health: Part,
    acknowledgements: Acknowledgements,
    depth: Gauge,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match announce_all(&catalog, &jetstream, &depth).await {
            Ok(()) => {
                acknowledgements.arrived();
                health.ready();
            }
            Err(error) => {
                match error.downcast_ref::<PublishError>() {
                    Some(error) if is_silence(error) => acknowledgements.missed(),
                    _ => acknowledgements.arrived(),
                }
                health.not_ready(format!("{error:#}"));
                tracing::warn!("announcing failed and will be tried again: {error:#}");
            }
        }
        tokio::select! {
            () = filled.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn announce_all(catalog: &Catalog, jetstream: &Context, depth: &Gauge) -> anyhow::Result<()> {
    loop {
        let waiting = catalog.waiting_announcements(BATCH).await?;
        let all = match waiting.len() < BATCH as usize {
            true => waiting.len() as i64,
            false => catalog.count_waiting_announcements().await?,
        };
        depth.set(all);
        let Some(last) = waiting.last() else { return Ok(()) };
        // All are on their way before the first is waited for; the broker keeps their order.
        let mut acknowledgements = Vec::with_capacity(waiting.len());
        for announcement in &waiting {
            acknowledgements.push(announce(jetstream, announcement).await?);
        }
        for (announcement, acknowledgement) in waiting.iter().zip(acknowledgements) {
            let stored = acknowledgement.await;
            stored.with_context(|| format!("announcing {}", announcement.message_id))?;
        }
        catalog.announced(last.id).await?;
    }
}

/// Publishes one announcement. Published before and not forgotten in time, it is recognised by its
/// id and stored once.
async fn announce(
    jetstream: &Context,
    announcement: &Announcement,
) -> anyhow::Result<PublishAckFuture> {
    let Announcement { subject, message_id, time, payload, .. } = announcement;
    let headers = headers(subject, SeriesCompleted::SOURCE, message_id, *time);
    jetstream
        .publish_with_headers(subject.to_string(), headers, payload.clone().into())
        .await
        .with_context(|| format!("announcing {message_id}"))
}
