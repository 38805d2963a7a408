//! Studies as they are listed.

use crate::error::CatalogError;
use crate::records::StudyRecord;
use crate::search::{Page, Position, StudySearch};
use crate::sqlite::CatalogReader;
use crate::sqlite::filings::{HAS_SERIES, completed_instances_of_filing, filings_in_study};
use crate::sqlite::identities::identities_of_study;
use crate::sqlite::read::paging::COLLECT;
use contract::uid::StudyInstanceUid;
use sqlx::{QueryBuilder, Sqlite};

/// One pass over the series of a study: what they come to, in the order of the record.
const RECORD: &str = concat!(
    "json_array(studies.study_instance_uid, patient_id, patient_name,
    patient_birth_date, patient_sex, study_date, study_time, accession_number,
    referring_physician_name, study_id, study_description,
    (select json_group_array(modality) from (select distinct member.modality from ",
    filings_in_study!(),
    " and member.modality is not null order by 1)),
    (select count(*) from ",
    filings_in_study!(),
    "),
    (select count(*) from ",
    filings_in_study!(),
    " and +member.state = 'receiving'),
    (select coalesce(sum(",
    completed_instances_of_filing!(),
    "), 0) from ",
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
    exists (select 1 from open_studies
        where open_studies.study_instance_uid = studies.study_instance_uid),
    iif(studies.disagrees = 1 or exists (select 1 from identities
            where identities.study_instance_uid = studies.study_instance_uid),
        ",
    identities_of_study!(),
    ", null))"
);

/// The studies, each with the patient that its latest instance names.
const STUDIES: &str = " from studies join patients on patients.id = studies.patient
    where studies.study_instance_uid <> ''";

/// Those of one patient: hardly any is of more.
const OF_ONE: &str = " from studies join patients on patients.id = studies.patient
    where studies.study_instance_uid <> '' and studies.disagrees = 0";

/// The same in the order of the rows, whatever an index finds sooner.
const OF_ONE_IN_ORDER: &str =
    " from studies not indexed join patients on patients.id = studies.patient
    where studies.study_instance_uid <> '' and studies.disagrees = 0";

/// The others: each is found by any of its patients, and told with the one of its latest instance.
const OF_SEVERAL: &str = concat!(
    " from studies indexed by disagreeing_studies
    join patients on patients.id = studies.patient
    where studies.study_instance_uid <> '' and studies.disagrees = 1
        and (select 1 from patients where patients.id in (select member.patient from ",
    filings_in_study!(),
    ")"
);

impl StudySearch {
    /// The statement of a page, after its beginning.
    pub(in crate::sqlite) fn push_page(
        &self,
        query: &mut QueryBuilder<Sqlite>,
        after: Option<Position>,
        limit: u32,
    ) {
        // What an index finds is sorted, which for all that follows would be done again each time.
        let of_one = if self.whole && after.is_some() { OF_ONE_IN_ORDER } else { OF_ONE };
        let (beyond, direction) = if self.descending { ("<", "desc") } else { (">", "asc") };
        let after = after.unwrap_or(Position::before_all(self.descending));
        for (union, from, end) in
            [("", of_one, ""), (" union all ", OF_SEVERAL, " limit 1) is not null")]
        {
            query.push(format_args!(
                "{union}select json_array(studies.rowid, 0, {RECORD}) as row, studies.rowid{from}"
            ));
            self.push_conditions(query);
            query.push(format_args!("{end} and studies.rowid {beyond} ")).push_bind(after.key);
        }
        query.push(format_args!(" order by 2 {direction} limit "));
        query.push_bind(i64::from(limit) + 1);
    }

    /// The statement that counts all.
    fn push_count(&self, query: &mut QueryBuilder<Sqlite>) {
        query.push("select (select count(*)").push(OF_ONE);
        self.push_conditions(query);
        query.push(") + (select count(*)").push(OF_SEVERAL);
        self.push_conditions(query);
        query.push(" limit 1) is not null)");
    }

    fn push_conditions(&self, query: &mut QueryBuilder<Sqlite>) {
        query.push(HAS_SERIES);
        for (attribute, matching) in &self.matching {
            matching.push(query, attribute);
        }
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
        let mut query = QueryBuilder::new(COLLECT);
        search.push_page(&mut query, after, limit);
        self.page(query, limit).await
    }

    pub(crate) async fn count_studies(&self, search: &StudySearch) -> Result<u64, CatalogError> {
        let _turn = self.long_reads.turn().await?;
        let mut query = QueryBuilder::new("");
        search.push_count(&mut query);
        let count: i64 = query.build_query_scalar().fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }

    pub(crate) async fn study(
        &self,
        study: &StudyInstanceUid,
    ) -> Result<Option<StudyRecord>, CatalogError> {
        let mut query = QueryBuilder::new(COLLECT);
        query.push(format_args!(
            "select {RECORD} as row{STUDIES}{HAS_SERIES} and studies.study_instance_uid = "
        ));
        query.push_bind(study.as_str().to_owned());
        Ok(self.collect(query).await?.pop())
    }
}
