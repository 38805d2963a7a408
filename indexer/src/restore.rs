//! `indexer restore`: a backup in the place of the catalogue.

use anyhow::{Context as _, bail};
use catalog::{CatalogSettings, restore_backup};
use clap::Args;
use std::path::PathBuf;

/// What `indexer restore` is told.
#[derive(Debug, Clone, Args)]
pub struct RestoreSettings {
    /// The backup; it stays as it is
    file: PathBuf,
    /// Where the catalogue is
    #[command(flatten)]
    catalog: CatalogSettings,
}

/// Puts the backup in the place of the catalogue; gives what to tell about it.
///
/// # Errors
/// When somebody has the catalogue, or the backup is none that this version can use. Nothing has changed
/// then.
pub async fn run(settings: &RestoreSettings) -> anyhow::Result<String> {
    let named = settings.catalog.name()?;
    let Some(_lock) = catalog::lock(&settings.catalog)? else {
        bail!("an indexer has {named}; stop it first");
    };
    let restored = restore_backup(&settings.catalog, &settings.file).await;
    let restored = restored.context("nothing was restored")?;
    let mut told = format!(
        "{named} is what {} has: INSTANCES up to {}\n",
        settings.file.display(),
        restored.last_sequence
    );
    if let Some(kept) = restored.kept {
        told += &format!("what was there before is in {}\n", kept.display());
    }
    Ok(told
        + "the next start of the indexer reads what INSTANCES has after that, and takes from SERIES what \
           was announced since\n")
}
