//! What stands between us and nats-server: our own binary once more, which ties its life to ours
//! and then becomes the server.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::anyhow;
use rustix::process::getppid;

/// The hidden first argument that makes our binary the guard; then come our pid and the server with
/// its arguments.
pub(super) const GUARD: &str = "__nats-guard";

/// Call this first in `main`: in a process that was started as the guard of a nats-server it
/// becomes that server and does not return; in any other it does nothing.
///
/// The guard asks the kernel to be killed when its parent dies, however it dies, and that wish
/// survives `exec`. KILL and not TERM: an orphan must not keep the port and the store from the next
/// start for as long as an orderly end takes, and what it acknowledged is on disk already.
pub fn guard_if_asked() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == GUARD) {
        let error = become_server(args);
        eprintln!("cannot run nats-server: {error:#}"); // into its log file
        std::process::exit(1);
    }
}

fn become_server(mut args: impl Iterator<Item = OsString>) -> anyhow::Error {
    let (Some(parent), Some(server)) = (args.next(), args.next()) else {
        return anyhow!("{GUARD} is not for people");
    };
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
            return error.into();
        }
    }
    // A parent that died before the line above sends no signal any more.
    if getppid().is_none_or(|pid| parent != pid.to_string().as_str()) {
        return anyhow!("collimator is gone");
    }
    anyhow!(Command::new(server).args(args).exec())
}
