//! A PostgreSQL server that lives as long as the process of the tests.

use crate::free_port;
use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where Debian has it: a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// PostgreSQL refuses to run as root, and runs as `nobody` then.
const ROOT: u32 = 0;
const NOBODY: u32 = 65534;

/// Folder of the cluster in that of a server.
const CLUSTER: &str = "cluster";

/// The user of the database, who may do everything.
const USER: &str = "collimator";

/// How long a start may take. Generous: machines are shared.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// How often a server that starts is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What a server says that can't start right now, or a stand-by whose primary is away. It goes on.
const PASSING: [&str; 4] =
    ["starting up", "not yet accepting", "could not connect to the primary", "walreceiver"];

/// How often a start is tried: somebody else may take the port that was free a moment ago.
const TRIES: usize = 5;

/// Runs a server until its own input ends, which it does with the process of the tests, however that ends. Then
/// nothing of the server is left; its folder, the first argument, goes unless that is empty.
const WATCH: &str = r#"
folder=$1
shift
trap '' HUP INT TERM
"$@" &
server=$!
cat > /dev/null
kill -QUIT $server
wait $server
[ -z "$folder" ] || rm -rf "$folder"
"#;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    programs: PathBuf,
    port: u16,
    databases: AtomicU32,
    /// The watch over it, whose input ends with this process.
    _watch: Child,
}

impl Server {
    /// The one of this process, started when it is first asked for; `None` where PostgreSQL is not installed.
    pub(crate) fn of_this_process() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Server>> = OnceLock::new();
        SERVER.get_or_init(|| Some(Self::start(programs()?))).as_ref()
    }

    fn start(programs: PathBuf) -> Self {
        let mut log = String::new();
        for _ in 0..TRIES {
            match run(&programs) {
                Ok((watch, port)) => {
                    let databases = AtomicU32::new(0);
                    return Self { programs, port, databases, _watch: watch };
                }
                Err(logged) => log = logged,
            }
        }
        panic!("PostgreSQL does not start:\n{log}");
    }

    /// Makes an empty database and gives its name.
    pub(crate) fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run("createdb", &[&name]);
        name
    }

    /// Removes a database, whoever still uses it.
    pub(crate) fn drop_database(&self, name: &str) {
        self.run("dropdb", &["--force", "--if-exists", name]);
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// Runs one of PostgreSQL's own programs on the server.
    fn run(&self, program: &str, arguments: &[&str]) {
        let run = Command::new(self.programs.join(program))
            .args(["--host=127.0.0.1", "--username", USER, "--port", &self.port.to_string()])
            .args(arguments)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&run.stderr);
        // A test that fails drops its database on the way.
        if !run.status.success() && !thread::panicking() {
            panic!("{program} {arguments:?}: {printed}");
        }
    }
}

/// A server of a test's own, which the test may kill.
#[derive(Debug)]
pub struct KillableServer {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    /// Settings of its own, each `name=value`.
    settings: Vec<String>,
    /// The watch over it, whose input ends with this.
    watch: Option<Child>,
}

