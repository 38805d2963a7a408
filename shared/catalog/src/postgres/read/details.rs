//! One series with all that is known of it, and its instances.

use super::columns::{object, request_attributes};
use crate::encoding::details;
use crate::error::CatalogError;
use crate::postgres::CatalogReader;
use crate::postgres::identities::identities_of_series;
use crate::records::{Details, InstanceRecord};
use crate::search::{Page, Position};
use contract::uid::SeriesInstanceUid;
use sqlx::QueryBuilder;

const INSTANCE: &str = "json_build_array(sop_instance_uid, sop_class_uid, transfer_syntax_uid,
    instance_number, rows, columns, bits_allocated, number_of_frames, image_type,
    acquisition_number, acquisition_date, acquisition_time, content_date, content_time,
    frame_of_reference_uid, bytes, association_id, received_at)";

/// How many instances the series of the statement has by now.
const COUNT: &str = "(select count(*) from instances
    where instances.series_instance_uid = series.series_instance_uid)";

/// What is known of a series, each with where it is.
const DETAILS: &[(&str, &str)] = &[
    ("SeriesInstanceUID", "series.series_instance_uid"),
    ("PatientID", "patients.patient_id"),
    ("PatientName", "patients.patient_name"),
    ("StudyInstanceUID", "series.study_instance_uid"),
    ("InstancesCount", "series.instances_count"),
    ("IssuerOfPatientID", "patients.issuer_of_patient_id"),
    ("PatientBirthDate", "patients.patient_birth_date"),
    ("PatientSex", "patients.patient_sex"),
    ("StudyDate", "studies.study_date"),
    ("StudyTime", "studies.study_time"),
    ("AccessionNumber", "studies.accession_number"),
    ("ReferringPhysicianName", "studies.referring_physician_name"),
    ("StudyID", "studies.study_id"),
    ("StudyDescription", "studies.study_description"),
    ("Modality", "series.modality"),
    ("SeriesNumber", "series.series_number"),
    ("SeriesDescription", "series.series_description"),
    ("SeriesDate", "series.series_date"),
    ("SeriesTime", "series.series_time"),
    ("BodyPartExamined", "series.body_part_examined"),
    ("ProtocolName", "series.protocol_name"),
    ("Manufacturer", "series.manufacturer"),
    ("ManufacturerModelName", "series.manufacturer_model_name"),
    ("StationName", "series.station_name"),
    ("InstitutionName", "series.institution_name"),
    ("TimezoneOffsetFromUTC", "series.timezone_offset_from_utc"),
    ("SpecificCharacterSet", "series.specific_character_set"),
    ("PerformedProcedureStepStartDate", "series.performed_procedure_step_start_date"),
    ("PerformedProcedureStepStartTime", "series.performed_procedure_step_start_time"),
    ("RequestAttributesSequence", request_attributes!()),
    ("ImagesInAcquisition", "series.images_in_acquisition"),
    ("CallingAETitle", "series.calling_ae_title"),
    ("Source", "series.source"),
    ("State", "series.state"),
    ("InstancesReceived", COUNT),
    ("ExpectedCount", "series.expected_count"),
    ("ClaimedCount", "series.claimed_count"),
    ("Revision", "series.revision"),
    ("Reason", "series.reason"),
    ("Disagreements", concat!("case when series.disagrees then ", identities_of_series!(), " end")),
    ("Held", "nullif(series.held::integer, 0)"),
    ("Partial", "series.partial::integer"),
    ("FirstReceivedAt", "series.first_received_at"),
    ("LastReceivedAt", "series.last_received_at"),
    ("LastActivityAt", "series.last_activity_at"),
    ("FirstCompletedAt", "series.first_completed_at"),
    ("CompletedAt", "series.completed_at"),
    ("InstancesSequence", "nullif(series.completed_sequence, 0)"),
];

impl CatalogReader {
    /// All that is known of a series, in whatever state; `None` if there is no such series.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub(crate) async fn series_details(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<Details>, CatalogError> {
        let mut query = QueryBuilder::new("select ");
        query.push(object(DETAILS.iter().copied()));
        query.push(
            " from series
             join patients on patients.id = series.patient
             join studies on studies.study_instance_uid = series.study_instance_uid
             where series.series_instance_uid = ",
        );
        query.push_bind(series.as_str().to_owned());
        let mut connection = self.connection().await?;
        let found: Option<String> =
            query.build_query_scalar().fetch_optional(&mut *connection).await?;
        found.as_deref().map(details).transpose()
    }

    /// How many instances a series has by now; `None` if there is no such series.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub(crate) async fn count_instances(
        &self,
        series: &SeriesInstanceUid,
    ) -> Result<Option<u64>, CatalogError> {
        let mut connection = self.connection().await?;
        let count: Option<i64> = sqlx::query_scalar(
            "select (select count(*) from instances
                 where instances.series_instance_uid = series.series_instance_uid)
             from series where series_instance_uid = $1",
        )
        .bind(series.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        Ok(count.map(i64::unsigned_abs))
    }

    /// A page of the instances of a series, in the order in which they came into it.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub(crate) async fn instances(
        &self,
        series: &SeriesInstanceUid,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<InstanceRecord>, CatalogError> {
        // No two have one sequence: each is from an event of its own.
        let after = after.unwrap_or(Position::before_all(false));
        let mut query = QueryBuilder::new(format!(
            "select json_build_array(added_sequence, 0, {INSTANCE})::text
             from instances where series_instance_uid = "
        ));
        query.push_bind(series.as_str().to_owned());
        query.push(" and added_sequence > ").push_bind(after.key);
        query.push(" order by added_sequence limit ").push_bind(i64::from(limit) + 1);
        self.page(query, limit).await
    }
}
