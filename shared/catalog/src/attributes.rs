//! The attributes that can be searched by, and where the catalogue has each.

use super::filings::{filings_in, filings_in_study, filings_of_patient, instances_of_filing};

/// What an attribute describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A study, with its patient.
    Study,
    /// A series.
    Series,
    /// An instance.
    Instance,
}

/// How an attribute's text is compared (PS3.4 section C.2.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text with wild cards.
    Text,
    /// A person's name: text with wild cards, whatever the case of its ASCII letters.
    Name,
    /// A date: ranges.
    Date,
    /// A time of the day: ranges, and one time is the range of what it leaves open.
    Time,
    /// A UID: lists.
    Uid,
    /// An integer that is kept as text or a number.
    Number,
}

/// An attribute of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    /// DICOM keyword (PS3.6).
    pub keyword: &'static str,
    /// Tag in eight hexadecimal digits.
    pub tag: &'static str,
    /// Value representation.
    pub vr: &'static str,
    /// What it describes.
    pub level: Level,
    /// How it is compared.
    pub kind: Kind,
    /// The expression that gives its value.
    pub(super) column: &'static str,
}

impl Attribute {
    /// The attribute of a DICOM keyword, or of a tag in eight hexadecimal digits.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        ATTRIBUTES
            .iter()
            .find(|attribute| attribute.keyword == name || attribute.tag.eq_ignore_ascii_case(name))
    }
}

/// Where an attribute is that belongs to the series of a study: asked of any of them.
pub(super) const MODALITIES_IN_STUDY: &str = "ModalitiesInStudy";

/// The Request Attributes Sequence of a series, as a JSON list of the items that are such. It is kept
/// as it was published, and anybody can publish anything.
macro_rules! request_attributes {
    () => {
        "(select json(nullif(json_group_array(json_patch('{}', json_object(
             'RequestedProcedureID', cast(value ->> '$.RequestedProcedureID' as text),
             'ScheduledProcedureStepID', cast(value ->> '$.ScheduledProcedureStepID' as text)))),
             '[]'))
         from json_each(iif(json_valid(series.request_attributes), series.request_attributes, '[]'))
         where type = 'object')"
    };
}
pub(super) use request_attributes;

macro_rules! attributes {
    ($($level:ident $keyword:ident $tag:literal $vr:literal $kind:ident $column:expr;)*) => {
        /// All of them, in the order of their levels.
        pub static ATTRIBUTES: &[Attribute] = &[$(Attribute {
            keyword: stringify!($keyword), tag: $tag, vr: $vr,
            level: Level::$level, kind: Kind::$kind, column: $column,
        }),*];

        /// Each by its keyword, for those who know which one they mean.
        #[allow(non_upper_case_globals, reason = "these are DICOM's keywords")]
        pub mod keyword {
            use super::{ATTRIBUTES, Attribute};

            #[allow(clippy::upper_case_acronyms, non_camel_case_types, reason = "as above")]
            enum Place { $($keyword),* }

            $(
                #[doc = concat!(stringify!($keyword), " (", $tag, ").")]
                pub static $keyword: &Attribute = &ATTRIBUTES[Place::$keyword as usize];
            )*
        }
    };
}

