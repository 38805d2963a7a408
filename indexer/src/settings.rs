//! Settings of the indexer. Each is also an environment variable of the same name.

use crate::senders::senders_of;
use bytesize::ByteSize;
use clap::Args;
use completion::{Rules, Senders};
use jiff::SignedDuration;
use shared::senders::SendersFile;
use shared::settings::{duration, duration_or_zero, positive_size};
use std::time::Duration;

/// Settings of the indexer.
#[derive(Debug, Clone, Args)]
// The all-in-one has several `Settings`, and a group is named by its type.
#[group(skip)]
#[command(next_help_heading = "Completeness")]
pub struct Settings {
    /// Time without activity after which a series is complete
    #[arg(long, env = "QUIET_PERIOD", default_value = "10s", value_parser = duration)]
    pub quiet_period: Duration,

    /// The same, when there is evidence that nothing more will come
    #[arg(long, env = "SETTLE_PERIOD", default_value = "1s", value_parser = duration)]
    pub settle_period: Duration,

    /// The same, after an association of the series was aborted
    #[arg(long, env = "ABORT_GRACE", default_value = "60s", value_parser = duration)]
    pub abort_grace: Duration,

    /// Maximum time that a series is open; then it is complete with the instances received so far
    #[arg(long, env = "MAX_OPEN", default_value = "1h", value_parser = duration)]
    pub max_open: Duration,

    /// Maximum time that a series waits for instances that its source is known to have; see `ask` in SOURCES_FILE
    #[arg(long, env = "ASK_TIMEOUT", default_value = "2m", value_parser = duration)]
    pub ask_timeout: Duration,

    /// Time after the last completion of one of its series at which a study is complete; 0s: studies are not announced
    #[arg(long, env = "STUDY_QUIET_PERIOD", default_value = "60s", value_parser = duration_or_zero)]
    pub study_quiet_period: Duration,

    /// Time without an acknowledgement after which NATS delivers an event again
    #[arg(long, help_heading = "Catalogue", env = "ACK_WAIT", default_value = "30s", value_parser = duration)]
    pub ack_wait: Duration,

    /// Retention of processed events in the INSTANCES stream; shorter when the stream is 80 % full
    #[arg(long, help_heading = "Catalogue", env = "HISTORY", default_value = "7d", value_parser = duration)]
    pub history: Duration,

    /// Retention of series in the catalogue, from their last completion [default: unlimited]
    #[arg(long, help_heading = "Catalogue", env = "CATALOG_RETENTION", value_parser = duration)]
    pub catalog_retention: Option<Duration>,

    /// Retention of the files of a series in the instance store, from its last completion [default: unlimited]
    #[arg(long, help_heading = "Instance store", env = "STORE_RETENTION", value_parser = duration)]
    pub store_retention: Option<Duration>,

    /// Maximum size of the files of complete series; the oldest series are purged first [default: unlimited]
    #[arg(long, help_heading = "Instance store", env = "STORE_MAX_BYTES", value_parser = positive_size)]
    pub store_max_bytes: Option<ByteSize>,

    /// Time that a file stays in the instance store after the catalogue stopped naming it, for readers that have just
    /// looked it up
    #[arg(long, help_heading = "Instance store", env = "STORE_REMOVE_AFTER", default_value = "1m", value_parser = duration)]
    pub store_remove_after: Duration,
}

impl Settings {
    /// How long series stay in the catalogue after they were complete; `None` for ever.
    ///
    /// # Errors
    /// When it is longer than the calendar.
    pub fn catalog_retention(&self) -> anyhow::Result<Option<SignedDuration>> {
        Ok(self.catalog_retention.map(SignedDuration::try_from).transpose()?)
    }

    /// How long files stay in the instance store after their series were complete; `None` for ever.
    ///
    /// # Errors
    /// When it is longer than the calendar.
    pub fn store_retention(&self) -> anyhow::Result<Option<SignedDuration>> {
        Ok(self.store_retention.map(SignedDuration::try_from).transpose()?)
    }

    /// How long the series of a study must all have been complete; `None` when studies are not
    /// announced.
    ///
    /// # Errors
    /// When it is longer than anybody can wait.
    pub fn study_quiet_period(&self) -> anyhow::Result<Option<SignedDuration>> {
        let quiet_period = SignedDuration::try_from(self.study_quiet_period)?;
        Ok(Some(quiet_period).filter(|quiet_period| !quiet_period.is_zero()))
    }

    /// How it is decided that a series is complete, with what differs by sender.
    ///
    /// # Errors
    /// When a period is longer than time can be.
    pub fn senders(&self, file: SendersFile) -> anyhow::Result<Senders> {
        let all = Rules {
            quiet_period: SignedDuration::try_from(self.quiet_period)?,
            settle_period: SignedDuration::try_from(self.settle_period)?,
            abort_grace: SignedDuration::try_from(self.abort_grace)?,
            max_open: SignedDuration::try_from(self.max_open)?,
            ..Rules::default()
        };
        Ok(senders_of(file, &all, SignedDuration::try_from(self.ask_timeout)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        indexer: Settings,
    }

    #[test]
    fn the_defaults_are_those_of_the_rules() {
        let settings = Program::try_parse_from(["indexer"]).unwrap().indexer;
        let senders = settings.senders(SendersFile::default()).unwrap();
        assert_eq!(senders, Senders::new(Rules::default()));
    }
}
