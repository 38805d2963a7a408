//! One indexer at a time: a second one stands by until the catalogue is free.

use catalog::{CatalogError, CatalogSettings, Lock};
use shared::health::Part;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often an indexer that stands by looks whether the other one is gone.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Waits for the lock on the catalogue. `None` when told to stop before it was there.
///
/// # Errors
/// When the lock can't be made.
pub async fn acquire(
    settings: &CatalogSettings,
    health: &Part,
    stop: &CancellationToken,
) -> Result<Option<Lock>, CatalogError> {
    let mut said = false;
    loop {
        if let Some(lock) = catalog::lock(settings)? {
            return Ok(Some(lock));
        }
        if !said {
            health.not_ready("standing by: another indexer has this catalogue");
            tracing::info!("standing by: another indexer has this catalogue");
            said = true;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}
