//! A rolling upgrade: the programs of an earlier commit and those of this one, on one NATS and one catalogue in SQLite,
//! while one dcmsend follows another. `tests/rolling-upgrade COMMIT` builds the earlier ones and runs these tests. What those
//! of one commit recorded is in `tests/recorded`, and is read by each run of the tests.

use crate::harness::listening::Listening;
use crate::harness::pipeline::{
    Ends, Process, Services, address, broker, service, test_settings, with,
};
use crate::harness::scu::Scu;
use crate::harness::tools;
use crate::harness::{LOOK_EVERY, eventually, series_to_store};
use async_nats::HeaderMap;
use async_nats::jetstream;
use collimator::embedded_nats::EmbeddedNats;
use collimator::synthetic::SyntheticStudy;
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// The environment variable with the folder of the earlier programs.
const PREVIOUS_PROGRAMS: &str = "PREVIOUS_PROGRAMS";

/// Instances of each series that is sent.
const INSTANCES: u32 = 3;

/// A NATS and a catalogue, and the programs of two versions that run on them.
struct Deployment {
    broker: EmbeddedNats,
    settings: Vec<(&'static str, String)>,
    previous: PathBuf,
    folder: TempDir,
}

impl Deployment {
    async fn empty() -> Self {
        let previous = std::env::var_os(PREVIOUS_PROGRAMS)
            .unwrap_or_else(|| panic!("{PREVIOUS_PROGRAMS} has to name a folder"));
        // Nobody sends while they are built.
        service("indexer").await;
        let folder = tempfile::tempdir().unwrap();
        let broker = broker(&folder.path().join("nats")).await;
        let mut settings = with(test_settings(folder.path()), &[("DRAIN_TIMEOUT", "20s")]);
        settings.push(("NATS_URL", broker.url().to_string()));
        let catalogue = folder.path().join("catalog.db").display().to_string();
        settings.push(("DATABASE_URL", format!("sqlite://{catalogue}")));
        Self { broker, settings, previous: previous.into(), folder }
    }

    /// Starts a program of the earlier version.
    fn old(&self, name: &str) -> Process {
        self.old_with(name, &[])
    }

