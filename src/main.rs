//! `collimator`: the whole pipeline in one process, and the commands around it.

use anyhow::{Context as _, bail};
use api::auth::tokens::{self, NewToken};
use clap::{CommandFactory, Parser, Subcommand};
use collimator::catalog_copy::{self, CatalogCommand};
use collimator::check_config;
use collimator::config::{self, ConfigCommand};
use collimator::doctor::{self, DoctorSettings};
use collimator::embedded_nats::guard_if_asked;
use collimator::manual::{self, CompletionsSettings, ManSettings};
use collimator::pipeline::{self, Addresses, PipelineSettings};
use collimator::pseudonym::PseudonymCommand;
use collimator::readiness;
use collimator::send::{self, SendSettings};
use collimator::series::{self, SeriesSettings};
use collimator::store_verify::{self, StoreCommand};
use collimator::synthetic::SyntheticStudy;
use shared::senders::PasscodeHash;
use shared::settings::CommonSettings;
use shared::shutdown::{self, Shutdown};
use shared::sighup::Sighup;
use std::io::{self, BufRead as _, Read as _};
use std::process::ExitCode;
use std::time::Duration;

/// Longest line with a passcode that is read, in bytes; longer ones are too long for the protocol.
const MAX_PASSCODE_LINE: u64 = 128 * 1024;

/// Receives DICOM, detects when each series is complete, and announces it.
///
/// Without a command it runs the whole pipeline: a C-STORE SCP, the indexer, the HTTP API, and an embedded
/// nats-server unless NATS_URL names one.
#[derive(Debug, Parser)]
#[command(version = version::VERSION, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    pipeline: PipelineSettings,
    #[command(flatten)]
    common: CommonSettings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send instances to a C-STORE SCP
    Send(Box<SendSettings>),
    /// Run the whole pipeline and send it a small synthetic study
    Demo(Box<PipelineSettings>),
    /// Check the settings and the files that they name, and print who may send
    CheckConfig(Box<PipelineSettings>),
    /// Write a settings file, or print the settings and where each is from
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Hash a passcode, read from standard input, for SOURCES_FILE
    HashPasscode,
    /// Print the pseudonyms of the patients on standard input, one a line: PatientID, and after a TAB
    /// IssuerOfPatientID if there is one
    Pseudonym(PseudonymCommand),
    /// List, show and watch series through a running API
    Series(SeriesSettings),
    /// Check everything that the pipeline needs and print what to do; changes nothing
    Doctor(Box<DoctorSettings>),
    /// Copy the catalogue to another database
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Compare the instance store with the catalogue
    #[command(subcommand)]
    Store(StoreCommand),
    /// Exit with 0 if the API that runs with these settings is ready, for health checks
    Ready(Box<api::Settings>),
    /// Print the completion script of a shell
    Completions(CompletionsSettings),
    /// Print the manual page, or write all manual pages
    Man(ManSettings),
    /// Manage access tokens of the HTTP API
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Create a token, add its hash to TOKENS_FILE, and print it; it cannot be printed again
    Create(NewToken),
}

fn main() -> ExitCode {
    guard_if_asked();
    shutdown::main_with(Args::common, Args::drain_timeout, run)
}

impl Args {
    /// Commands that answer a question print to standard output and log warnings only, unless a setting asks
    /// for more.
    fn common(&self) -> CommonSettings {
        let mut common = self.common.clone();
        if !self.serves() && common.rust_log == "info" {
            "warn".clone_into(&mut common.rust_log);
        }
        common
    }

    /// Time that associations may continue after the signal.
    fn drain_timeout(&self) -> Duration {
        match &self.command {
            None => self.pipeline.ingest.drain_timeout,
            Some(Command::Demo(settings)) => settings.ingest.drain_timeout,
            Some(_) => Duration::ZERO,
        }
    }

    /// Whether this invocation runs the pipeline.
    fn serves(&self) -> bool {
        matches!(self.command, None | Some(Command::Demo(_)))
    }
}

/// What the pipeline fails with goes to the log. A command answers the person who gave it.
async fn run(args: Args, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let serves = args.serves();
    match carry_out(args, shutdown).await {
        Err(error) if !serves => {
            eprintln!("error: {error:#}");
            Ok(ExitCode::FAILURE)
        }
        ended => ended,
    }
}

