//! Series as they are listed.

use super::attributes::{Attribute, keyword};
use super::filings::HAS_INSTANCE;
use super::identities::identities_of_series;
use super::matching::Matching;
use super::paging::{COLLECT, Page, Position};
use super::{Catalog, CatalogError, nanoseconds, optional_timestamp};
use contract::event::{Disagreement, Identity, Source};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::{QueryBuilder, Sqlite};

/// A series as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SeriesRecord {
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: String,
    /// Patient ID (0010,0020), empty when absent.
    pub patient_id: String,
    /// Patient's Name (0010,0010), empty when absent.
    pub patient_name: String,
    /// Study Instance UID (0020,000D), empty when absent.
    pub study_instance_uid: String,
    /// Instances at the last completion.
    pub instances_count: i64,
    /// Modality (0008,0060).
    pub modality: Option<String>,
    /// Series Number (0020,0011).
    pub series_number: Option<String>,
    /// Series Description (0008,103E).
    pub series_description: Option<String>,
    /// Study Date (0008,0020).
    pub study_date: Option<String>,
    /// `dicom` or `api`.
    pub source: String,
    /// `complete`, or `receiving` when it is not complete yet, or more came after it was.
    pub state: String,
    /// Instances by now, while it is receiving.
    pub instances_received: Option<i64>,
    /// Of the last completion; 0 before the first.
    pub revision: i64,
    /// Of the last completion.
    pub reason: Option<String>,
    /// Of the last completion: nanoseconds since 1970, UTC.
    completed_at: Option<i64>,
    /// What its instances say of whose they are, if not the same.
    identities: Option<Vec<Identity>>,
}

impl SeriesRecord {
    /// What its instances disagree on.
    #[must_use]
    pub fn disagreements(&self) -> Vec<Disagreement> {
        self.identities.as_deref().map(Disagreement::among).unwrap_or_default()
    }

    /// When it was last complete.
    #[must_use]
    pub fn completed_at(&self) -> Option<Timestamp> {
        optional_timestamp(self.completed_at).ok().flatten()
    }
}

/// The columns of a record, in its order. A list, not an object: it is read by place.
const RECORD: &str = concat!(
    "json_array(series_instance_uid, patient_id, patient_name,
    series.study_instance_uid, instances_count, modality, series_number, series_description,
    study_date, source, state,
    iif(state = 'receiving', (select count(*) from instances
        where instances.series_instance_uid = series.series_instance_uid), null),
    revision, reason, completed_at, iif(series.disagrees = 1, ",
    identities_of_series!(),
    ", null))"
);

/// Those whose instances agree: hardly any is another.
const AGREEING: &str = " from series
    join patients on patients.id = series.patient
    join studies on studies.study_instance_uid = series.study_instance_uid
    where series.disagrees = 0 and ";

/// The others, each as its latest instance says.
const DISAGREEING: &str = " from series indexed by disagreeing_series
    join patients on patients.id = series.patient
    join studies on studies.study_instance_uid = series.study_instance_uid
    where series.disagrees = 1 and ";

/// Each of these is found by what any of its instances says.
const BY_ANY: &str = " and (select 1 from identities
    join patients on patients.id = identities.patient
    join studies on studies.study_instance_uid = identities.study_instance_uid
    where identities.series_instance_uid = series.series_instance_uid and ";

/// Which series by their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listed {
    /// Those that were ever complete. One that was reopened is still there as it last was complete;
    /// one whose instances have all moved elsewhere is not.
    #[default]
    Complete,
    /// Those to which instances are coming, whether they were complete before or not.
    Receiving,
    /// Both.
    All,
}

impl Listed {
    fn condition(self) -> &'static str {
        match self {
            Self::Complete => "revision > 0 and (instances_count > 0 or source = 'api')",
            Self::Receiving => "state = 'receiving'",
            Self::All => {
                "(state = 'receiving' or revision > 0 and (instances_count > 0 or source = 'api'))"
            }
        }
    }
}

/// What series are sorted by. Those that have no value come where the others end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesOrder {
    /// When they were first complete, which never changes.
    FirstCompleted,
    /// When they were last complete.
    Completed,
    /// When the catalogue first heard of them, which never changes.
    Arrival,
    /// Study Date (0008,0020).
    StudyDate,
}

impl SeriesOrder {
    fn key(self, listed: Listed) -> &'static str {
        match (self, listed) {
            // As it is, so that the index gives the order.
            (Self::FirstCompleted, Listed::Complete) => "first_completed_at",
            (Self::FirstCompleted, _) => "coalesce(first_completed_at, 9223372036854775807)",
            (Self::Completed, Listed::Complete) => "completed_at",
            (Self::Completed, _) => "coalesce(completed_at, 9223372036854775807)",
            (Self::Arrival, _) => "series.rowid",
            (Self::StudyDate, _) => {
                "coalesce(cast(replace(studies.study_date, '.', '') as integer), 0)"
            }
        }
    }
}

