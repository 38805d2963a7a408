//! The pipeline under test: as one process, or as its services. Each has its own nats-server,
//! store, catalogue and ports.

use super::database::Database;
pub use super::process::{Process, signal};
use super::{DEADLINE, LOOK_EVERY, eventually};
use async_nats::Client;
use async_nats::jetstream::{self, message::StreamMessage};
use catalog::{CatalogReader, CatalogSettings};
use collimator::embedded_nats::{EmbeddedNats, Finder, Pin};
use collimator::send::{SendSettings, send};
use contract::event::{InstanceStored, SeriesCompleted};
use jiff::SignedDuration;
use serde_json::Value;
use shared::nats_version::OldNats;
use shared::stream::position;
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// The all-in-one binary.
pub const COLLIMATOR: &str = env!("CARGO_BIN_EXE_collimator");

/// The settings of every test: free ports, short waits.
pub fn test_settings(folder: &Path) -> Vec<(&'static str, String)> {
    let loopback = || "127.0.0.1:0".to_owned();
    vec![
        ("DATA_DIR", folder.join("data").display().to_string()),
        ("DICOM_ADDR", loopback()),
        ("API_ADDR", loopback()),
        ("NATS_ADDR", loopback()),
        ("ADMIN_ADDR", loopback()),
        ("QUIET_PERIOD", "1s".to_owned()),
        ("INSTANCES_MAX_BYTES", "64MiB".to_owned()),
        ("RUST_LOG", "info,ingest=debug,indexer=debug,api=debug,audit_export=debug".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ]
}

/// Settings, and more of them.
pub fn with(
    mut settings: Vec<(&'static str, String)>,
    more: &[(&'static str, &str)],
) -> Vec<(&'static str, String)> {
    settings.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
    settings
}

/// Where a pipeline is reached, however it was started.
pub struct Ends {
    /// Where it receives.
    pub dicom: SocketAddr,
    /// Its HTTP API: `http://` and an address.
    pub api: String,
    /// Its broker.
    pub nats: async_nats::Client,
    /// Where that is.
    pub nats_url: String,
}

impl Ends {
    /// Of a pipeline that is there.
    pub async fn new(dicom: SocketAddr, api: String, nats_url: String) -> Self {
        let nats = async_nats::connect(&nats_url).await.unwrap();
        Self { dicom, api, nats, nats_url }
    }

    /// Sends instances with our own sender; all of them must be stored.
    pub async fn receives(&self, paths: Vec<PathBuf>) {
        let report = send(&SendSettings::new(self.dicom.to_string(), paths)).await.unwrap();
        assert!(report.is_complete(), "{report:?}");
    }

    /// Waits until the broker's clock has gone on by as much: a pause as the pipeline sees it.
    pub async fn pause(&self, pause: Duration) {
        let now = async || position(&self.nats).await.unwrap().now;
        let until = now().await + SignedDuration::try_from(pause).unwrap();
        eventually("the end of a pause", async || (now().await > until).then_some(())).await;
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let answer = reqwest::get(format!("{}/health/ready", self.api)).await.unwrap();
        answer.status() == 200
    }

    /// What is counted, in the text format of Prometheus.
    pub async fn metrics(&self) -> String {
        reqwest::get(format!("{}/metrics", self.api)).await.unwrap().text().await.unwrap()
    }

    /// Waits until a sample of a metric of ours has a value.
    pub async fn tells(&self, sample: &str, value: u64) {
        let wanted = format!("collimator_{sample} {value}");
        eventually(&wanted, async || {
            self.metrics().await.lines().any(|line| line == wanted).then_some(())
        })
        .await;
    }

    /// The series that the API lists.
    pub async fn series(&self) -> Vec<Value> {
        let answer = reqwest::get(format!("{}/series", self.api)).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// Waits until the API lists this series with this count, and gives what it says of it.
    pub async fn lists(&self, uid: &str, count: u64) -> Value {
        let is_it = |series: &Value| {
            series["SeriesInstanceUID"] == uid && series["InstancesCount"] == count
        };
        eventually(&format!("{uid} with {count} instances in GET /series"), async || {
            self.series().await.into_iter().find(is_it)
        })
        .await
    }

    /// All events of a stream so far.
    pub async fn events(&self, stream: &str) -> Vec<StreamMessage> {
        events(&self.nats, stream).await
    }

    /// The events of all instances that were stored so far.
    pub async fn stored(&self) -> Vec<StreamMessage> {
        let mut events = self.events("INSTANCES").await;
        events.retain(|event| event.subject.starts_with("dicom.instance.stored."));
        events
    }

    /// The SOP Instance UIDs of all instances that were stored so far. One whose acknowledgement was
    /// lost is refused and sent again, so there may be more events than these.
    pub async fn stored_instances(&self) -> HashSet<String> {
        let event = |event: &StreamMessage| -> InstanceStored {
            serde_json::from_slice(&event.payload).unwrap()
        };
        let uid = |stored: InstanceStored| stored.sop_instance_uid.to_string();
        self.stored().await.iter().map(event).map(uid).collect()
    }

    /// All completions that were announced so far. What the API lists is announced a moment later, so
    /// it is waited for.
    pub async fn completions(&self) -> Vec<SeriesCompleted> {
        let listed: u64 =
            self.series().await.iter().filter_map(|series| series["Revision"].as_u64()).sum();
        let began = Instant::now();
        loop {
            let announced = self.announced().await;
            // Who asks has to judge what there is when it is not all of them.
            if announced.len() as u64 >= listed || began.elapsed() > DEADLINE {
                return announced;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn announced(&self) -> Vec<SeriesCompleted> {
        let mut events = self.events("SERIES").await;
        events.retain(|event| event.subject.starts_with("dicom.series.completed."));
        events.iter().map(|event| serde_json::from_slice(&event.payload).unwrap()).collect()
    }
}

/// The pipeline in one process, with a broker of its own.
pub struct Collimator {
    /// The process.
    pub process: Process,
    ends: Ends,
    _database: Database,
    _folder: TempDir,
}

impl Collimator {
    /// All in one process.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// All in one process, with settings of its own.
    pub async fn start_with(settings: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::beside(folder.path());
        let mut all = test_settings(folder.path());
        if database.is_on_a_server() {
            all.push(("DATABASE_URL", database.url.clone()));
        }
        let settings = with(all, settings);
        let mut process = Process::start(Path::new(COLLIMATOR), folder.path(), &settings);
        let word_after = |start: &'static str, before: &'static str| {
            move |line: &str| {
                let rest = line.trim_start().strip_prefix(start)?.split_once(before)?.1;
                Some(rest.split_whitespace().next()?.to_owned())
            }
        };
        let (plain, tls) = (word_after("DICOM", " on "), word_after("TLS", " on "));
        let dicom =
            process.says("where it receives", |line| plain(line).or_else(|| tls(line))).await;
        let api = process.says("where its API is", word_after("API", "  ")).await;
        let nats = process.says("where its broker is", word_after("NATS", "  ")).await;
        let ends = Ends::new(dicom.parse().unwrap(), api, nats).await;
        Self { process, ends, _database: database, _folder: folder }
    }

    /// Where it receives over TLS.
    pub async fn tls(&mut self) -> SocketAddr {
        let addr = |line: &str| {
            let rest = line.trim_start().strip_prefix("TLS ")?.split_once(" on ")?.1;
            rest.split_whitespace().next()?.parse().ok()
        };
        self.process.says("where it receives over TLS", addr).await
    }
}

/// The services as processes of their own, on a broker that outlives them.
pub struct Services {
    /// The catalogue's writer.
    pub indexer: Process,
    /// The receiver.
    pub ingest: Process,
    /// The HTTP API.
    pub api_service: Process,
    ends: Ends,
    settings: Vec<(&'static str, String)>,
    _broker: EmbeddedNats,
    database: Database,
    folder: TempDir,
}

impl Services {
    /// Three processes and a broker.
    pub async fn start_with(settings: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = broker(&folder.path().join("nats")).await;
        let mut all = with(test_settings(folder.path()), settings);
        all.push(("NATS_URL", broker.url().to_string()));
        let database = Database::beside(folder.path());
        all.push(("DATABASE_URL", database.url.clone()));
        let start = async |name| Process::start(&service(name).await, folder.path(), &all);
        let (mut ingest, indexer) = (start("ingest").await, start("indexer").await);
        let mut api_service = start("api").await;
        let dicom = ingest.says("where it receives", |line| address(line, "ingest listens")).await;
        let api = api_service.says("where it is", |line| address(line, "api listens")).await;
        let mut services = Self {
            indexer,
            ends: Ends::new(dicom, format!("http://{api}"), broker.url().to_string()).await,
            ingest,
            api_service,
            settings: all,
            _broker: broker,
            database,
            folder,
        };
        services.indexer_is_at_work().await;
        eventually("the API to be ready", async || services.is_ready().await.then_some(())).await;
        services
    }

    /// Starts the indexer again, after it was killed.
    pub async fn start_indexer(&mut self) {
        let program = service("indexer").await;
        self.indexer = Process::start(&program, self.folder.path(), &self.settings);
        self.indexer_is_at_work().await;
    }

    /// Stops what uses the catalogue: the indexer and the API.
    pub async fn leaves_the_catalogue(&mut self) {
        for process in [&mut self.indexer, &mut self.api_service] {
            process.signal("TERM");
            assert_eq!(process.ended().await, Some(0));
        }
    }

    /// Starts the indexer and the API on another catalogue.
    pub async fn goes_on_with(&mut self, database: Database) {
        self.settings.retain(|(name, _)| *name != "DATABASE_URL");
        self.settings.push(("DATABASE_URL", database.url.clone()));
        self.database = database;
        self.start_indexer().await;
        let program = service("api").await;
        self.api_service = Process::start(&program, self.folder.path(), &self.settings);
        let listens = |line: &str| address(line, "api listens");
        let api = self.api_service.says("where it is", listens).await;
        self.ends.api = format!("http://{api}");
    }

    /// Starts the receiver again, after it was killed.
    pub async fn start_ingest(&mut self) {
        let program = service("ingest").await;
        self.ingest = Process::start(&program, self.folder.path(), &self.settings);
        let listens = |line: &str| address(line, "ingest listens");
        self.ends.dicom = self.ingest.says("where it receives", listens).await;
    }

    /// A second receiver on the same broker, with settings of its own, and where it receives.
    pub async fn another_ingest(&self, more: &[(&'static str, &str)]) -> (Process, SocketAddr) {
        let settings = with(self.settings.clone(), more);
        let mut ingest = Process::start(&service("ingest").await, self.folder.path(), &settings);
        let dicom = ingest.says("where it receives", |line| address(line, "ingest listens")).await;
        (ingest, dicom)
    }

    /// A command of the indexer on the same broker, with its settings; its exit code and what it
    /// printed.
    pub async fn indexer_command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut process = self.start_indexer_command(arguments).await;
        (process.ended().await, process.printed())
    }

    /// Starts such a command.
    pub async fn start_indexer_command(&self, arguments: &[&str]) -> Process {
        let program = service("indexer").await;
        Process::start_with(&program, arguments, self.folder.path(), &self.settings)
    }

    /// A command of the all-in-one program, without settings; its exit code and what it printed.
    pub async fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let folder = self.folder.path();
        let mut process = Process::start_with(Path::new(COLLIMATOR), arguments, folder, &[]);
        (process.ended().await, process.printed())
    }

    /// Where the catalogue is.
    pub fn database_url(&self) -> &str {
        &self.database.url
    }

    /// All that the catalogue says.
    pub async fn catalogue_rows(&self) -> Vec<String> {
        self.database.reader().rows().await.unwrap()
    }

    /// A folder that lives as long as this.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A second indexer on the same catalogue.
    pub async fn another_indexer(&self) -> Process {
        self.another_indexer_with(&[]).await
    }

    /// A second indexer, with settings of its own.
    pub async fn another_indexer_with(&self, more: &[(&'static str, &str)]) -> Process {
        let settings = with(self.settings.clone(), more);
        Process::start(&service("indexer").await, self.folder.path(), &settings)
    }

    async fn indexer_is_at_work(&mut self) {
        self.indexer.indexes().await;
    }
}

impl Deref for Collimator {
    type Target = Ends;
    fn deref(&self) -> &Ends {
        &self.ends
    }
}

impl Deref for Services {
    type Target = Ends;
    fn deref(&self) -> &Ends {
        &self.ends
    }
}

/// All that a catalogue in a file says.
pub async fn rows(path: &Path) -> Vec<String> {
    let settings = CatalogSettings::at(path);
    CatalogReader::open(&settings).unwrap().rows().await.unwrap()
}

/// A broker of the test's own, in `folder`.
pub async fn broker(folder: &Path) -> EmbeddedNats {
    let server = Finder::new(None, folder).find_or_fetch().await.unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    EmbeddedNats::start(&server, listen, folder, Some(Path::new(COLLIMATOR))).await.unwrap()
}

/// A nats-server that can really be killed, with a configuration, its store in `folder`.
pub async fn nats_server(
    configuration: &Path,
    folder: &Path,
    port: u16,
    monitoring: u16,
) -> Process {
    nats_server_with(configuration, folder, port, monitoring, &[]).await
}

/// As [`nats_server`], with environment variables that its configuration names.
pub async fn nats_server_with(
    configuration: &Path,
    folder: &Path,
    port: u16,
    monitoring: u16,
    more: &[(&'static str, &str)],
) -> Process {
    let server = Finder::new(None, folder).find_or_fetch().await.unwrap();
    run_nats_server(&server, configuration, folder, port, monitoring, more)
}

/// As [`nats_server_with`], a certain nats-server.
pub fn run_nats_server(
    server: &Path,
    configuration: &Path,
    folder: &Path,
    port: u16,
    monitoring: u16,
    more: &[(&'static str, &str)],
) -> Process {
    let (port, monitoring) = (port.to_string(), monitoring.to_string());
    let configuration = configuration.to_str().unwrap();
    let arguments = ["-c", configuration, "-a", "127.0.0.1", "-p", &port, "-m", &monitoring];
    let store = folder.join("nats").display().to_string();
    Process::start_with(server, &arguments, folder, &with(vec![("NATS_STORE_DIR", store)], more))
}

/// The nats-server of a version, fetched once for all tests.
pub async fn nats_server_of(pin: Pin) -> PathBuf {
    let caches = vec![Path::new(env!("CARGO_TARGET_TMPDIR")).join("nats-server")];
    let finder = Finder { setting: None, path: None, caches, pin, old: OldNats::default() };
    finder.find_or_fetch().await.unwrap()
}

/// The configuration that comes with the project.
pub fn nats_conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("nats.conf")
}

/// An address that nobody listens on at the moment.
pub fn free_addr() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, test_database::free_port()).into()
}

/// The address in a line such as `{"message":"ingest listens","addr":"127.0.0.1:4711"}`.
pub fn address(line: &str, message: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == message).then(|| line["addr"].as_str()?.parse().ok())?
}

/// The binary of a service. Cargo builds those of this package only for its tests, so the others
/// are built here, once, the way the tests were.
pub async fn service(name: &str) -> PathBuf {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    let folder = Path::new(COLLIMATOR).parent().unwrap();
    BUILT
        .get_or_init(|| async {
            let mut build = tokio::process::Command::new(env!("CARGO"));
            build.args(["build", "--quiet", "--workspace", "--bins"]);
            // Cargo sets these for tests. For whom they change ring is built again, and all that needs it.
            for (name, _) in std::env::vars_os() {
                let text = name.to_string_lossy();
                if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                    build.env_remove(&name);
                }
            }
            if folder.ends_with("release") {
                build.arg("--release");
            }
            let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().await.unwrap();
            assert!(built.success(), "the services could not be built");
        })
        .await;
    folder.join(name)
}

/// All events of a stream so far. After a broker has died, what our own client asks may be lost with the
/// connection, so it asks again.
pub async fn events(nats: &Client, stream: &str) -> Vec<StreamMessage> {
    let jetstream = jetstream::new(nats.clone());
    let mut stream = eventually(&format!("the stream {stream}"), async || {
        jetstream.get_stream(stream).await.ok()
    })
    .await;
    let state = stream.info().await.unwrap().state.clone();
    let mut events = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        events.push(stream.get_raw_message(sequence).await.unwrap());
    }
    events
}
