//! `receive`: Collimator and its peers receive the same instances, in turn, several rounds.

use crate::input::Input;
use crate::keeping::{self, Kept};
use crate::lab::Lab;
use crate::loopback;
use crate::measurement::{Measurement, Rounds};
use crate::process::Watch;
use crate::receivers::{Receiver, Receivers};
use crate::senders::{Sent, dcmtk, fast};
use crate::table::{Table, megabytes, number};
use anyhow::Context as _;
use clap::Args;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// How long one measurement may take, with its start.
const RUN_TIMEOUT: Duration = Duration::from_secs(240);

#[derive(Debug, Clone, Args)]
pub(crate) struct ReceiveSettings {
    /// Rounds of each measurement; the tables have the medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Everything once and small, to see that it works
    #[arg(long)]
    pub(crate) small: bool,
    /// Only the scenarios whose name has this in it
    #[arg(long, default_value = "")]
    pub(crate) only: String,
    /// Only the receivers whose name has one of these in it, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) receivers: Vec<String>,
    /// How long our own sender sends
    #[arg(long, default_value = "3s", value_parser = shared::settings::duration)]
    pub(crate) time: Duration,
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// dcmtk's, as it comes: with Nagle's algorithm on.
    Stock(&'static str),
    /// dcmtk's, with `TCP_NODELAY=1` on both sides.
    NoDelay(&'static str),
    /// Our own, with `TCP_NODELAY=1` for the receivers that heed it.
    Fast,
}

/// Some work for receivers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// What it is called.
    pub(crate) name: &'static str,
    pub(crate) sender: Sender,
    pub(crate) associations: usize,
    pub(crate) input: Input,
    /// Instances in each association, of senders that have a number of them.
    instances: u32,
    receivers: &'static [Receiver],
    /// Whether it is compared with threads that only write files and publish.
    keeps: bool,
}

use Receiver::{
    Collimator, CollimatorKeeping, CollimatorPostgres, CollimatorReplicated, CollimatorUnsynced,
    DicomStorescp, Ingest, Orthanc, Pynetdicom, StorescpFiles, StorescpIgnore,
    StorescpIgnoreLongPdus,
};

const SLOWED: &[Receiver] = &[Collimator, StorescpIgnore, Orthanc, Pynetdicom];
const TUNED: &[Receiver] = &[
    Collimator,
    CollimatorUnsynced,
    StorescpIgnore,
    StorescpFiles,
    Orthanc,
    DicomStorescp,
    Pynetdicom,
];
const ALL: &[Receiver] = &Receiver::ALL;
const RAW: &[Receiver] = &[
    Collimator,
    CollimatorUnsynced,
    CollimatorReplicated,
    CollimatorPostgres,
    Ingest,
    StorescpIgnore,
    StorescpIgnoreLongPdus,
];

pub(crate) const SCENARIOS: [Scenario; 9] = [
    dcmtk_scenario("stock dcmsend, 1 association", Sender::Stock("dcmsend"), 1, 200, SLOWED),
    dcmtk_scenario("stock dcmsend, 4 associations", Sender::Stock("dcmsend"), 4, 100, SLOWED),
    dcmtk_scenario("stock storescu, 1 association", Sender::Stock("storescu"), 1, 200, SLOWED),
    dcmtk_scenario("TCP_NODELAY dcmsend, 1 association", Sender::NoDelay("dcmsend"), 1, 800, TUNED),
    dcmtk_scenario(
        "TCP_NODELAY dcmsend, 4 associations",
        Sender::NoDelay("dcmsend"),
        4,
        400,
        TUNED,
    ),
    fast_scenario("fast sender, 1 association", 1, Input::Mr, ALL),
    fast_scenario("fast sender, 4 associations", 4, Input::Mr, ALL),
    fast_scenario("fast sender, 4 associations, tiny instances", 4, Input::Tiny, RAW),
    fast_scenario("fast sender, 1 association, multi-frame instances", 1, Input::MultiFrame, RAW),
];

/// What is kept as files.
const KEEPING: &[Receiver] = &[Collimator, CollimatorKeeping, StorescpFiles, Orthanc];

/// Those of `store`.
pub(crate) const KEEPING_SCENARIOS: [Scenario; 5] = [
    keeping_scenario("files of 0.5 MB, 1 association", 1, Input::Mr),
    keeping_scenario("files of 0.5 MB, 4 associations", 4, Input::Mr),
    keeping_scenario("files of 0.5 MB, 16 associations", 16, Input::Mr),
    keeping_scenario("files of 32 KB, 1 association", 1, Input::Tiny),
    keeping_scenario("files of 32 KB, 4 associations", 4, Input::Tiny),
];

const fn keeping_scenario(name: &'static str, associations: usize, input: Input) -> Scenario {
    Scenario { keeps: true, ..fast_scenario(name, associations, input, KEEPING) }
}

const fn dcmtk_scenario(
    name: &'static str,
    sender: Sender,
    associations: usize,
    instances: u32,
    receivers: &'static [Receiver],
) -> Scenario {
    Scenario { name, sender, associations, input: Input::Mr, instances, receivers, keeps: false }
}

const fn fast_scenario(
    name: &'static str,
    associations: usize,
    input: Input,
    receivers: &'static [Receiver],
) -> Scenario {
    Scenario {
        name,
        sender: Sender::Fast,
        associations,
        input,
        instances: 0,
        receivers,
        keeps: false,
    }
}

/// What came of a scenario.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    /// By receiver.
    pub(crate) rounds: BTreeMap<Receiver, Rounds>,
    /// Bytes in a second of a plain copy over as many connections; of our own sender's scenarios.
    pub(crate) copied: Option<f64>,
    /// What as many plain threads reach that keep the same bytes; of the scenarios of `store`.
    pub(crate) kept: Option<Kept>,
    /// Measurements that failed.
    pub(crate) failed: usize,
}

