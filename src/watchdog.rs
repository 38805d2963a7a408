//! Looks after the own nats-server: one that hangs, or that stores nothing any more although its disk
//! has room again, is restarted.

use crate::disk;
use crate::embedded_nats::EmbeddedNats;
use bytesize::ByteSize;
use shared::acknowledgements::Acknowledgements;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a server may let clients connect and acknowledge nothing: longer than it takes them to
/// come back after a restart, and to have the next event stored.
const PATIENCE: Duration = Duration::from_secs(15);

/// The same at the most: doubled with each restart that did not help.
const LONGEST_PATIENCE: Duration = Duration::from_secs(600);

/// What has to be free on the disk for a restart to help.
const ROOM: ByteSize = ByteSize::mib(16);

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Restarts `broker`, whose files are in `folder`, whenever one of its `publishers` waits for it in
/// vain, until told to stop.
pub(crate) async fn run(
    broker: &EmbeddedNats,
    folder: &Path,
    publishers: &[Acknowledgements],
    stop: &CancellationToken,
) {
    let watching = async {
        let (mut in_vain, mut patience) = (None, PATIENCE);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let silent = publishers.iter().filter_map(Acknowledgements::missing_for).max();
            let Some(silent) = silent else {
                (in_vain, patience) = (None, PATIENCE);
                continue;
            };
            // One that still reads its store does not listen yet, however long that takes; one that
            // hangs does.
            if !broker.listens().await {
                in_vain = None;
                continue;
            }
            let since = *in_vain.get_or_insert_with(Instant::now);
            let has_room = disk::free(folder).is_ok_and(|free| free >= ROOM.0);
            if since.elapsed() >= patience && has_room {
                tracing::warn!(?silent, "nats-server acknowledges nothing; it is restarted");
                broker.restart();
                (in_vain, patience) = (None, LONGEST_PATIENCE.min(patience * 2));
            }
        }
    };
    stop.run_until_cancelled(watching).await;
}
