//! The operations on series, as they are served and as they are documented.

use super::details::SeriesDetails;
use super::evidence::CompletionEvidence;
use super::instances::InstanceList;
use super::parameters::{Origin, Sort, State};
use super::record::{Fields, SeriesList};
use super::register::{StoreMessage, StoreRequest, register};
use super::responses::{
    CompletionRefused, DeletionRefused, EvidenceMissing, HistoryMissing, InstancesFound,
    ListedEvidence, ListedRevisions, SeriesFound, SeriesMissing, SeriesResponse, StoreRefused,
    Stored,
};
use super::revisions::Revision;
use crate::auth::tokens::Scope;
use crate::broker::{BrokerHandle, request_id};
use crate::events::recent::read_completions;
use crate::http::cursor::Cursor;
use crate::http::json_body::JsonBody;
use crate::http::paged_list::PageRequest;
use crate::http::parameters::{
    self, Codes, Dates, Limit, Moment, Names, Pattern, SeriesUid, StudyUids, Text,
};
use crate::http::problem::{FieldError, Problem};
use crate::middleware::audit::Touched;
use crate::openapi::responses::{Requested, Unlisted};
use crate::openapi::rules::{Audited, OperationRules};
use catalog::{CatalogReader, Listed, RegistrationOutcome, SeriesOrder, SeriesSearch, keyword};
use contract::event::{CompletionRequested, DeletionRequested};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use poem::Request;
use poem::http::StatusCode;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::{OpenApi, Tags};
use shared::audit::Action;

/// The documented operations.
#[derive(Debug)]
pub struct SeriesOperations {
    catalog: CatalogReader,
    broker: BrokerHandle,
}

#[derive(Tags)]
enum Group {
    /// Series and their state, one record each.
    Series,
}

impl SeriesOperations {
    /// On a catalogue, and a way to ask something of the indexer.
    #[must_use]
    pub fn new(catalog: CatalogReader, broker: BrokerHandle) -> Self {
        Self { catalog, broker }
    }

    /// What to say of a series that is not there.
    async fn absent(&self, series: &SeriesInstanceUid) -> Problem {
        match self.catalog.deleted_at(series).await {
            Ok(Some(at)) => {
                let detail = format!(
                    "the series was deleted at {at}; GET /series/{{SeriesInstanceUID}}/history \
                     still tells what it was"
                );
                Problem::new(StatusCode::GONE, detail)
            }
            Ok(None) => Problem::not_found("there is no such series"),
            Err(error) => error.into(),
        }
    }
}

/// What each operation needs, and what the audit trail records of it.
pub(crate) const RULES: [OperationRules; 8] = [
    OperationRules::new("storeSeries", Scope::Write, Some(Audited::Access(Action::Create))),
    OperationRules::new("listSeries", Scope::Read, Some(Audited::Query)),
    OperationRules::new("getSeries", Scope::Read, Some(Audited::Access(Action::Read))),
    OperationRules::new("listInstances", Scope::Read, Some(Audited::Access(Action::Read))),
    OperationRules::new("listRevisions", Scope::Read, Some(Audited::Access(Action::Read))),
    OperationRules::new("listEvidence", Scope::Read, Some(Audited::Access(Action::Read))),
    OperationRules::new("completeSeries", Scope::Admin, Some(Audited::Access(Action::Update))),
    OperationRules::new("deleteSeries", Scope::Admin, Some(Audited::Access(Action::Delete))),
];

#[OpenApi]
impl SeriesOperations {
    /// Store a series
    ///
    /// Writes down a series that did not come by DICOM. It is complete at once and announced like
    /// any other. A series that is known in any state stays as it is.
    #[oai(path = "/store", method = "post", operation_id = "storeSeries", tag = "Group::Series")]
    async fn store(
        &self,
        request: &Request,
        body: JsonBody<StoreRequest>,
    ) -> Result<Stored, StoreRefused> {
        let registration = body.0.into_event(request_id(), Timestamp::now())?;
        if let Some(touched) = request.data::<Touched>() {
            touched.study(&registration.study_instance_uid, &registration.patient_id);
        }
        let message = match register(&self.catalog, &self.broker, &registration).await? {
            RegistrationOutcome::Registered => "Series stored successfully",
            RegistrationOutcome::AlreadyExists => "Series already exists",
        };
        Ok(Stored::Done(JsonBody(StoreMessage { message: message.to_owned() })))
    }

