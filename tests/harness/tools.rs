//! Programs that are not ours: the senders of the real world.

use super::eventually;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Whether a test can use `program`. On a user's machine it is skipped without, and says so; in CI
/// (`COLLIMATOR_CI=1`) that is a failure.
///
/// # Panics
/// In CI, when the program isn't there.
pub fn have(program: &str) -> bool {
    folder_of(program).is_some() || skip(&format!("{program} is not installed"))
}

/// Where `program` is. [`have`] tells whether there is one.
pub fn path_of(program: &str) -> PathBuf {
    folder_of(program).unwrap_or_else(|| panic!("{program} is not installed")).join(program)
}

fn folder_of(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = [PathBuf::from("/usr/sbin")];
    std::env::split_paths(&path).chain(sbin).find(|folder| folder.join(program).is_file())
}

/// How many tests of this process were skipped.
static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Says that a test is skipped, past the capture of its output, and counts it; gives `false`, for the caller
/// to return on.
///
/// # Panics
/// In CI, where nothing is skipped.
pub fn skip(reason: &str) -> bool {
    assert!(std::env::var_os("COLLIMATOR_CI").is_none(), "nothing is skipped in CI: {reason}");
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let _ = writeln!(std::io::stderr(), "skipped ({count} so far): {reason}");
    false
}

/// Runs one of dcmtk's programs against a receiver and gives what it said. pynetdicom has programs of the same
/// names, which may come first in the PATH; `dcmsend` is dcmtk's alone.
pub async fn dcmtk(program: &str, to: SocketAddr, arguments: &[&str], paths: &[&Path]) -> Output {
    let folder = folder_of("dcmsend").unwrap_or_else(|| panic!("dcmsend is not installed"));
    let output = Command::new(folder.join(program))
        .args(arguments)
        .arg(to.ip().to_string())
        .arg(to.port().to_string())
        .args(paths)
        .output()
        .await;
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Sends folders with dcmsend, one association.
///
/// # Panics
/// When any instance of them was not stored.
pub async fn dcmsend(to: SocketAddr, folders: &[&Path]) {
    let arguments = ["--scan-directories", "--recurse"];
    let output = dcmtk("dcmsend", to, &arguments, folders).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "dcmsend: {said}");
    assert!(!said.contains("E:"), "dcmsend: {said}");
}

/// A port that nobody has. Orthanc takes no "any free port".
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running Orthanc that knows the receiver as the modality `collimator`.
pub struct Orthanc {
    /// Its REST API.
    pub url: String,
    _process: tokio::process::Child,
    _folder: tempfile::TempDir,
}

impl Orthanc {
    /// Starts it and waits for its REST API.
    pub async fn start(receiver: SocketAddr) -> Self {
        Self::start_at(free_port(), receiver).await
    }

    /// The same at a DICOM port that was free, where it is `PACS`.
    pub async fn start_at(dicom: u16, receiver: SocketAddr) -> Self {
        Self::start_with(dicom, receiver, &serde_json::json!({})).await
    }

    /// The same with further settings, which replace ours.
    pub async fn start_with(
        dicom: u16,
        receiver: SocketAddr,
        settings: &serde_json::Value,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let http = free_port();
        let mut configuration = serde_json::json!({
            "Name": "PACS",
            "StorageDirectory": folder.path().join("storage"),
            "IndexDirectory": folder.path().join("storage"),
            "HttpPort": http,
            "DicomPort": dicom,
            "DicomAet": "PACS",
            "RemoteAccessAllowed": false,
            "AuthenticationEnabled": false,
            "Plugins": [],
            "DicomModalities": {
                "collimator": ["COLLIMATOR", receiver.ip().to_string(), receiver.port()],
            },
        });
        for (key, value) in settings.as_object().unwrap() {
            configuration[key] = value.clone();
        }
        let path = folder.path().join("orthanc.json");
        std::fs::write(&path, configuration.to_string()).unwrap();
        let log = std::fs::File::create(folder.path().join("orthanc.log")).unwrap();
        let process = Command::new("Orthanc")
            .arg(&path)
            .env("PATH", "/usr/sbin:/usr/bin:/bin")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{}", configuration["HttpPort"]);
        eventually("Orthanc", async || {
            reqwest::get(format!("{url}/system")).await.ok().filter(|r| r.status() == 200)
        })
        .await;
        Self { url, _process: process, _folder: folder }
    }

    /// Puts an instance into it.
    pub async fn import(&self, path: &Path) {
        let client = reqwest::Client::new();
        let body = std::fs::read(path).unwrap();
        let answer =
            client.post(format!("{}/instances", self.url)).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// Has it push all that it has to the receiver; gives its answer.
    pub async fn push_everything(&self) -> serde_json::Value {
        self.push(&self.all("studies").await).await
    }

    /// Its resources of a kind.
    pub async fn all(&self, kind: &str) -> Vec<String> {
        reqwest::get(format!("{}/{kind}", self.url)).await.unwrap().json().await.unwrap()
    }

    /// Has it push some of its resources to the receiver; gives its answer.
    pub async fn push(&self, resources: &[String]) -> serde_json::Value {
        self.push_to("collimator", resources).await
    }

    /// The same to a receiver of its settings.
    pub async fn push_to(&self, modality: &str, resources: &[String]) -> serde_json::Value {
        let client = reqwest::Client::new();
        let store = format!("{}/modalities/{modality}/store", self.url);
        let answer = client.post(store).json(resources).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }
}

/// Sends all instances of a folder by dcmtk's `dcmsend`; gives how many were answered with Success.
pub async fn dcmsend_stores(to: SocketAddr, folder: &Path) -> usize {
    let mut command = Command::new(path_of("dcmsend"));
    let (host, port) = (to.ip().to_string(), to.port().to_string());
    command.args(["--verbose", "--scan-directories", &host, &port]).arg(folder);
    let output = command.output().await.unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let stored = printed.lines().find(|line| line.contains("with status SUCCESS"));
    stored.and_then(|line| line.rsplit(':').next()?.trim().parse().ok()).unwrap_or(0)
}

/// dcmqrscp, called `PACS`, at this address, with its files in a folder and these lines in its table of hosts. It is there.
pub async fn dcmqrscp(folder: &Path, at: SocketAddr, hosts: &str) -> Child {
    let database = folder.join("database");
    std::fs::create_dir(&database).unwrap();
    let configuration = format!(
        "NetworkTCPPort = {}\nMaxPDUSize = 16384\nMaxAssociations = 16\n\
         HostTable BEGIN\n{hosts}HostTable END\nVendorTable BEGIN\nVendorTable END\n\
         AETable BEGIN\nPACS {} RW (9, 1024mb) ANY\nAETable END\n",
        at.port(),
        database.display()
    );
    let path = folder.join("dcmqrscp.cfg");
    std::fs::write(&path, configuration).unwrap();
    let mut command = Command::new(path_of("dcmqrscp"));
    let child = command.arg("-c").arg(&path).kill_on_drop(true).spawn().unwrap();
    eventually("dcmqrscp", async || TcpStream::connect(at).await.ok()).await;
    child
}
