//! `list`: `GET /series?limit=100` of a large catalogue, in SQLite and in PostgreSQL, beside a FastAPI service over
//! sqlite3 that does the same, and the whole list.

use crate::distribution::Distribution;
use crate::http::Connection;
use crate::lab::{Lab, free_port};
use crate::peers::{debian::last_line, listening, python};
use crate::postgres::{self, Postgres};
use crate::process::{Program, Usage};
use crate::programs::{build, root};
use crate::table::{Table, median, megabytes, number};
use anyhow::{Context as _, ensure};
use catalog::{CatalogSettings, CatalogWriter};
use clap::Args;
use futures_util::future::try_join_all;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::time::timeout;

/// What is asked for.
const LIMIT: usize = 100;

/// How long the whole list may take.
const WHOLE: Duration = Duration::from_secs(300);

/// How much the first list may be read for before the load, so that all have it in memory.
const WARM: usize = 20;

#[derive(Debug, Clone, Args)]
pub(crate) struct ListSettings {
    /// Series in the catalogue
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) series: u32,
    /// Connections, each with one request after the other
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: usize,
    /// How long each is asked in each round
    #[arg(long, default_value = "5s", value_parser = shared::settings::duration)]
    pub(crate) time: Duration,
    /// Rounds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// 2,000 series, once
    #[arg(long)]
    pub(crate) small: bool,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// On SQLite.
    Collimator,
    Postgres,
    FastApi(usize),
}

impl Server {
    fn name(self) -> String {
        match self {
            Self::Collimator => "Collimator's api".to_owned(),
            Self::Postgres => "Collimator's api on PostgreSQL".to_owned(),
            Self::FastApi(1) => "FastAPI + sqlite3, 1 worker".to_owned(),
            Self::FastApi(workers) => format!("FastAPI + sqlite3, {workers} workers"),
        }
    }
}

/// What one of them did, the medians of the rounds.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) server: Server,
    /// Requests in a second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// CPU seconds a request.
    pub(crate) cpu: f64,
    /// Bytes.
    pub(crate) peak: f64,
}

