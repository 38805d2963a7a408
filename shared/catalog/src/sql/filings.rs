//! Under which studies and patients a series is found: its filings. Nearly every series has one. Of a series
//! whose instances disagree there is one for each study and patient that instances of it name.

/// The filings in a study, as a table `member` with what is known of each one's series. The study is
/// compared in both halves: SQLite would look at all filings otherwise.
macro_rules! filings_in {
    ($study:literal) => {
        concat!(
            "(select series_instance_uid, patient, null as identity, modality, state, revision, source,
                 instances_count, claimed_count, first_completed_at, completed_at, held, ",
            arrival!("series"),
            " as arrival
             from series where series.study_instance_uid = ",
            $study,
            " and ",
            agrees!("series"),
            " union all
             select series.series_instance_uid, identities.patient, identities.id, modality, state,
                 revision, source, instances_count, claimed_count, first_completed_at, completed_at,
                 held, ",
            arrival!("series"),
            " from identities
             join series on series.series_instance_uid = identities.series_instance_uid
             where identities.study_instance_uid = ",
            $study,
            " and ",
            any_from!(),
            "instances where instances.identity = identities.id",
            any_end!(),
            ") as member"
        )
    };
}

/// The filings in a study, in a statement that has `studies`.
macro_rules! filings_in_study {
    () => {
        concat!(filings_in!("studies.study_instance_uid"), " where true")
    };
}

/// The same in a statement that has `patients` too: in a study of several patients those of this one.
macro_rules! filings_of_patient {
    () => {
        concat!(
            filings_in_study!(),
            " and (",
            agrees!("studies"),
            " or member.patient = patients.id)"
        )
    };
}

/// How many instances a filing has by now; what was claimed, of a series of which none was received.
macro_rules! instances_of_filing {
    () => {
        concat!(
            "case when member.identity is null then ",
            greatest!(
                "(select count(*) from instances
                     where instances.series_instance_uid = member.series_instance_uid)",
                "case when member.source = 'api' then member.claimed_count else 0 end"
            ),
            " else (select count(*) from instances where instances.identity = member.identity) end"
        )
    };
}

/// How many instances a filing had as its series was last complete. What is not told apart then is told as it is by
/// now.
macro_rules! completed_instances_of_filing {
    () => {
        "case when member.identity is null then member.instances_count
            else (select count(*) from instances where instances.identity = member.identity) end"
    };
}

/// Whether an instance is of the identity: one that none is of any more is found by nobody.
pub(crate) const HAS_INSTANCE: &str =
    concat!(any_from!(), "instances where instances.identity = identities.id", any_end!());