    /// List series
    ///
    /// Without parameters: all series that were ever complete, oldest first, whole and streamed.
    /// One to which more instances came since is listed as it was last complete, with `State`
    /// `receiving`, until it is complete again.
    ///
    /// With `limit` a page: follow `Link` to the next. What completes meanwhile is neither skipped
    /// nor listed twice in the order of `FirstCompletedAt` and of `Arrival`, which never change.
    /// Filters all have to match.
    #[oai(path = "/series", method = "get", operation_id = "listSeries", tag = "Group::Series")]
    #[allow(clippy::too_many_arguments, reason = "each is a documented parameter")]
    async fn series(
        &self,
        request: &Request,
        /// At most so many; all without
        limit: Query<Option<Limit>>,
        /// Where the page begins: out of `Link`
        cursor: Query<Option<Cursor>>,
        /// Whether to return the total number in `X-Total-Count`, which takes a look at each, for example `true`
        count: Query<Option<parameters::Counted>>,
        /// What they are sorted by, with `-` the greatest first. By default `FirstCompletedAt`;
        /// `CompletedAt` with `CompletedAfter` or `CompletedBefore`; else `Arrival`, when the first
        /// instance came, with `State` `receiving` or `all`. `StudyDate`, and with `State` `all` any
        /// but `Arrival`, takes a look at each and needs a `limit`. For example `-Arrival`
        sort: Query<Option<Sort>>,
        /// The keys to list of each, in a list with commas; all without, for example `SeriesInstanceUID,State`
        fields: Query<Option<Fields>>,
        /// Patient ID (0010,0020); `*` stands for any characters, `?` for one. Of several, with `\`
        /// between them or each as a parameter of its own, any may match, as of each attribute, for example `1`
        #[oai(name = "PatientID")]
        patient_id: Query<Option<Pattern>>,
        /// Patient's Name (0010,0010), whatever the case of its letters: whole, or one component group
        /// of it; `*` stands for any characters, `?` for one: `roe^*`, for example `roe^*`
        #[oai(name = "PatientName")]
        patient_name: Query<Option<Names>>,
        /// Study Instance UID (0020,000D), or several with commas, for example `2.25.195279363403791191586079347607892107643`
        #[oai(name = "StudyInstanceUID")]
        study_instance_uid: Query<Option<StudyUids>>,
        /// Modality (0008,0060), or several with commas: `CT,MR`, for example `MR`
        #[oai(name = "Modality")]
        modality: Query<Option<Codes>>,
        /// Accession Number (0008,0050); `*` stands for any characters, `?` for one, for example `ACC-1*`
        #[oai(name = "AccessionNumber")]
        accession_number: Query<Option<Pattern>>,
        /// Study Date (0008,0020): `20260203`, or a range: `20260201-20260228`, `20260201-`,
        /// `-20260228`; a date may have points, as ACR-NEMA writes it, for example `20260201-20260228`
        #[oai(name = "StudyDate")]
        study_date: Query<Option<Dates>>,
        /// Series Date (0008,0021), likewise, for example `20260203`
        #[oai(name = "SeriesDate")]
        series_date: Query<Option<Dates>>,
        /// `complete`: those that ever were; `receiving`: those to which instances are coming, for example `complete`
        #[oai(name = "State")]
        state: Query<Option<State>>,
        /// `dicom` or `api`: how they came to be known, for example `dicom`
        #[oai(name = "Source")]
        source: Query<Option<Origin>>,
        /// AE title of the sender of the latest instance, for example `MR1`
        #[oai(name = "CallingAETitle")]
        calling_ae_title: Query<Option<Text>>,
        /// Last complete after this time: `2026-02-03T04:05:06Z`. A completion is written down a moment
        /// after its time, and a while after it where there was a backlog: whoever asks again for what
        /// is new has to begin that much before the last one that it knows, for example `2026-02-03T04:05:06Z`
        #[oai(name = "CompletedAfter")]
        completed_after: Query<Option<Moment>>,
        /// Last complete before this time, for example `2026-02-04T00:00:00Z`
        #[oai(name = "CompletedBefore")]
        completed_before: Query<Option<Moment>>,
    ) -> Result<SeriesFound, Unlisted> {
        let page = PageRequest::new(request, limit.0, cursor.0, count.0)?;
        let listed = state.0.map(|state| state.0).unwrap_or_default();
        let by_completion = completed_after.0.is_some() || completed_before.0.is_some();
        let default = match listed {
            _ if by_completion => SeriesOrder::Completed,
            Listed::Complete => SeriesOrder::FirstCompleted,
            Listed::Receiving | Listed::All => SeriesOrder::Arrival,
        };
        let matching = [
            patient_id.0.map(|pattern| (keyword::PatientID, pattern.0)),
            patient_name.0.map(|pattern| (keyword::PatientName, pattern.0)),
            study_instance_uid.0.map(|uid| (keyword::StudyInstanceUID, uid.0)),
            modality.0.map(|codes| (keyword::Modality, codes.0)),
            accession_number.0.map(|pattern| (keyword::AccessionNumber, pattern.0)),
            study_date.0.map(|dates| (keyword::StudyDate, dates.0)),
            series_date.0.map(|dates| (keyword::SeriesDate, dates.0)),
        ];
        let search = SeriesSearch {
            listed,
            matching: matching.into_iter().flatten().collect(),
            source: source.0.map(|source| source.0),
            calling_ae_title: calling_ae_title.0.map(|text| text.0),
            completed_after: completed_after.0.map(|moment| moment.0),
            completed_before: completed_before.0.map(|moment| moment.0),
            order: sort.0.map_or(default, |sort| sort.order),
            descending: sort.0.is_some_and(|sort| sort.descending),
            whole: page.is_whole(),
        };
        if search.whole && search.sorts_all() {
            return Err(limit_is_missing().into());
        }
        let total = match page.is_counted() {
            true => Some(self.catalog.count_series(&search).await?),
            false => None,
        };
        let list = SeriesList { catalog: self.catalog.clone(), search, fields: fields.0 };
        Ok(SeriesFound::new(page.of(list).await?, total))
    }