/// Which series are listed, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesSearch {
    /// By their state.
    pub listed: Listed,
    /// By their attributes: each has to match.
    pub matching: Vec<(&'static Attribute, Matching)>,
    /// By where they came from.
    pub source: Option<Source>,
    /// By who sent their latest instance.
    pub calling_ae_title: Option<String>,
    /// By their last completion, which has to be later.
    pub completed_after: Option<Timestamp>,
    /// By their last completion, which has to be earlier.
    pub completed_before: Option<Timestamp>,
    /// What they are sorted by; equals by arrival.
    pub order: SeriesOrder,
    /// Whether the greatest comes first.
    pub descending: bool,
    /// Whether all of them are read, page after page.
    pub whole: bool,
}

impl Default for SeriesSearch {
    /// The complete series, oldest first.
    fn default() -> Self {
        Self {
            listed: Listed::Complete,
            matching: Vec::new(),
            source: None,
            calling_ae_title: None,
            completed_after: None,
            completed_before: None,
            order: SeriesOrder::FirstCompleted,
            descending: false,
            whole: false,
        }
    }
}

impl SeriesSearch {
    /// Whether what is searched for is so rare that it is better found first and sorted then: few
    /// series are of one name or of a span of days, and without statistics SQLite would rather
    /// look at all series in their order.
    fn is_rare(&self) -> bool {
        let rare = [keyword::PatientName, keyword::StudyDate];
        self.matching.iter().any(|(attribute, _)| rare.contains(attribute))
    }

    /// Whether each page takes a look at everything, since no index has the order.
    #[must_use]
    pub fn sorts_all(&self) -> bool {
        match self.order {
            SeriesOrder::StudyDate => true,
            SeriesOrder::Arrival => false,
            // Those that are receiving are few, and have an index.
            SeriesOrder::FirstCompleted | SeriesOrder::Completed => self.listed == Listed::All,
        }
    }

    /// Whether a page may look at much more than it lists.
    fn is_long(&self) -> bool {
        let found_by = [keyword::PatientID, keyword::StudyInstanceUID, keyword::AccessionNumber];
        let is_found = |(attribute, matching): &(&Attribute, Matching)| {
            found_by.contains(attribute) && matches!(matching, Matching::Equals(_))
        };
        let has_filters =
            !self.matching.is_empty() || self.source.is_some() || self.calling_ae_title.is_some();
        self.whole || self.sorts_all() || has_filters && !self.matching.iter().any(is_found)
    }

    /// The statement of a page, after its beginning.
    pub(super) fn push_page(
        &self,
        query: &mut QueryBuilder<Sqlite>,
        after: Option<Position>,
        limit: u32,
    ) {
        let key = self.order.key(self.listed);
        // A plus keeps SQLite from walking the index of the order. Whoever reads on to the end has
        // found more than few, which would be found and sorted again for each page.
        let plus = if self.is_rare() && !(self.whole && after.is_some()) { "+" } else { "" };
        let (beyond, direction) = if self.descending { ("<", "desc") } else { (">", "asc") };
        let after = after.unwrap_or(Position::before_all(self.descending));
        for (union, agrees) in [("", true), (" union all ", false)] {
            query.push(format_args!(
                "{union}select json_array({key}, series.rowid, {RECORD}) as row, {plus}{key},
                    series.rowid"
            ));
            self.push_conditions(query, agrees);
            query.push(format_args!(" and ({plus}{key}, series.rowid) {beyond} ("));
            query.push_bind(after.key).push(", ").push_bind(after.id).push(")");
        }
        query.push(format_args!(" order by 2 {direction}, 3 {direction} limit "));
        query.push_bind(i64::from(limit) + 1);
    }

    /// Which series: of those whose instances agree, or of the others.
    fn push_conditions(&self, query: &mut QueryBuilder<Sqlite>, agrees: bool) {
        query.push(if agrees { AGREEING } else { DISAGREEING }).push(self.listed.condition());
        if !agrees {
            query.push(BY_ANY).push(HAS_INSTANCE);
        }
        for (attribute, matching) in &self.matching {
            matching.push(query, attribute);
        }
        if !agrees {
            query.push(" limit 1) is not null");
        }
        if let Some(source) = self.source {
            query.push(" and source = ").push_bind(source.as_str());
        }
        if let Some(calling_ae_title) = &self.calling_ae_title {
            query.push(" and calling_ae_title = ").push_bind(calling_ae_title.clone());
        }
        if let Some(after) = self.completed_after {
            query.push(" and revision > 0 and completed_at > ").push_bind(nanoseconds(after));
        }
        if let Some(before) = self.completed_before {
            query.push(" and revision > 0 and completed_at < ").push_bind(nanoseconds(before));
        }
    }
}

impl Catalog {
    /// A page of the series that a search finds: those after a position, at most so many.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn series(
        &self,
        search: &SeriesSearch,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<SeriesRecord>, CatalogError> {
        let _turn = match search.is_long() {
            true => Some(self.long_read().await?),
            false => None,
        };
        let mut query = QueryBuilder::new(COLLECT);
        search.push_page(&mut query, after, limit);
        self.page(query, limit).await
    }

    /// How many series a search finds. It looks at each.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_series(&self, search: &SeriesSearch) -> Result<u64, CatalogError> {
        let _turn = self.long_read().await?;
        let mut query = QueryBuilder::new("select (select count(*)");
        search.push_conditions(&mut query, true);
        query.push(") + (select count(*)");
        search.push_conditions(&mut query, false);
        query.push(")");
        let count: i64 = query.build_query_scalar().fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }
}
