//! Three brokers, two PostgreSQL servers, and all services more than once. Each has links of its own to what it uses,
//! so that it can be cut off.

use super::fault::{APIS, Fault, Harm, INDEXERS, INGESTS, Planned};
use crate::harness::cluster::{Cluster, SERVERS};
use crate::harness::database::Database;
use crate::harness::eventually;
use crate::harness::link::Link;
use crate::harness::pipeline::{Process, free_addr, service, test_settings};
use jiff::Timestamp;
use reqwest::Client;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use test_database::KillableServer;
use tokio::task::block_in_place;
use tokio::time::sleep;

/// How long a node has to say whether it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Ingest,
    Indexer,
    Api,
}

impl Role {
    fn program(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Indexer => "indexer",
            Self::Api => "api",
        }
    }
}

/// A service, which can be started again where it was.
struct Node {
    role: Role,
    program: PathBuf,
    settings: Vec<(&'static str, String)>,
    /// Where it says whether it is ready.
    health: SocketAddr,
    process: Process,
    brokers: Vec<Link>,
    databases: Vec<Link>,
}

/// All parts of a round.
pub struct Deployment {
    pub cluster: Cluster,
    nodes: Vec<Node>,
    databases: Vec<KillableServer>,
    /// Which of them takes writes. The other one stands by, or is dead.
    primary: usize,
    http: Client,
    folder: TempDir,
}

impl Deployment {
    /// Starts all of it; `None` where PostgreSQL is not installed.
    pub async fn start() -> Option<Self> {
        let databases = block_in_place(|| {
            let primary = KillableServer::start()?;
            let stand_by = primary.standby();
            primary.commits_with_standby();
            Some(vec![primary, stand_by])
        })?;
        let cluster = Cluster::start_unadvertised().await;
        let folder = tempfile::tempdir().unwrap();
        let mut nodes = Vec::new();
        for (role, many) in [(Role::Indexer, INDEXERS), (Role::Ingest, INGESTS), (Role::Api, APIS)]
        {
            for number in 0..many {
                nodes.push(Node::start(role, number, folder.path(), &cluster, &databases).await);
            }
        }
        let http = Client::builder().timeout(READY_TIMEOUT).build().unwrap();
        let deployment = Self { cluster, nodes, databases, primary: 0, http, folder };
        deployment.is_whole().await;
        Some(deployment)
    }

    /// Where the receivers are.
    pub fn dicom(&self) -> Vec<SocketAddr> {
        let setting = |node: &Node, name| {
            node.settings.iter().rfind(|(key, _)| *key == name).map(|(_, value)| value.clone())
        };
        let ingests = self.nodes.iter().filter(|node| node.role == Role::Ingest);
        ingests.map(|node| setting(node, "DICOM_ADDR").unwrap().parse().unwrap()).collect()
    }

    /// Where the APIs are.
    pub fn apis(&self) -> impl Iterator<Item = String> {
        let apis = self.nodes.iter().filter(|node| node.role == Role::Api);
        apis.map(|node| format!("http://{}", node.health))
    }

    /// The catalogue.
    pub fn database(&self) -> Database {
        Database::at(self.databases[self.primary].url())
    }

    /// Waits until something is announced that is later.
    pub async fn announces_since(&self, moment: Timestamp) {
        self.cluster.stores_since("SERIES", moment).await;
    }

    /// Waits until every part is there again and has all that it lacked.
    pub async fn is_whole(&self) {
        for stream in ["INSTANCES", "SERIES"] {
            self.cluster.has(stream, SERVERS).await;
        }
        if self.primary == 0 {
            let replicated =
                async || block_in_place(|| self.databases[0].is_replicated()).then_some(());
            eventually("the stand-by of PostgreSQL", replicated).await;
        }
        for node in &self.nodes {
            let url = format!("http://{}/health/ready", node.health);
            let mut said = String::new();
            eventually(&format!("{} to be ready", node.role.program()), async || {
                let answer = self.http.get(&url).send().await.ok()?;
                let is_ready = answer.status() == 200;
                said = answer.text().await.ok()?;
                is_ready.then_some(())
            })
            .await;
        }
    }

    /// Something bad, until it is over.
    pub async fn suffers(&mut self, planned: Planned) {
        let Planned { fault, number, lasts } = planned;
        match fault {
            Fault::Nothing => sleep(lasts).await,
            Fault::Broker(harm) => self.brokers_suffer(&[number], harm, lasts).await,
            Fault::TwoBrokers(harm) => {
                let others: Vec<_> = (0..SERVERS).filter(|other| *other != number).collect();
                self.brokers_suffer(&others, harm, lasts).await;
            }
            Fault::Ingest(harm) => self.node_suffers(Role::Ingest, number, harm, lasts).await,
            Fault::Indexer(harm) => self.node_suffers(Role::Indexer, number, harm, lasts).await,
            Fault::Api(harm) => self.node_suffers(Role::Api, number, harm, lasts).await,
            Fault::Database(harm) => self.database_suffers(self.primary, harm, lasts).await,
            Fault::StandBy(harm) => self.database_suffers(1, harm, lasts).await,
            Fault::FailOver => {
                block_in_place(|| self.databases[0].kill());
                sleep(lasts).await;
                block_in_place(|| self.databases[1].promote());
                self.primary = 1;
            }
        }
    }

