//! `all`: every measurement, and a table of what was to be reached.

use crate::idle::{self, IdleSettings};
use crate::index::{self, IndexSettings, On};
use crate::lab::Lab;
use crate::list::{self, ListSettings, Server};
use crate::measurement::Measurement;
use crate::memory::{self, MemorySettings};
use crate::receive::{self, Outcome, ReceiveSettings};
use crate::receivers::Receiver;
use crate::table::{Table, megabytes, number};
use clap::Args;
use std::time::Duration;

#[derive(Debug, Clone, Args)]
pub(crate) struct AllSettings {
    /// Rounds of each measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Everything once and small, to see that it works
    #[arg(long)]
    small: bool,
}

/// Measures everything, however much of it fails; says what was reached of what, and whether nothing
/// failed.
pub(crate) async fn run(settings: &AllSettings) -> anyhow::Result<bool> {
    let AllSettings { rounds, small } = *settings;
    let lab = Lab::enter().await?;
    let mut aims = Aims::default();
    let (mut failures, mut failed) = (0, 0);
    let mut note = |what: &str, error: anyhow::Error| {
        println!("failed: {what}: {error:#}\n");
        failed += 1;
    };
    let receive = ReceiveSettings {
        rounds,
        small,
        only: String::new(),
        receivers: Vec::new(),
        time: Duration::from_secs(3),
    };
    let scenarios = [&receive::SCENARIOS[..], &receive::KEEPING_SCENARIOS[..]].concat();
    match receive::measure(&lab, &receive, &scenarios).await {
        Ok(outcomes) => {
            aims.receiving(&outcomes);
            aims.keeping(&outcomes);
            failures += outcomes.iter().map(|outcome| outcome.failed).sum::<usize>();
        }
        Err(error) => note("receive", error),
    }
    let memory = MemorySettings { associations: 100, large: 2048, small };
    match memory::measure(&lab, &memory).await {
        Ok(memory) => {
            let at_most = |name, bytes, most| (name, megabytes(bytes), bytes as f64 <= most);
            for (name, figure, reached) in [
                at_most("ingest, 100 associations in mid-instance, MB", memory.peak, 64e6),
                at_most("one instance of 2 GiB adds, MB", memory.after - memory.before, 8e6),
            ] {
                let most = if name.starts_with("one") { "less than 8" } else { "at most 64" };
                aims.row(name, most, figure, reached);
            }
        }
        Err(error) => note("memory", error),
    }
    let index = |instances, on| IndexSettings {
        instances: vec![instances],
        on,
        series: 10_000,
        interleaved: 8,
        rounds,
        small,
    };
    let indexed = async {
        let mut drained = index::measure(&lab, &index(1_000_000, On::ALL.to_vec())).await?;
        drained.extend(index::measure(&lab, &index(5_000_000, vec![On::Single])).await?);
        anyhow::Ok(drained)
    };
    match indexed.await {
        Ok(drained) => aims.indexing(&drained),
        Err(error) => note("index", error),
    }
    let list = ListSettings {
        series: 1_000_000,
        connections: 32,
        time: Duration::from_secs(5),
        rounds,
        small,
    };
    match list::measure(&lab, &list).await {
        Ok(lists) => {
            aims.listing(&lists.listed, lists.whole);
            failures += lists.failed;
        }
        Err(error) => note("list", error),
    }
    let idle = IdleSettings { time: Duration::from_secs(20), starts: 5, small };
    match idle::measure(&lab, &idle).await {
        Ok(idle) => {
            let resident = megabytes(idle.resident);
            aims.row(
                "all in one, idle, without nats-server, MB",
                "at most 40",
                resident,
                idle.resident as f64 <= 40e6,
            );
            let cpu = number(idle.cpu * 100.0);
            aims.row("its CPU, % of a core", "under 0.5", cpu, idle.cpu < 0.005);
            aims.row(
                "ready on existing data, ms",
                "within 300",
                number(idle.ready),
                idle.ready <= 300.0,
            );
        }
        Err(error) => note("idle", error),
    }
    println!("{}", aims.table.text());
    if small {
        println!("small: the figures mean nothing, only that everything ran");
    }
    Ok(failures + failed == 0)
}

/// What was to be reached, and what was.
#[derive(Debug)]
struct Aims {
    table: Table,
}

impl Default for Aims {
    fn default() -> Self {
        Self { table: Table::new(["what", "aim", "measured", "reached"]) }
    }
}

impl Aims {
    fn row(&mut self, what: &str, aim: &str, figure: String, reached: bool) {
        let reached = if reached { "yes" } else { "no" };
        self.table.row([what.to_owned(), aim.to_owned(), figure, reached.to_owned()]);
    }

    fn at_least(&mut self, what: &str, aim: f64, figure: Option<f64>) {
        match figure {
            Some(figure) => {
                self.row(what, &format!("at least {aim}"), number(figure), figure >= aim);
            }
            None => self.row(what, &format!("at least {aim}"), "left out".to_owned(), false),
        }
    }

