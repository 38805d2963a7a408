//! Instances as they come out of the stream: a batch of events becomes rows in one transaction.

use super::{BEGIN_WRITE, Catalog, CatalogError, nanoseconds, timestamp};
use crate::event::InstanceStored;
use crate::uid::SeriesInstanceUid;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use std::collections::{HashMap, HashSet};

/// How far the INSTANCES stream is in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bookmark {
    /// When the stream was made: names it.
    pub stream_created: Timestamp,
    /// Sequence of the last event in the catalogue; 0 before the first.
    pub last_sequence: u64,
}

/// One stored instance as it was read from the stream.
#[derive(Debug)]
pub struct Received {
    /// Its sequence in INSTANCES.
    pub sequence: u64,
    /// When the broker stored it.
    pub at: Timestamp,
    /// The event.
    pub event: InstanceStored,
}

/// What is committed in one transaction.
#[derive(Debug)]
pub struct Batch {
    /// Stored instances in the order of the stream.
    pub instances: Vec<Received>,
    /// Where the stream has been read to, dead letters included.
    pub bookmark: Bookmark,
}

/// What an event is to the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Effect {
    /// A new instance.
    Added,
    /// The same again: nothing changes.
    Resent,
    /// The same instance with other attributes.
    Corrected,
    /// It was in this other series until now.
    MovedFrom(SeriesInstanceUid),
}

/// What the catalogue knows of an instance that an event names.
#[derive(Debug, Clone)]
struct Known {
    series: SeriesInstanceUid,
    digest: String,
}

impl Catalog {
    /// How far the stream has been read, if it ever was.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn bookmark(&self) -> Result<Option<Bookmark>, CatalogError> {
        let row: Option<(i64, i64)> =
            sqlx::query_as("select stream_created, last_sequence from bookmark")
                .fetch_optional(&self.pool)
                .await?;
        row.map(|(created, last)| {
            let stream_created = timestamp(created)?;
            Ok(Bookmark { stream_created, last_sequence: last.unsigned_abs() })
        })
        .transpose()
    }

    /// Commits a batch and its bookmark, or nothing of it.
    ///
    /// Gives the activity that the batch was for series that are open now, in the order of the
    /// stream: resends are activity of an open series, and reopen none.
    ///
    /// # Errors
    /// When the catalogue can't be written; the batch is then as if it had not been read.
    pub async fn record(
        &self,
        batch: &Batch,
    ) -> Result<Vec<(SeriesInstanceUid, Timestamp)>, CatalogError> {
        let mut transaction = self.pool.begin_with(BEGIN_WRITE).await?;
        let effects = effects(&mut transaction, &batch.instances).await?;
        write_rows(&mut transaction, &batch.instances, &effects).await?;
        let activity = touch_series(&mut transaction, &batch.instances, &effects).await?;
        sqlx::query(
            "insert into bookmark (id, stream_created, last_sequence) values (1, ?, ?)
             on conflict (id) do update
             set stream_created = excluded.stream_created, last_sequence = excluded.last_sequence",
        )
        .bind(nanoseconds(batch.bookmark.stream_created))
        .bind(batch.bookmark.last_sequence as i64)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(activity)
    }
}

/// What each event is to the catalogue, one after the other.
async fn effects(
    connection: &mut SqliteConnection,
    instances: &[Received],
) -> Result<Vec<Effect>, CatalogError> {
    let uids: Vec<&str> = instances.iter().map(|i| i.event.sop_instance_uid.as_str()).collect();
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "select sop_instance_uid, series_instance_uid, digest from instances
         where sop_instance_uid in (select value from json_each(?))",
    )
    .bind(json(&uids))
    .fetch_all(connection)
    .await?;
    let mut known = HashMap::new();
    for (sop_instance_uid, series, digest) in rows {
        let series = SeriesInstanceUid::parse(&series)
            .map_err(|error| CatalogError::Unreadable(format!("series {series:?} {error}")))?;
        known.insert(sop_instance_uid, Known { series, digest });
    }

    let mut effect = |instance: &Received| {
        let event = &instance.event;
        let now = Known { series: event.series_instance_uid.clone(), digest: event.digest.clone() };
        let before = known.insert(event.sop_instance_uid.to_string(), now.clone());
        match before {
            None => Effect::Added,
            Some(before) if before.series != now.series => Effect::MovedFrom(before.series),
            Some(before) if before.digest != now.digest => Effect::Corrected,
            Some(_) => Effect::Resent,
        }
    };
    Ok(instances.iter().map(&mut effect).collect())
}