impl KillableServer {
    /// Starts one; `None` where PostgreSQL is not installed.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let server = Self::new(programs()?);
        make_cluster(&server.programs, server.folder.path());
        Some(server.started())
    }

    /// Starts one that speaks TLS with this certificate and key, both in PEM; `None` where PostgreSQL is not installed.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_with_tls(certificate: &Path, key: &Path) -> Option<Self> {
        let mut server = Self::new(programs()?);
        make_cluster(&server.programs, server.folder.path());
        for (setting, file) in [("ssl_cert_file", certificate), ("ssl_key_file", key)] {
            let own = server.folder.path().join(setting);
            fs::copy(file, &own).unwrap();
            // It refuses a key that others may read.
            fs::set_permissions(&own, Permissions::from_mode(0o600)).unwrap();
            give_away(&own, server.folder.path());
            server.settings.push(format!("{setting}={}", own.display()));
        }
        server.settings.push("ssl=on".to_owned());
        Some(server.started())
    }

    /// Starts a streaming stand-by of it, which may be read.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn standby(&self) -> Self {
        let mut standby = Self::new(self.programs.clone());
        standby.follow(self);
        standby
    }

    /// Becomes a streaming stand-by of another one, after it was killed. What it had is gone.
    ///
    /// # Panics
    /// When it does not start.
    pub fn follow(&mut self, primary: &Self) {
        let cluster = self.folder.path().join(CLUSTER);
        if cluster.exists() {
            fs::remove_dir_all(&cluster).unwrap();
        }
        give_away(self.folder.path(), self.folder.path());
        let copied = unprivileged(&self.programs.join("pg_basebackup"), self.folder.path())
            .args(["--host=127.0.0.1", "--username", USER, "--port", &primary.port.to_string()])
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--pgdata"])
            .arg(&cluster)
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        self.start_again();
    }

    /// Commits nothing from now on that its stand-by does not have.
    pub fn commits_with_standby(&self) {
        self.query("alter system set synchronous_standby_names = '*'");
        self.query("select pg_reload_conf()");
    }

    /// Whether a stand-by has all that it commits.
    #[must_use]
    pub fn is_replicated(&self) -> bool {
        self.query("select count(*) from pg_stat_replication where sync_state = 'sync'") == "1"
    }

    /// Makes it a primary.
    ///
    /// # Panics
    /// When it is none soon.
    pub fn promote(&self) {
        self.control(&["promote", "--wait"]);
    }

    /// Stops it in order.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn stop(&mut self) {
        self.control(&["stop", "--mode=fast", "--wait"]);
        self.end_watch();
    }

    fn control(&self, arguments: &[&str]) {
        let run = unprivileged(&self.programs.join("pg_ctl"), self.folder.path())
            .args(arguments)
            .arg("--pgdata")
            .arg(self.folder.path().join(CLUSTER))
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "pg_ctl {arguments:?}: {printed}");
    }

    fn new(programs: PathBuf) -> Self {
        let folder = tempfile::Builder::new().prefix("postgres-").tempdir().unwrap();
        Self { programs, folder, port: free_port(), settings: Vec::new(), watch: None }
    }

    fn started(mut self) -> Self {
        self.start_again();
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The URL of its first database.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port, "postgres")
    }

    /// Kills it with SIGKILL, whatever it does at the moment.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let process = self.process();
        // Its children too: one in the middle of a statement would go on to its end.
        for children in ["-P", "-g"] {
            let _ = Command::new("pkill").args(["-KILL", children, &process]).status();
        }
        signal("-KILL", &process);
        self.end_watch();
    }

    /// Stops it and all of its children with SIGSTOP.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self) {
        let process = self.process();
        // First, so that it starts no more of them.
        signal("-STOP", &process);
        let _ = Command::new("pkill").args(["-STOP", "-P", &process]).status();
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn go_on(&self) {
        let process = self.process();
        let _ = Command::new("pkill").args(["-CONT", "-P", &process]).status();
        signal("-CONT", &process);
    }

    fn process(&self) -> String {
        let file = self.folder.path().join(CLUSTER).join("postmaster.pid");
        let text = fs::read_to_string(file).unwrap();
        text.lines().next().unwrap().to_owned()
    }

    /// What the server answers; empty when it does not.
    fn query(&self, query: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        let asked = psql.args(["-qtAX", &self.url(), "-c", query]).output().unwrap();
        String::from_utf8(asked.stdout).unwrap().trim().to_owned()
    }

    /// Starts it again, after it was killed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        let began = Instant::now();
        loop {
            match start(&self.programs, self.folder.path(), self.port, &self.settings, false) {
                Ok(watch) => {
                    self.watch = Some(watch);
                    return;
                }
                // The last of what was killed is not gone yet.
                Err(logged) => assert!(began.elapsed() < READY_LIMIT, "{logged}"),
            }
        }
    }

    fn end_watch(&mut self) {
        if let Some(mut watch) = self.watch.take() {
            drop(watch.stdin.take());
            let _ = watch.wait();
        }
    }
}

impl Drop for KillableServer {
    fn drop(&mut self) {
        self.end_watch();
    }
}

