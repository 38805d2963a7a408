//! What the indexer can be told. Each is also an environment variable of the same name.

use clap::Args;
use shared::settings::duration;
use std::time::Duration;

/// Settings of the indexer.
#[derive(Debug, Clone, Args)]
// The all-in-one has several `Settings`, and a group is named by its type.
#[group(skip)]
pub struct Settings {
    /// How long a series must be without activity before it is complete
    #[arg(long, env = "QUIET_PERIOD", default_value = "10s", value_parser = duration)]
    pub quiet_period: Duration,

    /// How long processed events stay in the INSTANCES stream; less when it is 80 % full
    #[arg(long, env = "HISTORY", default_value = "7d", value_parser = duration)]
    pub history: Duration,
}
