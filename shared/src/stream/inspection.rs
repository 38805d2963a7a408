//! How the broker keeps the streams, for `doctor` and `GET /health`.

use super::{ALL, impose, is_stream_not_found, wanted};
use crate::settings::StreamSettings;
use anyhow::Context as _;
use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, PeerInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

/// A stream as the broker keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// On how many servers it is kept.
    pub replicas: usize,
    /// The name of the server that leads it, where NATS is a cluster and one does.
    pub leader: Option<String>,
    /// The other servers that keep it.
    pub followers: Vec<Follower>,
    /// Messages in it.
    pub messages: u64,
    /// Their size on disk.
    pub bytes: u64,
    /// The size that they may have, if there is a limit.
    pub max_bytes: Option<u64>,
    config: Config,
}

impl Kept {
    /// What the promises rest on and is not so: names of its settings.
    #[must_use]
    pub fn differs(&self, settings: &StreamSettings) -> Vec<&'static str> {
        let wanted = wanted(settings).into_iter().find(|wanted| wanted.name == self.name);
        wanted.map(|wanted| differences(&self.config, &wanted)).unwrap_or_default()
    }
}

/// Looks how all streams are kept, and changes nothing; `None` is one that is not there.
///
/// # Errors
/// When the broker does not answer.
pub async fn inspect(jetstream: &Context) -> anyhow::Result<Vec<(&'static str, Option<Kept>)>> {
    let mut kept = Vec::new();
    for name in ALL {
        kept.push((name, look(jetstream, name).await?));
    }
    Ok(kept)
}

/// Looks how one is kept.
///
/// # Errors
/// When the broker does not answer.
pub async fn look(jetstream: &Context, name: &str) -> anyhow::Result<Option<Kept>> {
    let stream = match jetstream.get_stream(name).await {
        Ok(stream) => stream,
        Err(error) if is_stream_not_found(&error) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("asking for {name}")),
    };
    let info = stream.cached_info();
    Ok(Some(Kept {
        name: name.to_owned(),
        replicas: info.config.num_replicas.max(1),
        leader: info.cluster.as_ref().and_then(|cluster| cluster.leader.clone()),
        followers: info.cluster.iter().flat_map(|it| &it.replicas).map(Follower::of).collect(),
        messages: info.state.messages,
        bytes: info.state.bytes,
        max_bytes: u64::try_from(info.config.max_bytes).ok().filter(|bytes| *bytes > 0),
        config: info.config.clone(),
    }))
}

/// A server that keeps a stream and does not lead it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    /// Its name.
    pub name: String,
    /// Whether the leader does not hear of it.
    pub is_away: bool,
    /// Whether it has not all of the stream yet.
    pub is_behind: bool,
    /// How many operations it lacks, as far as the leader knows.
    pub lag: u64,
}

impl Follower {
    fn of(peer: &PeerInfo) -> Self {
        Self {
            name: peer.name.clone(),
            is_away: peer.offline,
            is_behind: peer.offline || !peer.current,
            lag: peer.lag.unwrap_or(0),
        }
    }
}

impl Display for Follower {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (self.is_away, self.lag) {
            (true, _) => f.write_str(" (away)"),
            (false, 0) if self.is_behind => f.write_str(" (behind)"),
            (false, 0) => Ok(()),
            (false, lag) => write!(f, " ({lag} behind)"),
        }
    }
}

/// The addresses under which NATS tells clients of several of its servers: what fails with one machine takes
/// several replicas along. Empty where each has an address of its own, or NATS does not tell any.
#[must_use]
pub fn shared_hosts(client: &Client) -> Vec<String> {
    hosts_in_common(&client.server_info().connect_urls)
}

fn hosts_in_common(addresses: &[String]) -> Vec<String> {
    let mut ports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for address in addresses {
        if let Some((host, port)) = address.rsplit_once(':') {
            ports.entry(host).or_default().insert(port);
        }
    }
    let shared = ports.into_iter().filter(|(_, ports)| ports.len() > 1);
    shared.map(|(host, _)| host.to_owned()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_one_host_are_known_by_their_addresses() {
        let shared = |addresses: &[&str]| {
            hosts_in_common(&addresses.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(shared(&["10.0.0.1:4222", "10.0.0.2:4222", "10.0.0.3:4222"]), [""; 0]);
        // Two of one server that listens on two addresses.
        assert_eq!(shared(&["10.0.0.1:4222", "[fd00::1]:4222", "10.0.0.2:4222"]), [""; 0]);
        let three = ["127.0.0.1:4222", "127.0.0.1:4223", "127.0.0.1:4224"];
        assert_eq!(shared(&three), ["127.0.0.1"]);
        assert_eq!(shared(&["[fd00::1]:4222", "[fd00::1]:4223", "a:1"]), ["[fd00::1]"]);
        // One is told twice.
        assert_eq!(shared(&["a:4222", "a:4222"]), [""; 0]);
    }

    #[test]
    fn a_follower_is_told_with_what_it_lacks() {
        let told = |is_away, is_behind, lag| {
            Follower { name: "n2".to_owned(), is_away, is_behind, lag }.to_string()
        };
        assert_eq!(told(false, false, 0), "n2");
        assert_eq!(told(false, true, 0), "n2 (behind)");
        assert_eq!(told(false, true, 17), "n2 (17 behind)");
        assert_eq!(told(true, true, 17), "n2 (away)");
    }
}
