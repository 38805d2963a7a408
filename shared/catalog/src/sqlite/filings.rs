//! Under which studies and patients a series is found: its filings. Nearly every series has one. Of a series
//! whose instances disagree there is one for each study and patient that instances of it name.

/// The filings in a study, as a table `member` with what is known of each one's series. The study is
/// compared in both halves: SQLite would look at all filings otherwise.
macro_rules! filings_in {
    ($study:literal) => {
        concat!(
            "(select series_instance_uid, patient, null as identity, modality, state, revision, source,
                 instances_count, claimed_count, first_completed_at, completed_at, held,
                 series.rowid as arrival
             from series where series.study_instance_uid = ",
            $study,
            " and series.disagrees = 0
             union all
             select series.series_instance_uid, identities.patient, identities.id, modality, state,
                 revision, source, instances_count, claimed_count, first_completed_at, completed_at,
                 held, series.rowid
             from identities
             join series on series.series_instance_uid = identities.series_instance_uid
             where identities.study_instance_uid = ",
            $study,
            " and (select 1 from instances where instances.identity = identities.id limit 1)
                 is not null) as member"
        )
    };
}

/// The filings in a study, in a statement that has `studies`.
macro_rules! filings_in_study {
    () => {
        concat!($crate::sqlite::filings::filings_in!("studies.study_instance_uid"), " where true")
    };
}

/// The same in a statement that has `patients` too: in a study of several patients those of this one.
macro_rules! filings_of_patient {
    () => {
        concat!(
            $crate::sqlite::filings::filings_in_study!(),
            " and (studies.disagrees = 0 or member.patient = patients.id)"
        )
    };
}

/// How many instances a filing has by now; what was claimed, of a series of which none was received.
macro_rules! instances_of_filing {
    () => {
        "iif(member.identity is null,
            max((select count(*) from instances
                 where instances.series_instance_uid = member.series_instance_uid),
                iif(member.source = 'api', member.claimed_count, 0)),
            (select count(*) from instances where instances.identity = member.identity))"
    };
}

/// The same as its series was last complete. What is not told apart then is told as it is by now.
macro_rules! completed_instances_of_filing {
    () => {
        "iif(member.identity is null, member.instances_count,
            (select count(*) from instances where instances.identity = member.identity))"
    };
}

/// Studies that instances have moved out of are left without a series. This is no `exists`: SQLite
/// 3.51 makes a join of that, and then counts a study for `offset` once for each of its series.
pub(in crate::sqlite) const HAS_SERIES: &str = " and ((select 1 from series
    where series.study_instance_uid = studies.study_instance_uid limit 1) is not null
    or (select 1 from identities where identities.study_instance_uid = studies.study_instance_uid
        and (select 1 from instances where instances.identity = identities.id limit 1) is not null
        limit 1) is not null)";

/// Whether an instance is of the identity: one that none is of any more is found by nobody.
pub(in crate::sqlite) const HAS_INSTANCE: &str =
    "(select 1 from instances where instances.identity = identities.id limit 1) is not null";

pub(in crate::sqlite) use {
    completed_instances_of_filing, filings_in, filings_in_study, filings_of_patient,
    instances_of_filing,
};
