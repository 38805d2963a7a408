//! Measurements of Collimator and its peers. Each command prints what it measured, and how.

mod all;
mod broker;
mod distribution;
mod events;
mod http;
mod idle;
mod index;
mod input;
mod keeping;
mod lab;
mod latency;
mod list;
mod loopback;
mod measurement;
mod memory;
mod peers;
mod pipeline;
mod postgres;
mod process;
mod programs;
mod publish;
mod receive;
mod receivers;
mod senders;
mod table;

use anyhow::bail;
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Measures Collimator with real senders.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything below but `latency`, and a table of what was to be reached
    #[command(alias = "compare")]
    All(all::AllSettings),
    /// Collimator and its peers receive the same instances, in turn
    Receive(receive::ReceiveSettings),
    /// The same with an instance store, beside peers that write files and threads that do nothing else
    Store(receive::ReceiveSettings),
    /// A backlog in the stream, and how soon the indexer has it in the catalogue
    Index(index::IndexSettings),
    /// `GET /series` of a large catalogue, beside FastAPI over sqlite3
    List(list::ListSettings),
    /// What ingest has resident with many associations and a very large instance
    Memory(memory::MemorySettings),
    /// What Collimator uses when nobody sends, and how soon it is ready
    Idle(idle::IdleSettings),
    /// How fast the broker alone takes events
    Publish(publish::PublishSettings),
    /// From the last C-STORE-RSP of a series to its completion on NATS
    Latency(latency::LatencySettings),
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = Args::parse().command;
    let measured = tokio::select! {
        measured = measure(command) => measured,
        // What was started ends as its owner is dropped.
        stopped = stopped() => stopped,
    };
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::All(settings) => all::run(&settings).await,
        Command::Receive(settings) => receive::run(&settings, &receive::SCENARIOS).await,
        Command::Store(settings) => receive::run(&settings, &receive::KEEPING_SCENARIOS).await,
        Command::Index(settings) => index::run(&settings).await,
        Command::List(settings) => list::run(&settings).await,
        Command::Memory(settings) => memory::run(&settings).await,
        Command::Idle(settings) => idle::run(&settings).await,
        Command::Publish(settings) => publish::run(&settings).await,
        Command::Latency(settings) => latency::run(&settings).await,
    }
}

/// Until somebody wants an end (Ctrl-C, SIGTERM).
async fn stopped() -> anyhow::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminate.recv() => {}
    }
    bail!("stopped")
}
