//! The keeper: makes the folder of each revision that is complete, and announces it. Half a series is never seen.
//!
//! What it has to do is a list in the catalogue, written with the completions. So a kill loses nothing: what is on the list
//! is kept again, and of a folder that was finished only the announcement is missing.

use anyhow::Context as _;
use catalog::{CatalogWriter, WaitingRevision};
use contract::dicomweb::DicomwebUrls;
use contract::event::SeriesKept;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use shared::health::{Health, Part};
use shared::metrics::Metrics;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use store::{KeepError, RevisionToKeep, SeriesFolder, SeriesFolders, StoreSettings};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

/// How often the list is looked at without being told: a completion is on it before it is announced.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Entries of the list that are read at once.
const READ_AT_ONCE: u32 = 100;

/// First and longest pause before a revision is tried again that can't be kept.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5 * 60));

/// Revisions that can't be kept at one time. With as many the store is at fault, and what comes after them waits.
const MOST_RETRIES: usize = 10_000;

/// Where series are kept, and what is told of it. Clones share it.
#[derive(Debug, Clone)]
pub struct Keeping {
    folders: SeriesFolders,
    /// Where the API serves what is kept, if that is known.
    urls: Option<DicomwebUrls>,
    health: Part,
    kept: Counter,
    failures: Counter,
    waiting: Gauge,
}

impl Keeping {
    /// In the store that the settings name; `None` where they name none. It is not ready yet.
    ///
    /// # Errors
    /// When a setting of the store is missing or wrong.
    pub fn of(
        store: &StoreSettings,
        health: &Health,
        metrics: &Metrics,
    ) -> anyhow::Result<Option<Self>> {
        let Some(folders) = SeriesFolders::of(store)? else { return Ok(None) };
        let health = health.part("keeper");
        let kept = metrics.counter("series_kept", "Revisions of series that became a folder");
        let failures = metrics.counter(
            "series_keep_failures",
            "Tries to make the folder of a revision that failed and are repeated",
        );
        let waiting = metrics.gauge("series_to_keep", "Revisions of series that wait to be kept");
        Ok(Some(Self { folders, urls: None, health, kept, failures, waiting }))
    }

    /// The same, served by the API that clients reach at this URL, if that is known.
    #[must_use]
    pub fn served_at(self, public_url: Option<&Url>) -> Self {
        Self { urls: public_url.map(|url| DicomwebUrls::of_api(url.as_str())), ..self }
    }

    /// The DICOMweb service that serves what is kept, if that is known.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.urls.as_ref().map(DicomwebUrls::base)
    }

    /// Where a series is retrieved, if that is known.
    fn retrieve_url(&self, study: &str, series: &SeriesInstanceUid) -> Option<String> {
        let urls = self.urls.as_ref().filter(|_| !study.is_empty())?;
        Some(urls.series(study, series.as_str()))
    }

    /// Whether it does its work.
    #[must_use]
    pub fn health(&self) -> &Part {
        &self.health
    }

    /// Another indexer does it: what waits is shown there.
    pub fn stands_by(&self) {
        self.waiting.set(0);
    }
}

/// What it works with.
#[derive(Debug)]
pub struct Keeper {
    /// Where series are kept.
    pub keeping: Keeping,
    /// The catalogue, which has the list.
    pub catalog: CatalogWriter,
    /// Told when completions were announced.
    pub announced: Arc<Notify>,
    /// To be told that there is something in the outbox.
    pub outbox_filled: Arc<Notify>,
}

/// A revision that can't be kept, and when it is tried again.
#[derive(Debug)]
struct Retry {
    at: Instant,
    pause: Duration,
    why: String,
}

/// Those that can't be kept.
type Retries = HashMap<WaitingRevision, Retry>;

