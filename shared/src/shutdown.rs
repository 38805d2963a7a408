//! How a program of the pipeline runs and ends: one order for all of them, and a stop that is a
//! token handed down.

use crate::config;
use crate::settings::CommonSettings;
use crate::sighup::Sighup;
use crate::telemetry;
use anyhow::{Context, bail};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How a program is told to end, in two steps.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Cancelled by the signal: nothing new is begun. It is cancelled with `stop` as well.
    pub draining: CancellationToken,
    /// Cancelled when there was time enough for what had begun: everything ends. Whoever has nothing left to wait for
    /// cancels it earlier.
    pub stop: CancellationToken,
}

impl Shutdown {
    /// Of a program that runs.
    #[must_use]
    pub fn new() -> Self {
        let stop = CancellationToken::new();
        Self { draining: stop.child_token(), stop }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// The whole life of a program: read its settings, start telemetry, run until it ends by itself
/// or is told to, and give the exit code: 0 after an orderly stop, 2 for bad settings, 1 for
/// everything else that went wrong, which has then been said in one line.
pub fn main<A, R, F>(common: fn(&A) -> &CommonSettings, run: R) -> ExitCode
where
    A: clap::Parser,
    R: FnOnce(A, CancellationToken) -> F,
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    let run = |args, shutdown: Shutdown| run(args, shutdown.stop);
    main_with(|args| common(args).clone(), |_| Duration::ZERO, run)
}

/// As [`main`], of a program that may take its common settings otherwise than they were given, and whose work may go on
/// for `drain` after the signal.
pub fn main_with<A, R, F>(
    common: impl FnOnce(&A) -> CommonSettings,
    drain: impl FnOnce(&A) -> Duration,
    run: R,
) -> ExitCode
where
    A: clap::Parser,
    R: FnOnce(A, Shutdown) -> F,
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Before anything else, since until somebody listens the signal ends the process.
    if let Err(error) = runtime.block_on(async { Sighup::listen() }) {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    let args: A = match config::read() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let common = common(&args);
    let (drain, grace) = (drain(&args), common.shutdown_grace);
    if let Err(error) = telemetry::start(&common) {
        eprintln!("error: {error:#}");
        return ExitCode::from(2);
    }
    if let Some(file) = &common.config {
        tracing::info!(file = %file.display(), "settings file read");
    }
    let ended = runtime.block_on(async {
        let shutdown = on_signal(drain)?;
        run_until_stopped(run(args, shutdown.clone()), &shutdown.stop, grace).await
    });
    // What is left (a blocking read of a dead disk, say) must not hold the exit up.
    runtime.shutdown_background();
    ended.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Cancels `draining` at the first SIGINT (Ctrl-C) or SIGTERM, and `stop` after `drain` or at the second one.
fn on_signal(drain: Duration) -> anyhow::Result<Shutdown> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut told = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let shutdown = Shutdown::new();
    let Shutdown { draining, stop } = shutdown.clone();
    tokio::spawn(async move {
        told().await;
        if !drain.is_zero() {
            tracing::info!("draining for {} at most", humantime::format_duration(drain));
            draining.cancel();
            tokio::select! {
                () = tokio::time::sleep(drain) => {}
                () = stop.cancelled() => {}
                () = told() => {}
            }
        }
        tracing::info!("stopping");
        stop.cancel();
    });
    Ok(shutdown)
}

/// Runs `service` to its end; once `stop` is cancelled it has `grace` left to get there.
///
/// # Errors
/// What `service` failed with, or that it did not end in time.
pub async fn run_until_stopped<T>(
    service: impl Future<Output = anyhow::Result<T>>,
    stop: &CancellationToken,
    grace: Duration,
) -> anyhow::Result<T> {
    tokio::pin!(service);
    tokio::select! {
        ended = &mut service => return ended,
        () = stop.cancelled() => {}
    }
    match tokio::time::timeout(grace, service).await {
        Ok(ended) => ended,
        Err(_) => bail!(
            "not everything ended within SHUTDOWN_GRACE={}; the rest was cut off",
            humantime::format_duration(grace)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_service_that_ignores_the_stop_is_cut_off_and_says_so() {
        let stop = CancellationToken::new();
        stop.cancel();
        let never = std::future::pending::<anyhow::Result<()>>();
        let ended = run_until_stopped(never, &stop, Duration::from_secs(10)).await;
        assert!(ended.unwrap_err().to_string().contains("SHUTDOWN_GRACE=10s"));
    }

    #[test]
    fn who_is_told_to_stop_takes_nothing_new() {
        let shutdown = Shutdown::new();
        shutdown.draining.cancel();
        assert!(!shutdown.stop.is_cancelled());
        let shutdown = Shutdown::new();
        shutdown.stop.cancel();
        assert!(shutdown.draining.is_cancelled());
    }

    #[tokio::test]
    async fn a_failure_is_passed_on() {
        let failing = async { Err::<(), _>(anyhow::anyhow!("no disk")) };
        let stop = CancellationToken::new();
        let ended = run_until_stopped(failing, &stop, Duration::from_secs(10)).await;
        assert_eq!(ended.unwrap_err().to_string(), "no disk");
    }
}
