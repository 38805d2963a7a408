//! Under which studies and patients a series is found: its filings. Nearly every series has one. Of a series
//! whose instances disagree there is one for each study and patient that instances of it name.

/// The filings in a study, as a table `member` with what is known of each one's series.
macro_rules! filings_in {
    ($study:literal) => {
        concat!(
            "(select series_instance_uid, patient, null::bigint as identity, modality, state, revision,
                 source, instances_count, claimed_count, first_completed_at, completed_at, held, arrival
             from series where series.study_instance_uid = ",
            $study,
            " and not series.disagrees
             union all
             select series.series_instance_uid, identities.patient, identities.id, modality, state,
                 revision, source, instances_count, claimed_count, first_completed_at, completed_at,
                 held, arrival
             from identities
             join series on series.series_instance_uid = identities.series_instance_uid
             where identities.study_instance_uid = ",
            $study,
            " and exists (select 1 from instances where instances.identity = identities.id)) as member"
        )
    };
}

/// The filings in a study, in a statement that has `studies`.
macro_rules! filings_in_study {
    () => {
        concat!($crate::postgres::filings::filings_in!("studies.study_instance_uid"), " where true")
    };
}

/// The same in a statement that has `patients` too: in a study of several patients those of this one.
macro_rules! filings_of_patient {
    () => {
        concat!(
            $crate::postgres::filings::filings_in_study!(),
            " and (not studies.disagrees or member.patient = patients.id)"
        )
    };
}

/// How many instances a filing has by now; what was claimed, of a series of which none was received.
macro_rules! instances_of_filing {
    () => {
        "(case when member.identity is null
            then greatest((select count(*) from instances
                     where instances.series_instance_uid = member.series_instance_uid),
                 case when member.source = 'api' then member.claimed_count else 0 end)
            else (select count(*) from instances where instances.identity = member.identity) end)"
    };
}

/// How many instances a filing had as its series was last complete. What is not told apart then is told as it is by
/// now.
macro_rules! completed_instances_of_filing {
    () => {
        "(case when member.identity is null then member.instances_count
            else (select count(*) from instances where instances.identity = member.identity) end)"
    };
}

/// Studies that instances have moved out of are left without a series.
pub(in crate::postgres) const HAS_SERIES: &str = " and (exists (select 1 from series
        where series.study_instance_uid = studies.study_instance_uid)
    or exists (select 1 from identities
        join instances on instances.identity = identities.id
        where identities.study_instance_uid = studies.study_instance_uid))";

/// Whether an instance is of the identity: one that none is of any more is found by nobody.
pub(in crate::postgres) const HAS_INSTANCE: &str =
    "exists (select 1 from instances where instances.identity = identities.id)";

pub(in crate::postgres) use {
    completed_instances_of_filing, filings_in, filings_in_study, filings_of_patient,
    instances_of_filing,
};
