//! `GET /series`: series as they are listed, whole or in part.

use crate::http::example_values::{PATIENT_ID, PATIENT_NAME, SERIES_UID, STUDY_UID};
use crate::http::paged_list::List;
use crate::http::parameters::parameter;
use crate::series::disagreement::Disagreement;
use catalog::{CatalogError, CatalogReader, Page, Position, SeriesRecord, SeriesSearch};
use poem_openapi::Object;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{Example, Type};
use serde::Serialize;
use std::borrow::Cow;

/// A series
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
#[serde(rename_all = "PascalCase")]
#[oai(rename_all = "PascalCase", example)]
pub struct Series {
    // The first five are the seed's, in its order: clients may rely on both.
    /// Series Instance UID (0020,000E)
    #[serde(rename = "SeriesInstanceUID")]
    #[oai(rename = "SeriesInstanceUID")]
    pub series_instance_uid: String,
    /// Patient ID (0010,0020); empty when the sender gave none
    #[serde(rename = "PatientID")]
    #[oai(rename = "PatientID")]
    pub patient_id: String,
    /// Patient's Name (0010,0010), its components parted by `^`; empty when the sender gave none
    pub patient_name: String,
    /// Study Instance UID (0020,000D); empty when the sender gave none
    #[serde(rename = "StudyInstanceUID")]
    #[oai(rename = "StudyInstanceUID")]
    pub study_instance_uid: String,
    /// Instances of the series when it was last complete, each counted once
    pub instances_count: i64,
    /// Modality (0008,0060)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modality: Option<String>,
    /// Series Number (0020,0011)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_number: Option<String>,
    /// Series Description (0008,103E)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_description: Option<String>,
    /// Study Date (0008,0020), YYYYMMDD
    #[serde(skip_serializing_if = "Option::is_none")]
    pub study_date: Option<String>,
    /// `dicom` when its instances were received, `api` when it was registered by `POST /store`
    pub source: String,
    /// `complete`, or `receiving` when it is not complete yet, or more instances came after it was
    pub state: String,
    /// Instances by now, while it is receiving
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances_received: Option<i64>,
    /// 1 for the first completion, one more for each that followed; 0 before the first
    pub revision: i64,
    /// The rule that decided that it is complete: {rules ..4},
    /// {rules 4..}, or `stored` by `POST /store`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was last complete, RFC 3339 in UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// What its instances disagree on: then some are of another patient or study than this record
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disagrees: Option<Vec<Disagreement>>,
    /// AE title of the sender of its latest instance
    #[serde(rename = "CallingAETitle", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "CallingAETitle")]
    pub calling_ae_title: Option<String>,
}

impl From<SeriesRecord> for Series {
    fn from(record: SeriesRecord) -> Self {
        let completed_at = record.completed_at().map(|time| time.to_string());
        let disagrees = Disagreement::listed(record.disagreements());
        Self {
            series_instance_uid: record.series_instance_uid,
            patient_id: record.patient_id,
            patient_name: record.patient_name,
            study_instance_uid: record.study_instance_uid,
            instances_count: record.instances_count,
            modality: record.modality,
            series_number: record.series_number,
            series_description: record.series_description,
            study_date: record.study_date,
            source: record.source,
            state: record.state,
            instances_received: record.instances_received,
            revision: record.revision,
            reason: record.reason,
            completed_at,
            disagrees,
            calling_ae_title: record.calling_ae_title,
        }
    }
}

impl Example for Series {
    fn example() -> Self {
        Self {
            series_instance_uid: SERIES_UID.into(),
            patient_id: PATIENT_ID.into(),
            patient_name: PATIENT_NAME.into(),
            study_instance_uid: STUDY_UID.into(),
            instances_count: 17,
            modality: Some("MR".into()),
            series_number: Some("3".into()),
            series_description: Some("t1_tse_sag".into()),
            study_date: Some("20260203".into()),
            source: "dicom".into(),
            state: "complete".into(),
            instances_received: None,
            revision: 1,
            reason: Some("quiet".into()),
            completed_at: Some("2026-02-03T04:05:16.500000000Z".into()),
            disagrees: None,
            calling_ae_title: Some("MR1".into()),
        }
    }
}

/// Declares the record again with nothing but optional keys, and how it is made of the whole one.
macro_rules! part {
    ($($field:ident: $type:ty => $key:literal,)*) => {
        /// Those keys of a series that `fields` names
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
        pub struct SeriesPart {
            $(
                #[allow(missing_docs, reason = "as in Series")]
                #[serde(rename = $key, skip_serializing_if = "Option::is_none")]
                #[oai(rename = $key)]
                pub $field: Option<$type>,
            )*
        }

        /// The keys of a series, in order.
        pub const FIELDS: &[&str] = &[$($key),*];

        impl SeriesPart {
            fn of(series: Series, fields: &Fields) -> Self {
                Self {
                    $($field: match fields.0.contains(&$key) {
                        true => Option::<$type>::from(series.$field),
                        false => None,
                    },)*
                }
            }
        }
    };
}

part! {
    series_instance_uid: String => "SeriesInstanceUID",
    patient_id: String => "PatientID",
    patient_name: String => "PatientName",
    study_instance_uid: String => "StudyInstanceUID",
    instances_count: i64 => "InstancesCount",
    modality: String => "Modality",
    series_number: String => "SeriesNumber",
    series_description: String => "SeriesDescription",
    study_date: String => "StudyDate",
    source: String => "Source",
    state: String => "State",
    instances_received: i64 => "InstancesReceived",
    revision: i64 => "Revision",
    reason: String => "Reason",
    completed_at: String => "CompletedAt",
    disagrees: Vec<Disagreement> => "Disagrees",
    calling_ae_title: String => "CallingAETitle",
}

/// The keys that are listed of each record.
#[derive(Debug, Clone)]
pub struct Fields(pub Vec<&'static str>);

parameter!(
    Fields,
    MetaSchema {
        pattern: Some({
            let any = FIELDS.join("|");
            format!("^({any})(,({any}))*$")
        }),
        ..MetaSchema::new("string")
    },
    |text| {
        let known = FIELDS;
        let field = |name| known.iter().find(|field| **field == name).copied();
        let fields: Option<Vec<_>> = text.split(',').map(field).collect();
        let expected = || format!("must be a list with commas of {}", known.join(", "));
        fields.map(Self).ok_or_else(expected)
    }
);

/// The series that a search finds.
#[derive(Debug)]
pub struct SeriesList {
    /// The catalogue.
    pub catalog: CatalogReader,
    /// What is searched for.
    pub search: SeriesSearch,
    /// What is told of each; all when there are none.
    pub fields: Option<Fields>,
}

impl List for SeriesList {
    type Record = SeriesRecord;

    async fn page(
        &self,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Page<SeriesRecord>, CatalogError> {
        self.catalog.series(&self.search, after, limit).await
    }

    fn write(&self, record: SeriesRecord, into: &mut Vec<u8>) -> serde_json::Result<()> {
        let series = Series::from(record);
        match &self.fields {
            None => serde_json::to_writer(into, &series),
            Some(fields) => serde_json::to_writer(into, &SeriesPart::of(series, fields)),
        }
    }
}

/// A series in a list: whole, or those keys of it that were asked for.
#[derive(Debug)]
pub struct ListedSeries;

impl Type for ListedSeries {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "ListedSeries".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let any_of = vec![Series::schema_ref(), SeriesPart::schema_ref()];
        MetaSchemaRef::Inline(Box::new(MetaSchema { any_of, ..MetaSchema::ANY }))
    }

    fn register(registry: &mut Registry) {
        Series::register(registry);
        SeriesPart::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}