    fn receiving(&mut self, outcomes: &[Outcome]) {
        use Receiver::{
            Collimator, CollimatorReplicated, CollimatorUnsynced, Ingest, Orthanc, StorescpIgnore,
        };
        for (scenario, times_ignore, times_orthanc) in [
            ("stock dcmsend, 1 association", 25.0, Some(25.0)),
            ("TCP_NODELAY dcmsend, 1 association", 0.8, Some(5.0)),
            ("TCP_NODELAY dcmsend, 4 associations", 1.0, Some(5.0)),
            ("fast sender, 1 association", 0.8, None),
            ("fast sender, 4 associations", 1.2, None),
        ] {
            let Some(outcome) = outcomes.iter().find(|outcome| outcome.scenario.name == scenario)
            else {
                continue;
            };
            let own = outcome.rate(Collimator);
            let times = |of: Option<f64>, other| Some(of? / outcome.rate(other)?);
            let name = format!("{scenario}: times storescp --ignore");
            self.at_least(&name, times_ignore, times(own, StorescpIgnore));
            if let Some(unsynced) = times(outcome.rate(CollimatorUnsynced), StorescpIgnore) {
                let name = format!("{scenario}: the same without the broker's sync");
                self.table.row([name, String::new(), number(unsynced), String::new()]);
            }
            if let Some(aim) = times_orthanc {
                self.at_least(&format!("{scenario}: times Orthanc"), aim, times(own, Orthanc));
            }
            if scenario.starts_with("fast") {
                let replicated = outcome.rate(CollimatorReplicated);
                let name = format!("{scenario}: three brokers not syncing, times one that syncs");
                self.at_least(&name, 0.5, times(replicated, Collimator));
            }
            if let (Some(copied), Some(rounds)) = (outcome.copied, outcome.rounds.get(&Collimator))
            {
                let share = rounds.median(Measurement::throughput) / copied * 100.0;
                let name = format!("{scenario}: % of a plain loopback copy");
                self.table.row([name, "said".to_owned(), number(share), String::new()]);
            }
            let cpu = |receiver| {
                let rounds = outcome.rounds.get(&receiver)?;
                Some(rounds.median(Measurement::cpu_per_instance))
            };
            if scenario == "fast sender, 1 association"
                && let (Some(ingest), Some(ignore)) = (cpu(Ingest), cpu(StorescpIgnore))
            {
                let (what, times) =
                    ("CPU of ingest for one of 0.5 MB: times storescp --ignore", ingest / ignore);
                self.row(what, "at most 0.75", number(times), times <= 0.75);
            }
        }
    }

    fn keeping(&mut self, outcomes: &[Outcome]) {
        use Receiver::{CollimatorKeeping, Orthanc, StorescpFiles};
        for outcome in outcomes {
            let Some(kept) = outcome.kept else { continue };
            let (scenario, own) = (outcome.scenario, outcome.rate(CollimatorKeeping));
            let times = |of: Option<f64>| Some(own? / of?);
            let name = format!("{}: times threads that write, sync and publish", scenario.name);
            self.at_least(&name, 0.85, times(Some(kept.published)));
            let name = format!("{}: times Orthanc", scenario.name);
            self.at_least(&name, 3.0, times(outcome.rate(Orthanc)));
            if scenario.associations == 16 {
                let name = format!("{}: times storescp with files, not synced", scenario.name);
                self.at_least(&name, 1.0, times(outcome.rate(StorescpFiles)));
            }
        }
    }

    fn indexing(&mut self, drained: &[index::Drained]) {
        let Some(first) = drained.first() else { return };
        let name = format!("indexer, backlog of {}: instances/s", number(first.instances as f64));
        self.at_least(&name, 50_000.0, Some(first.rate));
        let most = drained.iter().map(|drained| drained.peak).fold(0.0, f64::max);
        self.row(
            "indexer, the most resident, MB",
            "at most 150",
            megabytes(most as u64),
            most <= 150e6,
        );
        let postgres = drained.iter().find(|drained| drained.on == On::Postgres);
        let postgres = postgres.map(|postgres| postgres.rate);
        self.at_least("the same into PostgreSQL: instances/s", 20_000.0, postgres);
        let times = postgres.map(|postgres| postgres / first.rate);
        self.at_least("the same: times the rate into SQLite", 0.4, times);
        if let [first, .., last] = drained {
            let name = format!("rate at {}: times the first", number(last.instances as f64));
            self.at_least(&name, 0.8, Some(last.rate / first.rate));
        }
    }

    fn listing(&mut self, listed: &[list::Listed], whole: list::Whole) {
        let of = |server| listed.iter().find(|listed| listed.server == server);
        let own = of(Server::Collimator);
        for (workers, aim) in [(1, 10.0), (2, 5.0)] {
            let times =
                own.zip(of(Server::FastApi(workers))).map(|(own, other)| own.rate / other.rate);
            let name =
                format!("GET /series?limit=100: times FastAPI + sqlite3 with {workers} worker(s)");
            self.at_least(&name, aim, times);
        }
        let postgres = of(Server::Postgres);
        let times = own.zip(postgres).map(|(own, postgres)| postgres.rate / own.rate);
        self.at_least("the same on PostgreSQL: times the rate on SQLite", 0.5, times);
        if let Some(postgres) = postgres {
            let (what, p99) = ("the same on PostgreSQL: p99, ms", postgres.p99);
            self.row(what, "under 25", number(p99), p99 < 25.0);
        }
        if let Some(own) = own {
            self.row("its p99, ms", "under 10", number(own.p99), own.p99 < 10.0);
        }
        // Constant: what is held of an answer is some buffers, whatever its length.
        let adds = whole.after - whole.before;
        let what = "the whole GET /series adds, MB";
        self.row(what, "constant (at most 16)", megabytes(adds), adds as f64 <= 16e6);
    }
}