async fn carry_out(args: Args, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let stop = shutdown.stop.clone();
    if !args.serves() {
        Sighup::listen()?.stops(&stop);
    }
    match args.command {
        None => {
            pipeline::run(args.pipeline, shutdown, async |addresses: Addresses| {
                println!("{}", addresses.welcome());
                Ok(())
            })
            .await?;
        }
        Some(Command::CheckConfig(settings)) => {
            if let Some(file) = &args.common.config {
                println!("Settings are read from {}.", file.display());
            }
            if let Err(problems) = check_config::check(&settings, &mut io::stdout())? {
                problems.iter().for_each(|problem| eprintln!("error: {problem}"));
                return Ok(ExitCode::FAILURE);
            }
        }
        Some(Command::Config(command)) => return config::run(&command, Args::command()),
        Some(Command::HashPasscode) => println!("{}", hash_passcode()?),
        Some(Command::Pseudonym(command)) => {
            command.run(&mut io::stdin().lock(), &mut io::stdout().lock())?;
        }
        Some(Command::Demo(settings)) => pipeline::run(*settings, shutdown, demo).await?,
        Some(Command::Completions(settings)) => {
            return manual::completions(Args::command(), settings);
        }
        Some(Command::Man(settings)) => {
            return manual::man(Args::command(), &settings);
        }
        Some(Command::Doctor(settings)) => return doctor::run(*settings).await,
        Some(Command::Catalog(command)) => {
            tokio::select! {
                copied = Box::pin(catalog_copy::run(command)) => copied?,
                () = stop.cancelled() => return Ok(ExitCode::FAILURE),
            }
        }
        Some(Command::Store(command)) => {
            return tokio::select! {
                verified = Box::pin(store_verify::run(command)) => verified,
                () = stop.cancelled() => Ok(ExitCode::FAILURE),
            };
        }
        Some(Command::Ready(settings)) => return readiness::run(&settings).await,
        Some(Command::Series(settings)) => return Ok(series::run(settings, stop).await),
        Some(Command::Token(TokenCommand::Create(new))) => {
            println!("{}", tokens::create(&new.tokens_file, &new.name, &new.scopes)?);
            eprintln!(
                "It is kept nowhere: the API that has {} as TOKENS_FILE knows its hash \
                       from its next start or SIGHUP on",
                new.tokens_file.display()
            );
        }
        Some(Command::Send(settings)) => {
            let report = tokio::select! {
                report = send::run(*settings) => report?,
                () = stop.cancelled() => bail!(
                    "interrupted; what was stored before stays. Send the same again for the rest: no instance is counted twice"
                ),
            };
            if !report.is_complete() {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The hash of the passcode that is read.
fn hash_passcode() -> anyhow::Result<String> {
    let mut line = Vec::new();
    io::stdin().lock().take(MAX_PASSCODE_LINE).read_until(b'\n', &mut line)?;
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
    Ok(PasscodeHash::of(&line[..end])?.as_str().to_owned())
}

/// Sends a small study to the pipeline that has just come up.
async fn demo(addresses: Addresses) -> anyhow::Result<()> {
    println!("{}", addresses.welcome());
    let folder = tempfile::tempdir().context("a folder for the demo's instances")?;
    let study = SyntheticStudy::new().series("MR", 17).series("CT", 8);
    let paths = study.write_to(folder.path())?;
    let to = addresses.dicom_here().context("the demo sends in plain text; set DICOM_ADDR")?;
    let mut settings = SendSettings::new(to.to_string(), paths);
    settings.called_ae.clone_from(&addresses.ae_title);
    send::run(settings).await?;
    println!("In a moment both series are at {}/series", addresses.api_url());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_page_has_every_setting_with_its_default() {
        let page = include_str!("../docs/settings.md");
        let rows: Vec<_> = page.lines().collect();
        for argument in Args::command().get_arguments() {
            let Some(variable) = argument.get_env().and_then(|name| name.to_str()) else {
                continue;
            };
            let start = format!("| `{variable}` | ");
            let row = rows.iter().find(|row| row.starts_with(&start));
            let row = row.unwrap_or_else(|| panic!("{variable} is not in docs/settings.md"));
            if let Some(heading) = argument.get_help_heading() {
                let above = page.split(row).next().unwrap_or_default();
                let own = above.rsplit("\n## ").next().and_then(|section| section.lines().next());
                assert_eq!(own, Some(heading), "the heading of {variable}");
            }
            for default in argument.get_default_values().iter().filter_map(|value| value.to_str()) {
                let cell = row.split(" | ").nth(1).unwrap_or_default();
                assert!(cell.contains(&format!("`{default}`")), "{variable}={default}: {row}");
            }
        }
    }
}