impl Outcome {
    /// The median rate of a receiver.
    pub(crate) fn rate(&self, receiver: Receiver) -> Option<f64> {
        Some(self.rounds.get(&receiver)?.median(Measurement::rate))
    }
}

/// Measures and prints. Whether nothing failed.
pub(crate) async fn run(
    settings: &ReceiveSettings,
    scenarios: &[Scenario],
) -> anyhow::Result<bool> {
    let lab = Lab::enter().await?;
    let outcomes = measure(&lab, settings, scenarios).await?;
    Ok(outcomes.iter().all(|outcome| outcome.failed == 0))
}

/// Measures the scenarios that were asked for, and prints a table for each.
pub(crate) async fn measure(
    lab: &Lab,
    settings: &ReceiveSettings,
    scenarios: &[Scenario],
) -> anyhow::Result<Vec<Outcome>> {
    let named = |receiver: &Receiver| {
        let name = receiver.name();
        settings.receivers.is_empty() || settings.receivers.iter().any(|part| name.contains(part))
    };
    let scenarios: Vec<_> =
        scenarios.iter().copied().filter(|it| it.name.contains(&settings.only)).collect();
    let wanted = Receiver::ALL.into_iter().filter(|receiver| {
        named(receiver) && scenarios.iter().any(|scenario| scenario.receivers.contains(receiver))
    });
    let receivers = Receivers::prepare(lab, &wanted.collect::<Vec<_>>()).await;

    let mut outcomes = Vec::new();
    for scenario in scenarios {
        let contestants: Vec<_> = scenario
            .receivers
            .iter()
            .copied()
            .filter(|receiver| receivers.have(*receiver))
            .collect();
        let outcome = contest(lab, settings, scenario, &receivers, &contestants).await?;
        println!("{}", table(lab, &outcome));
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// All receivers in each round, each round beginning with another one.
async fn contest(
    lab: &Lab,
    settings: &ReceiveSettings,
    scenario: Scenario,
    receivers: &Receivers,
    contestants: &[Receiver],
) -> anyhow::Result<Outcome> {
    let mut rounds: BTreeMap<Receiver, Rounds> = BTreeMap::new();
    let (mut copies, mut kept, mut failed) = (Vec::new(), Vec::new(), 0);
    for round in 0..if settings.small { 1 } else { settings.rounds } as usize {
        let mut order = contestants.to_vec();
        order.rotate_left(round % contestants.len().max(1));
        for receiver in order {
            let measurement =
                timeout(RUN_TIMEOUT, one(lab, settings, scenario, receivers, receiver));
            match measurement.await.context("it takes too long").and_then(|ended| ended) {
                Ok(measurement) => rounds.entry(receiver).or_default().0.push(measurement),
                Err(error) => {
                    println!("failed: {}, {}: {error:#}", receiver.name(), scenario.name);
                    failed += 1;
                }
            }
        }
        if scenario.sender == Sender::Fast {
            let (associations, input, time) =
                (scenario.associations, scenario.input, time(settings));
            let copy = move || loopback::copy(associations, input, time);
            copies.push(tokio::task::spawn_blocking(copy).await??);
        }
        if scenario.keeps {
            let Scenario { associations, input, .. } = scenario;
            kept.push(keeping::keep(lab, associations, input, time(settings)).await?);
        }
    }
    let copied = (!copies.is_empty()).then(|| crate::table::median(copies));
    let kept = (!kept.is_empty()).then(|| Kept::median(&kept));
    Ok(Outcome { scenario, rounds, copied, kept, failed })
}

async fn one(
    lab: &Lab,
    settings: &ReceiveSettings,
    scenario: Scenario,
    receivers: &Receivers,
    receiver: Receiver,
) -> anyhow::Result<Measurement> {
    let no_delay = !matches!(scenario.sender, Sender::Stock(_));
    let running = receivers.start(lab, receiver, no_delay).await?;
    let watch = Watch::over(running.ids());
    let before = running.usage();
    let sent = send(lab, settings, scenario, running.port).await?;
    let cpu = running.usage().cpu_since(&before);
    let (peak, sync) = (watch.peak(), lab.sync_time()?);
    let (associations, nagle) = (scenario.associations, !no_delay);
    Ok(Measurement { receiver, associations, nagle, sent, cpu, peak, sync })
}

async fn send(
    lab: &Lab,
    settings: &ReceiveSettings,
    scenario: Scenario,
    port: u16,
) -> anyhow::Result<Sent> {
    let Scenario { associations, input, .. } = scenario;
    let (program, no_delay) = match scenario.sender {
        Sender::Fast => {
            let time = time(settings);
            let send = move || fast::send(port, associations, input, time);
            return tokio::task::spawn_blocking(send).await?;
        }
        Sender::Stock(program) => (program, false),
        Sender::NoDelay(program) => (program, true),
    };
    let instances = if settings.small { 20 } else { scenario.instances };
    let folders = input.files(&lab.inputs(), associations, instances)?;
    dcmtk::send(program, no_delay, port, &folders).await
}

fn time(settings: &ReceiveSettings) -> Duration {
    if settings.small { Duration::from_millis(300) } else { settings.time }
}

/// A table of the medians.
fn table(lab: &Lab, outcome: &Outcome) -> String {
    let Scenario { name, input, .. } = outcome.scenario;
    let mut table = Table::new([
        "receiver",
        "instances/s",
        "MB/s",
        "x Collimator",
        "x storescp --ignore",
        "CPU ms each",
        "broker's",
        "peak MB",
        "with broker",
        "bounded by (% of one core, of the time)",
    ]);
    let base = |receiver| outcome.rate(receiver).unwrap_or(f64::NAN);
    for receiver in Receiver::ALL {
        let Some(rounds) = outcome.rounds.get(&receiver) else { continue };
        let rate = rounds.median(Measurement::rate);
        let peak = |of: fn((u64, u64)) -> u64| {
            megabytes(rounds.median(|measurement| of(measurement.peak()) as f64) as u64)
        };
        table.row([
            receiver.name().to_owned(),
            number(rate),
            number(rounds.median(Measurement::throughput) / 1e6),
            number(rate / base(Collimator)),
            number(rate / base(StorescpIgnore)),
            number(rounds.median(Measurement::cpu_per_instance) * 1000.0),
            number(rounds.median(Measurement::broker_cpu_per_instance) * 1000.0),
            peak(|(own, _)| own),
            peak(|(_, all)| all),
            rounds.bound(lab.cores),
        ]);
    }
    let rounds = outcome.rounds.values().map(|rounds| rounds.0.len()).max().unwrap_or(0);
    let mut text = format!("{name}: instances of {}, median of {rounds}\n\n", input.name());
    text += &table.text();
    if let Some(copied) = outcome.copied {
        let share = |receiver| {
            let rounds = outcome.rounds.get(&receiver)?;
            Some(rounds.median(Measurement::throughput) / copied * 100.0)
        };
        text +=
            &format!("a plain copy of the same bytes over loopback: {} MB/s", number(copied / 1e6));
        for receiver in [Collimator, CollimatorUnsynced, StorescpIgnore] {
            if let Some(share) = share(receiver) {
                text += &format!("; {} {share:.0} %", receiver.name());
            }
        }
        text += "\n";
    }
    if let Some(Kept { published, named }) = outcome.kept {
        text += &format!(
            "as many threads that write a file, fdatasync it and await a synced publish: {} a second; \
             that write, fsync, rename and fsync the folder: {}\n",
            number(published),
            number(named),
        );
    }
    text
}
