//! `collimator catalog copy`: a catalogue in another database.

use crate::output;
use anyhow::Context as _;
use catalog::{CatalogSettings, CopyProgress};
use clap::{Args, Subcommand};
use std::ffi::OsString;

/// What is done with a catalogue.
#[derive(Debug, Clone, Subcommand)]
pub enum CatalogCommand {
    /// Copy a catalogue into another database, from SQLite to PostgreSQL or back, while no indexer runs
    Copy(CopySettings),
}

/// What is copied, and where to.
#[derive(Debug, Clone, Args)]
pub struct CopySettings {
    /// The catalogue that there is: `sqlite://` and the path of a file, or `postgres://` and user, hosts and database
    #[arg(long, value_name = "URL")]
    from: OsString,

    /// Where to copy it: a file that does not exist, or an empty database
    #[arg(long, value_name = "URL")]
    to: OsString,
}

/// Copies it, and prints how many rows of each table both have.
///
/// # Errors
/// When it can't be copied, or the result can't be printed. No service uses the copy then.
pub async fn run(CatalogCommand::Copy(settings): CatalogCommand) -> anyhow::Result<()> {
    let (from, to) = (CatalogSettings::named(&settings.from), CatalogSettings::named(&settings.to));
    let named = to.name()?;
    let mut counted = String::new();
    let progress = |progress| match progress {
        CopyProgress::Copying { table } => eprintln!("copying {table}"),
        CopyProgress::Compared { table, rows } => counted += &format!("{table:<16}{rows:>12}\n"),
    };
    catalog::copy(&from, &to, progress).await.context("the catalogue is not copied")?;
    let copied = format!(
        "rows that {} and {named} both have:\n{counted}the copy is whole; set DATABASE_URL to it and start the \
         services\n",
        from.name()?
    );
    output::print(copied).context("standard output")
}