/// Writes what changes, from the events as JSON: one statement a table, however many rows.
///
/// Every value is cast to its column's type, so that no event, whoever wrote it, can make a
/// statement fail and hold up the stream.
async fn write_rows(
    connection: &mut SqliteConnection,
    instances: &[Received],
    effects: &[Effect],
) -> Result<(), CatalogError> {
    let changing: Vec<Row> = instances
        .iter()
        .zip(effects)
        .filter(|(_, effect)| **effect != Effect::Resent)
        .map(|(instance, _)| Row::new(instance))
        .collect();
    if changing.is_empty() {
        return Ok(());
    }
    let latest_of_series = json(&latest_of_series(&changing));
    for statement in [UPSERT_PATIENTS, UPSERT_STUDIES, UPSERT_SERIES] {
        sqlx::query(statement).bind(&latest_of_series).execute(&mut *connection).await?;
    }
    sqlx::query(UPSERT_INSTANCES).bind(json(&changing)).execute(&mut *connection).await?;
    Ok(())
}

/// One event as the statements below read it.
#[derive(serde::Serialize)]
struct Row<'a> {
    sequence: u64,
    at: i64,
    received: i64,
    event: &'a InstanceStored,
}

impl<'a> Row<'a> {
    fn new(instance: &'a Received) -> Self {
        Self {
            sequence: instance.sequence,
            at: nanoseconds(instance.at),
            received: nanoseconds(instance.event.received_at),
            event: &instance.event,
        }
    }

    /// What instances of one series have to agree on.
    fn identity(&self) -> (&str, &str) {
        let study = self.event.study_instance_uid.as_ref().map_or("", |uid| uid.as_str());
        (study, self.event.text("PatientID"))
    }
}

/// The rows that matter to patients, studies and series: a series' attributes come from its latest
/// instance, and an earlier one counts only where it disagrees with the one that follows.
fn latest_of_series<'a, 'b>(rows: &'b [Row<'a>]) -> Vec<&'b Row<'a>> {
    let mut next: HashMap<&SeriesInstanceUid, (&str, &str)> = HashMap::new();
    let mut kept: Vec<&Row> = rows
        .iter()
        .rev()
        .filter(|row| {
            next.insert(&row.event.series_instance_uid, row.identity()) != Some(row.identity())
        })
        .collect();
    kept.reverse();
    kept
}

/// Tells the series of the batch that something happened to them, and says which are open.
async fn touch_series(
    connection: &mut SqliteConnection,
    instances: &[Received],
    effects: &[Effect],
) -> Result<Vec<(SeriesInstanceUid, Timestamp)>, CatalogError> {
    let mut activity: HashMap<&SeriesInstanceUid, Timestamp> = HashMap::new();
    // A series that lost an instance to another one has a new count to announce.
    let mut bereft: HashSet<&SeriesInstanceUid> = HashSet::new();
    for (instance, effect) in instances.iter().zip(effects) {
        activity.insert(&instance.event.series_instance_uid, instance.at);
        if let Effect::MovedFrom(series) = effect {
            activity.insert(series, instance.at);
            bereft.insert(series);
        }
    }
    let touched: Vec<_> =
        activity.iter().map(|(series, at)| (series.as_str(), nanoseconds(*at))).collect();
    let bereft: Vec<&str> = bereft.into_iter().map(SeriesInstanceUid::as_str).collect();
    sqlx::query(
        "update series set state = 'receiving'
         where series_instance_uid in (select value from json_each(?))",
    )
    .bind(json(&bereft))
    .execute(&mut *connection)
    .await?;
    let open: Vec<(String,)> = sqlx::query_as(
        "update series set last_activity_at = touched.value ->> 1
         from json_each(?) as touched
         where series_instance_uid = touched.value ->> 0 and state = 'receiving'
         returning series_instance_uid",
    )
    .bind(json(&touched))
    .fetch_all(connection)
    .await?;

    let open: HashSet<String> = open.into_iter().map(|(series,)| series).collect();
    let mut activity: Vec<_> = activity
        .into_iter()
        .filter(|(series, _)| open.contains(series.as_str()))
        .map(|(series, at)| (series.clone(), at))
        .collect();
    activity.sort_by_key(|(_, at)| *at);
    Ok(activity)
}

/// JSON for a statement's parameter.
fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    // Strings, numbers and JSON that was parsed before: there is nothing in them that can fail.
    serde_json::to_string(value).unwrap_or_default()
}

const UPSERT_PATIENTS: &str = "
insert into patients
    (patient_id, issuer_of_patient_id, patient_name, patient_birth_date, patient_sex)
select
    coalesce(cast(value ->> '$.event.PatientID' as text), ''),
    coalesce(cast(value ->> '$.event.IssuerOfPatientID' as text), ''),
    coalesce(cast(value ->> '$.event.PatientName' as text), ''),
    coalesce(cast(value ->> '$.event.PatientBirthDate' as text), ''),
    coalesce(cast(value ->> '$.event.PatientSex' as text), '')
from json_each(?) where true
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

