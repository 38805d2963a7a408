//! `latency`: from the last C-STORE-RSP of a series to its completion on NATS, for a sender that
//! releases its association.

use crate::distribution::Distribution;
use crate::pipeline::Pipeline;
use crate::programs::{build, target};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use collimator::synthetic::SyntheticStudy;
use contract::event::{Reason, SeriesCompleted};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use shared::settings::duration;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// Width of a bucket of the histogram, in milliseconds.
const BUCKET: f64 = 5.0;

/// What the 99th percentile is to be within, on top of the settle period, in milliseconds.
const AIM: f64 = 50.0;

/// How long the next completion may take.
const COMPLETION_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct LatencySettings {
    /// Series to send, each with a dcmsend of its own
    #[arg(long, default_value_t = 200)]
    series: usize,
    /// Instances in each
    #[arg(long, default_value_t = 20)]
    instances: u32,
    /// Series that are sent at the same time
    #[arg(long, default_value_t = 1)]
    parallel: usize,
    /// Settle period of the indexer
    #[arg(long, default_value = "1s", value_parser = duration)]
    settle_period: Duration,
}

/// Measures, prints, and says whether every series was complete as it should be.
pub(crate) async fn run(settings: &LatencySettings) -> anyhow::Result<bool> {
    ensure!(settings.series > 0 && settings.parallel > 0, "there has to be something to send");
    let folder = tempfile::tempdir()?;
    for number in 0..settings.series {
        let study = SyntheticStudy::new().series("MR", settings.instances).size(64, 64);
        study.write_to(&folder.path().join(number.to_string()))?;
    }
    let settle = humantime::format_duration(settings.settle_period).to_string();
    let data = tempfile::tempdir_in(target()?)?;
    println!("its data are in {}", data.path().display());
    let settings_of_it = [("SETTLE_PERIOD", settle)];
    let pipeline =
        Pipeline::start(&build("collimator").await?, data.path(), &settings_of_it).await?;
    let nats = async_nats::connect(&pipeline.nats).await.context("its broker")?;
    let mut completions = nats.subscribe("dicom.series.completed.>").await?;
    nats.flush().await?;

    let (dicom, folder) = (pipeline.dicom, folder.path());
    let send = stream::iter(0..settings.series)
        .map(|number| async move { dcmsend(dicom, &folder.join(number.to_string())).await })
        .buffer_unordered(settings.parallel)
        .try_collect::<()>();
    let watch = async {
        let mut completed_series = Vec::with_capacity(settings.series);
        while completed_series.len() < settings.series {
            let event = timeout(COMPLETION_TIMEOUT, completions.next())
                .await
                .context("a series is missing")?;
            let event = event.context("the broker is gone")?;
            let arrived = Timestamp::now();
            let completed: SeriesCompleted = serde_json::from_slice(&event.payload)?;
            completed_series.push((arrived, completed));
        }
        anyhow::Ok(completed_series)
    };
    let ((), completed_series) = tokio::try_join!(send, watch)?;
    report(settings, &completed_series)
}

fn report(
    settings: &LatencySettings,
    completed_series: &[(Timestamp, SeriesCompleted)],
) -> anyhow::Result<bool> {
    let settle = SignedDuration::try_from(settings.settle_period)?;
    let (mut latencies, mut odd) = (Vec::new(), 0);
    for (arrived, completed) in completed_series {
        let SeriesCompleted { revision, reason, instances_count, .. } = completed;
        if (*revision, *reason, *instances_count)
            != (1, Reason::Released, settings.instances.into())
        {
            println!(
                "odd: {} Revision {revision} with {instances_count} instances, {}",
                completed.series_instance_uid,
                reason.as_str()
            );
            odd += 1;
        }
        let last = completed.last_received_at.context("a completion without its last instance")?;
        latencies.push((arrived.duration_since(last) - settle).as_secs_f64() * 1000.0);
    }
    let distribution = Distribution::new(latencies).context("nothing was measured")?;
    let settle = humantime::format_duration(settings.settle_period);
    println!(
        "
{} series of {} instances, a dcmsend for each, {} at a time; SETTLE_PERIOD {settle}.
From when the last byte of the last instance was received, which is before its C-STORE-RSP, so the
figures are rather too long than too short, to when a NATS subscriber has the completion; less the
SETTLE_PERIOD, in milliseconds:
",
        completed_series.len(),
        settings.instances,
        settings.parallel
    );
    println!("{}", distribution.histogram(BUCKET));
    println!("{}", distribution.summary());
    let reached = distribution.percentile(99.0);
    println!("SETTLE_PERIOD + {reached:.1} ms at the 99th percentile (aim: {AIM:.0} ms)");
    Ok(odd == 0)
}

async fn dcmsend(port: u16, folder: &Path) -> anyhow::Result<()> {
    let output = Command::new("dcmsend")
        .args(["--scan-directories", "--recurse", "127.0.0.1", &port.to_string()])
        .arg(folder)
        .stdin(Stdio::null())
        .output()
        .await
        .context("dcmsend can't be started; install Debian's dcmtk")?;
    if !output.status.success() {
        bail!("dcmsend: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
