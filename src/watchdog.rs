//! Looks after the embedded nats-server: one that hangs, or that stores nothing any more although its disk
//! has room again, is restarted; streams that somebody deleted are made anew.

use crate::embedded_nats::EmbeddedNats;
use async_nats::jetstream::Context;
use bytesize::ByteSize;
use shared::acknowledgements::Acknowledgements;
use shared::disk;
use shared::settings::StreamSettings;
use shared::stream;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a server may let clients connect and acknowledge nothing: longer than it takes them to
/// come back after a restart, and to have the next event stored.
const RESTART_AFTER: Duration = Duration::from_secs(15);

/// The same at the most: doubled with each restart that did not help.
const MAX_RESTART_AFTER: Duration = Duration::from_secs(600);

/// What has to be free on the disk for a restart to help.
const MIN_FREE: ByteSize = ByteSize::mib(16);

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether the streams are there while every publisher is content: the indexer
/// needs them too, and who does not publish misses none.
const LOOK_FOR_STREAMS: Duration = Duration::from_secs(10);

/// How long the server may take to say whether they are, or to make them.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// What is looked after, and by what it is known how it is.
pub(crate) struct Watchdog<'a> {
    /// The server.
    pub(crate) broker: &'a EmbeddedNats,
    /// Its files.
    pub(crate) folder: &'a Path,
    /// Who waits for its acknowledgements.
    pub(crate) publishers: [Acknowledgements; 2],
    /// A way to ask it.
    pub(crate) jetstream: Context,
    /// How its streams are kept.
    pub(crate) streams: &'a StreamSettings,
}

impl Watchdog<'_> {
    /// Makes streams anew that are gone, and restarts the server whenever one of its publishers waits
    /// for it in vain all the same, until told to stop.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        let watching = async {
            let (mut in_vain, mut restart_after) = (None, RESTART_AFTER);
            let mut streams_seen = Instant::now();
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let silent = self.publishers.iter().filter_map(Acknowledgements::missing_for).max();
                if silent.is_some() || streams_seen.elapsed() >= LOOK_FOR_STREAMS {
                    streams_seen = Instant::now();
                    // No restart would bring them back.
                    if self.makes_missing_streams().await {
                        (in_vain, restart_after) = (None, RESTART_AFTER);
                        continue;
                    }
                }
                let Some(silent) = silent else {
                    (in_vain, restart_after) = (None, RESTART_AFTER);
                    continue;
                };
                // One that still reads its store does not listen yet, however long that takes; one
                // that hangs does.
                if !self.broker.listens().await {
                    in_vain = None;
                    continue;
                }
                let since = *in_vain.get_or_insert_with(Instant::now);
                let has_space = disk::free(self.folder).is_ok_and(|free| free >= MIN_FREE);
                if since.elapsed() >= restart_after && has_space {
                    tracing::warn!(?silent, "nats-server acknowledges nothing; it is restarted");
                    self.broker.restart();
                    (in_vain, restart_after) = (None, MAX_RESTART_AFTER.min(restart_after * 2));
                }
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Whether streams were gone and are there again. A server that does not answer is another matter.
    async fn makes_missing_streams(&self) -> bool {
        let kept = timeout(ANSWER_LIMIT, stream::inspect(&self.jetstream)).await;
        let Ok(Ok(kept)) = kept else { return false };
        let missing: Vec<_> =
            kept.iter().filter(|(_, kept)| kept.is_none()).map(|(name, _)| *name).collect();
        if missing.is_empty() {
            return false;
        }
        tracing::warn!(
            ?missing,
            "streams were deleted, with what nobody had read of them; they are made anew"
        );
        let made = stream::ensure_streams(&self.jetstream, self.streams);
        match timeout(ANSWER_LIMIT, made).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!("the streams could not be made: {error:#}");
                false
            }
            Err(_elapsed) => {
                tracing::warn!("the streams could not be made within {ANSWER_LIMIT:?}");
                false
            }
        }
    }
}