/// The whole list of Collimator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole {
    pub(crate) seconds: f64,
    /// Bytes of the answer.
    pub(crate) bytes: u64,
    /// Bytes that were resident at the most before, and after.
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// Measures and prints.
pub(crate) async fn run(settings: &ListSettings) -> anyhow::Result<bool> {
    Ok(measure(&Lab::enter().await?, settings).await?.failed == 0)
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Lists {
    pub(crate) listed: Vec<Listed>,
    pub(crate) whole: Whole,
    /// Measurements that failed.
    pub(crate) failed: usize,
}

/// Each server in each round, and the whole list once.
pub(crate) async fn measure(lab: &Lab, settings: &ListSettings) -> anyhow::Result<Lists> {
    let mut settings = settings.clone();
    if settings.small {
        (settings.series, settings.rounds) = (2_000, 1);
        settings.time = Duration::from_millis(500);
    }
    let folder = lab.folder()?;
    let api = build("api").await?;
    let catalog = CatalogSettings::at(&folder.path().join("catalog.db"));
    fill(&catalog, settings.series).await?;
    let mut servers = vec![Server::Collimator];
    let postgres = match postgres::install().await {
        Ok(()) => Some(Postgres::start(lab).await?),
        Err(error) => {
            println!("left out: PostgreSQL: {error:#}");
            None
        }
    };
    let on_postgres = CatalogSettings {
        database_url: postgres.as_ref().map(|it| it.url.clone()).unwrap_or_default(),
    };
    if postgres.is_some() {
        fill(&on_postgres, settings.series).await?;
        servers.push(Server::Postgres);
    }
    let database = folder.path().join("series.db");
    let python = match python::install(&lab.target).await {
        Ok(python) => {
            fill_peer(&python, &database, settings.series).await?;
            servers.extend([Server::FastApi(1), Server::FastApi(2)]);
            python
        }
        Err(error) => {
            println!("left out: FastAPI: {error:#}");
            PathBuf::new()
        }
    };

    let (mut rounds, mut failed): (Vec<Listed>, _) = (Vec::new(), 0);
    for round in 0..settings.rounds as usize {
        let mut order = servers.clone();
        order.rotate_left(round % servers.len());
        for server in order {
            let port = free_port()?;
            let program = match server {
                Server::Collimator => start(&api, folder.path(), &catalog, port).await?,
                Server::Postgres => start(&api, folder.path(), &on_postgres, port).await?,
                Server::FastApi(workers) => {
                    python::api(&python, folder.path(), &database, port, workers).await?
                }
            };
            let mut programs = vec![&program];
            if server == Server::Postgres {
                programs.extend(postgres.as_ref().map(|postgres| &postgres.program));
            }
            match load(&settings, server, &programs, port).await {
                Ok(listed) => rounds.push(listed),
                Err(error) => {
                    println!("failed: {}: {error:#}", server.name());
                    failed += 1;
                }
            }
        }
    }
    let mut listed = Vec::new();
    for server in servers {
        let own: Vec<_> = rounds.iter().filter(|listed| listed.server == server).collect();
        if own.is_empty() {
            continue;
        }
        let of = |figure: fn(&Listed) -> f64| median(own.iter().map(|listed| figure(listed)));
        listed.push(Listed {
            server,
            rate: of(|listed| listed.rate),
            p50: of(|listed| listed.p50),
            p99: of(|listed| listed.p99),
            cpu: of(|listed| listed.cpu),
            peak: of(|listed| listed.peak),
        });
    }
    println!("{}", table(lab, &settings, &listed));
    let whole = whole(&api, folder.path(), &catalog, settings.series).await?;
    println!(
        "the whole GET /series of {}: {} MB in {} s; the api has had {} MB resident at the most \
         before and {} MB after\n",
        number(settings.series.into()),
        megabytes(whole.bytes),
        number(whole.seconds),
        megabytes(whole.before),
        megabytes(whole.after)
    );
    Ok(Lists { listed, whole, failed })
}

/// A catalogue with so many series.
async fn fill(settings: &CatalogSettings, series: u32) -> anyhow::Result<()> {
    let began = Instant::now();
    let catalog = CatalogWriter::own(settings).await?;
    catalog.fill(series).await.context("the catalogue can't be filled")?;
    catalog.close().await;
    println!("a catalogue of {series} series, made in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

async fn fill_peer(python: &Path, database: &Path, series: u32) -> anyhow::Result<()> {
    let mut command = Command::new(python);
    command.arg(root().join("bench").join("peers").join("fill.py")).arg(database);
    let output = command.arg(series.to_string()).kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "fill.py: {}", last_line(&output.stderr));
    Ok(())
}

/// Starts Collimator's API, which reads without NATS.
async fn start(
    binary: &Path,
    folder: &Path,
    catalog: &CatalogSettings,
    port: u16,
) -> anyhow::Result<Program> {
    let mut command = Command::new(binary);
    command
        .env("DATABASE_URL", &catalog.database_url)
        .env("API_ADDR", format!("127.0.0.1:{port}"))
        .env("NATS_URL", format!("nats://127.0.0.1:{}", free_port()?))
        .env("RUST_LOG", "error");
    let mut program = Program::start(&mut command, &folder.join("collimator-api.log"))?;
    listening(&mut program, port).await?;
    Ok(program)
}

/// Asks over all connections for as long as is wanted.
async fn load(
    settings: &ListSettings,
    server: Server,
    programs: &[&Program],
    port: u16,
) -> anyhow::Result<Listed> {
    let path = format!("/series?limit={LIMIT}");
    let listed = first(port, &path).await?;
    let wanted = LIMIT.min(settings.series as usize);
    ensure!(listed == wanted, "it lists {listed} series where {wanted} were asked for");
    let used = || {
        let usages = programs.iter().map(|program| program.usage());
        usages.fold(Usage::default(), Usage::and)
    };
    let before = used();
    let began = Instant::now();
    let requests = (0..settings.connections).map(|_| {
        let path = path.clone();
        tokio::spawn(ask(port, path, began + settings.time))
    });
    let limit = settings.time + Duration::from_secs(60);
    let asked = timeout(limit, try_join_all(requests)).await.context("it does not answer")??;
    let seconds = began.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for asked in asked {
        times.extend(asked?);
    }
    let usage = used();
    let (requests, cpu) = (times.len() as f64, usage.cpu_since(&before).values().sum::<f64>());
    let times = Distribution::new(times).context("nothing was answered")?;
    Ok(Listed {
        server,
        rate: requests / seconds,
        p50: times.percentile(50.0),
        p99: times.percentile(99.0),
        cpu: cpu / requests,
        peak: usage.peak.values().sum::<u64>() as f64,
    })
}

/// How many series are listed; asked some times, so that what is read from disk has been.
async fn first(port: u16, path: &str) -> anyhow::Result<usize> {
    let mut connection = Connection::open(port).await?;
    let mut body = Vec::new();
    for _ in 0..WARM {
        body.clear();
        let get = connection.get(path, |piece| body.extend_from_slice(piece));
        timeout(WHOLE, get).await.context("it does not answer")??;
        if body.len() > 10 << 20 {
            break;
        }
    }
    let list: Vec<serde_json::Value> = serde_json::from_slice(&body)?;
    ensure!(list.iter().all(|series| series.get("SeriesInstanceUID").is_some()), "no series");
    Ok(list.len())
}

/// One request after the other; gives how long each took, in milliseconds.
async fn ask(port: u16, path: String, until: Instant) -> anyhow::Result<Vec<f64>> {
    let mut connection = Connection::open(port).await?;
    let mut times = Vec::new();
    loop {
        let began = Instant::now();
        if began >= until {
            return Ok(times);
        }
        connection.get(&path, |_| {}).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
}

/// The whole list, with what it does to the memory of a new process that has answered a short one.
async fn whole(
    api: &Path,
    folder: &Path,
    catalog: &CatalogSettings,
    series: u32,
) -> anyhow::Result<Whole> {
    let port = free_port()?;
    let program = start(api, folder, catalog, port).await?;
    let mut connection = Connection::open(port).await?;
    connection.get("/health/live", |_| {}).await?;
    let peak = || program.usage().peak.values().sum::<u64>();
    let (before, began, mut listed) = (peak(), Instant::now(), 0);
    // Each has one key with this name; pieces may part it, so its first letters are enough.
    let count = |piece: &[u8]| listed += piece.iter().filter(|byte| **byte == b'{').count();
    let get = connection.get("/series", count);
    let bytes = timeout(WHOLE, get).await.context("the whole list takes too long")??;
    ensure!(listed == series as usize, "the whole list has {listed} series, not {series}");
    Ok(Whole { seconds: began.elapsed().as_secs_f64(), bytes, before, after: peak() })
}

fn table(lab: &Lab, settings: &ListSettings, listed: &[Listed]) -> String {
    let mut table = Table::new([
        "server",
        "requests/s",
        "Collimator's are",
        "p50 ms",
        "p99 ms",
        "CPU ms each",
        "peak MB",
        "its CPU, % of all cores",
    ]);
    let own = listed.iter().find(|listed| listed.server == Server::Collimator);
    let own = own.map_or(f64::NAN, |own| own.rate);
    for row in listed {
        table.row([
            row.server.name(),
            number(row.rate),
            format!("{} times", number(own / row.rate)),
            number(row.p50),
            number(row.p99),
            number(row.cpu * 1000.0),
            megabytes(row.peak as u64),
            format!("{:.0}", row.cpu * row.rate / lab.cores * 100.0),
        ]);
    }
    format!(
        "GET /series?limit={LIMIT} of {} series, {} connections; median of {}\n\n{}",
        number(settings.series.into()),
        settings.connections,
        settings.rounds,
        table.text()
    )
}
