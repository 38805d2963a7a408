//! The indexer's end of the catalogue.

use crate::announcements::Announcement;
use crate::batch::{
    Batch, Bookmark, Committed, Recorded, Restored, SeriesBookmark, StudiesDecided,
};
use crate::error::CatalogError;
use crate::kept_series::{SeriesToKeep, WaitingRevision};
use crate::lease::Lease;
use crate::losses::{Loss, Witness};
use crate::postgres::{self, within};
use crate::purges::ToPurge;
use crate::removals::{ListedUpTo, ToRemove};
use crate::settings::CatalogSettings;
use crate::sqlite::{self, Disk};
use completion::{
    AskedSource, Completion, Consequences, List, OpenSeries, Pauses, Question, StudyCompletion,
};
use contract::event::{
    Reason, SeriesCompleted, SeriesDeleted, SeriesKept, SeriesPurged, StudyCompleted,
};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use std::io;

/// The catalogue as the indexer has it, which owns it: it alone migrates, decides and announces. Clones share its
/// one connection, so that what is written is written in order.
#[derive(Debug, Clone)]
pub enum CatalogWriter {
    /// In one file.
    #[doc(hidden)]
    Sqlite(sqlite::CatalogWriter),
    /// In a database on a server.
    #[doc(hidden)]
    Postgres(postgres::CatalogWriter),
}

impl CatalogWriter {
    /// Opens the catalogue as its owner, whoever has it: makes what is missing, and brings its tables up to this
    /// version. For what nobody else writes; an indexer uses [`CatalogWriter::take`].
    ///
    /// # Errors
    /// When it can't be made, opened or migrated.
    pub async fn own(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        if settings.is_postgres() {
            return postgres::CatalogWriter::own(settings).await.map(Self::Postgres);
        }
        sqlite::CatalogWriter::own(settings).await.map(Self::Sqlite)
    }

    /// The same once no other indexer has it: takes the lease for `holder`, a name for people. `None` while another
    /// one renews it.
    ///
    /// # Errors
    /// As [`CatalogWriter::own`].
    pub async fn take(
        settings: &CatalogSettings,
        holder: &str,
    ) -> Result<Option<Self>, CatalogError> {
        if settings.is_postgres() {
            let taken = postgres::CatalogWriter::take(settings, holder).await?;
            return Ok(taken.map(Self::Postgres));
        }
        Ok(sqlite::CatalogWriter::take(settings, holder).await?.map(Self::Sqlite))
    }

    /// The same catalogue, which lists each revision that is complete from now on for a keeper, with its files, or lists
    /// none.
    #[must_use]
    pub fn listing_to_keep(self, lists_to_keep: bool) -> Self {
        match self {
            Self::Sqlite(one) => Self::Sqlite(one.listing_to_keep(lists_to_keep)),
            Self::Postgres(one) => Self::Postgres(one.listing_to_keep(lists_to_keep)),
        }
    }

    /// The same catalogue, which lists each file and folder of the instance store that nothing names any more, for who
    /// removes them, or lists none.
    #[must_use]
    pub fn listing_to_remove(self, lists_to_remove: bool) -> Self {
        match self {
            Self::Sqlite(one) => Self::Sqlite(one.listing_to_remove(lists_to_remove)),
            Self::Postgres(one) => Self::Postgres(one.listing_to_remove(lists_to_remove)),
        }
    }

    /// The same catalogue, whose completions say that series which have files are retrieved from this DICOMweb service, if
    /// nothing else is known of their sender.
    #[must_use]
    pub fn with_files_at(self, service: Option<&str>) -> Self {
        match self {
            Self::Sqlite(one) => Self::Sqlite(one.with_files_at(service)),
            Self::Postgres(one) => Self::Postgres(one.with_files_at(service)),
        }
    }

    /// The lease that it holds.
    #[must_use]
    pub fn lease(&self) -> Lease {
        match self {
            Self::Sqlite(one) => one.lease(),
            Self::Postgres(one) => one.lease(),
        }
    }

    /// Renews the lease: due every [`RENEW_EVERY`](crate::RENEW_EVERY).
    ///
    /// # Errors
    /// [`CatalogError::Superseded`] when another indexer has taken it, and [`CatalogError::Unavailable`] during a write that
    /// takes long, during which nobody takes it.
    pub async fn renew(&self) -> Result<(), CatalogError> {
        on!(self, one => one.renew())
    }

