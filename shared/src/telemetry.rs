//! Log lines: where they go and how they look. They name associations and UIDs, never a patient.

use crate::settings::{CommonSettings, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error. The first call in a process counts.
///
/// # Errors
/// When the filter can't be understood.
pub fn start(settings: &CommonSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.rust_log)
        .map_err(|error| anyhow::anyhow!("RUST_LOG={:?}: {error}", settings.rust_log))?;
    let terminal = std::io::stderr().is_terminal();
    let format = settings.log_format.unwrap_or(match terminal {
        true => LogFormat::Pretty,
        false => LogFormat::Json,
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Pretty => builder.with_ansi(terminal).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    };
    // A second call finds the first one's subscriber, which is what was wanted.
    drop(started);
    Ok(())
}
