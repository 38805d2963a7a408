//! Three nats-servers that replicate their streams.

use super::eventually;
use super::link::Link;
use super::pipeline::{Process, free_addr};
use async_nats::jetstream::message::StreamMessage;
use async_nats::{ServerAddr, jetstream};
use collimator::embedded_nats::Finder;
use jiff::Timestamp;
use std::net::SocketAddr;
use std::path::PathBuf;
use tempfile::TempDir;

/// How many of them.
pub const SERVERS: usize = 3;

/// A cluster. Each server can be killed and started again.
pub struct Cluster {
    servers: Vec<Server>,
    program: PathBuf,
    folder: TempDir,
    /// Between each two of them, from the one to the other.
    links: Vec<((usize, usize), Link)>,
}

struct Server {
    name: String,
    client: SocketAddr,
    configuration: PathBuf,
    process: Process,
}

impl Cluster {
    /// Three servers that have found each other and chosen a leader.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same, of which clients know only where they were told to connect to.
    pub async fn start_unadvertised() -> Self {
        Self::start_with("no_advertise: true, ").await
    }

    async fn start_with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Finder::new(None, folder.path()).find_or_fetch().await.unwrap();
        let peers: Vec<_> = (0..SERVERS).map(|_| free_addr()).collect();
        let mut links = Vec::new();
        for from in 0..SERVERS {
            for to in (0..SERVERS).filter(|to| *to != from) {
                links.push(((from, to), Link::to(peers[to]).await));
            }
        }
        let mut servers = Vec::new();
        for (number, peer) in peers.iter().enumerate() {
            let (name, client) = (format!("server{number}"), free_addr());
            let configuration = folder.path().join(format!("{name}.conf"));
            let store = folder.path().join(&name);
            let routes = links.iter().filter(|((from, _), _)| *from == number);
            let routes: Vec<_> =
                routes.map(|(_, link)| format!("\"nats-route://{}\"", link.addr)).collect();
            // Where nobody is: all go by the links.
            let nowhere = free_addr();
            let text = format!(
                "server_name: {name}\nlisten: \"{client}\"\njetstream {{ store_dir: \"{}\", max_file_store: 1TB }}\n\
                 cluster {{ {more}name: test, listen: \"{peer}\", advertise: \"{nowhere}\", routes: [{}] }}\n",
                store.display(),
                routes.join(", ")
            );
            std::fs::write(&configuration, text).unwrap();
            let arguments = ["-c", configuration.to_str().unwrap()];
            let process = Process::start_with(&program, &arguments, folder.path(), &[]);
            servers.push(Server { name, client, configuration, process });
        }
        let cluster = Self { servers, program, folder, links };
        for number in 0..SERVERS {
            eventually("the cluster to have a leader", async || {
                let client = async_nats::connect(cluster.url(number)).await.ok()?;
                jetstream::new(client).query_account().await.ok()
            })
            .await;
        }
        cluster
    }

    /// Where one of its servers is.
    pub fn url(&self, number: usize) -> String {
        format!("nats://{}", self.servers[number].client)
    }

    /// Keeps three replicas of a stream from now on, and waits until they are there.
    pub async fn replicates(&self, name: &str) {
        eventually("the replicas to be asked for", async || {
            let jetstream = self.jetstream().await?;
            let stream = jetstream.get_stream(name).await.ok()?;
            let mut config = stream.cached_info().config.clone();
            config.num_replicas = SERVERS;
            jetstream.update_stream(&config).await.ok()
        })
        .await;
        self.has(name, SERVERS).await;
    }

    /// Where all of them are, as NATS_URL has it.
    pub fn urls(&self) -> String {
        let urls: Vec<_> = (0..SERVERS).map(|number| self.url(number)).collect();
        urls.join(",")
    }

    /// One that does not lead the stream.
    pub async fn follower(&self, stream: &str) -> usize {
        let leader = self.leader(stream).await;
        (0..SERVERS).find(|number| *number != leader).unwrap()
    }

    /// The one that leads the stream.
    pub async fn leader(&self, stream: &str) -> usize {
        eventually(&format!("a leader of {stream}"), async || {
            let stream = self.jetstream().await?.get_stream(stream).await.ok()?;
            let leader = stream.cached_info().cluster.clone()?.leader?;
            self.servers.iter().position(|server| server.name == leader)
        })
        .await
    }

    /// The last message of a stream with such a subject.
    pub async fn last(&self, stream: &str, subject: &str) -> StreamMessage {
        eventually(&format!("a message {subject}"), async || {
            let stream = self.jetstream().await?.get_stream(stream).await.ok()?;
            stream.get_last_raw_message_by_subject(subject).await.ok()
        })
        .await
    }

    /// When the messages of a stream were stored that have such a subject, in nanoseconds since 1970.
    pub async fn stored_at(&self, stream: &str, such: impl Fn(&str) -> bool) -> Vec<i64> {
        let messages = self.messages(stream).await;
        let of_subject = messages.iter().filter(|message| such(&message.subject));
        of_subject.map(|message| message.time.unix_timestamp_nanos() as i64).collect()
    }

    /// All messages of a stream so far.
    pub async fn messages(&self, stream: &str) -> Vec<StreamMessage> {
        eventually("the stream to be read", async || {
            let stream = self.jetstream().await?.get_stream(stream).await.ok()?;
            let state = &stream.cached_info().state;
            let mut messages = Vec::new();
            for sequence in state.first_sequence.max(1)..=state.last_sequence {
                messages.push(stream.get_raw_message(sequence).await.ok()?);
            }
            Some(messages)
        })
        .await
    }

    /// Waits until a stream has stored something that is later.
    pub async fn stores_since(&self, name: &str, moment: Timestamp) {
        eventually(&format!("something new in {name}"), async || {
            let stream = self.jetstream().await?.get_stream(name).await.ok()?;
            let latest = stream.cached_info().state.last_timestamp.unix_timestamp_nanos();
            (latest > moment.as_nanosecond()).then_some(())
        })
        .await;
    }

    /// Waits until a stream has so many replicas, all of them with all of it.
    pub async fn has(&self, name: &str, replicas: usize) {
        eventually(&format!("{replicas} replicas of {name}"), async || {
            let stream = self.jetstream().await?.get_stream(name).await.ok()?;
            let info = stream.cached_info();
            let cluster = info.cluster.clone()?;
            let current = cluster.replicas.iter().filter(|peer| peer.current && !peer.offline);
            let is_whole = current.count() + 1 == replicas && cluster.leader.is_some();
            (info.config.num_replicas == replicas && is_whole).then_some(())
        })
        .await;
    }

    /// Starts a server that was killed.
    pub fn start_again(&mut self, number: usize) {
        let server = &mut self.servers[number];
        let arguments = ["-c", server.configuration.to_str().unwrap()];
        server.process = Process::start_with(&self.program, &arguments, self.folder.path(), &[]);
    }

    /// Cuts a server off from the others. Its clients reach it all the same.
    pub fn isolate(&self, number: usize) {
        self.links_of(number).for_each(Link::block);
    }

    /// It reaches them again.
    pub fn rejoin(&self, number: usize) {
        self.links_of(number).for_each(Link::unblock);
    }

    fn links_of(&self, number: usize) -> impl Iterator<Item = &Link> {
        let its = move |(from, to): &(usize, usize)| *from == number || *to == number;
        self.links.iter().filter(move |(ends, _)| its(ends)).map(|(_, link)| link)
    }

    /// Sends a server a signal by name, such as `STOP` or `CONT`.
    pub fn signal(&self, number: usize, name: &str) {
        self.servers[number].process.signal(name);
    }

    /// Where a server is.
    pub fn addr(&self, number: usize) -> SocketAddr {
        self.servers[number].client
    }

    /// Kills a server.
    pub fn kill(&mut self, number: usize) {
        self.servers[number].process.kill();
    }

    /// One that lives, if this one is dead.
    pub fn other(&self, number: usize) -> String {
        self.url((number + 1) % SERVERS)
    }

    /// Waits until events are stored again after this server was killed.
    pub async fn still_stores(&self, killed: usize) {
        let mut first = None;
        eventually("events to be stored after a death", async || {
            let client = async_nats::connect(self.other(killed)).await.ok()?;
            let last = shared::stream::position(&client).await.ok()?.last;
            (last > *first.get_or_insert(last)).then_some(())
        })
        .await;
    }

    /// By any server that lives. One that has just come back may be asked, and has nobody to ask itself yet.
    async fn jetstream(&self) -> Option<jetstream::Context> {
        let servers: Vec<ServerAddr> =
            (0..SERVERS).map(|number| self.url(number).parse().unwrap()).collect();
        Some(jetstream::new(async_nats::connect(servers).await.ok()?))
    }
}
