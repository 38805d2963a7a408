//! What the indexer can be told. Each is also an environment variable of the same name.

use crate::sources::{Rules, Sources};
use clap::Args;
use jiff::SignedDuration;
use shared::settings::duration;
use shared::sources::SourcesFile;
use std::time::Duration;

/// Settings of the indexer.
#[derive(Debug, Clone, Args)]
// The all-in-one has several `Settings`, and a group is named by its type.
#[group(skip)]
pub struct Settings {
    /// How long a series must be without activity before it is complete
    #[arg(long, env = "QUIET_PERIOD", default_value = "10s", value_parser = duration)]
    pub quiet_period: Duration,

    /// How long it must be without activity when there is evidence that nothing more will come
    #[arg(long, env = "SETTLE_PERIOD", default_value = "1s", value_parser = duration)]
    pub settle_period: Duration,

    /// How long it must be without activity after its association was aborted
    #[arg(long, env = "ABORT_GRACE", default_value = "60s", value_parser = duration)]
    pub abort_grace: Duration,

    /// How long a series may be open; then it is complete with what has come so far
    #[arg(long, env = "MAX_OPEN", default_value = "1h", value_parser = duration)]
    pub max_open: Duration,

    /// How long NATS waits for the acknowledgement of an event before it delivers it again
    #[arg(long, env = "ACK_WAIT", default_value = "30s", value_parser = duration)]
    pub ack_wait: Duration,

    /// How long processed events stay in the INSTANCES stream; less when it is 80 % full
    #[arg(long, env = "HISTORY", default_value = "7d", value_parser = duration)]
    pub history: Duration,
}

impl Settings {
    /// How it is decided that a series is complete, with what differs by sender.
    ///
    /// # Errors
    /// When a period is longer than time can be.
    pub fn sources(&self, file: SourcesFile) -> anyhow::Result<Sources> {
        let all = Rules {
            quiet_period: SignedDuration::try_from(self.quiet_period)?,
            settle_period: SignedDuration::try_from(self.settle_period)?,
            abort_grace: SignedDuration::try_from(self.abort_grace)?,
            max_open: SignedDuration::try_from(self.max_open)?,
            expected_from: Vec::new(),
            retrieve_url: None,
        };
        Ok(Sources::of(file, all))
    }
}
