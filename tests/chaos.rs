//! Everything dies, hangs and is cut off while senders send, and nothing is lost.
//!
//! ```sh
//! bench/chaos 100          # rounds
//! bench/chaos 1 17         # that round again
//! ```

use crate::harness::database::Database;
use crate::harness::link::Link;
use crate::harness::pipeline::{
    Ends, Process, free_addr, nats_conf, nats_server, service, test_settings,
};
use crate::harness::{DEADLINE, eventually};
use collimator::send::{SendSettings, send};
use collimator::synthetic::SyntheticStudy;
use fastrand::Rng;
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const SENDERS: usize = 4;
/// Instances in each of the two series of a sender, and in one association.
const INSTANCES: u32 = 60;
const ASSOCIATION: usize = 6;
/// Pause of a sender between two associations: the sending has to last as long as the mishaps.
const PAUSE: Duration = Duration::from_millis(300);
/// Things that happen in a round.
const MISHAPS: usize = 10;

/// What can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Nats,
    Ingest,
    Indexer,
    Api,
}

const PARTS: [Part; 4] = [Part::Nats, Part::Ingest, Part::Indexer, Part::Api];

/// The parts of one round, each a process of its own that can be started again where it was.
struct Parts {
    processes: BTreeMap<Part, Process>,
    programs: BTreeMap<Part, PathBuf>,
    settings: Vec<(&'static str, String)>,
    nats: SocketAddr,
    dicom: Link,
    broker: Link,
    database: Database,
    folder: TempDir,
}

impl Parts {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (nats, dicom, api) = (free_addr(), free_addr(), free_addr());
        let (dicom_link, broker) = (Link::to(dicom).await, Link::to(nats).await);
        let mut settings = test_settings(folder.path());
        let database = Database::beside(folder.path());
        settings.extend([
            ("NATS_URL", format!("nats://{}", broker.addr)),
            ("DATABASE_URL", database.url.clone()),
            ("DICOM_ADDR", dicom.to_string()),
            ("API_ADDR", api.to_string()),
            ("NODE_NAME", "node".to_owned()),
            // Shorter than a stop may take, so that events are delivered twice.
            ("ACK_WAIT", "1s".to_owned()),
            ("ABORT_GRACE", "2s".to_owned()),
        ]);
        let mut programs = BTreeMap::new();
        for (part, name) in
            [(Part::Ingest, "ingest"), (Part::Indexer, "indexer"), (Part::Api, "api")]
        {
            programs.insert(part, service(name).await);
        }
        let processes = BTreeMap::new();
        let mut parts = Self {
            processes,
            programs,
            settings,
            nats,
            dicom: dicom_link,
            broker,
            database,
            folder,
        };
        for part in PARTS {
            parts.run(part).await;
        }
        parts
    }

    async fn run(&mut self, part: Part) {
        let folder = self.folder.path();
        let process = match part {
            Part::Nats => nats_server(&nats_conf(), folder, self.nats.port(), 0).await,
            part => Process::start(&self.programs[&part], folder, &self.settings),
        };
        self.processes.insert(part, process);
    }

    fn api(&self) -> String {
        let api = self.settings.iter().rfind(|(name, _)| *name == "API_ADDR").unwrap();
        format!("http://{}", api.1)
    }

    /// Something bad.
    async fn mishap(&mut self, rng: &mut Rng, tally: &mut Tally) {
        let part = *rng.choice(&PARTS).unwrap();
        let pause = |rng: &mut Rng| Duration::from_millis(rng.u64(0..500));
        match rng.u32(0..10) {
            0..6 => {
                *tally.kills.entry(part).or_default() += 1;
                self.processes.remove(&part);
                sleep(pause(rng)).await;
                self.run(part).await;
            }
            6..8 => {
                tally.stops += 1;
                self.processes[&part].signal("STOP");
                sleep(Duration::from_millis(rng.u64(100..2500))).await;
                self.processes[&part].signal("CONT");
            }
            _ => {
                tally.cuts += 1;
                if rng.bool() {
                    self.dicom.cut()
                } else {
                    self.broker.cut()
                };
            }
        }
        sleep(pause(rng)).await;
    }
}

/// What happened, in all rounds.
#[derive(Debug, Default)]
struct Tally {
    kills: BTreeMap<Part, u32>,
    stops: u32,
    cuts: u32,
    /// C-STOREs that were answered with Success, resends among them.
    acknowledged: usize,
    /// Tries that were not.
    tried_again: usize,
    instances: usize,
    completions: usize,
    revisions: u32,
}

/// Sends until each instance was answered with Success; counts the answers and what had to be tried
/// again.
async fn send_all(to: SocketAddr, name: String, paths: Vec<PathBuf>) -> (usize, usize) {
    let (mut acknowledged, mut tried_again) = (0, 0);
    for paths in paths.chunks(ASSOCIATION) {
        let mut left = paths.to_vec();
        let began = Instant::now();
        while !left.is_empty() {
            assert!(began.elapsed() < 2 * DEADLINE, "{name} gets nothing through");
            let mut settings = SendSettings::new(to.to_string(), left.clone());
            settings.calling_ae.clone_from(&name);
            settings.timeout = Duration::from_secs(7);
            match send(&settings).await {
                Ok(report) => {
                    acknowledged += report.stored;
                    left = report.not_stored.into_iter().map(|notice| notice.path).collect();
                }
                Err(_nobody_answers) => {}
            }
            tried_again += left.len();
            sleep(PAUSE).await;
        }
    }
    (acknowledged, tried_again)
}

