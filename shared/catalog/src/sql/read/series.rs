//! Series as they are listed.

use super::database::CatalogReader;
use super::database::dialect::Database;
use super::database::identities::identities_of_series;
use super::database::read::conditions::DAY_NUMBER;
use super::database::read::paging::{HALVES, HALVES_END, ROWS, push_end_of_half};
use super::filings::HAS_INSTANCE;
use super::matching;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::records::SeriesRecord;
use crate::search::{Listed, Page, Position, SeriesOrder, SeriesSearch};
use contract::attributes::keyword;
use sqlx::QueryBuilder;

/// The columns of a record, in its order. A list, not an object: it is read by place.
const RECORD: &str = concat!(
    json_list!(),
    "(series.series_instance_uid, patients.patient_id, patients.patient_name,
    series.study_instance_uid, series.instances_count, series.modality, series.series_number,
    series.series_description, studies.study_date, series.source, series.state,
    case when series.state = 'receiving' then ",
    count_instances!(),
    " end,
    series.revision, series.reason, series.completed_at, case when ",
    disagrees!("series"),
    " then ",
    identities_of_series!(),
    " end, series.calling_ae_title)"
);

/// Those whose instances agree: hardly any is another.
const AGREEING: &str =
    concat!(" from series", join_owners!(), "where ", agrees!("series"), " and ");

/// The others, each as its latest instance says.
const DISAGREEING: &str = concat!(
    " from series",
    by_index!("disagreeing_series"),
    join_owners!(),
    "where ",
    disagrees!("series"),
    " and "
);

/// Each of these is found by what any of its instances says.
const BY_ANY: &str = concat!(
    " and ",
    any_from!(),
    "identities",
    join_owners_of_identities!(),
    "where identities.series_instance_uid = series.series_instance_uid and "
);

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

fn key(order: SeriesOrder, listed: Listed) -> &'static str {
    match (order, listed) {
        // As it is, so that the index gives the order.
        (SeriesOrder::FirstCompleted, Listed::Complete) => "series.first_completed_at",
        (SeriesOrder::FirstCompleted, _) => {
            "coalesce(series.first_completed_at, 9223372036854775807)"
        }
        (SeriesOrder::Completed, Listed::Complete) => "series.completed_at",
        (SeriesOrder::Completed, _) => "coalesce(series.completed_at, 9223372036854775807)",
        (SeriesOrder::Arrival, _) => arrival!("series"),
        (SeriesOrder::StudyDate, _) => DAY_NUMBER,
    }
}

/// Whether what is searched for is so rare that it is better found first and sorted then: few
/// series are of one name or of a span of days, and without statistics SQLite would rather
/// look at all series in their order.
fn is_rare(search: &SeriesSearch) -> bool {
    let rare = [keyword::PatientName, keyword::StudyDate];
    search.matching.iter().any(|(attribute, _)| rare.contains(attribute))
}

/// The statement of a page, after its beginning.
pub(crate) fn push_page(
    search: &SeriesSearch,
    query: &mut QueryBuilder<Database>,
    after: Option<Position>,
    limit: u32,
) {
    let key = key(search.order, search.listed);
    // Whoever reads on to the end has found more than few, which would be found and sorted again for
    // each page.
    let finds_first = is_rare(search) && !(search.whole && after.is_some());
    let plus = if finds_first { no_index!() } else { "" };
    let (beyond, direction) = if search.descending { ("<", "desc") } else { (">", "asc") };
    let after = after.unwrap_or(Position::before_all(search.descending));
    let (list, arrival) = (json_list!(), arrival!("series"));
    let (order, limit) = (format!("2 {direction}, 3 {direction}"), i64::from(limit) + 1);
    for (half, agrees) in HALVES.into_iter().zip([true, false]) {
        query.push(format_args!(
            "{half}select cast({list}({key}, {arrival}, {RECORD}) as text) as row, {plus}{key},
                {arrival}"
        ));
        push_conditions(search, query, agrees);
        query.push(format_args!(" and ({plus}{key}, {arrival}) {beyond} ("));
        query.push_bind(after.key).push(", ").push_bind(after.id).push(")");
        push_end_of_half(query, &order, limit);
    }
    query.push(format_args!("{HALVES_END} order by {order} limit ")).push_bind(limit);
}

/// Which series: of those whose instances agree, or of the others.
fn push_conditions(search: &SeriesSearch, query: &mut QueryBuilder<Database>, agrees: bool) {
    query.push(if agrees { AGREEING } else { DISAGREEING }).push(condition(search.listed));
    if !agrees {
        query.push(BY_ANY).push(HAS_INSTANCE);
    }
    for (attribute, matching) in &search.matching {
        matching::push(matching, query, attribute);
    }
    if !agrees {
        query.push(any_end!());
    }
    if let Some(source) = search.source {
        query.push(" and series.source = ").push_bind(source.as_str());
    }
    match &search.calling_ae_title {
        // No title has one, and PostgreSQL has no text with it.
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
        let _turn = self.long_reads.turn_if(search.is_long()).await?;
        let mut query = QueryBuilder::new(ROWS);
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
