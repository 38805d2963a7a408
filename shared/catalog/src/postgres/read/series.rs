//! Series as they are listed.

use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::postgres::CatalogReader;
use crate::postgres::filings::HAS_INSTANCE;
use crate::postgres::identities::identities_of_series;
use crate::records::SeriesRecord;
use crate::search::{Listed, Page, Position, SeriesOrder, SeriesSearch};
use sqlx::{Postgres, QueryBuilder};

/// The columns of a record, in its order. A list, not an object: it is read by place.
const RECORD: &str = concat!(
    "json_build_array(series.series_instance_uid, patients.patient_id, patients.patient_name,
    series.study_instance_uid, series.instances_count, series.modality, series.series_number,
    series.series_description, studies.study_date, series.source, series.state,
    case when series.state = 'receiving' then (select count(*) from instances
        where instances.series_instance_uid = series.series_instance_uid) end,
    series.revision, series.reason, series.completed_at, case when series.disagrees then ",
    identities_of_series!(),
    " end)"
);

/// Those whose instances agree: hardly any is another.
const AGREEING: &str = " from series
    join patients on patients.id = series.patient
    join studies on studies.study_instance_uid = series.study_instance_uid
    where not series.disagrees and ";

/// The others, each as its latest instance says.
const DISAGREEING: &str = " from series
    join patients on patients.id = series.patient
    join studies on studies.study_instance_uid = series.study_instance_uid
    where series.disagrees and ";

/// Each of these is found by what any of its instances says.
const BY_ANY: &str = " and exists (select 1 from identities
    join patients on patients.id = identities.patient
    join studies on studies.study_instance_uid = identities.study_instance_uid
    where identities.series_instance_uid = series.series_instance_uid and ";

/// What was complete, and has not lost all that it had.
macro_rules! complete {
    () => {
        "series.revision > 0 and (series.instances_count > 0 or series.source = 'api')"
    };
}

fn condition(listed: Listed) -> &'static str {
    match listed {
        Listed::Complete => complete!(),
        Listed::Receiving => "series.state = 'receiving'",
        Listed::All => concat!("(series.state = 'receiving' or ", complete!(), ")"),
    }
}

/// The digits that a date begins with, as a number: a date has eight, but any text may have come as one.
const DAY: &str = r"coalesce(least(greatest(
    substring(replace(studies.study_date, '.', '') from '^[ \t\n\v\f\r]*([+-]?[0-9]+)')::numeric,
    -9223372036854775808), 9223372036854775807)::bigint, 0)";

fn key(order: SeriesOrder, listed: Listed) -> &'static str {
    match (order, listed) {
        // As it is, so that the index gives the order.
        (SeriesOrder::FirstCompleted, Listed::Complete) => "series.first_completed_at",
        (SeriesOrder::FirstCompleted, _) => {
            "coalesce(series.first_completed_at, 9223372036854775807)"
        }
        (SeriesOrder::Completed, Listed::Complete) => "series.completed_at",
        (SeriesOrder::Completed, _) => "coalesce(series.completed_at, 9223372036854775807)",
        (SeriesOrder::Arrival, _) => "series.arrival",
        (SeriesOrder::StudyDate, _) => DAY,
    }
}

/// The statement of a page.
pub(super) fn push_page(
    search: &SeriesSearch,
    query: &mut QueryBuilder<Postgres>,
    after: Option<Position>,
    limit: u32,
) {
    let key = key(search.order, search.listed);
    let (beyond, direction) = if search.descending { ("<", "desc") } else { (">", "asc") };
    let after = after.unwrap_or(Position::before_all(search.descending));
    // Each half ends by itself, so that no record is made that is not on the page.
    for (union, agrees) in [("(", true), (") union all (", false)] {
        query.push(format_args!(
            "{union}select json_build_array({key}, series.arrival, {RECORD})::text,
                {key} as key, series.arrival"
        ));
        push_conditions(search, query, agrees);
        query.push(format_args!(" and ({key}, series.arrival) {beyond} ("));
        query.push_bind(after.key).push(", ").push_bind(after.id);
        query.push(format_args!(") order by 2 {direction}, 3 {direction} limit "));
        query.push_bind(i64::from(limit) + 1);
    }
    query.push(format_args!(") order by 2 {direction}, 3 {direction} limit "));
    query.push_bind(i64::from(limit) + 1);
}

/// Which series: of those whose instances agree, or of the others.
fn push_conditions(search: &SeriesSearch, query: &mut QueryBuilder<Postgres>, agrees: bool) {
    query.push(if agrees { AGREEING } else { DISAGREEING }).push(condition(search.listed));
    if !agrees {
        query.push(BY_ANY).push(HAS_INSTANCE);
    }
    for (attribute, matching) in &search.matching {
        matching.push_postgres(query, attribute);
    }
    if !agrees {
        query.push(")");
    }
    if let Some(source) = search.source {
        query.push(" and series.source = ").push_bind(source.as_str());
    }
    match &search.calling_ae_title {
        // PostgreSQL has no text with a NUL.
        Some(title) if title.contains('\0') => drop(query.push(" and false")),
        Some(title) => {
            query.push(" and series.calling_ae_title = ").push_bind(title.clone());
        }
        None => {}
    }
    if let Some(after) = search.completed_after {
        query.push(" and series.revision > 0 and series.completed_at > ");
        query.push_bind(nanoseconds(after));
    }
    if let Some(before) = search.completed_before {
        query.push(" and series.revision > 0 and series.completed_at < ");
        query.push_bind(nanoseconds(before));
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
        let mut query = QueryBuilder::new("");
        push_page(search, &mut query, after, limit);
        self.page(query, limit).await
    }

    pub(crate) async fn count_series(&self, search: &SeriesSearch) -> Result<u64, CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let mut query = QueryBuilder::new("select (select count(*)");
        push_conditions(search, &mut query, true);
        query.push(") + (select count(*)");
        push_conditions(search, &mut query, false);
        query.push(")");
        self.count(query).await
    }
}
