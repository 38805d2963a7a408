//! Log lines: where they go and how they look. They name associations and UIDs, never a patient.

use crate::settings::{CommonSettings, LogFormat};
use std::io::IsTerminal;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// Libraries that repeat at info what our own lines say: that they connect, listen and stop. Only their warnings are logged,
/// unless `RUST_LOG` names them.
const CHATTY: [&str; 2] = ["async_nats", "poem"];

/// Starts logging to standard error. The first call in a process counts.
///
/// # Errors
/// When the filter can't be understood.
pub fn start(settings: &CommonSettings) -> anyhow::Result<()> {
    let asked_for = EnvFilter::try_new(&settings.rust_log)
        .map_err(|error| anyhow::anyhow!("RUST_LOG={:?}: {error}", settings.rust_log))?;
    let quiet = CHATTY.into_iter().filter(|library| !settings.rust_log.contains(library));
    let quiet: Vec<_> = quiet.collect();
    let filter = asked_for
        .and(filter_fn(names_no_patient))
        .and(filter_fn(move |line| *line.level() <= Level::WARN || !is_of(&quiet, line)));
    let terminal = std::io::stderr().is_terminal();
    let format = settings.log_format.unwrap_or(match terminal {
        true => LogFormat::Pretty,
        false => LogFormat::Json,
    });
    let lines = fmt::layer::<Registry>().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Pretty => lines.with_ansi(terminal).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // A second call finds the first one's subscriber, which is what was wanted.
    drop(tracing_subscriber::registry().with(lines.with_filter(filter)).try_init());
    Ok(())
}

/// Whether a line is of one of these libraries.
fn is_of(libraries: &[&str], line: &Metadata<'_>) -> bool {
    libraries.iter().any(|library| line.target().starts_with(library))
}

/// async-nats writes whole messages at its lowest level, and those name patients. No setting turns
/// that on.
fn names_no_patient(line: &Metadata<'_>) -> bool {
    !(line.target().starts_with("async_nats") && *line.level() == Level::TRACE)
}