    fn old_with(&self, name: &str, more: &[(&'static str, &str)]) -> Process {
        let settings = with(self.settings.clone(), more);
        Process::start(&self.previous.join(name), self.folder.path(), &settings)
    }

    /// Starts one of this version.
    async fn current(&self, name: &str) -> Process {
        Process::start(&service(name).await, self.folder.path(), &self.settings)
    }

    /// Runs a command of the earlier indexer to its end.
    async fn old_command(&self, arguments: &[&str]) {
        let program = self.previous.join("indexer");
        let folder = self.folder.path();
        let mut process = Process::start_with(&program, arguments, folder, &self.settings);
        assert_eq!(process.ended().await, Some(0), "{}", process.printed());
    }

    async fn ends(&self, dicom: SocketAddr, api: SocketAddr) -> Ends {
        Ends::new(dicom, format!("http://{api}"), self.broker.url().to_string()).await
    }

    /// How many changes the tables of the catalogue have had.
    async fn migrations(&self) -> i64 {
        let path = self.folder.path().join("catalog.db");
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut catalogue = options.connect().await.unwrap();
        sqlx::query_scalar("select count(*) from _sqlx_migrations")
            .fetch_one(&mut catalogue)
            .await
            .unwrap()
    }
}

/// Where a program listens.
async fn listens(program: &mut Process, message: &str) -> SocketAddr {
    program.says("where it listens", |line| address(line, message)).await
}

async fn stops(mut program: Process) {
    program.signal("TERM");
    assert_eq!(program.ended().await, Some(0), "{}", program.printed());
}

/// Somebody who sends one series after the other, each to one of the receivers and again until all of it is stored.
struct Sender {
    receivers: Arc<Mutex<Vec<SocketAddr>>>,
    sent: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Sender {
    fn to(receiver: SocketAddr) -> Self {
        let receivers = Arc::new(Mutex::new(vec![receiver]));
        let sent = Arc::<Mutex<Vec<String>>>::default();
        let task = tokio::spawn(send_on(receivers.clone(), sent.clone()));
        Self { receivers, sent, task }
    }

    /// From now on it sends to these.
    fn goes_to(&self, receivers: &[SocketAddr]) {
        *self.receivers.lock().unwrap() = receivers.to_vec();
    }

    /// Waits until it has sent as many more.
    async fn sends(&self, more: usize) {
        let all = self.sent.lock().unwrap().len() + more;
        eventually(&format!("{all} series to be sent"), async || {
            (self.sent.lock().unwrap().len() >= all).then_some(())
        })
        .await;
    }

    /// The series that it has sent; it stops.
    async fn stop(self) -> BTreeSet<String> {
        self.receivers.lock().unwrap().clear();
        self.task.await.unwrap();
        self.sent.lock().unwrap().drain(..).collect()
    }
}

async fn send_on(receivers: Arc<Mutex<Vec<SocketAddr>>>, sent: Arc<Mutex<Vec<String>>>) {
    for tries in 0.. {
        let study = SyntheticStudy::new().series("MR", INSTANCES).size(16, 16);
        let folder = tempfile::tempdir().unwrap();
        study.write_to(folder.path()).unwrap();
        loop {
            let receiver = {
                let receivers = receivers.lock().unwrap();
                let Some(receiver) = receivers.get(tries % receivers.len().max(1)) else { return };
                *receiver
            };
            if tools::dcmsend_stores(receiver, folder.path()).await == INSTANCES as usize {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        sent.lock().unwrap().extend(study.series_instance_uids());
    }
}

/// Somebody who listens to completions, and resumes at another API when one ends.
struct Listener {
    api: Arc<Mutex<String>>,
    heard: Arc<Mutex<BTreeSet<String>>>,
    task: JoinHandle<()>,
}

impl Listener {
    fn to(api: SocketAddr) -> Self {
        let api = Arc::new(Mutex::new(format!("http://{api}")));
        let heard = Arc::<Mutex<BTreeSet<String>>>::default();
        let task = tokio::spawn(listen_on(api.clone(), heard.clone()));
        Self { api, heard, task }
    }

    fn resumes_at(&self, api: SocketAddr) {
        *self.api.lock().unwrap() = format!("http://{api}");
    }

    /// Waits until it was told of all of these.
    async fn hears(self, series: &BTreeSet<String>) {
        eventually("all completions in /events", async || {
            self.heard.lock().unwrap().is_superset(series).then_some(())
        })
        .await;
        self.task.abort();
    }
}

async fn listen_on(api: Arc<Mutex<String>>, heard: Arc<Mutex<BTreeSet<String>>>) {
    let mut last: Option<String> = None;
    loop {
        let at = api.lock().unwrap().clone();
        // One that has just started may have no connection to NATS yet.
        let Ok(mut listening) = Listening::to(&at, "", last.as_deref()).await else {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        while let Some(event) = listening.next().await {
            if !event.id.is_empty() {
                last = Some(event.id);
            }
            if event.name == "series.completed" {
                let uid = event.data["SeriesInstanceUID"].as_str().unwrap().to_owned();
                heard.lock().unwrap().insert(uid);
            }
        }
    }
}

/// Each series is listed with its instances, and each revision announced once.
async fn nothing_is_missing(ends: &Ends, sent: &BTreeSet<String>) {
    eventually("all series with all of their instances", async || {
        let listed = ends.series().await.into_iter();
        let whole = listed.filter(|series| series["InstancesCount"] == INSTANCES);
        let whole = whole.map(|series| series["SeriesInstanceUID"].as_str().unwrap().to_owned());
        whole.collect::<BTreeSet<_>>().is_superset(sent).then_some(())
    })
    .await;
    let completions = ends.completions().await;
    let announced: BTreeSet<_> =
        completions.iter().map(|it| (it.series_instance_uid.to_string(), it.revision)).collect();
    assert_eq!(announced.len(), completions.len(), "a revision is announced twice");
    for uid in sent {
        assert!(announced.iter().any(|(announced, _)| announced == uid), "{uid} is not announced");
    }
    let (series, announcements) = (sent.len(), completions.len());
    println!(
        "{series} series sent by dcmsend, {announcements} announcements: lost 0, doubled 0, unannounced 0"
    );
}

async fn dead_letters(api: &str) -> Vec<Value> {
    reqwest::get(format!("{api}/dead-letters")).await.unwrap().json().await.unwrap()
}

async fn stores(api: &str, uid: &str) -> StatusCode {
    let series = series_to_store(uid, "1.2", INSTANCES.into());
    Client::new().post(format!("{api}/store")).json(&series).send().await.unwrap().status()
}

/// A series of which half comes through either receiver.
async fn a_series_through(first: SocketAddr, second: SocketAddr, ends: &Ends) {
    let study = SyntheticStudy::new().series("MR", 4).size(16, 16);
    let images = study.instances().unwrap();
    let mut associations = [Scu::for_mr(first).await, Scu::for_mr(second).await];
    for (number, image) in images.iter().enumerate() {
        associations[number % 2].stores(image).await;
    }
    for association in associations {
        association.release().await;
    }
    let [uid] = study.series_instance_uids().try_into().unwrap();
    ends.lists(&uid, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the programs of an earlier commit: tests/rolling-upgrade builds them"]
async fn in_the_documented_order_nothing_is_lost_doubled_or_dead() {
    let deployment = Deployment::empty().await;
    let mut old_indexer = deployment.old("indexer");
    old_indexer.indexes().await;
    let (mut old_ingest, mut old_api) = (deployment.old("ingest"), deployment.old("api"));
    let old_dicom = listens(&mut old_ingest, "ingest listens").await;
    let old_addr = listens(&mut old_api, "api listens").await;
    let old_ends = deployment.ends(old_dicom, old_addr).await;
    let sender = Sender::to(old_dicom);
    let listener = Listener::to(old_addr);
    sender.sends(2).await;
    let backup = deployment.folder.path().join("backup.db").display().to_string();
    deployment.old_command(&["backup", &backup]).await;

    // Indexers. The new one changes nothing before the old one has gone.
    let before = deployment.migrations().await;
    let mut indexer = deployment.current("indexer").await;
    let waits = |line: &str| {
        let is_said = line.contains("standing by") || line.contains("trying again");
        is_said.then(|| line.to_owned())
    };
    println!("beside the old indexer: {}", indexer.says("that it waits", waits).await);
    sender.sends(2).await;
    assert_eq!(deployment.migrations().await, before);
    assert!(!indexer.printed().contains("\"indexing\""), "{}", indexer.printed());
    stops(old_indexer).await;
    indexer.indexes().await;
    // Old receivers go on.
    sender.sends(2).await;

    // The old API is ready as long as the tables are the same; what is asked for is carried out.
    let after = deployment.migrations().await;
    println!("changes of the tables: {before} before, {after} after");
    if after == before {
        assert!(old_ends.is_ready().await);
    } else {
        eventually("the old API to be not ready", async || {
            (!old_ends.is_ready().await).then_some(())
        })
        .await;
    }
    let stored = stores(&old_ends.api, "1.2.3").await;
    println!("POST /store at the old API: {stored}");
    assert!(stored == 200 || after != before && stored == 503, "{stored}");

    // An old indexer that comes again has no part in it.
    let mut late = deployment.old("indexer");
    if after == before {
        late.stands_by().await;
    } else {
        indexer.kill();
        assert_ne!(late.ended().await, Some(0), "{}", late.printed());
        let printed = late.printed();
        println!("an old indexer on new tables: {}", printed.lines().last().unwrap_or_default());
        assert!(!printed.contains("\"indexing\""), "{printed}");
        indexer = deployment.current("indexer").await;
        indexer.indexes().await;
    }
    late.kill();

    // APIs.
    let mut api = deployment.current("api").await;
    let addr = listens(&mut api, "api listens").await;
    listener.resumes_at(addr);
    stops(old_api).await;
    let ends = deployment.ends(old_dicom, addr).await;
    eventually("the new API to be ready", async || ends.is_ready().await.then_some(())).await;
    assert_eq!(stores(&ends.api, "1.2.4").await, 200);
    if stored == 200 {
        ends.lists("1.2.3", INSTANCES.into()).await;
    }
    sender.sends(2).await;

    // Receivers.
    let mut ingest = deployment.current("ingest").await;
    let dicom = listens(&mut ingest, "ingest listens").await;
    sender.goes_to(&[old_dicom, dicom]);
    sender.sends(4).await;
    sender.goes_to(&[dicom]);
    sender.sends(2).await;
    stops(old_ingest).await;
    let sent = sender.stop().await;
    nothing_is_missing(&ends, &sent).await;
    listener.hears(&sent).await;

    // One series through an old and a new receiver.
    let mut old_ingest = deployment.old("ingest");
    let old_dicom = listens(&mut old_ingest, "ingest listens").await;
    a_series_through(old_dicom, dicom, &ends).await;
    assert_eq!(dead_letters(&ends.api).await, Vec::<Value>::new());
    stops(api).await;
    stops(indexer).await;

    // And back: the old programs, on the backup, which the streams complete.
    let restored = [("DATABASE_URL", &*format!("sqlite://{backup}"))];
    let mut old_indexer = deployment.old_with("indexer", &restored);
    old_indexer.indexes().await;
    let mut old_api = deployment.old_with("api", &restored);
    let old_addr = listens(&mut old_api, "api listens").await;
    let old_ends = deployment.ends(old_dicom, old_addr).await;
    nothing_is_missing(&old_ends, &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the programs of an earlier commit: tests/rolling-upgrade builds them"]
async fn in_the_reverse_order_nothing_is_missing_once_dead_letters_are_replayed() {
    let deployment = Deployment::empty().await;
    let mut old_indexer = deployment.old("indexer");
    old_indexer.indexes().await;
    let mut old_ingest = deployment.old("ingest");
    let old_dicom = listens(&mut old_ingest, "ingest listens").await;
    let sender = Sender::to(old_dicom);
    sender.sends(2).await;

    // Receivers.
    let mut ingest = deployment.current("ingest").await;
    let dicom = listens(&mut ingest, "ingest listens").await;
    sender.goes_to(&[old_dicom, dicom]);
    sender.sends(4).await;
    sender.goes_to(&[dicom]);
    sender.sends(1).await;
    stops(old_ingest).await;

    // APIs. What they ask of an old indexer may be done, or not.
    let mut api = deployment.current("api").await;
    let addr = listens(&mut api, "api listens").await;
    let ends = deployment.ends(dicom, addr).await;
    println!("a new API beside an old indexer: ready {}", ends.is_ready().await);
    let stored = stores(&ends.api, "1.2.3").await;
    println!("POST /store at the new API: {stored}");
    assert!(stored == 200 || stored == 503, "{stored}");
    sender.sends(2).await;

    // Indexers.
    let mut indexer = deployment.current("indexer").await;
    stops(old_indexer).await;
    indexer.indexes().await;
    eventually("the API to be ready", async || ends.is_ready().await.then_some(())).await;
    sender.sends(2).await;
    let sent = sender.stop().await;
    let letters = dead_letters(&ends.api).await;
    println!("dead letters: {}", letters.len());
    for letter in letters {
        let replay = format!("{}/dead-letters/{}/replay", ends.api, letter["Sequence"]);
        let replayed = Client::new().post(replay).send().await.unwrap();
        assert!(replayed.status().is_success(), "{replayed:?}");
    }
    if stored == 200 {
        ends.lists("1.2.3", INSTANCES.into()).await;
    }
    assert_eq!(stores(&ends.api, "1.2.4").await, 200);
    nothing_is_missing(&ends, &sent).await;
    assert_eq!(dead_letters(&ends.api).await, Vec::<Value>::new());
}

/// What INSTANCES had of a pipeline, and what came of it.
#[derive(Serialize, Deserialize)]
struct Recording {
    events: Vec<Recorded>,
    /// By their UIDs, as [`outcome`] has them.
    series: BTreeMap<String, Value>,
}

/// An event.
#[derive(Serialize, Deserialize)]
struct Recorded {
    subject: String,
    headers: BTreeMap<String, String>,
    payload: Value,
}

/// With which it is recorded and read: what decides is evidence, however fast it comes.
const RULES: [(&str, &str); 2] = [("QUIET_PERIOD", "1h"), ("ABORT_GRACE", "1s")];

/// The environment variable with the file to which a recording is written.
const RECORD_TO: &str = "RECORD_TO";

/// What is known of a series, but for times: null once it was deleted.
async fn outcome(api: &str, uid: &str) -> Value {
    let series = reqwest::get(format!("{api}/series/{uid}")).await.unwrap();
    if series.status() != 200 {
        return Value::Null;
    }
    let series: Value = series.json().await.unwrap();
    let keys = ["State", "Reason", "Revision", "InstancesCount", "PatientName", "Source"];
    keys.iter().map(|key| (*key, series[key].clone())).collect()
}

impl Recording {
    /// Of a pipeline in which all of this happens: series that are released, sent again, aborted, completed by request,
    /// stored, and deleted.
    async fn of(ends: &Ends) -> Self {
        let series = async |instances: u32| {
            let study = SyntheticStudy::new().series("MR", instances).size(16, 16);
            let mut sender = Scu::for_mr(ends.dicom).await;
            let images = study.instances().unwrap();
            for image in &images {
                sender.stores(image).await;
            }
            (study.series_instance_uids().remove(0), images, sender)
        };
        let is = async |uid: &str, reason: &str| {
            let what = format!("{uid} to be complete as {reason}");
            eventually(&what, async || {
                (outcome(&ends.api, uid).await["Reason"] == reason).then_some(())
            })
            .await;
        };
        let (released, images, sender) = series(3).await;
        sender.release().await;
        is(&released, "released").await;
        let mut again = Scu::for_mr(ends.dicom).await;
        for image in &images {
            again.stores(image).await;
        }
        again.release().await;
        let (interrupted, _, sender) = series(2).await;
        drop(sender);
        is(&interrupted, "interrupted").await;
        let (requested, _, sender) = series(4).await;
        eventually("the series to be known", async || {
            let complete = format!("{}/series/{requested}/complete", ends.api);
            let asked = Client::new().post(complete).send().await.unwrap();
            (asked.status() == 202).then_some(())
        })
        .await;
        is(&requested, "requested").await;
        sender.release().await;
        for uid in ["1.2.3", "1.2.4"] {
            assert_eq!(stores(&ends.api, uid).await, 200);
        }
        let delete = Client::new().delete(format!("{}/series/1.2.4", ends.api));
        assert_eq!(delete.send().await.unwrap().status(), 202);
        eventually("a deletion", async || {
            outcome(&ends.api, "1.2.4").await.is_null().then_some(())
        })
        .await;
        let mut outcomes = BTreeMap::new();
        for uid in [&released, &interrupted, &requested, "1.2.3", "1.2.4"] {
            outcomes.insert(uid.to_owned(), outcome(&ends.api, uid).await);
        }
        let events = ends.events("INSTANCES").await.into_iter().map(|event| Recorded {
            subject: event.subject.to_string(),
            headers: event
                .headers
                .iter()
                .map(|(name, values)| (name.to_string(), values[0].as_str().to_owned()))
                .collect(),
            payload: serde_json::from_slice(&event.payload).unwrap(),
        });
        Self { events: events.collect(), series: outcomes }
    }

    /// The programs of this version make the same of it.
    async fn reads_alike(self) {
        assert!(self.events.len() > 20 && self.series.len() == 5);
        let services = Services::start_with(&RULES).await;
        let jetstream = jetstream::new(services.nats.clone());
        for Recorded { subject, headers, payload } in self.events {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.insert(name.as_str(), value.as_str());
            }
            let payload = payload.to_string().into();
            let published = jetstream.publish_with_headers(subject, map, payload).await;
            published.unwrap().await.unwrap();
        }
        for (uid, wanted) in self.series {
            eventually(&format!("{uid} to be {wanted}"), async || {
                (outcome(&services.api, &uid).await == wanted).then_some(())
            })
            .await;
        }
        assert_eq!(dead_letters(&services.api).await, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn what_an_earlier_version_recorded_is_read_alike() {
    let recording = include_str!("recorded/62591a9.json");
    serde_json::from_str::<Recording>(recording).unwrap().reads_alike().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the programs of an earlier commit: tests/rolling-upgrade builds them"]
async fn what_the_earlier_programs_record_is_read_alike() {
    let mut deployment = Deployment::empty().await;
    deployment.settings = with(deployment.settings, &RULES);
    let mut indexer = deployment.old("indexer");
    indexer.indexes().await;
    let (mut ingest, mut api) =
        (deployment.old_with("ingest", &[("NODE_NAME", "ingest-1")]), deployment.old("api"));
    let dicom = listens(&mut ingest, "ingest listens").await;
    let ends = deployment.ends(dicom, listens(&mut api, "api listens").await).await;
    let recording = Recording::of(&ends).await;
    if let Some(path) = std::env::var_os(RECORD_TO) {
        let text = serde_json::to_string_pretty(&recording).unwrap();
        std::fs::write(path, text + "\n").unwrap();
    }
    recording.reads_alike().await;
}
