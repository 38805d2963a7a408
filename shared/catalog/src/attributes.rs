//! The attributes that can be searched by, and where the catalogue keeps each.

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
    /// Table and column that keep its value; `None` of what is worked out.
    pub(crate) column: Option<&'static str>,
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
pub(crate) const MODALITIES_IN_STUDY: &str = "ModalitiesInStudy";

macro_rules! attributes {
    (@column) => { None };
    (@column $column:literal) => { Some($column) };
    ($($level:ident $keyword:ident $tag:literal $vr:literal $kind:ident $(in $column:literal)?;)*) => {
        /// All of them, in the order of their levels.
        pub static ATTRIBUTES: &[Attribute] = &[$(Attribute {
            keyword: stringify!($keyword), tag: $tag, vr: $vr,
            level: Level::$level, kind: Kind::$kind, column: attributes!(@column $($column)?),
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
    Study StudyDate "00080020" "DA" Date in "studies.study_date";
    Study StudyTime "00080030" "TM" Time in "studies.study_time";
    Study AccessionNumber "00080050" "SH" Text in "studies.accession_number";
    Study ModalitiesInStudy "00080061" "CS" Text;
    Study ReferringPhysicianName "00080090" "PN" Name in "studies.referring_physician_name";
    Study StudyDescription "00081030" "LO" Text in "studies.study_description";
    Study PatientName "00100010" "PN" Name in "patients.patient_name";
    Study PatientID "00100020" "LO" Text in "patients.patient_id";
    Study IssuerOfPatientID "00100021" "LO" Text in "patients.issuer_of_patient_id";
    Study PatientBirthDate "00100030" "DA" Date in "patients.patient_birth_date";
    Study PatientSex "00100040" "CS" Text in "patients.patient_sex";
    Study StudyInstanceUID "0020000D" "UI" Uid in "studies.study_instance_uid";
    Study StudyID "00200010" "SH" Text in "studies.study_id";
    Study NumberOfStudyRelatedSeries "00201206" "IS" Number;
    Study NumberOfStudyRelatedInstances "00201208" "IS" Number;

    Series Modality "00080060" "CS" Text in "series.modality";
    Series SeriesDate "00080021" "DA" Date in "series.series_date";
    Series SeriesTime "00080031" "TM" Time in "series.series_time";
    Series Manufacturer "00080070" "LO" Text in "series.manufacturer";
    Series InstitutionName "00080080" "LO" Text in "series.institution_name";
    Series StationName "00081010" "SH" Text in "series.station_name";
    Series SeriesDescription "0008103E" "LO" Text in "series.series_description";
    Series ManufacturerModelName "00081090" "LO" Text in "series.manufacturer_model_name";
    Series BodyPartExamined "00180015" "CS" Text in "series.body_part_examined";
    Series ProtocolName "00181030" "LO" Text in "series.protocol_name";
    Series SeriesInstanceUID "0020000E" "UI" Uid in "series.series_instance_uid";
    Series SeriesNumber "00200011" "IS" Number in "series.series_number";
    Series NumberOfSeriesRelatedInstances "00201209" "IS" Number;
    Series PerformedProcedureStepStartDate "00400244" "DA" Date in "series.performed_procedure_step_start_date";
    Series PerformedProcedureStepStartTime "00400245" "TM" Time in "series.performed_procedure_step_start_time";
    Series RequestAttributesSequence "00400275" "SQ" Text;

    Instance ImageType "00080008" "CS" Text in "instances.image_type";
    Instance SOPClassUID "00080016" "UI" Uid in "instances.sop_class_uid";
    Instance SOPInstanceUID "00080018" "UI" Uid in "instances.sop_instance_uid";
    Instance AcquisitionDate "00080022" "DA" Date in "instances.acquisition_date";
    Instance ContentDate "00080023" "DA" Date in "instances.content_date";
    Instance AcquisitionTime "00080032" "TM" Time in "instances.acquisition_time";
    Instance ContentTime "00080033" "TM" Time in "instances.content_time";
    Instance AvailableTransferSyntaxUID "00083002" "UI" Uid in "instances.transfer_syntax_uid";
    Instance AcquisitionNumber "00200012" "IS" Number in "instances.acquisition_number";
    Instance InstanceNumber "00200013" "IS" Number in "instances.instance_number";
    Instance FrameOfReferenceUID "00200052" "UI" Uid in "instances.frame_of_reference_uid";
    Instance NumberOfFrames "00280008" "IS" Number in "instances.number_of_frames";
    Instance Rows "00280010" "US" Number in "instances.rows";
    Instance Columns "00280011" "US" Number in "instances.columns";
    Instance BitsAllocated "00280100" "US" Number in "instances.bits_allocated";
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
