//! `idle`: what Collimator uses when nobody sends, and how soon it is ready again.

use crate::input::Input;
use crate::lab::Lab;
use crate::pipeline::Pipeline;
use crate::programs::build;
use crate::senders::fast;
use crate::table::{median, megabytes, number};
use anyhow::Context as _;
use clap::Args;
use std::time::Duration;

/// The program, as usage names it.
const COLLIMATOR: &str = "collimator";

#[derive(Debug, Clone, Args)]
pub(crate) struct IdleSettings {
    /// For how long it is looked at
    #[arg(long, default_value = "20s", value_parser = shared::settings::duration)]
    pub(crate) time: Duration,
    /// Starts on the same data folder
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) starts: u32,
    /// Two seconds, one start
    #[arg(long)]
    pub(crate) small: bool,
}

/// What it uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    /// Bytes resident, without nats-server and of it.
    pub(crate) resident: u64,
    pub(crate) broker_resident: u64,
    /// Share of a core.
    pub(crate) cpu: f64,
    pub(crate) broker_cpu: f64,
    /// Milliseconds from the start of the process until it says that it is ready: the first time, and
    /// on data that is there.
    pub(crate) first_ready: f64,
    pub(crate) ready: f64,
}

/// Measures and prints.
pub(crate) async fn run(settings: &IdleSettings) -> anyhow::Result<bool> {
    measure(&Lab::enter().await?, settings).await?;
    Ok(true)
}

/// Lets it receive something, starts it again and again, and then leaves it alone.
pub(crate) async fn measure(lab: &Lab, settings: &IdleSettings) -> anyhow::Result<Idle> {
    let (time, starts) = match settings.small {
        true => (Duration::from_secs(2), 1),
        false => (settings.time, settings.starts),
    };
    let (binary, folder) = (build(COLLIMATOR).await?, lab.folder()?);
    let server = [("NATS_SERVER", lab.nats_server.display().to_string())];
    let start = || Pipeline::start(&binary, folder.path(), &server);
    let first = start().await?;
    let first_ready = first.ready;
    let port = first.dicom;
    let send = move || fast::send(port, 1, Input::Tiny, Duration::from_secs(1));
    tokio::task::spawn_blocking(send).await??;
    first.program.stop().await?;

    let mut ready = Vec::new();
    let mut running = start().await?;
    ready.push(running.ready.as_secs_f64() * 1000.0);
    for _ in 1..starts {
        running.program.stop().await?;
        running = start().await?;
        ready.push(running.ready.as_secs_f64() * 1000.0);
    }
    // What it received is complete by then, and what a start does is done.
    tokio::time::sleep(time / 4).await;
    let before = running.program.usage();
    tokio::time::sleep(time).await;
    let after = running.program.usage();
    let cpu = after.cpu_since(&before);
    let own = |name: &str| name == COLLIMATOR;
    let share = |counts: bool| {
        let counted = cpu.iter().filter(|(name, _)| own(name) == counts);
        counted.fold(0.0, |sum, (_, cpu)| sum + cpu) / time.as_secs_f64()
    };
    let resident = *after.resident.get(COLLIMATOR).context("collimator has ended")?;
    let idle = Idle {
        resident,
        broker_resident: after.resident.values().sum::<u64>() - resident,
        cpu: share(true),
        broker_cpu: share(false),
        first_ready: first_ready.as_secs_f64() * 1000.0,
        ready: median(ready),
    };
    println!(
        "idle for {} s: {} MB resident and {} % of a core; its nats-server {} MB and {} %
ready {} ms after its first start, and {} ms after one on its data (median of {starts})
",
        time.as_secs(),
        megabytes(idle.resident),
        number(idle.cpu * 100.0),
        megabytes(idle.broker_resident),
        number(idle.broker_cpu * 100.0),
        number(idle.first_ready),
        number(idle.ready),
    );
    Ok(idle)
}
