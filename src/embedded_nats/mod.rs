//! The nats-server that `collimator` runs as its own child when no `NATS_URL` is given: where the
//! binary comes from, how the child starts, and that it never outlives us.

mod child;
mod fetch;
mod find;
mod guard;
mod version;

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;
use shared::nats_url::NatsUrl;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

pub use fetch::{NATS_SERVER, Pin};
pub use find::Finder;
pub use guard::guard_if_asked;

/// The configuration that docker compose uses too; flags fit it to this machine.
const CONFIGURATION: &str = include_str!("../../nats.conf");
/// How long a start waits for the store's lock: the server of a collimator that was killed a moment
/// ago may hold it for some milliseconds more.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
/// How long a killed server may take to be gone before we stop waiting for it.
const KILL_LIMIT: Duration = Duration::from_secs(2);
/// How long a client on this machine may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// The interval at which a condition without an event to wait for is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A running nats-server: a child process that is restarted when it dies by itself.
///
/// Dropping it kills the server at once; [`EmbeddedNats::stop`] lets it end in order. Either way,
/// what it acknowledged is on disk.
#[derive(Debug)]
pub struct EmbeddedNats {
    address: SocketAddr,
    child: Arc<child::Supervised>,
    ended: oneshot::Receiver<()>,
}

impl EmbeddedNats {
    /// Starts `server` and returns once it answers with JetStream ready.
    ///
    /// It listens on `listen`, where port 0 means any free one. Everything of it is in `folder`:
    /// `jetstream/` (the store), `nats.conf`, `nats-server.log`, `lock` and `ports/`. `guard` is a
    /// binary whose `main` begins with [`guard_if_asked`]; `None` means this one.
    ///
    /// # Errors
    /// One line that says what to do: the folder can't be written or another collimator uses it,
    /// the address is taken, or the server ended or wasn't ready in time.
    pub async fn start(
        server: &Path,
        listen: SocketAddr,
        folder: &Path,
        guard: Option<&Path>,
    ) -> Result<Self> {
        let lock = take_folder(folder).await?;
        if listen.port() != 0 {
            // The server would notice too, but only after it has read its whole store.
            TcpListener::bind(listen).map_err(|error| {
                anyhow!(
                    "nats-server cannot listen on {listen}: {error}; stop the other program or \
                     set NATS_ADDR"
                )
            })?;
        }
        let launch = child::Launch {
            guard: guard.map_or_else(own_binary, |guard| Ok(guard.to_path_buf()))?,
            server: std::path::absolute(server)?,
            folder: std::path::absolute(folder)?,
            listen,
            lock,
        };

        let child = Arc::new(child::Supervised::default());
        let (ready, is_ready) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let supervised = Arc::clone(&child);
        // Made before the wait: whoever gives up on this start drops it, and so ends the child.
        let mut nats = Self { address: listen, child, ended };
        // One OS thread of its own, never a runtime's: the kernel takes "the parent died" to mean
        // the thread that started the child, and runtimes end idle threads.
        std::thread::Builder::new()
            .name("nats-server".to_owned())
            .spawn(move || {
                child::supervise(launch, &supervised, ready);
                drop(end);
            })
            .context("cannot start the thread that looks after nats-server")?;
        nats.address = is_ready.await.context("the thread of nats-server ended")??;
        let (server, folder) = (server.display(), folder.display());
        info!(url = %nats.url(), %server, %folder, "nats-server is ready");
        Ok(nats)
    }

    /// Where clients on this machine connect to, such as `nats://127.0.0.1:4222`.
    #[must_use]
    pub fn url(&self) -> NatsUrl {
        self.address.into()
    }

    /// Kills the server; another takes its place in a moment, with what it had stored.
    pub fn restart(&self) {
        self.child.kill();
    }

    /// Whether clients can connect, which says nothing of whether they are served.
    pub async fn listens(&self) -> bool {
        let connected = timeout(CONNECT_LIMIT, TcpStream::connect(self.address)).await;
        matches!(connected, Ok(Ok(_)))
    }

    /// Ends the server in order, and kills it if it is still there after `grace`.
    ///
    /// Call it after the services have drained: their last publishes and acks need the server.
    pub async fn stop(mut self, grace: Duration) {
        self.child.end(Signal::TERM);
        if timeout(grace, &mut self.ended).await.is_err() {
            warn!("nats-server did not end within {grace:?}; killing it");
            self.child.end(Signal::KILL);
            if timeout(KILL_LIMIT, &mut self.ended).await.is_err() {
                warn!("nats-server is still there; the next start on this folder waits for it");
            }
        }
    }
}

impl Drop for EmbeddedNats {
    fn drop(&mut self) {
        self.child.end(Signal::KILL);
    }
}

/// Makes `folder` ours: created, locked against a second collimator, with our configuration in it.
async fn take_folder(folder: &Path) -> Result<File> {
    let unwritable = || {
        format!(
            "cannot write to {}; set DATA_DIR to a folder that can be written",
            folder.display()
        )
    };
    fs::create_dir_all(folder).with_context(unwritable)?;
    let Some(lock) = lock(&folder.join("lock"), LOCK_LIMIT).await.with_context(unwritable)? else {
        bail!(
            "another collimator uses {}; stop it, or set DATA_DIR to another folder",
            folder.display()
        );
    };
    fs::write(folder.join("nats.conf"), CONFIGURATION).with_context(unwritable)?;
    Ok(lock)
}

/// Whether a running collimator has `folder`; nothing is made to find out.
pub(crate) fn is_in_use(folder: &Path) -> bool {
    // For a moment the lock is ours, shared: a start that wants it just then waits for longer.
    let tried = File::open(folder.join("lock")).map(|file| file.try_lock_shared());
    matches!(tried, Ok(Err(TryLockError::WouldBlock)))
}

/// Takes the exclusive lock on the file at `path`, or `None` if it is still held after `limit`. It
/// lasts until the last copy of the file is closed, in whatever process: a child that gets one as
/// its stdin keeps the lock for as long as it lives, even if we die first.
async fn lock(path: &Path, limit: Duration) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    let deadline = Instant::now() + limit;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(POLL).await,
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// This binary, also after an upgrade has replaced its file: a restart months later must find it.
fn own_binary() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}

/// The address at which a client on this machine reaches a server that listens on `listen`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The last line of `text` that says something and is `wanted`.
fn last_line(text: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty() && wanted(line))
}
