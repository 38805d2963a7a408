//! Studies as they are listed.

use super::database::CatalogReader;
use super::database::dialect::Database;
use super::database::identities::identities_of_study;
use super::database::read::columns::modalities;
use super::database::read::conditions::HAS_SERIES;
use super::database::read::paging::{HALVES, HALVES_END, ROWS, push_end_of_half};
use super::matching;
use crate::error::CatalogError;
use crate::records::StudyRecord;
use crate::search::{Page, Position, StudySearch};
use contract::uid::StudyInstanceUid;
use sqlx::QueryBuilder;

/// One pass over the series of a study: what they come to, in the order of the record.
const RECORD: &str = concat!(
    json_list!(),
    "(studies.study_instance_uid, patients.patient_id, patients.patient_name,
    patients.patient_birth_date, patients.patient_sex, studies.study_date, studies.study_time,
    studies.accession_number, studies.referring_physician_name, studies.study_id,
    studies.study_description,
    ",
    modalities!(),
    ",
    (select count(*) from ",
    filings_in_study!(),
    "),
    (select count(*) from ",
    filings_in_study!(),
    " and ",
    no_index!(),
    "member.state = 'receiving'),
    (select cast(coalesce(sum(",
    completed_instances_of_filing!(),
    "), 0) as bigint) from ",
    filings_in_study!(),
    "),
    (select max(member.completed_at) from ",
    filings_in_study!(),
    " and member.revision > 0),
    (select coalesce(max(revision), 0) from study_revisions as done
        where done.study_instance_uid = studies.study_instance_uid),
    (select completed_at from study_revisions as done
        where done.study_instance_uid = studies.study_instance_uid
        order by revision desc limit 1),
    cast(exists (select 1 from open_studies
        where open_studies.study_instance_uid = studies.study_instance_uid) as integer),
    case when ",
    disagrees!("studies"),
    " or exists (select 1 from identities
            where identities.study_instance_uid = studies.study_instance_uid)
        then ",
    identities_of_study!(),
    " end)"
);

/// The studies, each with the patient that its latest instance names.
const STUDIES: &str = " from studies join patients on patients.id = studies.patient
    where studies.study_instance_uid <> ''";

/// Those of one patient: hardly any is of more.
const OF_ONE: &str = concat!(
    " from studies join patients on patients.id = studies.patient
    where studies.study_instance_uid <> '' and ",
    agrees!("studies")
);

/// The same in the order in which they came.
const OF_ONE_IN_ORDER: &str = concat!(
    " from studies",
    in_order!(),
    " join patients on patients.id = studies.patient
    where studies.study_instance_uid <> '' and ",
    agrees!("studies")
);

/// The others: each is found by any of its patients, and told with the one of its latest instance.
const OF_SEVERAL: &str = concat!(
    " from studies",
    by_index!("disagreeing_studies"),
    " join patients on patients.id = studies.patient
    where studies.study_instance_uid <> '' and ",
    disagrees!("studies"),
    " and ",
    any_from!(),
    "patients where patients.id in (select member.patient from ",
    filings_in_study!(),
    ")"
);

/// The statement of a page, after its beginning.
pub(crate) fn push_page(
    search: &StudySearch,
    query: &mut QueryBuilder<Database>,
    after: Option<Position>,
    limit: u32,
) {
    // What an index finds is sorted, which for all that follows would be done again each time.
    let of_one = if search.whole && after.is_some() { OF_ONE_IN_ORDER } else { OF_ONE };
    let (beyond, direction) = if search.descending { ("<", "desc") } else { (">", "asc") };
    let after = after.unwrap_or(Position::before_all(search.descending));
    let (list, arrival) = (json_list!(), arrival!("studies"));
    let (order, limit) = (format!("2 {direction}"), i64::from(limit) + 1);
    for (half, (from, end)) in HALVES.into_iter().zip([(of_one, ""), (OF_SEVERAL, any_end!())]) {
        query.push(format_args!(
            "{half}select cast({list}({arrival}, 0, {RECORD}) as text) as row, {arrival}{from}"
        ));
        push_conditions(search, query);
        query.push(format_args!("{end} and {arrival} {beyond} ")).push_bind(after.key);
        push_end_of_half(query, &order, limit);
    }
    query.push(format_args!("{HALVES_END} order by {order} limit ")).push_bind(limit);
}

fn push_conditions(search: &StudySearch, query: &mut QueryBuilder<Database>) {
    query.push(HAS_SERIES);
    for (attribute, matching) in &search.matching {
        matching::push(matching, query, attribute);
    }
}

impl CatalogReader {
    pub(crate) async fn studies(
        &self,
        search: &StudySearch,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<StudyRecord>, CatalogError> {
        let _turn = self.long_reads.turn_if(search.is_long()).await?;
        let mut query = QueryBuilder::new(ROWS);
        push_page(search, &mut query, after, limit);
        self.page(query, limit).await
    }

    pub(crate) async fn count_studies(&self, search: &StudySearch) -> Result<u64, CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let mut query = QueryBuilder::new("select (select count(*)");
        query.push(OF_ONE);
        push_conditions(search, &mut query);
        query.push(") + (select count(*)").push(OF_SEVERAL);
        push_conditions(search, &mut query);
        query.push(concat!(any_end!(), ")"));
        self.count(query).await
    }

    pub(crate) async fn study(
        &self,
        study: &StudyInstanceUid,
    ) -> Result<Option<StudyRecord>, CatalogError> {
        let mut query = QueryBuilder::new(ROWS);
        query.push(format_args!(
            "select cast({RECORD} as text) as row{STUDIES}{HAS_SERIES} and studies.study_instance_uid = "
        ));
        query.push_bind(study.as_str().to_owned());
        Ok(self.collect(query).await?.pop())
    }
}
