//! `GET /series/{SeriesInstanceUID}/instances`: the instances of a series.

use crate::http::paged_list::List;
use crate::openapi::attributes::{Attributes, Body};
use catalog::{CatalogError, CatalogReader, InstanceRecord, Page, Position};
use contract::attributes::{Attribute, Table, columns};
use contract::uid::SeriesInstanceUid;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use std::sync::LazyLock;

/// The attributes of an instance that the catalogue keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceAttributes;

impl Body for InstanceAttributes {
    fn attributes() -> &'static [&'static Attribute] {
        static ALL: LazyLock<Vec<&Attribute>> =
            LazyLock::new(|| columns(Table::Instances).map(|column| column.attribute).collect());
        &ALL
    }
}

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
    /// What the instance says of itself
    #[serde(flatten)]
    #[oai(flatten)]
    pub attributes: Attributes<InstanceAttributes>,
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
            attributes: Attributes::new(record.attributes),
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
            attributes: Attributes::example(),
            bytes: 526_336,
            association_id: "6068d025-768f-4560-a895-e8b9d034968f".into(),
            received_at: Some("2026-02-03T04:05:06.5Z".into()),
        }
    }
}
