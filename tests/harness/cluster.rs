//! Three nats-servers that replicate their streams.

use super::eventually;
use super::pipeline::{Process, free_addr};
use async_nats::jetstream;
use collimator::embedded_nats::Finder;
use std::net::SocketAddr;
use tempfile::TempDir;

/// How many of them.
const SERVERS: usize = 3;

/// A cluster. Each server can be killed and started again.
pub struct Cluster {
    servers: Vec<Server>,
    _folder: TempDir,
}

struct Server {
    name: String,
    client: SocketAddr,
    process: Process,
}

impl Cluster {
    /// Three servers that have found each other and chosen a leader.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Finder::new(None, folder.path()).find_or_fetch().await.unwrap();
        let peers: Vec<_> = (0..SERVERS).map(|_| free_addr()).collect();
        let routes: Vec<_> = peers.iter().map(|peer| format!("\"nats-route://{peer}\"")).collect();
        let mut servers = Vec::new();
        for (number, peer) in peers.iter().enumerate() {
            let (name, client) = (format!("server{number}"), free_addr());
            let configuration = folder.path().join(format!("{name}.conf"));
            let store = folder.path().join(&name);
            let text = format!(
                "server_name: {name}\nlisten: \"{client}\"\njetstream {{ store_dir: \"{}\" }}\n\
                 cluster {{ name: test, listen: \"{peer}\", routes: [{}] }}\n",
                store.display(),
                routes.join(", ")
            );
            std::fs::write(&configuration, text).unwrap();
            let arguments = ["-c", configuration.to_str().unwrap()];
            let process = Process::start_with(&program, &arguments, folder.path(), &[]);
            servers.push(Server { name, client, process });
        }
        let cluster = Self { servers, _folder: folder };
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
        let jetstream = self.jetstream(0).await;
        let stream = jetstream.get_stream(name).await.unwrap();
        let mut config = stream.cached_info().config.clone();
        config.num_replicas = SERVERS;
        eventually("the replicas to be asked for", async || {
            jetstream.update_stream(&config).await.ok()
        })
        .await;
        eventually(&format!("the replicas of {name}"), async || {
            let stream = jetstream.get_stream(name).await.ok()?;
            let cluster = stream.cached_info().cluster.clone()?;
            let current = cluster.replicas.iter().filter(|peer| peer.current).count();
            (current == SERVERS - 1 && cluster.leader.is_some()).then_some(())
        })
        .await;
    }

    /// One that does not lead the stream.
    pub async fn follower(&self, stream: &str) -> usize {
        let stream = self.jetstream(0).await.get_stream(stream).await.unwrap();
        let leader = stream.cached_info().cluster.clone().unwrap().leader.unwrap();
        self.servers.iter().position(|server| server.name != leader).unwrap()
    }

    /// Kills a server.
    pub fn kill(&mut self, number: usize) {
        self.servers[number].process.kill();
    }

    /// One that lives, if this one is dead.
    pub fn other(&self, number: usize) -> String {
        self.url((number + 1) % SERVERS)
    }

    async fn jetstream(&self, number: usize) -> jetstream::Context {
        jetstream::new(async_nats::connect(self.url(number)).await.unwrap())
    }
}
