//! The statements that make patients, studies and series of instance events. Each takes a JSON list of
//! objects with the event and what the stream and the receiver say of it, and writes one table, however
//! many rows. They are written where they say something new, which is seldom; see `fingerprints`.
//!
//! Every value is cast to its column's type, so that no event, whoever wrote it, can make a
//! statement fail and hold up the stream. And every value comes from a materialised row: `json_each`
//! writes an object out anew each time that its value is asked for.

/// Makes sure of the patients as the events identify them.
pub(in crate::sqlite) const UPSERT_PATIENTS: &str = "
with told as materialized (select value from json_each(?))
insert into patients
    (patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
select
    coalesce(cast(value ->> '$.event.PatientID' as text), ''),
    coalesce(cast(value ->> '$.event.IssuerOfPatientID' as text), ''),
    coalesce(cast(value ->> '$.event.PatientName' as text), ''),
    coalesce(cast(value ->> '$.event.PatientBirthDate' as text), ''),
    coalesce(cast(value ->> '$.event.PatientSex' as text), '')
from told where true
on conflict do nothing";

/// Finds the patient's row that UPSERT_PATIENTS has just made sure of.
macro_rules! patient_of_event {
    () => {
        "(select id from patients
          where patient_id = coalesce(cast(value ->> '$.event.PatientID' as text), '')
            and issuer_of_patient_id
                = coalesce(cast(value ->> '$.event.IssuerOfPatientID' as text), '')
            and patient_name = coalesce(cast(value ->> '$.event.PatientName' as text), '')
            and patient_birth_date
                = coalesce(cast(value ->> '$.event.PatientBirthDate' as text), '')
            and patient_sex = coalesce(cast(value ->> '$.event.PatientSex' as text), ''))"
    };
}

/// A study's attributes come from its latest instance. Two patients are two by their IDs: of one patient
/// some series tell less than others, or write the name otherwise.
pub(in crate::sqlite) const UPSERT_STUDIES: &str = concat!(
    "with told as materialized (select value from json_each(?))
insert into studies
    (study_instance_uid, patient, study_date, study_time, accession_number,
     referring_physician_name, study_id, study_description, timezone_offset_from_utc,
     specific_character_set, face)
select
    coalesce(cast(value ->> '$.event.StudyInstanceUID' as text), ''),",
    patient_of_event!(),
    ",
    cast(value ->> '$.event.StudyDate' as text),
    cast(value ->> '$.event.StudyTime' as text),
    cast(value ->> '$.event.AccessionNumber' as text),
    cast(value ->> '$.event.ReferringPhysicianName' as text),
    cast(value ->> '$.event.StudyID' as text),
    cast(value ->> '$.event.StudyDescription' as text),
    cast(value ->> '$.event.TimezoneOffsetFromUTC' as text),
    cast(value ->> '$.event.SpecificCharacterSet' as text),
    value ->> '$.fingerprints.study'
from told where true
on conflict (study_instance_uid) do update set
    disagrees = disagrees or (patient <> excluded.patient and study_instance_uid <> ''
        and exists (select 1 from patients as one, patients as other
            where one.id = studies.patient and other.id = excluded.patient
                and (one.patient_id <> other.patient_id
                    or one.issuer_of_patient_id <> other.issuer_of_patient_id
                    or one.patient_id = '' and one.patient_name <> other.patient_name))),
    patient = excluded.patient,
    study_date = excluded.study_date,
    study_time = excluded.study_time,
    accession_number = excluded.accession_number,
    referring_physician_name = excluded.referring_physician_name,
    study_id = excluded.study_id,
    study_description = excluded.study_description,
    timezone_offset_from_utc = excluded.timezone_offset_from_utc,
    specific_character_set = excluded.specific_character_set,
    face = excluded.face"
);

