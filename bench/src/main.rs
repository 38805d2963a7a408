//! Measurements of Collimator and its peers. Each command prints what it measured, and how.

mod broker;
mod distribution;
mod input;
mod lab;
mod latency;
mod loopback;
mod measurement;
mod peers;
mod pipeline;
mod process;
mod programs;
mod receive;
mod receivers;
mod senders;
mod table;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Measures Collimator with real senders.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Collimator and its peers receive the same instances, in turn
    Receive(receive::ReceiveSettings),
    /// From the last C-STORE-RSP of a series to its completion on NATS
    Latency(latency::LatencySettings),
}

#[tokio::main]
async fn main() -> ExitCode {
    let measured = match Args::parse().command {
        Command::Receive(settings) => receive::run(&settings).await,
        Command::Latency(settings) => latency::run(&settings).await,
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
