//! What many statements have in common that begin with `series` or `identities`: whose these are, and how many instances
//! there are.

/// The joins of `series` with the patient and the study of each.
macro_rules! join_owners {
    () => {
        " join patients on patients.id = series.patient
            join studies on studies.study_instance_uid = series.study_instance_uid "
    };
}

/// The same of `identities`.
macro_rules! join_owners_of_identities {
    () => {
        " join patients on patients.id = identities.patient
            join studies on studies.study_instance_uid = identities.study_instance_uid "
    };
}

/// How many instances a series has by now.
macro_rules! count_instances {
    () => {
        "(select count(*) from instances
            where instances.series_instance_uid = series.series_instance_uid)"
    };
}
