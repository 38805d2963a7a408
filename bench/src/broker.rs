//! A nats-server beside the programs that are measured, or three as a cluster: with our `nats.conf`, which syncs each
//! message, or without the sync.

use crate::lab::free_port;
use crate::process::{Program, Usage};
use anyhow::{Context as _, ensure};
use async_nats::{Client, ServerAddr, jetstream};
use collimator::embedded_nats::Finder;
use futures_util::TryStreamExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

const CONFIGURATION: &str = include_str!("../../nats.conf");

/// The line that makes an acknowledgement mean "on disk".
const SYNC: &str = "sync_interval: always";

/// How long a start may take: a large store is read again first.
const START: Duration = Duration::from_secs(120);

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whether an acknowledged message is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// As we ship it.
    Always,
    /// In the page cache, for up to two minutes.
    Sometimes,
}

/// A running nats-server, or several that replicate their streams.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) programs: Vec<Program>,
    /// Its url, or those of all with commas between them.
    pub(crate) url: String,
}

/// How many of them replicate their streams.
pub(crate) const REPLICAS: usize = 3;

/// The nats-server that `collimator` would run.
pub(crate) async fn server(target: &Path) -> anyhow::Result<PathBuf> {
    let setting = std::env::var_os("NATS_SERVER").map(PathBuf::from);
    Finder::new(setting, target).find_or_fetch().await
}

impl Broker {
    /// Starts one on a store in `folder`, which may be there already.
    pub(crate) async fn start(server: &Path, folder: &Path, sync: Sync) -> anyhow::Result<Self> {
        let (program, url) = run(server, folder, &configuration(sync)?, "collimator").await?;
        Ok(Self { programs: vec![program], url })
    }

    /// Starts three, each on a store of its own below `folder`, which may be there already.
    pub(crate) async fn start_cluster(
        server: &Path,
        folder: &Path,
        sync: Sync,
    ) -> anyhow::Result<Self> {
        let ports: Vec<_> = (0..REPLICAS).map(|_| free_port()).collect::<Result<_, _>>()?;
        let route = |port: &u16| format!("\"nats-route://127.0.0.1:{port}\"");
        let routes = ports.iter().map(route).collect::<Vec<_>>().join(", ");
        let (mut programs, mut urls) = (Vec::new(), Vec::new());
        for (number, port) in ports.iter().enumerate() {
            let own = folder.join(number.to_string());
            std::fs::create_dir_all(&own)?;
            let configuration = format!(
                "{}\ncluster {{ name: bench, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}\n",
                configuration(sync)?
            );
            let name = format!("nats-{number}");
            let (program, url) = run(server, &own, &configuration, &name).await?;
            programs.push(program);
            urls.push(url);
        }
        let broker = Self { programs, url: urls.join(",") };
        broker.is_a_cluster().await?;
        Ok(broker)
    }

    /// A client of it, or of any of them.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        let servers: Vec<ServerAddr> =
            self.url.split(',').map(str::parse).collect::<Result<_, _>>()?;
        Ok(async_nats::connect(servers).await?)
    }

    /// What all of them have used so far.
    pub(crate) fn usage(&self) -> Usage {
        self.programs.iter().map(Program::usage).fold(Usage::default(), Usage::and)
    }

    /// Waits until JetStream answers, and all that the streams have is on all of them.
    async fn is_a_cluster(&self) -> anyhow::Result<()> {
        let jetstream = jetstream::new(self.client().await?);
        let is_whole = async || {
            let mut streams = jetstream.streams();
            jetstream.query_account().await?;
            while let Some(stream) = streams.try_next().await? {
                let cluster = stream.cluster.context("a stream of one server")?;
                let current = cluster.replicas.iter().filter(|peer| peer.current).count();
                ensure!(cluster.leader.is_some() && current + 1 == REPLICAS, "replicas lag behind");
            }
            Ok(())
        };
        let began = Instant::now();
        loop {
            match is_whole().await {
                Ok(()) => return Ok(()),
                Err(error) => ensure!(began.elapsed() < START, "no cluster: {error:#}"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn configuration(sync: Sync) -> anyhow::Result<String> {
    ensure!(CONFIGURATION.contains(SYNC), "nats.conf does not sync any more");
    Ok(match sync {
        Sync::Always => CONFIGURATION.to_owned(),
        Sync::Sometimes => CONFIGURATION.replace(SYNC, ""),
    })
}

/// Runs one, and gives its url.
async fn run(
    server: &Path,
    folder: &Path,
    configuration: &str,
    name: &str,
) -> anyhow::Result<(Program, String)> {
    let ports = folder.join("ports");
    // Of an earlier start, whose port need not be ours.
    let _ = std::fs::remove_dir_all(&ports);
    std::fs::create_dir_all(&ports)?;
    std::fs::write(folder.join("nats.conf"), configuration)?;
    let mut command = Command::new(server);
    command
        .args(["-c", "nats.conf", "-n", name, "-a", "127.0.0.1", "-p", "-1", "-m", "0"])
        .args(["--ports_file_dir", "ports"])
        .env("NATS_STORE_DIR", "\".\"")
        .current_dir(folder);
    let mut program = Program::start(&mut command, &folder.join("nats-server.log"))?;
    let began = Instant::now();
    loop {
        if let Some(url) = url(&ports)
            && async_nats::connect(&url).await.is_ok()
        {
            return Ok((program, url));
        }
        ensure!(!program.has_ended(), "nats-server has ended; see its log");
        ensure!(began.elapsed() < START, "nats-server does not come up");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Where clients connect to, from the server's ports file.
fn url(ports: &Path) -> Option<String> {
    let file = std::fs::read_dir(ports).ok()?.next()?.ok()?.path();
    let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let url = ports.get("nats")?.get(0)?.as_str().context("no url");
    Some(url.ok()?.to_owned())
}
