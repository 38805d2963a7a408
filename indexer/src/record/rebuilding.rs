//! A catalogue into which events and decisions are written as they were. Nothing is decided again.

use crate::batch::Batch;
use crate::consumer::BATCH;
use crate::decision::Decision;
use crate::reading::Reading;
use catalog::{Bookmark, CatalogError, CatalogWriter, EventMark, LossCause, Restored};
use completion::Senders;
use completion::debounce::Debouncer;
use contract::event::Reason;
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// What a rebuilt catalogue is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events of INSTANCES that were read.
    pub events: u64,
    /// Completions that were written down.
    pub completions: u64,
    /// Completions of studies that were written down.
    pub studies: u64,
    /// Deletions of series that were written down.
    pub deletions: u64,
    /// Series that are marked partial, since some of what led up to their completion is no longer
    /// on the record.
    pub partial: BTreeSet<SeriesInstanceUid>,
    /// Of all these, what was decided on an INSTANCES before the one that there is.
    pub of_former_stream: u64,
    /// Of all these, what was decided up to events that INSTANCES has lost from its end.
    pub beyond_end: u64,
    /// Messages of SERIES that could not be read.
    pub unreadable: u64,
}

impl Report {
    /// Whether the catalogue says all that was ever decided, with all that led up to it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.partial.is_empty() && self.unreadable == 0
    }

    /// What it says to a person: how much there is in the catalogue of this name, and what is missing and
    /// why. Lines with their ends.
    #[must_use]
    pub fn summary(&self, named: &str) -> String {
        let Self { events, completions, deletions, studies, .. } = self;
        let mut summary = format!(
            "{named}: {events} events, {completions} completions, {deletions} deletions, {studies} \
             completions of studies\n"
        );
        if self.is_complete() {
            return summary;
        }
        if !self.partial.is_empty() {
            summary += "series that are marked partial, since INSTANCES no longer has all that led up to \
                     their completion (what SERIES says of them is there):\n";
            for series in &self.partial {
                summary += &format!("  {series}\n");
            }
        }
        let reasons = [
            (self.partial.len() as u64, "series are partial"),
            (self.of_former_stream, "decisions are of an INSTANCES before the one that there is"),
            (self.beyond_end, "decisions are of events that INSTANCES has lost from its end"),
            (self.unreadable, "messages of SERIES can't be read and were passed over"),
        ];
        for (count, what) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            summary += &format!("{count} {what}\n");
        }
        summary + "the catalogue is partial\n"
    }
}

/// A catalogue that is being made of the record, or brought up to it. Events and decisions come in the order
/// in which they were.
#[derive(Debug)]
pub struct Rebuilding {
    catalog: CatalogWriter,
    senders: Senders,
    debouncer: Debouncer,
    batch: Batch,
    events: usize,
    /// What came of it so far.
    pub report: Report,
}

impl Rebuilding {
    /// Into an empty catalogue, of a stream that was made at `stream_created`.
    #[must_use]
    pub fn new(catalog: CatalogWriter, senders: Senders, stream_created: Timestamp) -> Self {
        let debouncer = Debouncer::new(senders.clone());
        let beginning = Bookmark::new(stream_created, 0);
        let (batch, report) = (Batch::new(beginning), Report::default());
        Self { catalog, senders, debouncer, batch, events: 0, report }
    }

    /// Into a catalogue that has events up to a bookmark.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn after(
        catalog: CatalogWriter,
        senders: Senders,
        bookmark: Bookmark,
    ) -> Result<Self, CatalogError> {
        let (open, disproved) = (catalog.open_series().await?, catalog.disproved().await?);
        let losses = catalog.losses().await?;
        let mut going_on = Self::new(catalog, senders, bookmark.stream_created);
        if let Some(latest) = bookmark.latest {
            going_on.debouncer.resume(latest);
        }
        if losses.iter().any(|loss| loss.cause != LossCause::Replaced) {
            going_on.debouncer.know_losses();
        }
        going_on.debouncer.restore(open, disproved);
        going_on.debouncer.restore_sources(going_on.catalog.asked_sources().await?);
        going_on.debouncer.restore_lists(going_on.catalog.lists().await?);
        going_on.debouncer.restore_pauses(going_on.catalog.pauses().await?);
        going_on.batch = Batch::new(bookmark);
        Ok(going_on)
    }

    /// The next event of INSTANCES.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn event(
        &mut self,
        sequence: u64,
        mark: EventMark,
        reading: Reading,
    ) -> anyhow::Result<()> {
        // What came of it is in the decisions.
        let reading = match reading {
            Reading::DeletionRequested(_)
            | Reading::RegistrationRequested(_)
            | Reading::ReleaseRequested(_) => Reading::Nothing,
            reading => reading,
        };
        self.batch.push(sequence, mark, reading, &self.senders);
        self.events += 1;
        if self.events >= BATCH {
            self.commit().await?;
        }
        Ok(())
    }

    /// What was decided after the events so far.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn decision(&mut self, decision: &Decision) -> anyhow::Result<()> {
        if self.events > 0 {
            self.commit().await?;
        }
        let decision = match decision {
            Decision::Completed(decision) => decision,
            Decision::Deleted(decision) => {
                if self.catalog.restore_deletion(decision).await? != Restored::Known {
                    self.debouncer.close(&decision.series_instance_uid);
                    // Nothing of it is left that could be incomplete.
                    self.report.partial.remove(&decision.series_instance_uid);
                    self.report.deletions += 1;
                }
                return Ok(());
            }
            Decision::Study(decision) => {
                let restored = self.catalog.restore_study(decision).await?;
                self.report.studies += u64::from(restored != Restored::Known);
                return Ok(());
            }
            Decision::Kept(fact) => {
                self.catalog.restore_kept(fact).await?;
                return Ok(());
            }
            Decision::Purged(fact) => {
                self.catalog.restore_purge(fact).await?;
                return Ok(());
            }
        };
        let restored = self.catalog.restore(decision).await?;
        if restored == Restored::Known {
            return Ok(());
        }
        match decision.reason {
            Reason::Stored => self.debouncer.close(&decision.series_instance_uid),
            _ => self.debouncer.completed(&decision.series_instance_uid),
        }
        self.report.completions += 1;
        if restored == Restored::Partial {
            self.report.partial.insert(decision.series_instance_uid.clone());
        }
        Ok(())
    }

    /// The record ends at sequence `last`.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn finish(mut self, last: u64) -> anyhow::Result<Report> {
        let bookmark = &mut self.batch.rows.bookmark;
        if bookmark.last_sequence != last {
            (bookmark.last_sequence, bookmark.event) = (last, None);
        }
        self.commit().await?;
        Ok(self.report)
    }

    /// Writes down what was played so far; gives up to where that is.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn commit(&mut self) -> anyhow::Result<Bookmark> {
        let (batch, debouncer) = (&self.batch, &mut self.debouncer);
        self.catalog.record(&batch.rows, |recorded| batch.conclude(debouncer, recorded)).await?;
        self.report.events += self.events as u64;
        self.events = 0;
        let bookmark = self.batch.rows.bookmark.clone();
        self.batch = Batch::new(bookmark.clone());
        Ok(bookmark)
    }
}
