//! One series with all that is known of it, and its instances.

use crate::error::CatalogError;
use crate::records::{Details, InstanceRecord};
use crate::search::{Page, Position};
use crate::sqlite::CatalogReader;
use crate::sqlite::columns::request_attributes;
use crate::sqlite::identities::identities_of_series;
use crate::sqlite::read::paging::COLLECT;
use contract::uid::SeriesInstanceUid;
use sqlx::QueryBuilder;

const INSTANCE: &str = "json_array(sop_instance_uid, sop_class_uid, transfer_syntax_uid,
    instance_number, rows, columns, bits_allocated, number_of_frames, image_type,
    acquisition_number, acquisition_date, acquisition_time, content_date, content_time,
    frame_of_reference_uid, bytes, association_id, received_at)";

impl CatalogReader {
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
pub(in crate::sqlite) fn details(json: &str) -> Result<Details, CatalogError> {
    let mut details: Details = serde_json::from_str(json)
        .map_err(|error| CatalogError::Unreadable(format!("details of a record: {error}")))?;
    details.retain(|_, value| !value.is_null());
    Ok(details)
}
