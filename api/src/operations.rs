//! The operations of the API, as they are served and as they are documented.

use crate::answers::{
    CompletionRefused, ListedRevisions, ListedSeries, ListedSources, Requested, SeriesMissing,
    StoreRefused, Stored, TrustRefused, Unreadable, missing,
};
use crate::history::Revision;
use crate::payload::JsonBody;
use crate::problem::{FieldError, Problem};
use crate::requests::Requests;
use crate::series::Series;
use crate::sources::Source;
use crate::store::{StoreMessage, StoreRequest};
use jiff::Timestamp;
use poem::http::StatusCode;
use poem_openapi::param::Path;
use poem_openapi::{OpenApi, Tags};
use shared::catalog::{Catalog, StoreOutcome};
use shared::event::{CompletionRequested, TrustRequested};
use shared::uid::SeriesInstanceUid;

/// The documented operations.
#[derive(Debug)]
pub struct Operations {
    catalog: Catalog,
    requests: Requests,
}

#[derive(Tags)]
enum Group {
    /// What is known of series, one record each.
    Series,
    /// Who sends, by calling AE title, and what their evidence is worth.
    Sources,
}

impl Operations {
    /// On a catalogue, and a way to ask something of the indexer.
    #[must_use]
    pub fn new(catalog: Catalog, requests: Requests) -> Self {
        Self { catalog, requests }
    }
}

#[OpenApi]
impl Operations {
    /// Store a series
    ///
    /// Writes down a series that did not come by DICOM. It is complete at once and announced like
    /// any other. A series that is known in any state stays as it is.
    #[oai(path = "/store", method = "post", operation_id = "storeSeries", tag = "Group::Series")]
    async fn store(&self, body: JsonBody<StoreRequest>) -> Result<Stored, StoreRefused> {
        let stored = body.0.into_stored(Timestamp::now())?;
        let message = match self.catalog.store(&stored).await? {
            StoreOutcome::Stored => "Series stored successfully",
            StoreOutcome::AlreadyExists => "Series already exists",
        };
        Ok(Stored::Done(JsonBody(StoreMessage { message: message.to_owned() })))
    }

    /// List the complete series
    ///
    /// All series that were ever complete, oldest first. One to which more instances came since is
    /// listed as it was last complete, with `State` `receiving`, until it is complete again.
    #[oai(path = "/series", method = "get", operation_id = "listSeries", tag = "Group::Series")]
    async fn series(&self) -> Result<ListedSeries, Unreadable> {
        let records = self.catalog.complete_series().await?;
        Ok(ListedSeries::Done(JsonBody(records.into_iter().map(Series::from).collect())))
    }

    /// List the completions of a series
    ///
    /// Each time that the series was complete, oldest first, with the rule that decided it and
    /// what it brought.
    #[oai(
        path = "/series/:SeriesInstanceUID/history",
        method = "get",
        operation_id = "listRevisions",
        tag = "Group::Series"
    )]
    async fn history(
        &self,
        /// Series Instance UID (0020,000E)
        #[oai(name = "SeriesInstanceUID")]
        series: Path<String>,
    ) -> Result<ListedRevisions, SeriesMissing> {
        let series = series_uid(&series)?;
        let history = self.catalog.history(&series).await?.ok_or_else(no_such_series)?;
        Ok(ListedRevisions::Done(JsonBody(history.into_iter().map(Revision::from).collect())))
    }

    /// Complete a series now
    ///
    /// Says that a series which is receiving is complete with what it has. It is announced with
    /// `Reason` `requested`, once everything that was received before this request is counted.
    #[oai(
        path = "/series/:SeriesInstanceUID/complete",
        method = "post",
        operation_id = "completeSeries",
        tag = "Group::Series"
    )]
    async fn complete(
        &self,
        /// Series Instance UID (0020,000E)
        #[oai(name = "SeriesInstanceUID")]
        series: Path<String>,
    ) -> Result<Requested, CompletionRefused> {
        let series_instance_uid = series_uid(&series)?;
        let state = self.catalog.state_of(&series_instance_uid).await?;
        if state.ok_or_else(no_such_series)? != "receiving" {
            let detail = "the series is complete; this can be asked for while it is receiving";
            return Err(Problem::new(StatusCode::CONFLICT, detail).into());
        }
        let (request_id, requested_at) = (request_id(), Timestamp::now());
        let request = CompletionRequested { series_instance_uid, request_id, requested_at };
        self.requests.publish(&request).await?;
        Ok(Requested::accepted("Completion requested"))
    }

    /// List the senders
    ///
    /// Everyone who ever sent an instance, by calling AE title. A rule is believed of a sender
    /// until a series that was complete by it grows again within the quiet period; from then on
    /// its series are complete by quiet period, until an operator resets it. `Expected` is used
    /// only for senders that are configured with a source of expected counts.
    #[oai(path = "/sources", method = "get", operation_id = "listSources", tag = "Group::Sources")]
    async fn sources(&self) -> Result<ListedSources, Unreadable> {
        let sources = self.catalog.sources().await?;
        Ok(ListedSources::Done(JsonBody(sources.into_iter().map(Source::from).collect())))
    }

    /// Believe a sender again
    ///
    /// Forgets what has proved its evidence wrong, for instance since it was set right.
    #[oai(
        path = "/sources/:CallingAETitle/trust",
        method = "post",
        operation_id = "trustSource",
        tag = "Group::Sources"
    )]
    async fn trust(
        &self,
        /// AE title of the sender, as it calls itself
        #[oai(name = "CallingAETitle")]
        calling_ae_title: Path<String>,
    ) -> Result<Requested, TrustRefused> {
        let known = self.catalog.sources().await?;
        if !known.iter().any(|source| source.calling_ae_title == calling_ae_title.0) {
            return Err(missing("no such sender was ever heard of; /sources lists them").into());
        }
        let (request_id, requested_at) = (request_id(), Timestamp::now());
        let calling_ae_title = calling_ae_title.0;
        self.requests
            .publish(&TrustRequested { calling_ae_title, request_id, requested_at })
            .await?;
        Ok(Requested::accepted("Trust requested"))
    }
}

fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn no_such_series() -> Problem {
    missing("there is no such series")
}

/// The series that a path names. Some real ones have no legal UID, so any name is taken that a
/// series can have.
fn series_uid(text: &str) -> Result<SeriesInstanceUid, Problem> {
    SeriesInstanceUid::parse(text).map_err(|error| {
        let (field, detail) = ("SeriesInstanceUID".to_owned(), error.to_string());
        Problem::fields(vec![FieldError { field, detail }])
    })
}
