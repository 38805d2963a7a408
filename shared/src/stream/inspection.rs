//! How the broker keeps the streams, for `doctor`.

use super::{AUDIT, DEAD, INSTANCES, SERIES, impose, is_stream_not_found, wanted};
use crate::settings::StreamSettings;
use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{ClusterInfo, Config};

/// A stream as the broker keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// What the promises rest on and is not so: names of its settings.
    pub differs: Vec<&'static str>,
    /// On how many servers it is kept.
    pub replicas: usize,
    /// Of these, the names of those that are away, or have not all of it yet.
    pub behind: Vec<String>,
    /// Messages in it.
    pub messages: u64,
    /// Their size on disk.
    pub bytes: u64,
    /// The size that they may have, if there is a limit.
    pub max_bytes: Option<u64>,
}

/// Looks how the streams are kept, and changes nothing; `None` is one that is not there.
///
/// # Errors
/// When the broker does not answer.
pub async fn inspect(
    jetstream: &Context,
    settings: &StreamSettings,
) -> anyhow::Result<Vec<(&'static str, Option<Kept>)>> {
    let mut kept = Vec::new();
    for (name, wanted) in [INSTANCES, SERIES, DEAD, AUDIT].into_iter().zip(wanted(settings)) {
        let stream = match jetstream.get_stream(name).await {
            Ok(stream) => stream,
            Err(error) if is_stream_not_found(&error) => {
                kept.push((name, None));
                continue;
            }
            Err(error) => return Err(error).with_context(|| format!("asking for {name}")),
        };
        let info = stream.cached_info();
        let of_stream = Kept {
            name: name.to_owned(),
            differs: differences(&info.config, &wanted),
            replicas: info.config.num_replicas.max(1),
            behind: behind(info.cluster.as_ref()),
            messages: info.state.messages,
            bytes: info.state.bytes,
            max_bytes: u64::try_from(info.config.max_bytes).ok().filter(|bytes| *bytes > 0),
        };
        kept.push((name, Some(of_stream)));
    }
    Ok(kept)
}

/// The servers of a stream that are away, or have not all of it yet.
fn behind(cluster: Option<&ClusterInfo>) -> Vec<String> {
    let peers = cluster.into_iter().flat_map(|cluster| &cluster.replicas);
    let behind = peers.filter(|peer| peer.offline || !peer.current);
    behind.map(|peer| peer.name.clone()).collect()
}

/// What [`impose`] would change, but for the size: that may be less on a small disk.
pub(super) fn differences(kept: &Config, wanted: &Config) -> Vec<&'static str> {
    let mut imposed = kept.clone();
    impose(&mut imposed, wanted);
    let same = [
        ("subjects", kept.subjects == imposed.subjects),
        ("retention", kept.retention == imposed.retention),
        ("storage", kept.storage == imposed.storage),
        ("discard policy", kept.discard == imposed.discard),
        ("replicas", kept.num_replicas == imposed.num_replicas),
        ("max_age", kept.max_age == imposed.max_age),
        ("allow_direct", kept.allow_direct == imposed.allow_direct),
        ("duplicate_window", kept.duplicate_window == imposed.duplicate_window),
        ("max_msgs", kept.max_messages == imposed.max_messages),
        ("max_msgs_per_subject", kept.max_messages_per_subject == imposed.max_messages_per_subject),
        ("max_msg_size", kept.max_message_size == imposed.max_message_size),
        (
            "discard_new_per_subject",
            kept.discard_new_per_subject == imposed.discard_new_per_subject,
        ),
        ("no_ack", kept.no_ack == imposed.no_ack),
        ("subject_transform", kept.subject_transform == imposed.subject_transform),
        ("persist_mode", kept.persist_mode == imposed.persist_mode),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}
