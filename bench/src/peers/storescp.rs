//! dcmtk's `storescp`, a process for each association, as its users run it.

use super::listening;
use crate::process::Program;
use std::path::Path;
use tokio::process::Command;

/// What it does with what it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storing {
    /// Nothing.
    Ignore,
    /// Nothing, in PDUs of 128 KiB instead of 16.
    IgnoreLongPdus,
    /// A file for each instance, not synced.
    Files,
}

/// Starts it.
pub(crate) async fn start(
    binary: &Path,
    folder: &Path,
    port: u16,
    no_delay: bool,
    storing: Storing,
) -> anyhow::Result<Program> {
    let files = folder.join("files");
    std::fs::create_dir_all(&files)?;
    let mut command = Command::new(binary);
    command.arg("--fork");
    match storing {
        Storing::Ignore => command.arg("--ignore"),
        Storing::IgnoreLongPdus => command.args(["--ignore", "--max-pdu", "131072"]),
        Storing::Files => command.arg("--output-directory").arg(&files),
    };
    command.arg(port.to_string()).env_remove("TCP_NODELAY");
    if no_delay {
        command.env("TCP_NODELAY", "1");
    }
    let mut program = Program::start(&mut command, &folder.join("storescp.log"))?;
    listening(&mut program, port).await?;
    Ok(program)
}
