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

/// How many instances a filing had as its series was last complete. What is not told apart then is told as it is by
/// now.
macro_rules! completed_instances_of_filing {
    () => {
        "(case when member.identity is null then member.instances_count
            else (select count(*) from instances where instances.identity = member.identity) end)"
    };
}

pub(in crate::postgres) use {completed_instances_of_filing, filings_in};
