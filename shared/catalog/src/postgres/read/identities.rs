//! What the instances of a series or a study say of whose they are, as JSON.

/// What the instances of a series say, each identity with how many say it, as a JSON list for
/// [`contract::event::Identity`]: the hundred that most say.
macro_rules! identities_of_series {
    () => {
        "(select coalesce(json_agg(said order by instances desc, id), '[]') from (
            select identities.id, count(*) as instances,
                json_build_array(json_build_array(identities.study_instance_uid, patient_id,
                       issuer_of_patient_id, patient_name, patient_birth_date, patient_sex),
                       count(*), (sum(count(*)) over ())::bigint) as said
            from identities
            join instances on instances.identity = identities.id
            join patients on patients.id = identities.patient
            where identities.series_instance_uid = series.series_instance_uid
            group by identities.id, patients.id
            order by count(*) desc, identities.id limit 100) as identity)"
    };
}

/// The same of a study: of all its series, with those of their instances that name another one.
macro_rules! identities_of_study {
    () => {
        "(select coalesce(json_agg(said order by instances desc, study_instance_uid, patient), '[]')
          from (
            select own.study_instance_uid, own.patient, sum(own.instances) as instances,
                json_build_array(json_build_array(own.study_instance_uid, patient_id,
                       issuer_of_patient_id, patient_name, patient_birth_date, patient_sex),
                       sum(own.instances)::bigint,
                       (sum(sum(own.instances)) over ())::bigint) as said
            from (select study_instance_uid, patient, instances_count as instances from series
                    where series.study_instance_uid = studies.study_instance_uid
                        and not series.disagrees
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
            group by own.study_instance_uid, own.patient, patients.id
            order by sum(own.instances) desc, own.study_instance_uid, own.patient
            limit 100) as identity)"
    };
}

pub(in crate::postgres) use {identities_of_series, identities_of_study};