/// Makes a cluster in an empty folder, and gives the command that runs a server on it, with the URL of its first
/// database. For those who measure it: it syncs what it commits, and has PostgreSQL's own settings. `None` where
/// PostgreSQL is not installed.
///
/// # Panics
/// When the cluster can't be made.
#[must_use]
pub fn synced_server(folder: &Path) -> Option<(Command, String)> {
    let programs = programs()?;
    make_cluster(&programs, folder);
    let port = free_port();
    let mut command = unprivileged(&programs.join("postgres"), folder);
    command
        .arg("-D")
        .arg(folder.join(CLUSTER))
        .args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")])
        .args(["-c", "unix_socket_directories="]);
    Some((command, url(port, "postgres")))
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://{USER}@127.0.0.1:{port}/{database}")
}

/// Sends a process a signal.
fn signal(name: &str, process: &str) {
    let sent = Command::new("kill").args([name, process]).status().unwrap();
    assert!(sent.success(), "kill {name} {process}");
}

/// Where the programs of the latest version are.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let debian = versions.max().map(|(_, folder)| folder);
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian.into_iter().chain(std::env::split_paths(&path)).find(|folder| {
        ["initdb", "postgres", "createdb", "dropdb"].iter().all(|name| folder.join(name).is_file())
    })
}

/// Makes a cluster and starts a server on it; gives the watch over it and its port, or what it has logged.
fn run(programs: &Path) -> Result<(Child, u16), String> {
    // The watch removes it.
    let folder = tempfile::Builder::new().prefix("postgres-").tempdir().unwrap().keep();
    make_cluster(programs, &folder);
    let port = free_port();
    Ok((start(programs, &folder, port, &[], true)?, port))
}

/// Makes the cluster in a folder, for a user that PostgreSQL takes.
fn make_cluster(programs: &Path, folder: &Path) {
    give_away(folder, folder);
    let made = unprivileged(&programs.join("initdb"), folder)
        .args(["--no-sync", "--auth=trust", "--username", USER, "--encoding=UTF8"])
        // Text is sorted as people do unless a column says otherwise: a missing `collate "C"` shows.
        .args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--pgdata"])
        .arg(folder.join(CLUSTER))
        .output()
        .unwrap();
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
}

/// Starts a server on the cluster in a folder; gives the watch over it, or what it has logged.
#[allow(clippy::zombie_processes, reason = "the watch outlives this process")]
fn start(
    programs: &Path,
    folder: &Path,
    port: u16,
    settings: &[String],
    removes: bool,
) -> Result<Child, String> {
    let log = folder.join("log");
    let output = File::create(&log).unwrap();
    let removed = if removes { folder } else { Path::new("") };
    let watch = unprivileged(Path::new("sh"), folder)
        .args(["-c", WATCH, "sh"])
        .arg(removed)
        .arg(programs.join("postgres"))
        .arg("-D")
        .arg(folder.join(CLUSTER))
        // No test cuts the power: what a killed server wrote is in the kernel's memory.
        .args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"])
        .args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")])
        .args(["-c", &format!("unix_socket_directories={}", folder.display())])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .stdin(Stdio::piped())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        // Ctrl-C on a terminal goes to the whole foreground group, and the watch has to outlive the tests.
        .process_group(0)
        .spawn()
        .unwrap();
    let began = Instant::now();
    loop {
        let logged = fs::read_to_string(&log).unwrap();
        // Connections, or of a stand-by read-only ones.
        if logged.contains("database system is ready to accept") {
            return Ok(watch);
        }
        let refuses = logged.lines().any(|line| {
            line.contains("FATAL") && !PASSING.iter().any(|passing| line.contains(passing))
        });
        if refuses || began.elapsed() > READY_LIMIT {
            return Err(logged);
        }
        thread::sleep(POLL);
    }
}

/// Gives a file to the user that PostgreSQL runs as: not root.
fn give_away(file: &Path, folder: &Path) {
    let owner = fs::metadata(folder).unwrap().uid();
    if owner == ROOT || owner == NOBODY {
        chown(file, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// A command of a user that PostgreSQL takes.
fn unprivileged(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("HOME", folder);
    if fs::metadata(folder).unwrap().uid() == NOBODY {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
