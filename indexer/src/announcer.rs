//! The announcer: empties the outbox into the SERIES stream, oldest first.

use crate::dead;
use crate::metrics::IndexerMetrics;
use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishError};
use serde::Deserialize;
use shared::acknowledgements::{Acknowledgements, is_silence};
use shared::catalog::{Announcement, Catalog};
use shared::event::{INDEXER, Source};
use shared::health::Part;
use shared::stream::headers;
use shared::subject::Subject;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// Announcements that are published before the outbox is brought up to date.
const BATCH: u32 = 100;

/// How often the outbox is looked into without being told: the api fills it too, from another
/// process, and what failed is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What it works with.
pub struct Announcer {
    /// The catalogue, whose outbox it empties.
    pub catalog: Catalog,
    /// The broker.
    pub jetstream: Context,
    /// Told when there is something in the outbox.
    pub filled: Arc<Notify>,
    /// Told of the studies of what came by `POST /store`: the loop of the indexer learns of that from
    /// nobody else.
    pub stored: mpsc::Sender<String>,
    /// Whether it does its work.
    pub health: Part,
    /// Whether the broker acknowledges.
    pub acknowledgements: Acknowledgements,
    /// How many announcements wait, and what was complete by `POST /store`.
    pub metrics: IndexerMetrics,
}

impl Announcer {
    /// Announces what is in the outbox until told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.announce_all().await {
                Ok(()) => {
                    self.acknowledgements.arrived();
                    self.health.ready();
                }
                Err(error) => {
                    match error.downcast_ref::<PublishError>() {
                        Some(error) if is_silence(error) => self.acknowledgements.missed(),
                        _ => self.acknowledgements.arrived(),
                    }
                    self.health.not_ready(format!("{error:#}"));
                    tracing::warn!("announcing failed and will be tried again: {error:#}");
                }
            }
            tokio::select! {
                () = self.filled.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn announce_all(&self) -> anyhow::Result<()> {
        let Self { catalog, jetstream, .. } = self;
        loop {
            let waiting = catalog.waiting_announcements(BATCH).await?;
            let all = match waiting.len() < BATCH as usize {
                true => waiting.len() as i64,
                false => catalog.count_waiting_announcements().await?,
            };
            self.metrics.outbox.set(all);
            let Some(last) = waiting.last() else { return Ok(()) };
            // All are on their way before the first is waited for; the broker keeps their order.
            let mut acknowledgements = Vec::with_capacity(waiting.len());
            for announcement in &waiting {
                if let Some(why) = &announcement.held {
                    dead::hold(jetstream, announcement, why).await?;
                    continue;
                }
                acknowledgements.push((announcement, announce(jetstream, announcement).await?));
            }
            for (announcement, acknowledgement) in acknowledgements {
                let stored = acknowledgement.await;
                let stored =
                    stored.with_context(|| format!("announcing {}", announcement.message_id))?;
                if let Some(study) = study_of_store(announcement) {
                    if !stored.duplicate {
                        self.metrics.stored();
                    }
                    // Without a loop nobody needs to know.
                    let _ = self.stored.send(study).await;
                }
            }
            catalog.announced(last.id).await?;
        }
    }
}

/// Publishes one announcement. Published before and not forgotten in time, it is recognised by its
/// id and stored once.
async fn announce(
    jetstream: &Context,
    announcement: &Announcement,
) -> anyhow::Result<PublishAckFuture> {
    let Announcement { subject, message_id, time, payload, .. } = announcement;
    let headers = headers(subject, INDEXER, message_id, *time);
    jetstream
        .publish_with_headers(subject.to_string(), headers, payload.clone().into())
        .await
        .with_context(|| format!("announcing {message_id}"))
}

/// The study of a series that is complete by `POST /store`.
fn study_of_store(announcement: &Announcement) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Completed {
        source: Source,
        #[serde(rename = "StudyInstanceUID")]
        study_instance_uid: String,
    }
    let Subject::SeriesCompleted { .. } = announcement.subject else { return None };
    let completed: Completed = serde_json::from_str(&announcement.payload).ok()?;
    (completed.source == Source::Api).then_some(completed.study_instance_uid)
}
