//! One series with all that is known of it, and its instances.

use super::attributes::request_attributes;
use super::identities::identities_of_series;
use super::paging::{COLLECT, Page, Position};
use super::{Catalog, CatalogError, timestamp};
use contract::uid::SeriesInstanceUid;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use sqlx::QueryBuilder;

/// All that is known of one thing, by DICOM keyword and the names of events; what is absent is not
/// in it. Times are nanoseconds since 1970, UTC.
pub type Details = Map<String, Value>;

/// An instance as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InstanceRecord {
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: String,
    /// SOP Class UID (0008,0016).
    pub sop_class_uid: String,
    /// Transfer Syntax UID of the presentation context it came through.
    pub transfer_syntax_uid: String,
    /// Instance Number (0020,0013).
    pub instance_number: Option<String>,
    /// Rows (0028,0010).
    pub rows: Option<i64>,
    /// Columns (0028,0011).
    pub columns: Option<i64>,
    /// Bits Allocated (0028,0100).
    pub bits_allocated: Option<i64>,
    /// Number of Frames (0028,0008).
    pub number_of_frames: Option<i64>,
    /// Image Type (0008,0008), its values parted by `\`.
    pub image_type: Option<String>,
    /// Acquisition Number (0020,0012).
    pub acquisition_number: Option<String>,
    /// Acquisition Date (0008,0022).
    pub acquisition_date: Option<String>,
    /// Acquisition Time (0008,0032).
    pub acquisition_time: Option<String>,
    /// Content Date (0008,0023).
    pub content_date: Option<String>,
    /// Content Time (0008,0033).
    pub content_time: Option<String>,
    /// Frame of Reference UID (0020,0052).
    pub frame_of_reference_uid: Option<String>,
    /// Length of the data set in bytes, as it came over the wire.
    pub bytes: i64,
    /// The association it came through.
    pub association_id: String,
    /// By the clock of the receiver: nanoseconds since 1970, UTC.
    received_at: i64,
}

const INSTANCE: &str = "json_array(sop_instance_uid, sop_class_uid, transfer_syntax_uid,
    instance_number, rows, columns, bits_allocated, number_of_frames, image_type,
    acquisition_number, acquisition_date, acquisition_time, content_date, content_time,
    frame_of_reference_uid, bytes, association_id, received_at)";

impl Catalog {
    /// All that is known of a series, in whatever state; `None` if there is no such series.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn series_details(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<Details>, CatalogError> {
        let found: Option<String> = sqlx::query_scalar(concat!(
            "select json_object(
                'SeriesInstanceUID', series_instance_uid, 'PatientID', patient_id,
                'PatientName', patient_name, 'StudyInstanceUID', series.study_instance_uid,
                'InstancesCount', instances_count, 'IssuerOfPatientID', issuer_of_patient_id,
                'PatientBirthDate', patient_birth_date, 'PatientSex', patient_sex,
                'StudyDate', study_date, 'StudyTime', study_time,
                'AccessionNumber', accession_number,
                'ReferringPhysicianName', referring_physician_name, 'StudyID', study_id,
                'StudyDescription', study_description, 'Modality', modality,
                'SeriesNumber', series_number, 'SeriesDescription', series_description,
                'SeriesDate', series_date, 'SeriesTime', series_time,
                'BodyPartExamined', body_part_examined, 'ProtocolName', protocol_name,
                'Manufacturer', manufacturer, 'ManufacturerModelName', manufacturer_model_name,
                'StationName', station_name, 'InstitutionName', institution_name,
                'TimezoneOffsetFromUTC', series.timezone_offset_from_utc,
                'SpecificCharacterSet', series.specific_character_set,
                'PerformedProcedureStepStartDate', performed_procedure_step_start_date,
                'PerformedProcedureStepStartTime', performed_procedure_step_start_time,
                'RequestAttributesSequence', ",
            request_attributes!(),
            ",
                'ImagesInAcquisition', images_in_acquisition,
                'CallingAETitle', calling_ae_title, 'Source', source, 'State', state,
                'InstancesReceived', (select count(*) from instances
                    where instances.series_instance_uid = series.series_instance_uid),
                'ExpectedCount', expected_count, 'ClaimedCount', claimed_count,
                'Revision', revision, 'Reason', reason, 'Disagreements', iif(series.disagrees = 1, ",
            identities_of_series!(),
            ", null),
                'Held', nullif(held, 0),
                'Partial', partial, 'FirstReceivedAt', first_received_at,
                'LastReceivedAt', last_received_at, 'LastActivityAt', last_activity_at,
                'FirstCompletedAt', first_completed_at, 'CompletedAt', completed_at,
                'InstancesSequence', nullif(completed_sequence, 0))
             from series
             join patients on patients.id = series.patient
             join studies on studies.study_instance_uid = series.study_instance_uid
             where series_instance_uid = ?"
        ))
        .bind(series.as_str())
        .fetch_optional(&self.pool)
        .await?;
        found.as_deref().map(details).transpose()
    }

    /// How many instances a series has by now; `None` if there is no such series.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn count_instances(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<u64>, CatalogError> {
        let count: Option<i64> = sqlx::query_scalar(
            "select (select count(*) from instances
                 where instances.series_instance_uid = series.series_instance_uid)
             from series where series_instance_uid = ?",
        )
        .bind(series.as_str())
        .fetch_optional(&self.pool)
        .await?;
        Ok(count.map(i64::unsigned_abs))
    }

    /// A page of the instances of a series, in the order in which they came into it.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn instances(
        &self,
        series: &SeriesInstanceUid,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<InstanceRecord>, CatalogError> {
        // No two have one sequence: each is from an event of its own.
        let after = after.unwrap_or(Position::before_all(false));
        let mut query = QueryBuilder::new(COLLECT);
        query.push(format_args!(
            "select json_array(added_sequence, 0, {INSTANCE}) as row
             from instances where series_instance_uid = "
        ));
        query.push_bind(series.as_str().to_owned());
        query.push(" and added_sequence > ").push_bind(after.key);
        query.push(" order by added_sequence limit ").push_bind(i64::from(limit) + 1);
        self.page(query, limit).await
    }
}

/// Reads what SQLite wrote, and leaves out what is absent.
pub(super) fn details(json: &str) -> Result<Details, CatalogError> {
    let mut details: Details = serde_json::from_str(json)
        .map_err(|error| CatalogError::Unreadable(format!("details of a record: {error}")))?;
    details.retain(|_, value| !value.is_null());
    Ok(details)
}

impl InstanceRecord {
    /// When its last byte arrived.
    #[must_use]
    pub fn received_at(&self) -> Option<Timestamp> {
        timestamp(self.received_at).ok()
    }
}
