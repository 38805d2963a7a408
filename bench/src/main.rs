//! Measurements with real senders. Each command prints what it measured, and how.

mod distribution;
mod latency;
mod pipeline;

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
    /// From the last C-STORE-RSP of a series to its completion on NATS
    Latency(latency::LatencySettings),
}

#[tokio::main]
async fn main() -> ExitCode {
    let measured = match Args::parse().command {
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
