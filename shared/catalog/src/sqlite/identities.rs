//! Whose each instance is, where the instances of a series disagree on it. Of all other series, which is
//! nearly all, nothing is kept here: what they say is in the row of the series.

use crate::batch::Received;
use crate::encoding::json;
use crate::error::CatalogError;
use crate::identities::Said;
use crate::rows_to_write::latest_of_disagreeing;
use sqlx::SqliteConnection;
use std::collections::HashSet;

/// The row of the patient that a list of texts names.
macro_rules! patient_of_texts {
    () => {
        "(select id from patients where patient_id = said.value ->> 2
              and issuer_of_patient_id = said.value ->> 3 and patient_name = said.value ->> 4
              and patient_birth_date = said.value ->> 5 and patient_sex = said.value ->> 6)"
    };
}

/// Says of each of these instances, sorted by SOP Instance UID, whose it is, as far as it is of one of these series.
pub(in crate::sqlite) async fn attribute(
    connection: &mut SqliteConnection,
    instances: &[&Received],
    disagreeing: &HashSet<String>,
) -> Result<(), CatalogError> {
    if disagreeing.is_empty() {
        return Ok(());
    }
    let said: Vec<_> = latest_of_disagreeing(instances, disagreeing)
        .map(|event| {
            let [study, id, issuer, name, birth_date, sex] = Said::by(event).texts();
            let (series, sop) = (&event.series_instance_uid, &event.sop_instance_uid);
            (series, study, id, issuer, name, birth_date, sex, sop)
        })
        .collect();
    let said = json(&said);
    for statement in [
        concat!(
            "insert into identities (series_instance_uid, study_instance_uid, patient)
             select distinct said.value ->> 0, said.value ->> 1, ",
            patient_of_texts!(),
            " from json_each(?) as said where true on conflict do nothing"
        ),
        concat!(
            "update instances set identity = (select id from identities
                 where identities.series_instance_uid = said.value ->> 0
                     and identities.study_instance_uid = said.value ->> 1
                     and identities.patient = ",
            patient_of_texts!(),
            ") from json_each(?) as said where sop_instance_uid = said.value ->> 7"
        ),
    ] {
        sqlx::query(statement).bind(&said).execute(&mut *connection).await?;
    }
    Ok(())
}

/// What the instances of a series say, each identity with how many say it, as a JSON list for
/// [`Identity`]: the hundred that most say.
macro_rules! identities_of_series {
    () => {
        "(select json_group_array(json(said)) from (
            select json_array(json_array(identities.study_instance_uid, patient_id,
                       issuer_of_patient_id, patient_name, patient_birth_date, patient_sex),
                       count(*), sum(count(*)) over ()) as said
            from identities
            join instances on instances.identity = identities.id
            join patients on patients.id = identities.patient
            where identities.series_instance_uid = series.series_instance_uid
            group by identities.id order by count(*) desc, identities.id limit 100))"
    };
}

pub(in crate::sqlite) use identities_of_series;

/// The same of a study: of all its series, with those of their instances that name another one.
macro_rules! identities_of_study {
    () => {
        "(select json_group_array(json(said)) from (
            select json_array(json_array(own.study_instance_uid, patient_id,
                       issuer_of_patient_id, patient_name, patient_birth_date, patient_sex),
                       sum(own.instances), sum(sum(own.instances)) over ()) as said
            from (select study_instance_uid, patient, instances_count as instances from series
                    where series.study_instance_uid = studies.study_instance_uid
                        and series.disagrees = 0
                  union all
                  select all_of.study_instance_uid, all_of.patient,
                         (select count(*) from instances where instances.identity = all_of.id)
                  from identities as named
                  join identities as all_of
                      on all_of.series_instance_uid = named.series_instance_uid
                  where named.study_instance_uid = studies.study_instance_uid
                  group by all_of.id) as own
            join patients on patients.id = own.patient
            where own.instances > 0
            group by own.study_instance_uid, own.patient
            order by sum(own.instances) desc limit 100))"
    };
}

pub(in crate::sqlite) use identities_of_study;
