//! Series as they are listed.

use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::records::SeriesRecord;
use crate::search::{Listed, Page, Position, SeriesOrder, SeriesSearch};
use crate::sqlite::CatalogReader;
use crate::sqlite::filings::HAS_INSTANCE;
use crate::sqlite::identities::identities_of_series;
use crate::sqlite::read::paging::COLLECT;
use contract::attributes::keyword;
use sqlx::{QueryBuilder, Sqlite};

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

impl SeriesSearch {
    /// Whether what is searched for is so rare that it is better found first and sorted then: few
    /// series are of one name or of a span of days, and without statistics SQLite would rather
    /// look at all series in their order.
    fn is_rare(&self) -> bool {
        let rare = [keyword::PatientName, keyword::StudyDate];
        self.matching.iter().any(|(attribute, _)| rare.contains(attribute))
    }

    /// The statement of a page, after its beginning.
    pub(in crate::sqlite) fn push_page(
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

impl CatalogReader {
    pub(crate) async fn series(
        &self,
        search: &SeriesSearch,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<SeriesRecord>, CatalogError> {
        let _turn = match search.is_long() {
            true => Some(self.long_reads.turn().await?),
            false => None,
        };
        let mut query = QueryBuilder::new(COLLECT);
        search.push_page(&mut query, after, limit);
        self.page(query, limit).await
    }

    pub(crate) async fn count_series(&self, search: &SeriesSearch) -> Result<u64, CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let mut query = QueryBuilder::new("select (select count(*)");
        search.push_conditions(&mut query, true);
        query.push(") + (select count(*)");
        search.push_conditions(&mut query, false);
        query.push(")");
        let count: i64 = query.build_query_scalar().fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }
}
