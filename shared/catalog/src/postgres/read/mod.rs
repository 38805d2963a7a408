//! What the API reads, and the little that it writes.

pub(in crate::postgres) mod senders;

use crate::announcements::{Delivered, Held};
use crate::batch::{Bookmark, RegistrationOutcome};
use crate::error::CatalogError;
use crate::postgres::CatalogReader;
use crate::records::{
    Details, InstanceRecord, RevisionRecord, SeriesRecord, SourceRecord, Statistics, StudyRecord,
};
use crate::search::{LevelSearch, Page, Position, SeriesSearch, StudySearch};
use contract::uid::{SeriesInstanceUid, StudyInstanceUid};
use jiff::Timestamp;

/// What is not built yet.
fn unbuilt() -> CatalogError {
    CatalogError::Refused("not built for PostgreSQL yet".into())
}

impl CatalogReader {
    pub(crate) async fn rows(&self) -> Result<Vec<String>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn series_details(
        &self,
        _series: &SeriesInstanceUid,
    ) -> Result<Option<Details>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn count_instances(
        &self,
        _series: &SeriesInstanceUid,
    ) -> Result<Option<u64>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn instances(
        &self,
        _series: &SeriesInstanceUid,
        _after: Option<Position>,
        _limit: u32,
    ) -> Result<Page<InstanceRecord>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn bookmark(&self) -> Result<Option<Bookmark>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn history(
        &self,
        _series: &SeriesInstanceUid,
    ) -> Result<Option<Vec<RevisionRecord>>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn state_of(
        &self,
        _series: &SeriesInstanceUid,
    ) -> Result<Option<String>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn deleted_at(
        &self,
        _series: &SeriesInstanceUid,
    ) -> Result<Option<Timestamp>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn registration(
        &self,
        _series: &SeriesInstanceUid,
        _sequence: u64,
    ) -> Result<Option<RegistrationOutcome>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn search(
        &self,
        _search: &LevelSearch,
    ) -> Result<(Vec<Details>, bool), CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn count_found(&self, _search: &LevelSearch) -> Result<u64, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn release(&self, _held: &Held<'_>) -> Result<(), CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn sources(&self) -> Result<Vec<SourceRecord>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn series(
        &self,
        _search: &SeriesSearch,
        _after: Option<Position>,
        _limit: u32,
    ) -> Result<Page<SeriesRecord>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn count_series(&self, _search: &SeriesSearch) -> Result<u64, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn statistics(&self) -> Result<Statistics, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn studies(
        &self,
        _search: &StudySearch,
        _after: Option<Position>,
        _limit: u32,
    ) -> Result<Page<StudyRecord>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn count_studies(&self, _search: &StudySearch) -> Result<u64, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn study(
        &self,
        _study: &StudyInstanceUid,
    ) -> Result<Option<StudyRecord>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn delivered(
        &self,
        _webhook: &str,
    ) -> Result<Option<Delivered>, CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn keep_delivered(
        &self,
        _webhook: &str,
        _delivered: Delivered,
    ) -> Result<(), CatalogError> {
        Err(unbuilt())
    }

    pub(crate) async fn forget_other_webhooks(&self, _names: &[&str]) -> Result<(), CatalogError> {
        Err(unbuilt())
    }
}
