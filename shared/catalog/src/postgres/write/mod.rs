//! What the indexer writes.

pub(in crate::postgres) mod losses;

use crate::announcements::Announcement;
use crate::batch::{
    Batch, Bookmark, Committed, Recorded, Restored, SeriesBookmark, StudiesDecided,
};
use crate::error::CatalogError;
use crate::losses::{Loss, Witness};
use crate::postgres::CatalogWriter;
use completion::{Completion, Consequences, OpenSeries, StudyCompletion};
use contract::event::{Reason, SeriesCompleted, SeriesDeleted, StudyCompleted};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;

fn unbuilt() -> CatalogError {
    CatalogError::Refused("not built for PostgreSQL yet".into())
}

impl CatalogWriter {
    pub(crate) async fn bookmark(&self) -> Result<Option<Bookmark>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn record(
        &self,
        _batch: &Batch,
        _conclude: impl FnOnce(&Recorded) -> Consequences,
    ) -> Result<Committed, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn complete(
        &self,
        _completions: &[Completion],
    ) -> Result<Vec<SeriesCompleted>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn expire(
        &self,
        _before: Timestamp,
        _now: Timestamp,
    ) -> Result<Vec<SeriesDeleted>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn restore_deletion(
        &self,
        _fact: &SeriesDeleted,
    ) -> Result<Restored, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn restore(&self, _fact: &SeriesCompleted) -> Result<Restored, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn lose(&self, _loss: &Loss) -> Result<bool, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn losses(&self) -> Result<Vec<Loss>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn witness(
        &self,
        _after: u64,
        _to: u64,
        _highest: bool,
    ) -> Result<Option<Witness>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn go_back(&self, _to: u64, _loss: &Loss) -> Result<(), CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn open_series(
        &self,
    ) -> Result<Vec<(SeriesInstanceUid, OpenSeries)>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn waiting_announcements(
        &self,
        _limit: u32,
    ) -> Result<Vec<Announcement>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn count_waiting_announcements(&self) -> Result<i64, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn announced(&self, _ids: &[i64]) -> Result<(), CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn renumber(
        &self,
        _announcement: &Announcement,
    ) -> Result<bool, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn disproved(&self) -> Result<Vec<(String, Reason)>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn open_studies(
        &self,
    ) -> Result<Vec<(String, Option<Timestamp>)>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn move_open_studies(
        &self,
        _studies: &[(String, Timestamp)],
    ) -> Result<(), CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn forget_open_studies(&self) -> Result<(), CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn complete_studies(
        &self,
        _completions: &[StudyCompletion],
    ) -> Result<StudiesDecided, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn restore_study(
        &self,
        _fact: &StudyCompleted,
    ) -> Result<Restored, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn series_bookmark(&self) -> Result<Option<SeriesBookmark>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn has_taken_up(&self, _bookmark: SeriesBookmark) -> Result<(), CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn has_completion(
        &self,
        _fact: &SeriesCompleted,
    ) -> Result<bool, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn has_deletion(&self, _fact: &SeriesDeleted) -> Result<bool, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn has_study_completion(
        &self,
        _fact: &StudyCompleted,
    ) -> Result<bool, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn note_completion(
        &self,
        _fact: &SeriesCompleted,
    ) -> Result<(), CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn note_deletion(&self, _fact: &SeriesDeleted) -> Result<(), CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn note_study(&self, _fact: &StudyCompleted) -> Result<(), CatalogError> {
        Err(unbuilt())
    }
}
