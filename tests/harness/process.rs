//! Programs under test, as processes.

use super::{DEADLINE, LOOK_EVERY, eventually};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A child process that is killed when it is dropped, and what it has printed.
pub struct Process {
    child: Child,
    name: String,
    output: PathBuf,
}

impl Process {
    /// Starts a program with environment variables; its output goes to a file in `folder`.
    pub fn start(program: &Path, folder: &Path, environment: &[(&str, String)]) -> Self {
        Self::start_with(program, &[], folder, environment)
    }

    /// As [`Process::start`], with arguments.
    pub fn start_with(
        program: &Path,
        arguments: &[&str],
        folder: &Path,
        environment: &[(&str, String)],
    ) -> Self {
        let name = program.file_name().unwrap().to_string_lossy().into_owned();
        let output = folder.join(format!("{name}-{}.log", uuid::Uuid::new_v4()));
        let log = std::fs::File::create(&output).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(key, _)| is_passed_on(&key.to_string_lossy())))
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Self { child, name, output }
    }

    /// All that it has printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    /// SIGKILL: no time for last words.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by name, such as `TERM` or `STOP`.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for its end and gives its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let what = format!("the end of {}", self.name);
        eventually(&what, async || self.child.try_wait().unwrap()).await.code()
    }

    /// Waits until it has printed a line that `find` finds something in.
    pub async fn says<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        eventually(&format!("{} to say {what}", self.name), async || {
            let printed = self.printed();
            let found = printed.lines().find_map(&find);
            if found.is_none()
                && let Some(status) = self.child.try_wait().unwrap()
            {
                panic!("{} ended with {status}:\n{printed}", self.name);
            }
            found
        })
        .await
    }

    /// Waits until it says that it indexes.
    pub async fn indexes(&mut self) {
        self.says("that it indexes", |line| line.contains("\"indexing\"").then_some(())).await;
    }

    /// Waits until it says that it stands by.
    pub async fn stands_by(&mut self) {
        self.says("that it stands by", |line| line.contains("standing by").then_some(())).await;
    }

    /// The ids of the processes that it has started.
    pub fn children(&self) -> Vec<u32> {
        let mut children = Vec::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap() {
            let path = task.unwrap().path().join("children");
            let listed = std::fs::read_to_string(path).unwrap_or_default();
            children.extend(listed.split_whitespace().map(|id| id.parse::<u32>().unwrap()));
        }
        children
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

/// Sends a process a signal by name, such as `TERM` or `STOP`; one that is to stop has stopped then.
pub fn signal(process: u32, name: &str) {
    let arguments = [format!("-{name}"), process.to_string()];
    assert!(Command::new("kill").args(arguments).status().unwrap().success());
    let began = Instant::now();
    // One thread takes the signal, once it has its turn; until then the others go on.
    while name == "STOP" && !has_stopped(process) {
        assert!(began.elapsed() < DEADLINE, "{process} does not stop");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whether no thread of a process runs (proc(5): `/proc/pid/task/tid/stat`), or it has ended.
fn has_stopped(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    threads.into_iter().flatten().flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = status.rsplit(") ").next().and_then(|rest| rest.chars().next());
        state.is_none_or(|state| matches!(state, 'T' | 't' | 'Z' | 'X'))
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {} printed:\n{}", self.name, self.printed());
        }
    }
}

/// What of the environment a program under test gets: what it takes to find and fetch a
/// nats-server, and no setting of ours.
fn is_passed_on(key: &str) -> bool {
    matches!(key, "PATH" | "HOME" | "XDG_CACHE_HOME" | "TMPDIR" | "SSL_CERT_FILE")
        || key.starts_with("PIP_")
        || key.to_ascii_lowercase().ends_with("_proxy")
}
