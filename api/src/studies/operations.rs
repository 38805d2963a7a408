//! The operations on studies, as they are served and as they are documented.

use super::record::{Study, StudyList};
use crate::auth::tokens::Scope;
use crate::http::cursor::Cursor;
use crate::http::paged_list::PageRequest;
use crate::http::parameters::{
    self, Codes, Dates, Limit, Names, Pattern, StudyUid, choice_schema, choose, names, parameter,
};
use crate::http::problem::Problem;
use crate::openapi::responses::{
    Unlisted, catalog_problems, conditional_response, paged_list_response,
};
use crate::openapi::rules::{Audited, OperationRules};
use catalog::{CatalogReader, StudySearch, keyword};
use poem::Request;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::{OpenApi, Tags};
use shared::audit::Action;

/// The documented operations.
#[derive(Debug)]
pub struct StudyOperations {
    catalog: CatalogReader,
}

#[derive(Tags)]
enum Group {
    /// Studies with the totals of their series, one record each.
    Studies,
}

impl StudyOperations {
    /// On a catalogue.
    #[must_use]
    pub fn new(catalog: CatalogReader) -> Self {
        Self { catalog }
    }
}

/// What each operation needs, and what the audit trail records of it.
pub(crate) const RULES: [OperationRules; 2] = [
    OperationRules::new("listStudies", Scope::Read, Some(Audited::Query)),
    OperationRules::new("getStudy", Scope::Read, Some(Audited::Access(Action::Read))),
];

#[OpenApi]
impl StudyOperations {
    /// List studies
    ///
    /// All studies of which there is a series, in the order in which the catalogue first learned
    /// of them. With `limit` a page: follow `Link` to the next.
    #[oai(path = "/studies", method = "get", operation_id = "listStudies", tag = "Group::Studies")]
    #[allow(clippy::too_many_arguments, reason = "each is a documented parameter")]
    async fn studies(
        &self,
        request: &Request,
        /// At most so many; all without
        limit: Query<Option<Limit>>,
        /// Where the page begins: out of `Link`
        cursor: Query<Option<Cursor>>,
        /// Whether to return the total number in `X-Total-Count`, which takes a look at each, for example `true`
        count: Query<Option<parameters::Counted>>,
        /// `-Arrival`: the study that the catalogue learned of last comes first, for example `-Arrival`
        sort: Query<Option<StudySort>>,
        /// Patient ID (0010,0020); `*` stands for any characters, `?` for one. Of several, with `\`
        /// between them or each as a parameter of its own, any may match, as of each attribute, for example `1`
        #[oai(name = "PatientID")]
        patient_id: Query<Option<Pattern>>,
        /// Patient's Name (0010,0010), whatever the case of its letters: whole, or one component group
        /// of it; `*` stands for any characters, `?` for one, for example `roe^*`
        #[oai(name = "PatientName")]
        patient_name: Query<Option<Names>>,
        /// A modality that one of its series has, or several with commas: `CT,MR`, for example `MR`
        #[oai(name = "Modality")]
        modality: Query<Option<Codes>>,
        /// Accession Number (0008,0050); `*` stands for any characters, `?` for one, for example `ACC-1*`
        #[oai(name = "AccessionNumber")]
        accession_number: Query<Option<Pattern>>,
        /// Study Date (0008,0020): `20260203`, or a range: `20260201-20260228`, `20260201-`,
        /// `-20260228`, for example `20260201-20260228`
        #[oai(name = "StudyDate")]
        study_date: Query<Option<Dates>>,
    ) -> Result<StudiesFound, Unlisted> {
        let page = PageRequest::new(request, limit.0, cursor.0, count.0)?;
        let matching = [
            patient_id.0.map(|pattern| (keyword::PatientID, pattern.0)),
            patient_name.0.map(|pattern| (keyword::PatientName, pattern.0)),
            modality.0.map(|codes| (keyword::ModalitiesInStudy, codes.0)),
            accession_number.0.map(|pattern| (keyword::AccessionNumber, pattern.0)),
            study_date.0.map(|dates| (keyword::StudyDate, dates.0)),
        ];
        let search = StudySearch {
            matching: matching.into_iter().flatten().collect(),
            descending: sort.0.is_some_and(|sort| sort.0),
            whole: page.is_whole(),
        };
        let total = match page.is_counted() {
            true => Some(self.catalog.count_studies(&search).await?),
            false => None,
        };
        let list = StudyList { catalog: self.catalog.clone(), search };
        Ok(StudiesFound::new(page.of(list).await?, total))
    }

    /// Show a study
    ///
    /// Its series are `GET /series?StudyInstanceUID=...&State=all`.
    #[oai(
        path = "/studies/:StudyInstanceUID",
        method = "get",
        operation_id = "getStudy",
        tag = "Group::Studies"
    )]
    async fn one_study(
        &self,
        /// Study Instance UID (0020,000D)
        #[oai(name = "StudyInstanceUID")]
        study: Path<StudyUid>,
        /// The entity tags that the client has, for example `"5f2b9c"`
        #[oai(name = "If-None-Match")]
        known: Header<Option<parameters::Tags>>,
    ) -> Result<StudyResponse, StudyMissing> {
        let found = self.catalog.study(&study.0.0).await?;
        let study = Study::from(found.ok_or_else(|| Problem::not_found("there is no such study"))?);
        Ok(StudyResponse::new(study, known.0.as_ref())?)
    }
}

/// What studies are sorted by: whether the latest comes first.
#[derive(Debug, Clone, Copy)]
pub struct StudySort(pub bool);

const STUDY_SORTS: [(&str, StudySort); 2] =
    [("Arrival", StudySort(false)), ("-Arrival", StudySort(true))];

parameter!(StudySort, choice_schema(&names(&STUDY_SORTS), Some("Arrival")), |text| choose(
    &STUDY_SORTS,
    text
));

paged_list_response!(StudiesFound
    /// The studies, as a JSON array; `[]` when there are none
    Study
);

conditional_response!(StudyResponse
    /// The study
    Study
);

catalog_problems!(StudyMissing {
    /// There is no such study
    404 Missing,
    /// The path names no study, or a parameter is unknown; `errors` names each
    422 Wrong,
});
