//! The settings that services have in common, and how values of settings are written.

use crate::nats_url::NatsUrl;
use crate::nats_user::NatsUser;
use crate::nats_version::OldNats;
use anyhow::anyhow;
use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of every program of the pipeline.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Health, logging and shutdown")]
pub struct CommonSettings {
    /// TOML file of settings, as written by `collimator config init`; flags and environment variables override it
    /// [default: none]
    #[arg(long, help_heading = None::<&str>, env = "COLLIMATOR_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Log level: `error`, `warn`, `info`, `debug`, `trace`, or directives such as
    /// `info,ingest=debug`
    #[arg(long, env = "RUST_LOG", default_value = "info", global = true)]
    pub rust_log: String,

    /// Log format [default: `pretty` on a terminal, else `json`]
    #[arg(long, env = "LOG_FORMAT", global = true)]
    pub log_format: Option<LogFormat>,

    /// Time limit of a shutdown, after which open connections are closed
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "10s", value_parser = duration, global = true)]
    pub shutdown_grace: Duration,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For machines: one JSON object a line.
    Json,
}

/// Where the broker is, for a service that does not run its own.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "NATS")]
pub struct NatsSettings {
    /// URL of the NATS server, nats://HOST:4222 or tls://HOST:4222; the servers of a cluster are separated by
    /// commas
    #[arg(long, env = "NATS_URL", hide_env_values = true, default_value = "nats://127.0.0.1:4222")]
    pub nats_url: NatsUrl,

    /// The NATS user.
    #[command(flatten)]
    pub user: NatsUser,

    /// How old the server may be.
    #[command(flatten)]
    pub old: OldNats,
}

/// How the streams are kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "NATS")]
pub struct StreamSettings {
    /// Number of replicas of each stream in a NATS cluster, 1 to 5; the same for ingest and indexer
    /// [default: 1 for new streams, unchanged for existing ones]
    #[arg(long, env = "STREAM_REPLICAS", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub stream_replicas: Option<u8>,

    /// Maximum size of the INSTANCES stream; senders are refused while it is full. The same for ingest and
    /// indexer
    #[arg(long, env = "INSTANCES_MAX_BYTES", default_value = "4GiB", value_parser = positive_size)]
    pub instances_max_bytes: ByteSize,

    /// Retention of audit messages
    #[arg(long, help_heading = "Audit trail", env = "AUDIT_RETENTION", default_value = "90days", value_parser = duration)]
    pub audit_retention: Duration,

    /// Maximum size of the AUDIT stream; its oldest messages are deleted first
    #[arg(long, help_heading = "Audit trail", env = "AUDIT_MAX_BYTES", default_value = "1GiB", value_parser = positive_size)]
    pub audit_max_bytes: ByteSize,
}

impl StreamSettings {
    /// Whether the streams have replicas, so that one server can die without loss.
    #[must_use]
    pub fn are_replicated(&self) -> bool {
        self.stream_replicas.is_some_and(|replicas| replicas > 1)
    }
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            stream_replicas: None,
            instances_max_bytes: ByteSize::gib(4),
            audit_retention: Duration::from_secs(90 * 24 * 60 * 60),
            audit_max_bytes: ByteSize::gib(1),
        }
    }
}

/// The name of this machine.
#[must_use]
pub fn host_name() -> String {
    match rustix::system::uname().nodename().to_string_lossy().trim() {
        "" => "collimator".to_owned(),
        name => name.to_owned(),
    }
}

/// Reads a duration such as `10s` or `1m 30s`; zero is refused, since every wait here needs one.
///
/// # Errors
/// What is wrong with `text`, for clap to show.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write it like `10s`, `500ms` or `1m 30s`")),
    }
}

/// Reads a duration, of which zero means that what it is for is off.
///
/// # Errors
/// What is wrong with `text`, for clap to show.
pub fn duration_or_zero(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Ok(Duration::ZERO),
        _ => duration(text),
    }
}

/// Reads a settings file in TOML.
///
/// # Errors
/// When it says something that is not understood: one line that says where, and of which key.
pub fn from_toml<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    toml::from_str(text).map_err(|error| {
        let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or(text);
        let message = error.message().replace('\n', " ");
        // What the parser says of a value does not always name its key.
        match before.lines().last().and_then(|line| line.split_once('=')) {
            Some((key, _))
                if !before.ends_with('\n') && !message.contains(&format!("`{}`", key.trim())) =>
            {
                anyhow!("line {}: {}: {message}", line_of(before), key.trim())
            }
            _ => anyhow!("line {}: {message}", line_of(before)),
        }
    })
}

/// The line that the text behind this one begins in.
pub(crate) fn line_of(before: &str) -> usize {
    before.matches('\n').count() + 1
}

/// Reads a size such as `16MiB` or `1000000`; zero is refused.
///
/// # Errors
/// What is wrong with `text`, for clap to show.
pub fn positive_size(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize(0)) => Err("must be more than zero".to_owned()),
        Ok(size) if size.0 > i64::MAX as u64 => Err("is out of range".to_owned()),
        Ok(size) => Ok(size),
        Err(_) => Err("is no size; write it like `16MiB` or `1000000`".to_owned()),
    }
}

/// Reads a size such as `4GiB`, which may be `0`.
///
/// # Errors
/// What is wrong with `text`, for clap to show.
pub fn size(text: &str) -> Result<ByteSize, String> {
    match text.parse() {
        Ok(ByteSize(0)) => Ok(ByteSize(0)),
        _ => positive_size(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn a_duration_has_a_unit_and_is_not_zero() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "10", "0s", "-1s", "soon"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert_eq!(duration_or_zero("0s"), Ok(Duration::ZERO), "off");
        assert_eq!(duration_or_zero("1m"), Ok(Duration::from_secs(60)));
        assert!(duration_or_zero("soon").is_err());
    }

    #[test]
    fn the_streams_are_kept_as_the_settings_say_by_default() {
        #[derive(Debug, Parser)]
        struct Program {
            #[command(flatten)]
            streams: StreamSettings,
        }
        let parsed = Program::try_parse_from(["x"]).unwrap().streams;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", StreamSettings::default()));
    }

    #[test]
    fn a_size_is_bytes_or_has_a_unit() {
        assert_eq!(positive_size("16MiB"), Ok(ByteSize::mib(16)));
        assert_eq!(positive_size("1000"), Ok(ByteSize(1000)));
        for bad in ["", "0", "-1", "many", "99999999999999999999"] {
            assert!(positive_size(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            (size("0"), size("0B"), size("1KiB")),
            (Ok(ByteSize(0)), Ok(ByteSize(0)), Ok(ByteSize::kib(1)))
        );
        for bad in ["", "-1", "many", "99999999999999999999"] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
    }
}
