//! One indexer writes the catalogue. The others stand by until it has gone, or has stopped renewing its lease.

use catalog::{CatalogError, CatalogSettings, CatalogWriter, RENEW_EVERY};
use shared::health::Part;
use shared::settings::host_name;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// How often an indexer that stands by looks whether the lease is free.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Pause between two tries to open a catalogue that is locked by somebody else, or whose disk is full.
const OPEN_PAUSE: Duration = Duration::from_secs(1);

/// What to call this indexer in front of people on another machine.
pub fn this_process() -> String {
    format!("host {}, process {}", host_name(), std::process::id())
}

/// Waits for the lease on the catalogue and takes it; the parts of the indexer stand by meanwhile. `None` when told to
/// stop before.
///
/// # Errors
/// When the catalogue can't be made, opened or brought up to this version.
pub async fn take_over(
    settings: &CatalogSettings,
    parts: &[&Part],
    stop: &CancellationToken,
) -> Result<Option<CatalogWriter>, CatalogError> {
    let holder = this_process();
    let mut said = false;
    loop {
        let pause = match CatalogWriter::take(settings, &holder).await {
            Ok(Some(catalog)) => return Ok(Some(catalog)),
            Ok(None) => {
                if !said {
                    for part in parts {
                        part.standing_by("another indexer has this catalogue");
                    }
                    tracing::info!("standing by: another indexer has this catalogue");
                    said = true;
                }
                LOOK_EVERY
            }
            Err(error) if error.is_passing() => {
                for part in parts {
                    part.not_ready(error.to_string());
                }
                tracing::warn!("the catalogue can't be opened; trying again: {error}");
                said = false;
                OPEN_PAUSE
            }
            Err(error) => return Err(error),
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// Renews the lease until another indexer has taken it; gives that one's name.
pub async fn keep(catalog: &CatalogWriter) -> String {
    let mut due = interval(RENEW_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        match catalog.renew().await {
            Ok(()) => {}
            Err(CatalogError::Superseded(by)) => return by,
            Err(error) => tracing::debug!(%error, "the lease on the catalogue is not renewed"),
        }
    }
}
