//! Standard output, as a terminal or a pipe: in which form, how wide, and whether anybody reads it.

use console::Term;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

/// How things are printed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct FormSettings {
    /// Print JSON, on a terminal too
    #[arg(long, conflicts_with = "table")]
    json: bool,

    /// Print a table, in a pipe too
    #[arg(long)]
    table: bool,
}

impl FormSettings {
    /// Whether a table is printed: by default on a terminal.
    pub(crate) fn is_table(self) -> bool {
        self.table || (!self.json && io::stdout().is_terminal())
    }
}

/// How wide a line may be: as the terminal, or as COLUMNS says; without either there is no end to it.
pub(crate) fn width() -> Option<usize> {
    let terminal = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    terminal.or_else(|| std::env::var("COLUMNS").ok()?.parse().ok().filter(|width| *width > 0))
}

/// Prints it at once.
///
/// # Errors
/// When nobody reads it any more (see [`is_broken_pipe`]), or it can't be written.
pub(crate) fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())?;
    out.flush()
}

/// Prints all that a command has to say; gives `code` to end with.
///
/// # Errors
/// When it can't be written. Nobody who reads it is no error.
pub(crate) fn answer(text: impl AsRef<[u8]>, code: ExitCode) -> anyhow::Result<ExitCode> {
    match print(text).map_err(anyhow::Error::from) {
        Err(error) if !is_broken_pipe(&error) => Err(error.context("standard output")),
        _ => Ok(code),
    }
}

/// Waits until nobody reads standard output any more: who waits for the next completion would
/// otherwise notice only when there is one. For ever where it is no pipe.
pub(crate) async fn reader_is_gone() {
    // Unchecked, since a check would also make the pipe non-blocking, for us and for all who share it.
    let pipe = io::stdout().as_fd().try_clone_to_owned().and_then(Sender::from_owned_fd_unchecked);
    if let Ok(pipe) = pipe
        && pipe.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Whether that is why something failed: `head` has seen enough, and that is no failure.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}
