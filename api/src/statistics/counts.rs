//! `GET /stats`: how much there is, counted again after a while.

use crate::broker::BrokerHandle;
use catalog::{CatalogError, CatalogReader, Statistics};
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use shared::stream;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// For how long a count is told again: counting looks at every series, and may not become a load
/// because somebody asks often.
const FRESH: Duration = Duration::from_secs(2);

/// How long NATS may take to say where its stream ends.
const POSITION_TIMEOUT: Duration = Duration::from_secs(1);

/// How much there is in the catalogue
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Stats {
    /// Patients, each as a sender identified it
    pub patients: u64,
    /// Studies
    pub studies: u64,
    /// Series that were ever complete
    pub series_complete: u64,
    /// Series to which instances are coming
    pub series_receiving: u64,
    /// Instances of all series, as each was last complete
    pub instances_count: u64,
    /// Series by modality; the key is empty for those without
    pub series_by_modality: BTreeMap<String, u64>,
    /// Series by the rule of their last completion
    pub series_by_reason: BTreeMap<String, u64>,
    /// Events in the stream that are not in the catalogue yet; left out while NATS does not say
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_indexed: Option<u64>,
    /// Announcements that NATS has not acknowledged yet
    pub unannounced: u64,
    /// The latest completion, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_completed_at: Option<String>,
}

impl From<Statistics> for Stats {
    fn from(statistics: Statistics) -> Self {
        Self {
            patients: statistics.patients,
            studies: statistics.studies,
            series_complete: statistics.complete,
            series_receiving: statistics.receiving,
            instances_count: statistics.instances,
            series_by_modality: statistics.by_modality,
            series_by_reason: statistics.by_reason,
            not_indexed: None,
            unannounced: statistics.unannounced,
            last_completed_at: statistics.completed_at.map(|at| at.to_string()),
        }
    }
}

/// The latest count.
#[derive(Debug, Default)]
pub struct CountCache {
    latest: Mutex<Option<(Instant, Stats)>>,
}

impl CountCache {
    /// What there is, counted a moment ago at most. One counts at a time, and the others wait for it.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn of(
        &self,
        catalog: &CatalogReader,
        broker: &BrokerHandle,
    ) -> Result<Stats, CatalogError> {
        let mut latest = self.latest.lock().await;
        if let Some((_, stats)) = latest.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(stats.clone());
        }
        let not_indexed = not_indexed(catalog, broker).await?;
        let stats = Stats { not_indexed, ..catalog.statistics().await?.into() };
        *latest = Some((Instant::now(), stats.clone()));
        Ok(stats)
    }
}

/// How far the indexer is behind. The stream is asked last, so that it is never behind the catalogue.
async fn not_indexed(
    catalog: &CatalogReader,
    broker: &BrokerHandle,
) -> Result<Option<u64>, CatalogError> {
    let bookmark = catalog.bookmark().await?;
    let Some(jetstream) = broker.jetstream() else { return Ok(None) };
    let nats = jetstream.client();
    let position = timeout(POSITION_TIMEOUT, stream::position(&nats)).await;
    let Ok(Ok(position)) = position else { return Ok(None) };
    let known = bookmark.filter(|bookmark| bookmark.stream_created == position.created);
    Ok(Some(position.unread(known.map_or(0, |bookmark| bookmark.last_sequence))))
}

impl Example for Stats {
    fn example() -> Self {
        let counts = |pairs: &[(&str, u64)]| {
            pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        Self {
            patients: 211,
            studies: 240,
            series_complete: 1312,
            series_receiving: 3,
            instances_count: 98_214,
            series_by_modality: counts(&[("CT", 803), ("MR", 509)]),
            series_by_reason: counts(&[("quiet", 12), ("released", 1300)]),
            not_indexed: Some(0),
            unannounced: 0,
            last_completed_at: Some("2026-02-03T04:05:16.5Z".into()),
        }
    }
}
