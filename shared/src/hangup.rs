//! SIGHUP: files of the settings are read again.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// Hears the signal. There may be any number of these in one process; each hears all.
#[derive(Debug)]
pub struct Hangup(Signal);

impl Hangup {
    /// Listens from now on. Until somebody does, the signal ends the process, so this comes before
    /// anybody can know that it may be sent.
    ///
    /// # Errors
    /// When the operating system does not let us.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self(signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?))
    }

    /// Reads again, on a thread that may wait for a disk, whenever the signal comes, until told to stop.
    /// What comes of it is for `again` to say.
    pub async fn each(
        mut self,
        stop: &CancellationToken,
        again: impl Fn() + Clone + Send + 'static,
    ) {
        while let Some(Some(())) = stop.run_until_cancelled(self.0.recv()).await {
            if let Err(error) = spawn_blocking(again.clone()).await {
                tracing::error!("files could not be read again: {error}");
            }
        }
    }
}
