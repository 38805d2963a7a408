//! Where STOW-RS requests are passed on to.

use super::Stow;
use anyhow::{Context as _, ensure};
use clap::Args;
use shared::stow::StowTokenFile;

/// Settings of STOW-RS in an API of its own.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "STOW-RS")]
pub struct StowSettings {
    /// Receiver to which STOW-RS requests are forwarded: the URL of its STOW_ADDR, such as http://ingest:8105
    /// [default: none]
    #[arg(long, env = "STOW_URL")]
    pub stow_url: Option<String>,

    /// The secret between the API and the receiver.
    #[command(flatten)]
    pub token: StowTokenFile,
}

impl StowSettings {
    /// Who passes requests on.
    ///
    /// # Errors
    /// When there is a receiver without a secret or the other way round, or one of them is no good.
    pub fn read(&self) -> anyhow::Result<Stow> {
        let token = self.token.read()?;
        let Some(url) = &self.stow_url else {
            ensure!(token.is_none(), "STOW_TOKEN_FILE is of no use without STOW_URL");
            return Ok(Stow::default());
        };
        let token = token.context(
            "STOW_URL needs STOW_TOKEN_FILE as well: the file that the receiver has, too",
        )?;
        Stow::to(url, token)
    }
}