/// Four senders at work.
struct Load {
    studies: Vec<SyntheticStudy>,
    senders: Vec<JoinHandle<(usize, usize)>>,
}

impl Load {
    fn on(parts: &Parts) -> Self {
        let study =
            || SyntheticStudy::new().series("MR", INSTANCES).series("CT", INSTANCES).size(96, 96);
        let studies: Vec<_> = (0..SENDERS).map(|_| study()).collect();
        let send = |(number, study): (usize, &SyntheticStudy)| {
            let name = format!("SENDER{number}");
            let paths = study.write_to(&parts.folder.path().join(&name)).unwrap();
            tokio::spawn(send_all(parts.dicom.addr, name, paths))
        };
        let senders = studies.iter().enumerate().map(send).collect();
        Self { studies, senders }
    }

    /// Waits until all is sent, and looks what became of it.
    async fn has_arrived(self, parts: &Parts, tally: &mut Tally) {
        for sender in self.senders {
            let (acknowledged, tried_again) = sender.await.unwrap();
            tally.acknowledged += acknowledged;
            tally.tried_again += tried_again;
        }
        recovered(parts, &self.studies, tally).await;
    }
}

async fn round(seed: u64, tally: &mut Tally) {
    let mut rng = Rng::with_seed(seed);
    let mut parts = Parts::start().await;
    let load = Load::on(&parts);
    for _ in 0..MISHAPS {
        parts.mishap(&mut rng, tally).await;
    }
    load.has_arrived(&parts, tally).await;
}

/// Nothing lost, nothing doubled, everything announced.
async fn recovered(parts: &Parts, studies: &[SyntheticStudy], tally: &mut Tally) {
    let nats = format!("nats://{}", parts.nats);
    let ends = Ends::new(parts.dicom.addr, parts.api(), nats).await;
    let series: Vec<_> = studies.iter().flat_map(SyntheticStudy::series_instance_uids).collect();
    for uid in &series {
        ends.lists(uid, INSTANCES.into()).await;
    }
    let catalogue = parts.database.reader().rows().await.unwrap();
    let instances = catalogue.iter().filter(|row| row.starts_with("instances ")).count();
    assert_eq!(instances, series.len() * INSTANCES as usize, "each instance is one row");

    // The last announcement of each series says the whole count; it may still be on its way.
    let completions = eventually("the last announcements", async || {
        let completions = ends.completions().await;
        let whole = |uid: &String| {
            completions.iter().any(|completion| {
                completion.series_instance_uid.as_str() == uid
                    && completion.instances_count == u64::from(INSTANCES)
            })
        };
        series.iter().all(whole).then_some(completions)
    })
    .await;
    let mut revisions: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for completion in &completions {
        let uid = completion.series_instance_uid.as_str();
        revisions.entry(uid).or_default().push(completion.revision);
    }
    for (uid, mut of_series) in revisions {
        of_series.sort_unstable();
        let expected: Vec<_> = (1..=of_series.len() as u32).collect();
        assert_eq!(of_series, expected, "each revision of {uid} is announced once");
        tally.revisions = tally.revisions.max(of_series.len() as u32);
    }
    let announced = ends.events("SERIES").await;
    let ids = announced.iter().map(|event| event.headers.get("Nats-Msg-Id").unwrap().as_str());
    assert_eq!(ids.collect::<HashSet<_>>().len(), announced.len(), "an id was used twice");
    assert!(ends.events("DEAD").await.is_empty(), "nothing was unreadable");
    tally.instances += instances;
    tally.completions += completions.len();
}

/// A number in the environment.
pub fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_nothing_is_lost_and_nothing_is_doubled() {
    let first = number("COLLIMATOR_CHAOS_SEED", 0);
    let rounds = number("COLLIMATOR_CHAOS_ROUNDS", 3);
    let mut tally = Tally::default();
    for seed in first..first + rounds {
        println!("round of seed {seed}");
        round(seed, &mut tally).await;
    }
    println!("{rounds} rounds, lost 0, counted twice 0, announcements missing 0: {tally:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_under_load_lose_nothing_and_double_nothing() {
    let mut parts = Parts::start().await;
    let load = Load::on(&parts);
    let mut tally = Tally::default();
    for part in [Part::Indexer, Part::Ingest, Part::Api, Part::Nats, Part::Ingest, Part::Indexer] {
        sleep(PAUSE).await;
        let mut process = parts.processes.remove(&part).unwrap();
        process.signal("TERM");
        let code = process.ended().await;
        // nats-server says 1 of a SIGTERM that it has obeyed.
        assert!(code == Some(0) || part == Part::Nats, "{part:?}: {code:?}");
        parts.run(part).await;
    }
    load.has_arrived(&parts, &mut tally).await;
    assert_eq!(tally.instances, SENDERS * 2 * INSTANCES as usize);
}
