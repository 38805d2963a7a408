//! Where the catalogue is.

use clap::Args;

/// Where the catalogue is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Catalogue")]
pub struct CatalogSettings {
    /// The catalogue: `sqlite://` and the path of a file, with `%25` for `%`, `%3F` for `?`; or `postgres://` with
    /// user, hosts and database
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite://data/catalog.db"
    )]
    pub database_url: String,
}