attributes! {
    Study StudyDate "00080020" "DA" Date "studies.study_date";
    Study StudyTime "00080030" "TM" Time "studies.study_time";
    Study AccessionNumber "00080050" "SH" Text "studies.accession_number";
    Study ModalitiesInStudy "00080061" "CS" Text concat!(
        "(select group_concat(modality, '\\') from (select distinct member.modality from ",
        filings_of_patient!(), " order by 1))");
    Study ReferringPhysicianName "00080090" "PN" Name "studies.referring_physician_name";
    Study StudyDescription "00081030" "LO" Text "studies.study_description";
    Study PatientName "00100010" "PN" Name "patients.patient_name";
    Study PatientID "00100020" "LO" Text "patients.patient_id";
    Study IssuerOfPatientID "00100021" "LO" Text "patients.issuer_of_patient_id";
    Study PatientBirthDate "00100030" "DA" Date "patients.patient_birth_date";
    Study PatientSex "00100040" "CS" Text "patients.patient_sex";
    Study StudyInstanceUID "0020000D" "UI" Uid "studies.study_instance_uid";
    Study StudyID "00200010" "SH" Text "studies.study_id";
    Study NumberOfStudyRelatedSeries "00201206" "IS" Number concat!("(select count(*) from ", filings_of_patient!(), ")");
    Study NumberOfStudyRelatedInstances "00201208" "IS" Number concat!("(select coalesce(sum(", instances_of_filing!(), "), 0) from ",
        filings_of_patient!(), ")");

    Series Modality "00080060" "CS" Text "series.modality";
    Series SeriesDate "00080021" "DA" Date "series.series_date";
    Series SeriesTime "00080031" "TM" Time "series.series_time";
    Series Manufacturer "00080070" "LO" Text "series.manufacturer";
    Series InstitutionName "00080080" "LO" Text "series.institution_name";
    Series StationName "00081010" "SH" Text "series.station_name";
    Series SeriesDescription "0008103E" "LO" Text "series.series_description";
    Series ManufacturerModelName "00081090" "LO" Text "series.manufacturer_model_name";
    Series BodyPartExamined "00180015" "CS" Text "series.body_part_examined";
    Series ProtocolName "00181030" "LO" Text "series.protocol_name";
    Series SeriesInstanceUID "0020000E" "UI" Uid "series.series_instance_uid";
    Series SeriesNumber "00200011" "IS" Number "series.series_number";
    Series NumberOfSeriesRelatedInstances "00201209" "IS" Number "max((select count(*)
        from instances where instances.series_instance_uid = series.series_instance_uid),
        iif(source = 'api', claimed_count, 0))";
    Series PerformedProcedureStepStartDate "00400244" "DA" Date
        "series.performed_procedure_step_start_date";
    Series PerformedProcedureStepStartTime "00400245" "TM" Time
        "series.performed_procedure_step_start_time";
    Series RequestAttributesSequence "00400275" "SQ" Text request_attributes!();

    Instance ImageType "00080008" "CS" Text "instances.image_type";
    Instance SOPClassUID "00080016" "UI" Uid "instances.sop_class_uid";
    Instance SOPInstanceUID "00080018" "UI" Uid "instances.sop_instance_uid";
    Instance AcquisitionDate "00080022" "DA" Date "instances.acquisition_date";
    Instance ContentDate "00080023" "DA" Date "instances.content_date";
    Instance AcquisitionTime "00080032" "TM" Time "instances.acquisition_time";
    Instance ContentTime "00080033" "TM" Time "instances.content_time";
    Instance AvailableTransferSyntaxUID "00083002" "UI" Uid "instances.transfer_syntax_uid";
    Instance AcquisitionNumber "00200012" "IS" Number "instances.acquisition_number";
    Instance InstanceNumber "00200013" "IS" Number "instances.instance_number";
    Instance FrameOfReferenceUID "00200052" "UI" Uid "instances.frame_of_reference_uid";
    Instance NumberOfFrames "00280008" "IS" Number "instances.number_of_frames";
    Instance Rows "00280010" "US" Number "instances.rows";
    Instance Columns "00280011" "US" Number "instances.columns";
    Instance BitsAllocated "00280100" "US" Number "instances.bits_allocated";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_found_by_keyword_and_by_tag() {
        let found = Attribute::find("PatientID").unwrap();
        assert_eq!((found.tag, found.level), ("00100020", Level::Study));
        assert_eq!(Attribute::find("0008103e"), Attribute::find("SeriesDescription"));
        assert_eq!(Attribute::find("PatientAge"), None);
        assert_eq!(keyword::Modality.tag, "00080060");
    }

    #[test]
    fn what_events_carry_has_the_same_tag_and_representation_here() {
        for carried in contract::attributes::ATTRIBUTES {
            let Some(attribute) = Attribute::find(carried.keyword) else { continue };
            let (tag, vr) = (format!("{:08X}", carried.tag), format!("{:?}", carried.vr));
            assert_eq!((attribute.tag, attribute.vr), (&*tag, &*vr), "{}", carried.keyword);
        }
    }
}