const UPSERT_STUDIES: &str = concat!(
    "insert into studies
    (study_instance_uid, patient, study_date, study_time, accession_number,
     referring_physician_name, study_id, study_description, timezone_offset_from_utc,
     specific_character_set)
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
    cast(value ->> '$.event.SpecificCharacterSet' as text)
from json_each(?) where true
on conflict (study_instance_uid) do update set
    patient = excluded.patient,
    study_date = excluded.study_date,
    study_time = excluded.study_time,
    accession_number = excluded.accession_number,
    referring_physician_name = excluded.referring_physician_name,
    study_id = excluded.study_id,
    study_description = excluded.study_description,
    timezone_offset_from_utc = excluded.timezone_offset_from_utc,
    specific_character_set = excluded.specific_character_set"
);

/// A series with a changing instance is open. One that was only claimed by `POST /store` becomes
/// one of DICOM; its claim stays beside.
const UPSERT_SERIES: &str = concat!(
    "insert into series
    (series_instance_uid, study_instance_uid, patient, modality, series_number,
     series_description, series_date, series_time, body_part_examined, protocol_name,
     manufacturer, manufacturer_model_name, station_name, institution_name,
     timezone_offset_from_utc, specific_character_set, performed_procedure_step_start_date,
     performed_procedure_step_start_time, request_attributes, images_in_acquisition,
     calling_ae_title, source, state, last_activity_at, first_received_at, last_received_at)
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
    cast(value ->> '$.event.ImagesInAcquisition' as integer),
    cast(value ->> '$.event.CallingAETitle' as text),
    'dicom', 'receiving', value ->> 'at', value ->> 'received', value ->> 'received'
from json_each(?) where true
on conflict (series_instance_uid) do update set
    disagrees = disagrees
        or (source = 'dicom' and (study_instance_uid <> excluded.study_instance_uid
            or (select patient_id from patients where id = series.patient)
                <> (select patient_id from patients where id = excluded.patient))),
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
    last_received_at = excluded.last_received_at"
);

/// The key is the SOP Instance UID: however often an instance comes, it is one row.
const UPSERT_INSTANCES: &str = "
insert into instances
    (sop_instance_uid, series_instance_uid, sop_class_uid, transfer_syntax_uid, instance_number,
     rows, columns, bits_allocated, number_of_frames, image_type, acquisition_number,
     acquisition_date, acquisition_time, content_date, content_time, frame_of_reference_uid,
     bytes, digest, association_id, received_at, added_sequence, stream_sequence)
select
    cast(value ->> '$.event.SOPInstanceUID' as text),
    cast(value ->> '$.event.SeriesInstanceUID' as text),
    cast(value ->> '$.event.SOPClassUID' as text),
    cast(value ->> '$.event.TransferSyntaxUID' as text),
    cast(value ->> '$.event.InstanceNumber' as text),
    cast(value ->> '$.event.Rows' as integer),
    cast(value ->> '$.event.Columns' as integer),
    cast(value ->> '$.event.BitsAllocated' as integer),
    cast(value ->> '$.event.NumberOfFrames' as integer),
    cast(value ->> '$.event.ImageType' as text),
    cast(value ->> '$.event.AcquisitionNumber' as text),
    cast(value ->> '$.event.AcquisitionDate' as text),
    cast(value ->> '$.event.AcquisitionTime' as text),
    cast(value ->> '$.event.ContentDate' as text),
    cast(value ->> '$.event.ContentTime' as text),
    cast(value ->> '$.event.FrameOfReferenceUID' as text),
    cast(value ->> '$.event.Bytes' as integer),
    cast(value ->> '$.event.Digest' as text),
    cast(value ->> '$.event.AssociationID' as text),
    value ->> 'received',
    value ->> 'sequence',
    value ->> 'sequence'
from json_each(?) where true
on conflict (sop_instance_uid) do update set
    added_sequence = case when series_instance_uid = excluded.series_instance_uid
        then added_sequence else excluded.added_sequence end,
    series_instance_uid = excluded.series_instance_uid,
    sop_class_uid = excluded.sop_class_uid,
    transfer_syntax_uid = excluded.transfer_syntax_uid,
    instance_number = excluded.instance_number,
    rows = excluded.rows,
    columns = excluded.columns,
    bits_allocated = excluded.bits_allocated,
    number_of_frames = excluded.number_of_frames,
    image_type = excluded.image_type,
    acquisition_number = excluded.acquisition_number,
    acquisition_date = excluded.acquisition_date,
    acquisition_time = excluded.acquisition_time,
    content_date = excluded.content_date,
    content_time = excluded.content_time,
    frame_of_reference_uid = excluded.frame_of_reference_uid,
    bytes = excluded.bytes,
    digest = excluded.digest,
    association_id = excluded.association_id,
    received_at = excluded.received_at,
    stream_sequence = excluded.stream_sequence";
