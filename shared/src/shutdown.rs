//! How a program of the pipeline runs and ends: one order for all of them, and a stop that is a
//! token handed down.

use crate::settings::{self, CommonSettings};
use crate::sighup::Sighup;
use crate::telemetry;
use anyhow::{Context, bail};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The whole life of a program: read its settings, start telemetry, run until it ends by itself
/// or is told to, and give the exit code: 0 after an orderly stop, 2 for bad settings, 1 for
/// everything else that went wrong, which has then been said in one line.
pub fn main<A, R, F>(common: fn(&A) -> &CommonSettings, run: R) -> ExitCode
where
    A: clap::Parser,
    R: FnOnce(A, CancellationToken) -> F,
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    main_with(|args| common(args).clone(), run)
}

/// As [`main`], of a program that may take its common settings otherwise than they were given.
pub fn main_with<A, R, F>(common: impl FnOnce(&A) -> CommonSettings, run: R) -> ExitCode
where
    A: clap::Parser,
    R: FnOnce(A, CancellationToken) -> F,
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
    let args: A = match settings::read() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let common = common(&args);
    let grace = common.shutdown_grace;
    if let Err(error) = telemetry::start(&common) {
        eprintln!("error: {error:#}");
        return ExitCode::from(2);
    }
    let ended = runtime.block_on(async {
        let stop = on_signal()?;
        run_until_stopped(run(args, stop.clone()), &stop, grace).await
    });
    // What is left (a blocking read of a dead disk, say) must not hold the exit up.
    runtime.shutdown_background();
    ended.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

/// A token that is cancelled by SIGINT (Ctrl-C) or SIGTERM.
fn on_signal() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        stopping.cancel();
    });
    Ok(stop)
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

    #[tokio::test]
    async fn a_failure_is_passed_on() {
        let failing = async { Err::<(), _>(anyhow::anyhow!("no disk")) };
        let stop = CancellationToken::new();
        let ended = run_until_stopped(failing, &stop, Duration::from_secs(10)).await;
        assert_eq!(ended.unwrap_err().to_string(), "no disk");
    }
}