    /// Show a series
    ///
    /// All that is known of it, in whatever state it is. Text comes from its latest instance.
    #[oai(
        path = "/series/:SeriesInstanceUID",
        method = "get",
        operation_id = "getSeries",
        tag = "Group::Series"
    )]
    async fn one_series(
        &self,
        /// Series Instance UID (0020,000E)
        #[oai(name = "SeriesInstanceUID")]
        series: Path<SeriesUid>,
        /// The entity tags that the client has, for example `"5f2b9c"`
        #[oai(name = "If-None-Match")]
        known: Header<Option<parameters::Tags>>,
    ) -> Result<SeriesResponse, SeriesMissing> {
        let Some(found) = self.catalog.series_details(&series.0.0).await? else {
            return Err(self.absent(&series.0.0).await.into());
        };
        Ok(SeriesResponse::new(SeriesDetails::try_from(found)?, known.0.as_ref())?)
    }

    /// List the instances of a series
    ///
    /// In the order in which they came into it, those too that came since it was last complete. A
    /// series that was registered by `POST /store` has none.
    #[oai(
        path = "/series/:SeriesInstanceUID/instances",
        method = "get",
        operation_id = "listInstances",
        tag = "Group::Series"
    )]
    async fn instances(
        &self,
        request: &Request,
        /// Series Instance UID (0020,000E)
        #[oai(name = "SeriesInstanceUID")]
        series: Path<SeriesUid>,
        /// At most so many; all without
        limit: Query<Option<Limit>>,
        /// Where the page begins: out of `Link`
        cursor: Query<Option<Cursor>>,
        /// Whether to return the total number in `X-Total-Count`, for example `true`
        count: Query<Option<parameters::Counted>>,
    ) -> Result<InstancesFound, SeriesMissing> {
        let page = PageRequest::new(request, limit.0, cursor.0, count.0)?;
        let series = series.0.0;
        let Some(known) = self.catalog.count_instances(&series).await? else {
            return Err(self.absent(&series).await.into());
        };
        let total = page.is_counted().then_some(known);
        let list = InstanceList { catalog: self.catalog.clone(), series };
        Ok(InstancesFound::new(page.of(list).await?, total))
    }

    /// List what was decided of a series
    ///
    /// Each time that the series was complete, oldest first, with the rule that decided it and
    /// what it brought; and each time that it was deleted, with `DeletedAt`.
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
        series: Path<SeriesUid>,
    ) -> Result<ListedRevisions, HistoryMissing> {
        let history = self.catalog.history(&series.0.0).await?;
        let history = history.ok_or_else(|| Problem::not_found("there never was such a series"))?;
        Ok(ListedRevisions::Done(JsonBody(history.into_iter().map(Revision::from).collect())))
    }

    /// List what was known of a series when it was complete
    ///
    /// For each completion all evidence, whatever rule decided it, and the instances that were missing: as it was
    /// announced. From the stream SERIES, which keeps announcements for 30 days.
    #[oai(
        path = "/series/:SeriesInstanceUID/evidence",
        method = "get",
        operation_id = "listEvidence",
        tag = "Group::Series"
    )]
    async fn evidence(
        &self,
        /// Series Instance UID (0020,000E)
        #[oai(name = "SeriesInstanceUID")]
        series: Path<SeriesUid>,
    ) -> Result<ListedEvidence, EvidenceMissing> {
        let read = || async { read_completions(self.broker.connection()?, &series.0.0).await };
        let completions = self.broker.ask("the completions can't be read", read).await?;
        let known = completions.into_iter().map(CompletionEvidence::from);
        Ok(ListedEvidence::Done(JsonBody(known.collect())))
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
        series: Path<SeriesUid>,
    ) -> Result<Requested, CompletionRefused> {
        let series_instance_uid = series.0.0;
        let Some(state) = self.catalog.state_of(&series_instance_uid).await? else {
            return Err(self.absent(&series_instance_uid).await.into());
        };
        if state != "receiving" {
            let detail = "the series is complete; this can be asked for while it is receiving";
            return Err(Problem::new(StatusCode::CONFLICT, detail).into());
        }
        let (request_id, requested_at) = (request_id(), Timestamp::now());
        let request = CompletionRequested { series_instance_uid, request_id, requested_at };
        self.broker.publish(&request).await?;
        Ok(Requested::accepted("Completion requested"))
    }

    /// Delete a series
    ///
    /// Takes a series out of the catalogue, whatever state it is in, with its instances; its study
    /// and its patient go with their last series. The sender's pixels are not touched. It takes
    /// effect once everything that was received before this request is counted, and is announced
    /// as `dicom.series.deleted`. From then on the series is answered with 410; its history stays,
    /// with the deletion in it. Should more of it be received or stored later, it is a series again,
    /// and its `Revision` goes on.
    #[oai(
        path = "/series/:SeriesInstanceUID",
        method = "delete",
        operation_id = "deleteSeries",
        tag = "Group::Series"
    )]
    async fn delete(
        &self,
        /// Series Instance UID (0020,000E)
        #[oai(name = "SeriesInstanceUID")]
        series: Path<SeriesUid>,
    ) -> Result<Requested, DeletionRefused> {
        let series_instance_uid = series.0.0;
        if self.catalog.state_of(&series_instance_uid).await?.is_none() {
            return Err(self.absent(&series_instance_uid).await.into());
        }
        let (request_id, requested_at) = (request_id(), Timestamp::now());
        let request = DeletionRequested { series_instance_uid, request_id, requested_at };
        self.broker.publish(&request).await?;
        Ok(Requested::accepted("Deletion requested"))
    }
}

/// A list in an order that no index has is had in pages only: each takes a look at everything, and the
/// client says how many of them it wants.
fn limit_is_missing() -> Problem {
    let detail = format!("is needed in this order, from 1 to {}", parameters::MAX_LIMIT);
    Problem::fields(vec![FieldError { field: "limit".to_owned(), detail }])
}
