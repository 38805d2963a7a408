//! Where STOW-RS is listened for.

use anyhow::{Context as _, ensure};
use clap::Args;
use shared::stow::{StowToken, StowTokenFile};
use std::net::SocketAddr;

/// Settings of STOW-RS in a receiver of its own.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "STOW-RS")]
pub struct StowSettings {
    /// Address and port for STOW-RS requests, which the API forwards [default: none]
    #[arg(long, env = "STOW_ADDR")]
    pub stow_addr: Option<SocketAddr>,

    /// The secret between the API and the receiver.
    #[command(flatten)]
    pub token: StowTokenFile,
}

impl StowSettings {
    /// Where to listen, and the secret of those who may ask there.
    ///
    /// # Errors
    /// When there is one without the other, or the secret is no good.
    pub fn read(&self) -> anyhow::Result<Option<(SocketAddr, StowToken)>> {
        let token = self.token.read()?;
        let Some(addr) = self.stow_addr else {
            ensure!(token.is_none(), "STOW_TOKEN_FILE is of no use without STOW_ADDR");
            return Ok(None);
        };
        let token = token.context(
            "STOW_ADDR needs STOW_TOKEN_FILE as well: whoever reaches it could send as anybody; make the file by \
             `openssl rand -hex 32` and give it to the API too",
        )?;
        Ok(Some((addr, token)))
    }
}
