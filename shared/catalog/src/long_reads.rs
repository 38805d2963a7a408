//! Reads that may take seconds in a large catalogue: few at a time, so that what looks something up finds a connection.

use crate::error::CatalogError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// How many of a reader's connections may do what can take seconds in a large catalogue: a search through all of it, a
/// count, a part of a list without end.
pub(crate) const LONG_READS: usize = 2;

/// How long such a one waits for its turn.
const LONG_WAIT: Duration = Duration::from_secs(30);

/// The turns of one reader. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct LongReads(Arc<Semaphore>);

impl LongReads {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(LONG_READS)))
    }

    /// Waits for the turn of something that may look at all there is.
    ///
    /// # Errors
    /// When it does not come in time.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, CatalogError> {
        match timeout(LONG_WAIT, self.0.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_closed)) => Err(sqlx::Error::PoolClosed.into()),
            Err(_elapsed) => Err(sqlx::Error::PoolTimedOut.into()),
        }
    }

    /// The same of something that may be short: that waits for nothing.
    ///
    /// # Errors
    /// As [`LongReads::turn`].
    pub(crate) async fn turn_if(
        &self,
        is_long: bool,
    ) -> Result<Option<SemaphorePermit<'_>>, CatalogError> {
        match is_long {
            true => Ok(Some(self.turn().await?)),
            false => Ok(None),
        }
    }
}
