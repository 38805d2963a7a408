//! Studies as they are listed.

use crate::error::CatalogError;
use crate::postgres::CatalogReader;
use crate::postgres::filings::{HAS_SERIES, completed_instances_of_filing, filings_in_study};
use crate::postgres::identities::identities_of_study;
use crate::records::StudyRecord;
use crate::search::{Page, Position, StudySearch};
use contract::uid::StudyInstanceUid;
use sqlx::{Postgres, QueryBuilder};

/// One pass over the series of a study: what they come to, in the order of the record.
const RECORD: &str = concat!(
    "json_build_array(studies.study_instance_uid, patients.patient_id, patients.patient_name,
    patients.patient_birth_date, patients.patient_sex, studies.study_date, studies.study_time,
    studies.accession_number, studies.referring_physician_name, studies.study_id,
    studies.study_description,
    (select coalesce(json_agg(modality order by modality), '[]')
        from (select distinct member.modality from ",
    filings_in_study!(),
    " and member.modality is not null) as found),
    (select count(*) from ",
    filings_in_study!(),
    "),
    (select count(*) from ",
    filings_in_study!(),
    " and member.state = 'receiving'),
    (select coalesce(sum(",
    completed_instances_of_filing!(),
    "), 0)::bigint from ",
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
    (exists (select 1 from open_studies
        where open_studies.study_instance_uid = studies.study_instance_uid))::integer,
    case when studies.disagrees or exists (select 1 from identities
            where identities.study_instance_uid = studies.study_instance_uid)
        then ",
    identities_of_study!(),
    " end)"
);

/// The studies, each with the patient that its latest instance names.
const STUDIES: &str = " from studies join patients on patients.id = studies.patient
    where studies.study_instance_uid <> ''";

/// Those of one patient: hardly any is of more.
const OF_ONE: &str = " from studies join patients on patients.id = studies.patient
    where studies.study_instance_uid <> '' and not studies.disagrees";

/// The others: each is found by any of its patients, and told with the one of its latest instance.
const OF_SEVERAL: &str = concat!(
    " from studies
    join patients on patients.id = studies.patient
    where studies.study_instance_uid <> '' and studies.disagrees
        and exists (select 1 from patients where patients.id in (select member.patient from ",
    filings_in_study!(),
    ")"
);

/// The halves of a list: where each begins, and what ends its conditions.
const HALVES: [(&str, &str); 2] = [(OF_ONE, ""), (OF_SEVERAL, ")")];

/// The statement of a page.
pub(super) fn push_page(
    search: &StudySearch,
    query: &mut QueryBuilder<Postgres>,
    after: Option<Position>,
    limit: u32,
) {
    let (beyond, direction) = if search.descending { ("<", "desc") } else { (">", "asc") };
    let after = after.unwrap_or(Position::before_all(search.descending));
    // Each half ends by itself, so that no record is made that is not on the page.
    for (union, (from, end)) in ["(", ") union all ("].into_iter().zip(HALVES) {
        query.push(format_args!(
            "{union}select json_build_array(studies.arrival, 0, {RECORD})::text, studies.arrival{from}"
        ));
        push_conditions(search, query);
        query.push(format_args!("{end} and studies.arrival {beyond} ")).push_bind(after.key);
        query.push(format_args!(" order by 2 {direction} limit "));
        query.push_bind(i64::from(limit) + 1);
    }
    query.push(format_args!(") order by 2 {direction} limit ")).push_bind(i64::from(limit) + 1);
}

fn push_conditions(search: &StudySearch, query: &mut QueryBuilder<Postgres>) {
    query.push(HAS_SERIES);
    for (attribute, matching) in &search.matching {
        matching.push_postgres(query, attribute);
    }
}

impl CatalogReader {
    pub(crate) async fn studies(
        &self,
        search: &StudySearch,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<StudyRecord>, CatalogError> {
        let _turn = match search.is_long() {
            true => Some(self.long_reads.turn().await?),
            false => None,
        };
        let mut query = QueryBuilder::new("");
        push_page(search, &mut query, after, limit);
        self.page(query, limit).await
    }

    pub(crate) async fn count_studies(&self, search: &StudySearch) -> Result<u64, CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let mut query = QueryBuilder::new("select (select count(*)");
        for (plus, (from, end)) in ["", ") + (select count(*)"].into_iter().zip(HALVES) {
            query.push(plus).push(from);
            push_conditions(search, &mut query);
            query.push(end);
        }
        query.push(")");
        self.count(query).await
    }

    pub(crate) async fn study(
        &self,
        study: &StudyInstanceUid,
    ) -> Result<Option<StudyRecord>, CatalogError> {
        let mut query = QueryBuilder::new(format!(
            "select {RECORD}::text{STUDIES}{HAS_SERIES} and studies.study_instance_uid = "
        ));
        query.push_bind(study.as_str().to_owned());
        Ok(self.collect(query).await?.pop())
    }
}
