//! The child process itself: started behind a guard, watched until it answers, restarted when it
//! dies by itself.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::guard::GUARD;
use super::{POLL, last_line, reachable};

/// How long the first start may take: a server that was killed reads its whole store again.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// How long one look at the server's greeting may take.
const GREETING_LIMIT: Duration = Duration::from_secs(1);
/// The pause before a restart: doubled each time, and the first again once the server has lived
/// for longer than the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest greeting that is read: it names the addresses of the machine, and some have many.
const GREETING_BYTES: u64 = 64 * 1024;
/// How much of the log's end is read to find out why the server ended.
const LOG_TAIL: u64 = 64 * 1024;

/// All that a start and each restart of the server need.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) guard: PathBuf,
    pub(super) server: PathBuf,
    /// Absolute, and the child's working directory, so that no name has to be quoted for nats.conf.
    pub(super) folder: PathBuf,
    pub(super) listen: SocketAddr,
    /// Passed on as stdin, which the server never reads: the folder is locked while one lives.
    pub(super) lock: File,
}

impl Launch {
    fn spawn(&self) -> Result<Child> {
        // What lies here is of an earlier server, whose port need not be ours.
        let _ = fs::remove_dir_all(self.ports());
        fs::create_dir(self.ports()).context("cannot create the folder for the ports file")?;
        // The server logs to this file by itself (and bounds it); what it says before its log is
        // open, or in a crash, comes by stderr.
        let log = File::options().create(true).append(true).open(self.log())?;
        let address = self.listen.ip().to_string();
        let port = match self.listen.port() {
            0 => "-1".to_owned(),
            port => port.to_string(),
        };
        Command::new(&self.guard)
            .args([GUARD, &std::process::id().to_string()])
            .arg(&self.server)
            .args(["-c", "nats.conf", "-a", &address, "-p", &port, "-m", "0"])
            .args(["-l", "nats-server.log", "--ports_file_dir", "ports"])
            // Quoted, since nats.conf parses the value; its files go to "jetstream" in there.
            .env("NATS_STORE_DIR", "\".\"")
            .current_dir(&self.folder)
            .stdin(self.lock.try_clone()?)
            .stdout(log.try_clone()?)
            .stderr(Stdio::from(log))
            // Ctrl-C on a terminal goes to its whole foreground group: the server would be gone
            // before the services have drained.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", self.guard.display()))
    }

    fn ports(&self) -> PathBuf {
        self.folder.join("ports")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("nats-server.log")
    }

    fn log_length(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |log| log.len())
    }

    /// The address of a server that has written its ports file and greets with JetStream ready.
    fn answering(&self) -> Option<SocketAddr> {
        let file = fs::read_dir(self.ports()).ok()?.next()?.ok()?.path();
        let port = client_port(&fs::read_to_string(file).ok()?)?;
        let address = reachable(SocketAddr::new(self.listen.ip(), port));
        let stream = TcpStream::connect_timeout(&address, GREETING_LIMIT).ok()?;
        stream.set_read_timeout(Some(GREETING_LIMIT)).ok()?;
        let mut greeting = String::new();
        BufReader::new(stream.take(GREETING_BYTES)).read_line(&mut greeting).ok()?;
        has_jetstream(&greeting).then_some(address)
    }

    /// The last thing that the server complained of since its log had the length `from`.
    fn last_complaint(&self, from: u64) -> String {
        let read = || -> io::Result<String> {
            let mut log = File::open(self.log())?;
            let length = log.metadata()?.len();
            // A log that is shorter than before is a new one.
            let from = if from > length { 0 } else { from };
            log.seek(SeekFrom::Start(from.max(length.saturating_sub(LOG_TAIL))))?;
            let mut text = Vec::new();
            log.take(LOG_TAIL).read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        let text = read().unwrap_or_default();
        let complaint = complaint(&text).unwrap_or("it said nothing");
        format!("{complaint} (log: {})", self.log().display())
    }
}

/// The child as its thread and its owner share it.
#[derive(Debug, Default)]
pub(super) struct Supervised {
    state: Mutex<State>,
    stopping: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Present until it is reaped, so that its pid can't be that of a stranger.
    child: Option<Child>,
    stopping: bool,
}

impl State {
    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // To its group, for a NATS_SERVER that is a script around the real one. It fails only
            // for a child that has just ended, and then there is nothing to do.
            let _ = kill_process_group(Pid::from_child(child), signal);
        }
    }
}

impl Supervised {
    /// Ends the server with `signal` and lets no other follow it.
    pub(super) fn end(&self, signal: Signal) {
        let mut state = self.state();
        state.stopping = true;
        self.stopping.notify_all();
        state.signal(signal);
    }

    /// Kills the server; another follows it.
    pub(super) fn kill(&self) {
        self.state().signal(Signal::KILL);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, launch: &Launch) -> Result<()> {
        let mut state = self.state();
        if !state.stopping {
            state.child = Some(launch.spawn()?);
        }
        Ok(())
    }