    async fn brokers_suffer(&mut self, brokers: &[usize], harm: Harm, lasts: Duration) {
        let links = |nodes: &[Node], broker: usize, change: fn(&Link)| {
            nodes.iter().for_each(|node| change(&node.brokers[broker]));
        };
        for &broker in brokers {
            match harm {
                Harm::Killed => self.cluster.kill(broker),
                Harm::Stopped => block_in_place(|| self.cluster.signal(broker, "STOP")),
                Harm::CutOff => self.cluster.isolate(broker),
                Harm::CutOffElsewhere => {
                    self.cluster.isolate(broker);
                    links(&self.nodes, broker, Link::block);
                }
            }
        }
        sleep(lasts).await;
        for &broker in brokers {
            match harm {
                Harm::Killed => self.cluster.start_again(broker),
                Harm::Stopped => self.cluster.signal(broker, "CONT"),
                Harm::CutOff => self.cluster.rejoin(broker),
                Harm::CutOffElsewhere => {
                    self.cluster.rejoin(broker);
                    links(&self.nodes, broker, Link::unblock);
                }
            }
        }
    }

    async fn node_suffers(&mut self, role: Role, number: usize, harm: Harm, lasts: Duration) {
        let folder = self.folder.path();
        let mut nodes = self.nodes.iter_mut().filter(|node| node.role == role);
        let node = nodes.nth(number).unwrap();
        match harm {
            Harm::Killed => node.process.kill(),
            Harm::Stopped => block_in_place(|| node.process.signal("STOP")),
            Harm::CutOff => node.brokers.iter().for_each(Link::block),
            Harm::CutOffElsewhere => node.databases.iter().for_each(Link::block),
        }
        sleep(lasts).await;
        match harm {
            Harm::Killed => node.process = Process::start(&node.program, folder, &node.settings),
            Harm::Stopped => node.process.signal("CONT"),
            Harm::CutOff => node.brokers.iter().for_each(Link::unblock),
            Harm::CutOffElsewhere => node.databases.iter().for_each(Link::unblock),
        }
    }

    async fn database_suffers(&mut self, number: usize, harm: Harm, lasts: Duration) {
        let links = |nodes: &[Node], change: fn(&Link)| {
            nodes.iter().for_each(|node| change(&node.databases[number]));
        };
        let server = &mut self.databases[number];
        match harm {
            Harm::Killed => block_in_place(|| server.kill()),
            Harm::Stopped => block_in_place(|| server.pause()),
            Harm::CutOff | Harm::CutOffElsewhere => links(&self.nodes, Link::block),
        }
        sleep(lasts).await;
        match harm {
            Harm::Killed => block_in_place(|| server.start_again()),
            Harm::Stopped => block_in_place(|| server.go_on()),
            Harm::CutOff | Harm::CutOffElsewhere => links(&self.nodes, Link::unblock),
        }
    }
}

impl Node {
    async fn start(
        role: Role,
        number: usize,
        folder: &Path,
        cluster: &Cluster,
        databases: &[KillableServer],
    ) -> Self {
        let (mut brokers, mut links) = (Vec::new(), Vec::new());
        for broker in 0..SERVERS {
            brokers.push(Link::to(cluster.addr(broker)).await);
        }
        for database in databases {
            links.push(Link::to(database.addr()).await);
        }
        let listed = |links: &[Link], scheme: &str| {
            let listed: Vec<_> =
                links.iter().map(|link| format!("{scheme}{}", link.addr)).collect();
            listed.join(",")
        };
        let (dicom, health) = (free_addr(), free_addr());
        let mut settings = test_settings(folder);
        settings.extend([
            ("NATS_URL", listed(&brokers, "nats://")),
            (
                "DATABASE_URL",
                format!(
                    "postgres://collimator@{}/postgres?target_session_attrs=read-write",
                    listed(&links, "")
                ),
            ),
            ("STREAM_REPLICAS", "3".to_owned()),
            ("NODE_NAME", format!("{}{number}", role.program())),
            ("DICOM_ADDR", dicom.to_string()),
            ("ADMIN_ADDR", health.to_string()),
            ("API_ADDR", health.to_string()),
            // Shorter than a stop may take, so that events are delivered twice.
            ("ACK_WAIT", "1s".to_owned()),
            ("ABORT_GRACE", "2s".to_owned()),
            // A series is complete between its two associations, if the second one is late.
            ("SETTLE_PERIOD", "200ms".to_owned()),
            ("RUST_LOG", "info".to_owned()),
        ]);
        let program = service(role.program()).await;
        let process = Process::start(&program, folder, &settings);
        Self { role, program, settings, health, process, brokers, databases: links }
    }
}
