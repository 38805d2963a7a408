-- Whose each instance is, where the instances of one series name several studies or patients; and what
-- is searched by, as people write it.

-- A study and a patient that instances of a series name which disagree on it. A series whose instances
-- agree has none.
create table identities (
    id                  integer primary key,
    series_instance_uid text not null,
    study_instance_uid  text not null,
    patient             integer not null references patients (id),
    unique (series_instance_uid, study_instance_uid, patient)
) strict;
create index identities_of_study on identities (study_instance_uid);
create index identities_of_patient on identities (patient);

-- Of `identities`, for each instance of a series whose `disagrees` is 1; NULL is what the series says.
alter table instances add column identity integer;
create index instances_of_identity on instances (identity) where identity is not null;

-- Of a series that disagreed before, no more is known than what it says now.
insert into identities (series_instance_uid, study_instance_uid, patient)
select series_instance_uid, study_instance_uid, patient from series where disagrees = 1;
update instances set identity = (
    select id from identities where identities.series_instance_uid = instances.series_instance_uid
)
where series_instance_uid in (select series_instance_uid from series where disagrees = 1);
create index disagreeing_series on series (series_instance_uid) where disagrees = 1;

-- Its series were ever of several patients.
alter table studies add column disagrees integer not null default 0 check (disagrees in (0, 1));
update studies set disagrees = 1 where exists (
    select 1 from series
    join patients as one on one.id = series.patient
    join patients as other on other.id = studies.patient
    where series.study_instance_uid = studies.study_instance_uid
        and series.patient <> studies.patient
        and (one.patient_id <> other.patient_id
            or one.issuer_of_patient_id <> other.issuer_of_patient_id
            or one.patient_id = '' and one.patient_name <> other.patient_name)
);
create index disagreeing_studies on studies (study_instance_uid) where disagrees = 1;

-- The last completion is held back for a person, since its instances disagree.
alter table series add column held integer not null default 0 check (held in (0, 1));
-- Why an announcement is not announced but becomes a dead letter.
alter table outbox add column held text;

-- ACR-NEMA writes a date as `1993.12.31`.
drop index studies_by_date;
create index studies_by_day on studies (replace(study_date, '.', ''));
-- Those that are found by an index otherwise, and have padding or several values: hardly any.
create index odd_patients on patients (patient_id)
where patient_id <> trim(patient_id) or instr(patient_id, '\') > 0;
create index odd_accession_numbers on studies (accession_number)
where accession_number <> trim(accession_number) or instr(accession_number, '\') > 0;
