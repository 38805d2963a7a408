//! The announcer: empties the outbox into the SERIES stream, oldest first.

use crate::dead::{self, HELD, REFUSED_ANNOUNCEMENT};
use crate::duplicates::renumber_unless_announced;
use crate::metrics::IndexerMetrics;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::{Context, ErrorCode};
use catalog::{Announcement, CatalogWriter};
use contract::event::INDEXER;
use contract::subject::Subject;
use shared::acknowledgements::{Acknowledgements, is_passing, is_silence, jetstream_error};
use shared::election::{is_cluster, outlast};
use shared::health::Part;
use shared::message::Message;
use shared::metrics::{Refusals, Refused};
use shared::stream::headers;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Announcements that are published before the outbox is brought up to date.
const BATCH: u32 = 100;

/// Longest subject, in bytes. The broker ends the connection over one that exceeds its control line, 4 KiB
/// unless it is told otherwise. Ours are far shorter; those of older versions had no bound.
const MAX_SUBJECT: usize = 1024;

/// How often the outbox is looked into without being told: the api fills it too, from another
/// process, and what failed is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What it works with.
pub struct Announcer {
    /// The catalogue, whose outbox it empties.
    pub catalog: CatalogWriter,
    /// The broker.
    pub jetstream: Context,
    /// Told when there is something in the outbox.
    pub filled: Arc<Notify>,
    /// Told when something was announced.
    pub announced: Arc<Notify>,
    /// Whether it does its work.
    pub health: Part,
    /// Whether the broker acknowledges.
    pub acknowledgements: Acknowledgements,
    /// How many announcements wait.
    pub metrics: IndexerMetrics,
    /// Counts the announcements that the broker refuses for good.
    pub refusals: Refusals,
}

impl Announcer {
    /// Announces what is in the outbox until told to stop. What is cut off by that is published again at the next
    /// start, under the same ids.
    pub async fn run(&self, stop: CancellationToken) {
        while let Some(announced) = stop.run_until_cancelled(self.announce_all()).await {
            match announced {
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
        let client = jetstream.client();
        loop {
            let waiting = catalog.waiting_announcements(BATCH).await?;
            let all = match waiting.len() < BATCH as usize {
                true => waiting.len() as i64,
                false => catalog.count_waiting_announcements().await?,
            };
            self.metrics.outbox.set(all);
            if waiting.is_empty() {
                return Ok(());
            }
            // All are on their way before the first is waited for; the broker keeps their order.
            let mut acknowledgements = Vec::with_capacity(waiting.len());
            for announcement in &waiting {
                if let Some(why) = &announcement.held {
                    dead::bury_announcement(jetstream, announcement, HELD, why).await?;
                    continue;
                }
                acknowledgements.push((announcement, announce(jetstream, announcement).await));
            }
            for (announcement, acknowledgement) in acknowledgements {
                let stored = match acknowledgement {
                    Ok(acknowledgement) => acknowledgement.await,
                    Err(error) => Err(error),
                };
                let stored = match stored {
                    // It has the same id each time, so it is stored once.
                    Err(error) if is_passing(&error) && is_cluster(&client) => {
                        let announce =
                            || async { Ok(announce(jetstream, announcement).await?.await?) };
                        outlast(&client, announce).await
                    }
                    stored => stored.map_err(anyhow::Error::new),
                };
                let stored = match stored {
                    Ok(stored) => Some(stored),
                    // It would hold up all that follow, for ever.
                    Err(error) if is_for_good(&error) => {
                        let (reason, why) = (REFUSED_ANNOUNCEMENT, error.to_string());
                        dead::bury_announcement(jetstream, announcement, reason, &why).await?;
                        self.refusals.count(Refused::Event, reason);
                        None
                    }
                    Err(error) => {
                        let what = format!("announcing {}", announcement.message_id);
                        return Err(error.context(what));
                    }
                };
                // A question has an id of its own; only completions are numbered.
                let is_numbered = !matches!(
                    announcement.subject,
                    Subject::SourceAsked { .. } | Subject::InstancesWanted { .. }
                );
                if let Some(stored) = stored.filter(|stored| stored.duplicate && is_numbered) {
                    let sequence = stored.sequence;
                    renumber_unless_announced(jetstream, catalog, announcement, sequence).await?;
                }
            }
            let ids: Vec<_> = waiting.iter().map(|announcement| announcement.id).collect();
            catalog.announced(&ids).await?;
            self.announced.notify_one();
        }
    }
}

/// Publishes one announcement. Published before and not forgotten in time, it is recognised by its
/// id and stored once.
async fn announce(
    jetstream: &Context,
    announcement: &Announcement,
) -> Result<PublishAckFuture, PublishError> {
    let Announcement { subject, message_id, time, payload, .. } = announcement;
    let to = subject.to_string();
    if to.len() > MAX_SUBJECT {
        return Err(PublishError::new(PublishErrorKind::MaxPayloadExceeded));
    }
    let headers = headers(subject, INDEXER, message_id, *time);
    Message { subject: to, headers, payload: payload.clone().into() }.publish(jetstream).await
}

/// Whether the broker will never take a message, however often it is tried: it is too long for it or for the
/// stream.
fn is_for_good(error: &anyhow::Error) -> bool {
    let Some(error) = error.downcast_ref::<PublishError>() else { return false };
    if error.kind() == PublishErrorKind::MaxPayloadExceeded {
        return true;
    }
    jetstream_error(error).is_some_and(|answer| {
        matches!(
            answer.error_code(),
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM
        )
    })
}
