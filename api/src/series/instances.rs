//! `GET /series/{SeriesInstanceUID}/instances`: the instances of a series.

use crate::http::paged_list::List;
use catalog::{CatalogError, CatalogReader, InstanceRecord, Page, Position};
use contract::uid::SeriesInstanceUid;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

/// An instance
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Instance {
    /// SOP Instance UID (0008,0018)
    #[serde(rename = "SOPInstanceUID")]
    #[oai(rename = "SOPInstanceUID")]
    pub sop_instance_uid: String,
    /// SOP Class UID (0008,0016)
    #[serde(rename = "SOPClassUID")]
    #[oai(rename = "SOPClassUID")]
    pub sop_class_uid: String,
    /// Transfer syntax in which it was received
    #[serde(rename = "TransferSyntaxUID")]
    #[oai(rename = "TransferSyntaxUID")]
    pub transfer_syntax_uid: String,
    /// Instance Number (0020,0013)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_number: Option<String>,
    /// Rows (0028,0010)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    /// Columns (0028,0011)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<i64>,
    /// Bits Allocated (0028,0100)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits_allocated: Option<i64>,
    /// Number of Frames (0028,0008)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_frames: Option<i64>,
    /// Image Type (0008,0008), its values parted by `\`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_type: Option<String>,
    /// Acquisition Number (0020,0012)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquisition_number: Option<String>,
    /// Acquisition Date (0008,0022), YYYYMMDD
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquisition_date: Option<String>,
    /// Acquisition Time (0008,0032)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquisition_time: Option<String>,
    /// Content Date (0008,0023), YYYYMMDD
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_date: Option<String>,
    /// Content Time (0008,0033)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_time: Option<String>,
    /// Frame of Reference UID (0020,0052)
    #[serde(rename = "FrameOfReferenceUID", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "FrameOfReferenceUID")]
    pub frame_of_reference_uid: Option<String>,
    /// Length of its data set in bytes, as it was received
    pub bytes: i64,
    /// The association it came through
    #[serde(rename = "AssociationID")]
    #[oai(rename = "AssociationID")]
    pub association_id: String,
    /// When its last byte arrived, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_at: Option<String>,
}

impl From<InstanceRecord> for Instance {
    fn from(record: InstanceRecord) -> Self {
        let received_at = record.received_at().map(|at| at.to_string());
        Self {
            sop_instance_uid: record.sop_instance_uid,
            sop_class_uid: record.sop_class_uid,
            transfer_syntax_uid: record.transfer_syntax_uid,
            instance_number: record.instance_number,
            rows: record.rows,
            columns: record.columns,
            bits_allocated: record.bits_allocated,
            number_of_frames: record.number_of_frames,
            image_type: record.image_type,
            acquisition_number: record.acquisition_number,
            acquisition_date: record.acquisition_date,
            acquisition_time: record.acquisition_time,
            content_date: record.content_date,
            content_time: record.content_time,
            frame_of_reference_uid: record.frame_of_reference_uid,
            bytes: record.bytes,
            association_id: record.association_id,
            received_at,
        }
    }
}

/// The instances of one series.
#[derive(Debug)]
pub struct InstanceList {
    /// The catalogue.
    pub catalog: CatalogReader,
    /// The series.
    pub series: SeriesInstanceUid,
}

impl List for InstanceList {
    type Record = InstanceRecord;

    async fn page(
        &self,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<InstanceRecord>, CatalogError> {
        self.catalog.instances(&self.series, after, limit).await
    }

    fn write(&self, record: InstanceRecord, into: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(into, &Instance::from(record))
    }
}

impl Example for Instance {
    fn example() -> Self {
        Self {
            sop_instance_uid: "2.25.333591566235927317971870175858346028177".into(),
            sop_class_uid: "1.2.840.10008.5.1.4.1.1.4".into(),
            transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
            instance_number: Some("1".into()),
            rows: Some(512),
            columns: Some(512),
            bits_allocated: Some(16),
            number_of_frames: None,
            image_type: Some("ORIGINAL\\PRIMARY\\M".into()),
            acquisition_number: Some("1".into()),
            acquisition_date: Some("20260203".into()),
            acquisition_time: Some("040501.25".into()),
            content_date: Some("20260203".into()),
            content_time: Some("040502".into()),
            frame_of_reference_uid: Some("2.25.12".into()),
            bytes: 526_336,
            association_id: "6068d025-768f-4560-a895-e8b9d034968f".into(),
            received_at: Some("2026-02-03T04:05:06.5Z".into()),
        }
    }
}