/// A series with a changing instance is open. One that was only claimed by `POST /store` becomes
/// one of DICOM; its claim stays beside.
pub(in crate::sqlite) const UPSERT_SERIES: &str = concat!(
    "with told as materialized (select value from json_each(?))
insert into series
    (series_instance_uid, study_instance_uid, patient, modality, series_number,
     series_description, series_date, series_time, body_part_examined, protocol_name,
     manufacturer, manufacturer_model_name, station_name, institution_name,
     timezone_offset_from_utc, specific_character_set, performed_procedure_step_start_date,
     performed_procedure_step_start_time, request_attributes, images_in_acquisition,
     calling_ae_title, source, state, last_activity_at, first_received_at, last_received_at,
     face)
select
    cast(value ->> '$.event.SeriesInstanceUID' as text),
    coalesce(cast(value ->> '$.event.StudyInstanceUID' as text), ''),",
    patient_of_event!(),
    ",
    cast(value ->> '$.event.Modality' as text),
    cast(value ->> '$.event.SeriesNumber' as text),
    cast(value ->> '$.event.SeriesDescription' as text),
    cast(value ->> '$.event.SeriesDate' as text),
    cast(value ->> '$.event.SeriesTime' as text),
    cast(value ->> '$.event.BodyPartExamined' as text),
    cast(value ->> '$.event.ProtocolName' as text),
    cast(value ->> '$.event.Manufacturer' as text),
    cast(value ->> '$.event.ManufacturerModelName' as text),
    cast(value ->> '$.event.StationName' as text),
    cast(value ->> '$.event.InstitutionName' as text),
    cast(value ->> '$.event.TimezoneOffsetFromUTC' as text),
    cast(value ->> '$.event.SpecificCharacterSet' as text),
    cast(value ->> '$.event.PerformedProcedureStepStartDate' as text),
    cast(value ->> '$.event.PerformedProcedureStepStartTime' as text),
    cast(value ->> '$.event.RequestAttributesSequence' as text),
    iif(json_type(value, '$.event.ImagesInAcquisition') = 'integer',
        value ->> '$.event.ImagesInAcquisition', null),
    cast(value ->> '$.event.CallingAETitle' as text),
    'dicom', 'receiving', value ->> 'at', value ->> 'first_received',
    value ->> 'received', value ->> '$.fingerprints.series'
from told where true
on conflict (series_instance_uid) do update set
    disagrees = disagrees
        or (source = 'dicom' and (study_instance_uid <> excluded.study_instance_uid
            or patient <> excluded.patient)),
    study_instance_uid = excluded.study_instance_uid,
    patient = excluded.patient,
    modality = excluded.modality,
    series_number = excluded.series_number,
    series_description = excluded.series_description,
    series_date = excluded.series_date,
    series_time = excluded.series_time,
    body_part_examined = excluded.body_part_examined,
    protocol_name = excluded.protocol_name,
    manufacturer = excluded.manufacturer,
    manufacturer_model_name = excluded.manufacturer_model_name,
    station_name = excluded.station_name,
    institution_name = excluded.institution_name,
    timezone_offset_from_utc = excluded.timezone_offset_from_utc,
    specific_character_set = excluded.specific_character_set,
    performed_procedure_step_start_date = excluded.performed_procedure_step_start_date,
    performed_procedure_step_start_time = excluded.performed_procedure_step_start_time,
    request_attributes = excluded.request_attributes,
    images_in_acquisition = excluded.images_in_acquisition,
    calling_ae_title = excluded.calling_ae_title,
    source = 'dicom',
    state = 'receiving',
    last_activity_at = excluded.last_activity_at,
    first_received_at = coalesce(first_received_at, excluded.first_received_at),
    last_received_at = excluded.last_received_at,
    face = excluded.face"
);

/// The same of a series whose attributes are what they were.
pub(in crate::sqlite) const TOUCH_SERIES: &str = "
update series set
    state = 'receiving',
    last_activity_at = touched.value ->> 1,
    first_received_at = coalesce(first_received_at, touched.value ->> 2),
    last_received_at = touched.value ->> 3
from json_each(?) as touched where series_instance_uid = touched.value ->> 0";