    /// Waits until the server that was just spawned answers.
    fn answered(&self, launch: &Launch, log_from: u64) -> Result<SocketAddr> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            if let Some(address) = launch.answering() {
                return Ok(address);
            }
            let mut state = self.state();
            let Some(child) = &mut state.child else { bail!("nats-server was stopped") };
            if let Some(status) = child.try_wait()? {
                state.child = None;
                bail!(
                    "nats-server ended at its start ({status}): {}",
                    launch.last_complaint(log_from)
                );
            }
            drop(state);
            if Instant::now() >= deadline {
                let complaint = launch.last_complaint(log_from);
                bail!("nats-server is not ready after {READY_LIMIT:?}: {complaint}");
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits for the server's end and reaps it; `None` if there is no server.
    fn reap(&self) -> Option<ExitStatus> {
        let pid = self.state().child.as_ref().map(Pid::from_child)?;
        // Wait without the mutex and without reaping, or `end` could not signal, or would signal a
        // stranger that got the same pid.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), options));
        let child = self.state().child.take();
        child?.wait().ok()
    }

    /// Pauses before a restart; true if there must be none.
    fn stops_within(&self, pause: Duration) -> bool {
        let wait = self.stopping.wait_timeout_while(self.state(), pause, |state| !state.stopping);
        wait.unwrap_or_else(PoisonError::into_inner).0.stopping
    }
}

/// The life of the child, on a thread that lives as long: reports the first start by `ready`, and
/// returns once the server has ended and shall not be restarted.
pub(super) fn supervise(
    mut launch: Launch,
    child: &Supervised,
    ready: oneshot::Sender<Result<SocketAddr>>,
) {
    let mut log_from = launch.log_length();
    match child.spawn(&launch).and_then(|()| child.answered(&launch, log_from)) {
        Ok(address) => {
            // A restarted server must be where the clients look for it.
            launch.listen.set_port(address.port());
            let _ = ready.send(Ok(address));
        }
        Err(error) => {
            child.end(Signal::KILL);
            child.reap();
            let _ = ready.send(Err(error));
            return;
        }
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let born = Instant::now();
        let status =
            child.reap().map_or_else(|| "not started".to_owned(), |status| status.to_string());
        if child.state().stopping {
            return;
        }
        if born.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        let complaint = launch.last_complaint(log_from);
        warn!(%status, "nats-server ended: {complaint}; it is restarted in {pause:?}");
        if child.stops_within(pause) {
            return;
        }
        pause = LONGEST_PAUSE.min(pause * 2);
        log_from = launch.log_length();
        match child.spawn(&launch) {
            Ok(()) => info!("nats-server was restarted"),
            Err(error) => warn!("{error:#}"),
        }
    }
}

/// The port for clients in a ports file; `None` while the server is still writing it.
fn client_port(ports: &str) -> Option<u16> {
    let ports: serde_json::Value = serde_json::from_str(ports).ok()?;
    let (_, port) = ports["nats"][0].as_str()?.rsplit_once(':')?;
    port.parse().ok()
}

fn has_jetstream(greeting: &str) -> bool {
    let info = greeting.strip_prefix("INFO ").and_then(|info| serde_json::from_str(info).ok());
    info.is_some_and(|info: serde_json::Value| info["jetstream"] == true)
}

/// The last line of a log that tells of trouble, else the last that is no mere information.
fn complaint(log: &str) -> Option<&str> {
    last_line(log, |line| ["[FTL]", "[ERR]", "panic: "].iter().any(|mark| line.contains(mark)))
        .or_else(|| last_line(log, |line| !line.contains("[INF]")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ports_file_names_the_client_port() {
        let whole = r#"{"nats":["nats://[::1]:4321"],"monitoring":["http://127.0.0.1:8222"]}"#;
        assert_eq!(client_port(whole), Some(4321));
        assert_eq!(client_port(&whole[..whole.len() - 1]), None, "still being written");
        assert_eq!(client_port(r#"{"monitoring":[]}"#), None);
    }

    #[test]
    fn only_a_greeting_with_jetstream_counts_as_ready() {
        assert!(has_jetstream("INFO {\"version\":\"2.15.1\",\"jetstream\":true}\r\n"));
        assert!(!has_jetstream("INFO {\"version\":\"2.15.1\"}\r\n"));
        assert!(!has_jetstream("HTTP/1.1 400 Bad Request\r\n"));
    }

    #[test]
    fn the_complaint_is_the_last_line_that_tells_of_trouble() {
        let log =
            "[7] 12:00:01 [INF] Starting\n[7] 12:00:02 [FTL] no room\n[7] 12:00:03 [INF] Bye\n";
        assert_eq!(complaint(log), Some("[7] 12:00:02 [FTL] no room"));
        assert_eq!(complaint("nats-server: bad flag\n\n"), Some("nats-server: bad flag"));
        assert_eq!(complaint("[7] 12:00:01 [INF] Server is ready\n"), None);
    }
}
