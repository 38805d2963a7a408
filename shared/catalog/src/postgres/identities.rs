//! Whose each instance is, where the instances of a series disagree on it. Of all other series, which is
//! nearly all, nothing is kept here: what they say is in the row of the series.

use crate::batch::Received;
use crate::error::CatalogError;
use crate::identities::Said;
use crate::postgres::patients::Patient;
use crate::rows_to_write::latest_of_disagreeing;
use sqlx::PgConnection;
use std::collections::HashSet;

/// Says of each of these instances, sorted by SOP Instance UID, whose it is, as far as it is of one of these series.
pub(in crate::postgres) async fn attribute(
    connection: &mut PgConnection,
    instances: &[&Received],
    disagreeing: &HashSet<String>,
) -> Result<(), CatalogError> {
    if disagreeing.is_empty() {
        return Ok(());
    }
    let (mut series, mut studies, mut keys, mut sops) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for event in latest_of_disagreeing(instances, disagreeing) {
        let said = Said::by(event);
        series.push(event.series_instance_uid.as_str());
        studies.push(said.study());
        keys.push(Patient::of(said).key());
        sops.push(event.sop_instance_uid.as_str());
    }
    for statement in [
        "insert into identities (series_instance_uid, study_instance_uid, patient)
         select distinct told.series, told.study, patients.id
         from unnest($1::text[], $2::text[], $3::bytea[], $4::text[]) as told (series, study, key, sop)
         join patients on patients.key = told.key
         on conflict do nothing",
        "update instances set identity = identities.id
         from unnest($1::text[], $2::text[], $3::bytea[], $4::text[]) as told (series, study, key, sop)
         join patients on patients.key = told.key
         join identities on identities.series_instance_uid = told.series
             and identities.study_instance_uid = told.study and identities.patient = patients.id
         where instances.sop_instance_uid = told.sop",
    ] {
        sqlx::query(statement)
            .bind(&series)
            .bind(&studies)
            .bind(&keys)
            .bind(&sops)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// What the instances of a series say, each identity with how many say it, as a JSON list for
/// [`Identity`](contract::event::Identity): the hundred that most say.
macro_rules! identities_of_series {
    () => {
        "(select coalesce(json_agg(said order by place), '[]') from (
            select json_build_array(json_build_array(identities.study_instance_uid, patient_id,
                       issuer_of_patient_id, patient_name, patient_birth_date, patient_sex),
                       count(*), sum(count(*)) over ()) as said,
                   row_number() over (order by count(*) desc, identities.id) as place
            from identities
            join instances on instances.identity = identities.id
            join patients on patients.id = identities.patient
            where identities.series_instance_uid = series.series_instance_uid
            group by identities.id, patients.id order by place limit 100) as listed)"
    };
}

/// The same of a study: of all its series, with those of their instances that name another one.
macro_rules! identities_of_study {
    () => {
        "(select coalesce(json_agg(said order by place), '[]') from (
            select json_build_array(json_build_array(own.study_instance_uid, patient_id,
                       issuer_of_patient_id, patient_name, patient_birth_date, patient_sex),
                       sum(own.instances), sum(sum(own.instances)) over ()) as said,
                   row_number() over (order by sum(own.instances) desc,
                       own.study_instance_uid, patients.id) as place
            from (select study_instance_uid, patient, instances_count as instances from series
                  where series.study_instance_uid = studies.study_instance_uid
                        and not series.disagrees
                  union all
                  select all_of.study_instance_uid, all_of.patient,
                         (select count(*) from instances where instances.identity = all_of.id)
                  from identities as all_of
                  where all_of.series_instance_uid in (select named.series_instance_uid
                      from identities as named
                      where named.study_instance_uid = studies.study_instance_uid)) as own
            join patients on patients.id = own.patient
            where own.instances > 0
            group by own.study_instance_uid, patients.id order by place limit 100) as listed)"
    };
}

pub(in crate::postgres) use {identities_of_series, identities_of_study};