    /// Goes on with what is in the catalogue's place now: the file, if that is another one than was opened (a restored
    /// backup, for instance), or the server. What was read of the catalogue before counts no more.
    ///
    /// # Errors
    /// As [`CatalogWriter::own`].
    pub async fn begin_again(&self) -> Result<(), CatalogError> {
        on!(self, one => one.begin_again())
    }

    /// Whether what was read since [`CatalogWriter::begin_again`] is still so. A server that was connected to since may
    /// have forgotten some of it, so nothing is written to that.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] when it is time to begin again.
    pub fn check_begun(&self) -> Result<(), CatalogError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(one) => one.check_begun(),
        }
    }

    /// The disk that the catalogue is on; `None` where that is another machine's.
    ///
    /// # Errors
    /// When the disk does not answer.
    pub async fn disk(&self) -> io::Result<Option<Disk>> {
        match self {
            Self::Sqlite(one) => one.disk().await,
            Self::Postgres(_) => Ok(None),
        }
    }

    /// Closes all connections, once what runs on them has ended, and gives the lease back.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(one) => one.close().await,
            Self::Postgres(one) => one.close().await,
        }
    }

    /// How far the stream has been read, if it ever was.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn bookmark(&self) -> Result<Option<Bookmark>, CatalogError> {
        on!(self, one => one.bookmark())
    }

    /// Commits a batch, its bookmark and what `conclude` makes of it, or nothing at all. Gives what
    /// will be announced.
    ///
    /// # Errors
    /// When the catalogue can't be written; the batch is then as if it had not been read.
    pub async fn record(
        &self,
        batch: &Batch,
        conclude: impl FnOnce(&Recorded) -> Consequences,
    ) -> Result<Committed, CatalogError> {
        on!(self, one => one.record(batch, conclude))
    }

    /// Writes down that series are complete, each with its announcement, all or none. One that is
    /// not open (any more) is passed over. Gives what will be announced.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn complete(
        &self,
        completions: &[Completion],
    ) -> Result<Vec<SeriesCompleted>, CatalogError> {
        self.decide(completions, &[], &Consequences::default()).await
    }

    /// The same, and in the same transaction puts questions to the sources of series that are due, and keeps what the
    /// rules know of the series that wait and of these sources.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn decide(
        &self,
        completions: &[Completion],
        questions: &[Question],
        kept: &Consequences,
    ) -> Result<Vec<SeriesCompleted>, CatalogError> {
        on!(self, one => one.decide(completions, questions, kept))
    }

    /// Deletes some of the series that were last complete before a time and are so still, the oldest
    /// first; none when there are no more. `now` is when it is done, in the broker's time. Gives what
    /// will be announced.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn expire(
        &self,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<SeriesDeleted>, CatalogError> {
        on!(self, one => one.expire(before, now))
    }

    /// Deletes a series because the record says that it was deleted at this point.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn restore_deletion(&self, fact: &SeriesDeleted) -> Result<Restored, CatalogError> {
        on!(self, one => one.restore_deletion(fact))
    }

    /// Writes down that a series was complete as the fact says. Everything in INSTANCES up to the
    /// sequence that it names has to be recorded before, and nothing after.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn restore(&self, fact: &SeriesCompleted) -> Result<Restored, CatalogError> {
        on!(self, one => one.restore(fact))
    }

    /// Writes down that events are gone; gives whether that is news.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn lose(&self, loss: &Loss) -> Result<bool, CatalogError> {
        on!(self, one => one.lose(loss))
    }

    /// What was lost, the latest first.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn losses(&self) -> Result<Vec<Loss>, CatalogError> {
        on!(self, one => one.losses())
    }

    /// The instance whose event has the highest sequence in `after < sequence <= to`, or the lowest. There
    /// is no index by sequence, since this is asked only after a loss.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn witness(
        &self,
        after: u64,
        to: u64,
        highest: bool,
    ) -> Result<Option<Witness>, CatalogError> {
        on!(self, one => one.witness(after, to, highest))
    }

    /// Goes back to sequence `to`, after which the stream is another one than was read: its next events
    /// have sequences that the catalogue has given to others. Those it takes for older than all that
    /// comes, so that the next revision of a series says what was added since.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn go_back(&self, to: u64, loss: &Loss) -> Result<(), CatalogError> {
        match self {
            Self::Sqlite(one) => one.go_back(to, loss).await,
            // Without a limit: it may write every row that there is, and would begin again each time.
            Self::Postgres(one) => one.go_back(to, loss).await,
        }
    }

    /// The series that are still arriving.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn open_series(&self) -> Result<Vec<(SeriesInstanceUid, OpenSeries)>, CatalogError> {
        on!(self, one => one.open_series())
    }

    /// The oldest announcements that wait, `limit` at most.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn waiting_announcements(
        &self,
        limit: u32,
    ) -> Result<Vec<Announcement>, CatalogError> {
        on!(self, one => one.waiting_announcements(limit))
    }

    /// How many announcements wait.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_waiting_announcements(&self) -> Result<i64, CatalogError> {
        on!(self, one => one.count_waiting_announcements())
    }

    /// Forgets announcements by their ids: the broker has them. Others of lower ids may have been committed since.
    ///
    /// # Errors
    /// When the catalogue can't be written; they will then be announced again.
    pub async fn announced(&self, ids: &[i64]) -> Result<(), CatalogError> {
        on!(self, one => one.announced(ids))
    }

    /// The oldest revisions that wait to be kept and whose completion was announced, after this one, `limit` at most.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn waiting_to_be_kept(
        &self,
        after: Option<&WaitingRevision>,
        limit: u32,
    ) -> Result<Vec<WaitingRevision>, CatalogError> {
        on!(self, one => one.waiting_to_be_kept(after, limit))
    }

    /// How many wait to be kept, without those whose announcement is held back.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_waiting_to_be_kept(&self) -> Result<i64, CatalogError> {
        on!(self, one => one.count_waiting_to_be_kept())
    }

    /// What a revision has that waits to be kept; `None` if it does not wait any more.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn series_to_keep(
        &self,
        waiting: &WaitingRevision,
    ) -> Result<Option<SeriesToKeep>, CatalogError> {
        on!(self, one => one.series_to_keep(waiting))
    }

    /// Writes down that a revision is kept, with its announcement. `false` if it does not wait to be: its series was
    /// deleted meanwhile.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn kept(&self, event: &SeriesKept) -> Result<bool, CatalogError> {
        on!(self, one => one.kept(event))
    }

    /// Takes the revisions off the list that a later one of their series has followed.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn forget_earlier_to_keep(&self) -> Result<(), CatalogError> {
        on!(self, one => one.forget_earlier_to_keep())
    }

    /// Writes down that a revision was kept because the record says so.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn restore_kept(&self, fact: &SeriesKept) -> Result<Restored, CatalogError> {
        on!(self, one => one.restore_kept(fact))
    }

    /// Length of the files of all series as of their last completions, together.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn store_bytes(&self) -> Result<u64, CatalogError> {
        on!(self, one => one.store_bytes())
    }

    /// Some of the series that are complete, the oldest first, name no files any more; none when there are no more to
    /// purge. `now` is when it is done, in the broker's time. Gives what will be announced.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn purge(
        &self,
        which: ToPurge,
        now: Timestamp,
    ) -> Result<Vec<SeriesPurged>, CatalogError> {
        on!(self, one => one.purge(which, now))
    }

    /// Whether the history says of the revision of this purge that its files are gone.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn has_purge(&self, fact: &SeriesPurged) -> Result<bool, CatalogError> {
        on!(self, one => one.has_purge(fact))
    }

    /// Writes down that the files of a series are gone because the record says so.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn restore_purge(&self, fact: &SeriesPurged) -> Result<Restored, CatalogError> {
        on!(self, one => one.restore_purge(fact))
    }

    /// Up to where the list of what is to be removed is filled now; `None` where it is empty.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn listed_to_remove(&self) -> Result<Option<ListedUpTo>, CatalogError> {
        on!(self, one => one.listed_to_remove())
    }

    /// Whether all that waited to be announced then was announced: another catalogue knows what is no longer there.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn has_announced(&self, listed: ListedUpTo) -> Result<bool, CatalogError> {
        on!(self, one => one.has_announced(listed))
    }

    /// What is to be removed of what was listed up to then, after the entry `after`, `limit` at most. Files that a
    /// revision needs which waits to be kept are passed over.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn to_remove(
        &self,
        after: i64,
        up_to: ListedUpTo,
        limit: u32,
    ) -> Result<Vec<ToRemove>, CatalogError> {
        on!(self, one => one.to_remove(after, up_to, limit))
    }

    /// How much is to be removed.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_to_remove(&self) -> Result<i64, CatalogError> {
        on!(self, one => one.count_to_remove())
    }

    /// Takes entries off the list: they are gone from the store.
    ///
    /// # Errors
    /// When the catalogue can't be written; they are then removed again.
    pub async fn removed(&self, ids: &[i64]) -> Result<(), CatalogError> {
        on!(self, one => one.removed(ids))
    }

    /// Gives a completion that waits to be announced the number after the last one of its series or study,
    /// and those that wait after it the ones that follow. They are announced by these, and the history has
    /// them so. `false` where there is nothing to number.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn renumber(&self, announcement: &Announcement) -> Result<bool, CatalogError> {
        on!(self, one => one.renumber(announcement))
    }

    /// Which evidence of which sender is not believed: its AE title and the rule.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn disproved(&self) -> Result<Vec<(String, Reason)>, CatalogError> {
        on!(self, one => one.disproved())
    }

    /// What is known of the sources that are asked how many instances they have.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn asked_sources(&self) -> Result<Vec<(String, AskedSource)>, CatalogError> {
        on!(self, one => one.asked_sources())
    }

    /// The pauses inside series that were learnt of each sender.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn pauses(&self) -> Result<Vec<(String, Pauses)>, CatalogError> {
        on!(self, one => one.pauses())
    }

    /// The lists of instances that are not met.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn lists(&self) -> Result<Vec<List>, CatalogError> {
        on!(self, one => one.lists())
    }

    /// The studies of which a series was complete since they were, each with when the latest of
    /// these was; `None` when that came by `POST /store`, which knows no broker's time.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn open_studies(&self) -> Result<Vec<(String, Option<Timestamp>)>, CatalogError> {
        on!(self, one => one.open_studies())
    }

    /// Moves when the latest series of studies were complete: the broker's clock was set.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn move_open_studies(
        &self,
        studies: &[(String, Timestamp)],
    ) -> Result<(), CatalogError> {
        on!(self, one => one.move_open_studies(studies))
    }

    /// Leaves it at that: no study will be complete by what has come so far.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn forget_open_studies(&self) -> Result<(), CatalogError> {
        on!(self, one => one.forget_open_studies())
    }

    /// Writes down that studies are complete, each with its announcement, all or none. One in which
    /// a series is receiving waits; one that has no news, or no series any more, is passed over.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn complete_studies(
        &self,
        completions: &[StudyCompletion],
    ) -> Result<StudiesDecided, CatalogError> {
        on!(self, one => one.complete_studies(completions))
    }

    /// Writes down that a study was complete because the record says so.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn restore_study(&self, fact: &StudyCompleted) -> Result<Restored, CatalogError> {
        on!(self, one => one.restore_study(fact))
    }

    /// Writes so many complete series, four to a study and a patient, without their instances, into a
    /// catalogue that has none.
    ///
    /// # Errors
    /// When the catalogue can't be written, or has such series.
    #[cfg(feature = "synthetic")]
    pub async fn fill(&self, series: u32) -> Result<(), CatalogError> {
        on!(self, one => one.fill(series))
    }

    /// How far the SERIES stream is in the catalogue; `None` if that is not known.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn series_bookmark(&self) -> Result<Option<SeriesBookmark>, CatalogError> {
        on!(self, one => one.series_bookmark())
    }

    /// Writes down how far the SERIES stream is in the catalogue.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn has_taken_up(&self, bookmark: SeriesBookmark) -> Result<(), CatalogError> {
        on!(self, one => one.has_taken_up(bookmark))
    }

    /// Whether the history has this completion of a series, by its number.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn has_completion(&self, fact: &SeriesCompleted) -> Result<bool, CatalogError> {
        on!(self, one => one.has_completion(fact))
    }

    /// Whether the history has this deletion of a series.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn has_deletion(&self, fact: &SeriesDeleted) -> Result<bool, CatalogError> {
        on!(self, one => one.has_deletion(fact))
    }

    /// Whether the history has this completion of a study, by its number.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn has_study_completion(&self, fact: &StudyCompleted) -> Result<bool, CatalogError> {
        on!(self, one => one.has_study_completion(fact))
    }

    /// Adds a completion to the history of its series and leaves the series as it is: its next one has a
    /// higher number.
    ///
    /// # Errors
    /// When the catalogue can't be written, or has it.
    pub async fn note_completion(&self, fact: &SeriesCompleted) -> Result<(), CatalogError> {
        on!(self, one => one.note_completion(fact))
    }

    /// As [`CatalogWriter::note_completion`], of a deletion.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn note_deletion(&self, fact: &SeriesDeleted) -> Result<(), CatalogError> {
        on!(self, one => one.note_deletion(fact))
    }

    /// As [`CatalogWriter::note_completion`], of a study.
    ///
    /// # Errors
    /// When the catalogue can't be written.
    pub async fn note_study(&self, fact: &StudyCompleted) -> Result<(), CatalogError> {
        on!(self, one => one.note_study(fact))
    }
}