impl Keeper {
    /// Keeps what is on the list until told to stop. The folder at hand is dropped then, and made at the next start.
    pub async fn run(&self, stop: CancellationToken) {
        let mut retries = Retries::new();
        let mut has_removed = false;
        let health = &self.keeping.health;
        while !stop.is_cancelled() {
            let round = async {
                if !has_removed {
                    has_removed = self.remove_unfinished().await?;
                }
                self.keep_all(&mut retries, &stop).await
            };
            match stop.run_until_cancelled(round).await {
                None => return,
                Some(Ok(())) => match retries.iter().min_by_key(|(_, retry)| retry.at) {
                    None => health.ready(),
                    Some((revision, retry)) => health.not_ready(format!(
                        "{} revisions can't be kept, {} revision {} among them: {}",
                        retries.len(),
                        revision.series_instance_uid,
                        revision.revision,
                        retry.why
                    )),
                },
                Some(Err(error)) => {
                    health.not_ready(format!("{error:#}"));
                    tracing::warn!("series can't be kept yet: {error:#}");
                }
            }
            tokio::select! {
                () = self.announced.notified() => {}
                () = sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Removes what earlier keepers did not finish.
    async fn remove_unfinished(&self) -> anyhow::Result<bool> {
        let removed = self.keeping.folders.remove_unfinished().await;
        let removed = removed.context("unfinished series folders can't be removed")?;
        if removed > 0 {
            tracing::info!(removed, "removed series folders that were not finished");
        }
        Ok(true)
    }

    /// One round: each revision that is due, the oldest first. One that can't be kept holds up no other.
    async fn keep_all(
        &self,
        retries: &mut Retries,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let (mut after, mut listed) = (None, HashSet::new());
        loop {
            let count = self.catalog.count_waiting_to_be_kept().await?;
            self.keeping.waiting.set(count);
            if count == 0 {
                break;
            }
            let waiting = self.catalog.waiting_to_be_kept(after.as_ref(), READ_AT_ONCE).await?;
            let Some(last) = waiting.last() else { break };
            after = Some(last.clone());
            for revision in waiting {
                self.try_to_keep(&revision, retries, stop).await?;
                if retries.contains_key(&revision) {
                    listed.insert(revision);
                }
            }
            if listed.len() >= MOST_RETRIES {
                break;
            }
        }
        // The others were deleted.
        retries.retain(|revision, _| listed.contains(revision));
        Ok(())
    }

    /// Keeps a revision, or remembers when to try again.
    async fn try_to_keep(
        &self,
        revision: &WaitingRevision,
        retries: &mut Retries,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let before = retries.get(revision);
        if before.is_some_and(|retry| Instant::now() < retry.at) {
            return Ok(());
        }
        let pause = before.map_or(RETRY_PAUSE.0, |retry| (retry.pause * 2).min(RETRY_PAUSE.1));
        match self.keep(revision, stop).await? {
            Ok(()) | Err(KeepError::Stopped) => drop(retries.remove(revision)),
            Err(error) => {
                self.keeping.failures.inc();
                let why = format!("{:#}", anyhow::Error::new(error));
                let (series, number) = (&revision.series_instance_uid, revision.revision);
                tracing::warn!(%series, revision = number, again_in = ?pause, "a series can't be kept yet: {why}");
                let at = Instant::now() + pause;
                retries.insert(revision.clone(), Retry { at, pause, why });
            }
        }
        Ok(())
    }

    /// Makes the folder of a revision, and writes down that it is there with the announcement.
    async fn keep(
        &self,
        waiting: &WaitingRevision,
        stop: &CancellationToken,
    ) -> anyhow::Result<Result<(), KeepError>> {
        let Some(listed) = self.catalog.series_to_keep(waiting).await? else { return Ok(Ok(())) };
        let event = |folder: SeriesFolder| SeriesKept {
            series_instance_uid: waiting.series_instance_uid.clone(),
            revision: waiting.revision,
            study_instance_uid: listed.study_instance_uid.clone(),
            modality: listed.modality.clone(),
            instances_kept: folder.instances,
            instances_without_file: listed.instances_without_file,
            bytes: folder.bytes,
            place: folder.place,
            manifest_blake3: folder.manifest_blake3,
            retrieve_url: self
                .keeping
                .retrieve_url(&listed.study_instance_uid, &waiting.series_instance_uid),
            kept_at: Timestamp::now(),
        };
        let to_keep = RevisionToKeep {
            study_instance_uid: listed.study_instance_uid.clone(),
            series_instance_uid: waiting.series_instance_uid.to_string(),
            revision: waiting.revision,
            reason: listed.reason,
            completed_at: listed.completed_at,
            instances_without_file: listed.instances_without_file,
            objects: listed.objects,
        };
        let stop = stop.clone();
        let made = self.keeping.folders.keep(to_keep, move || stop.is_cancelled());
        let kept = match made.await {
            Ok(folder) => event(folder),
            Err(error) => return Ok(Err(error)),
        };
        let (series, revision, place) = (&kept.series_instance_uid, kept.revision, &kept.place);
        if self.catalog.kept(&kept).await? {
            self.keeping.kept.inc();
            self.outbox_filled.notify_one();
            tracing::info!(%series, revision, instances = kept.instances_kept, place, "series kept");
        } else {
            // Its folder stays, as those of all series that are deleted.
            tracing::info!(%series, revision, place, "the series was deleted while it was kept");
        }
        Ok(Ok(()))
    }
}
