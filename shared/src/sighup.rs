//! SIGHUP: a service reads files of its settings again and never ends; a command ends.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Receives the signal. There may be any number of these in one process; each receives all.
#[derive(Debug)]
pub struct Sighup(Signal);

/// Files are read again until this is dropped.
#[derive(Debug)]
pub struct Rereading {
    _task: AbortOnDropHandle<()>,
}

impl Sighup {
    /// Listens from now on, and keeps the signal from ending the process for the rest of its life. Whoever
    /// reads files again listens before reading them for the first time, so that a change in between is
    /// not missed.
    ///
    /// # Errors
    /// When the operating system does not let us.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self(signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?))
    }

    /// Reads again, on a thread that may wait for a disk, whenever the signal comes, for as long as the
    /// service keeps the task; `again` logs the outcome. A service with nothing to read again logs that.
    #[must_use]
    pub fn each(
        mut self,
        service: &'static str,
        again: Option<impl Fn() + Clone + Send + 'static>,
    ) -> Rereading {
        let reading = async move {
            while self.0.recv().await.is_some() {
                let Some(again) = again.clone() else {
                    tracing::info!(service, "SIGHUP: there is no file to read again");
                    continue;
                };
                if let Err(error) = spawn_blocking(again).await {
                    tracing::error!("files could not be read again: {error}");
                }
            }
        };
        Rereading { _task: AbortOnDropHandle::new(tokio::spawn(reading)) }
    }

    /// Nothing is read again. The signal is logged all the same.
    #[must_use]
    pub fn reads_nothing(self, service: &'static str) -> Rereading {
        self.each(service, None::<fn()>)
    }

    /// Tells a command to stop, as a terminal that is closed does.
    pub fn stops(mut self, stop: &CancellationToken) {
        let stop = stop.clone();
        tokio::spawn(async move {
            if let Some(Some(())) = stop.run_until_cancelled(self.0.recv()).await {
                stop.cancel();
            }
        });
    }
}
