//! The attributes of an instance that its event carries: one table, from which ingest knows what to read, readers
//! of events their keywords, the catalogue what a series and a study are described by, and pseudonyms what to
//! replace.
//!
//! They are what QIDO-RS must return at each level (PS3.18 section 10.6.3.3), what describes an instance to
//! people, and the hints at how many instances there will be.

use Level::{DataSet, Instance, Patient, Series, Study};
use Vr::{CS, DA, IS, LO, PN, SH, SQ, TM, UI, US};

/// A tag: the group in the upper 16 bits, the element in the lower.
pub type Tag = u32;

/// Value representation (PS3.5 section 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vr {
    /// Code String.
    CS,
    /// Date.
    DA,
    /// Integer String.
    IS,
    /// Long String.
    LO,
    /// Person Name.
    PN,
    /// Short String.
    SH,
    /// Sequence of Items.
    SQ,
    /// Time.
    TM,
    /// Unique Identifier.
    UI,
    /// Unsigned Short.
    US,
}

/// What an attribute describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A patient.
    Patient,
    /// A study.
    Study,
    /// A series.
    Series,
    /// An instance.
    Instance,
    /// How the text and times of a data set are to be read, whatever they describe.
    DataSet,
}

/// What it is in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text as it was sent, decoded.
    Text,
    /// A number; of an IS that is none, text.
    Number,
    /// A list of items with these attributes.
    Items(&'static [Attribute]),
}

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its tag (PS3.6 section 6).
    pub tag: Tag,
    /// Its keyword, which is its key in an event (PS3.6 section 6).
    pub keyword: &'static str,
    /// Its value representation.
    pub vr: Vr,
    /// What it describes.
    pub level: Level,
    /// What it is in an event.
    pub form: Form,
    /// Whether it says who the patient is: no pseudonymised event has it as it was sent.
    pub identifies_patient: bool,
}

impl Attribute {
    const fn text(tag: Tag, keyword: &'static str, vr: Vr, level: Level) -> Self {
        Self { tag, keyword, vr, level, form: Form::Text, identifies_patient: false }
    }

    const fn number(tag: Tag, keyword: &'static str, vr: Vr, level: Level) -> Self {
        Self { form: Form::Number, ..Self::text(tag, keyword, vr, level) }
    }

    const fn who(tag: Tag, keyword: &'static str, vr: Vr) -> Self {
        Self { identifies_patient: true, ..Self::text(tag, keyword, vr, Patient) }
    }
}

/// Specific Character Set.
pub const SPECIFIC_CHARACTER_SET: Tag = 0x0008_0005;
/// Modality.
pub const MODALITY: Tag = 0x0008_0060;
/// Request Attributes Sequence.
pub const REQUEST_ATTRIBUTES_SEQUENCE: Tag = 0x0040_0275;

/// The table, by ascending tags.
pub const ATTRIBUTES: &[Attribute] = &[
    Attribute::text(SPECIFIC_CHARACTER_SET, "SpecificCharacterSet", CS, DataSet),
    Attribute::text(0x0008_0008, "ImageType", CS, Instance),
    Attribute::text(0x0008_0020, "StudyDate", DA, Study),
    Attribute::text(0x0008_0021, "SeriesDate", DA, Series),
    Attribute::text(0x0008_0022, "AcquisitionDate", DA, Instance),
    Attribute::text(0x0008_0023, "ContentDate", DA, Instance),
    Attribute::text(0x0008_0030, "StudyTime", TM, Study),
    Attribute::text(0x0008_0031, "SeriesTime", TM, Series),
    Attribute::text(0x0008_0032, "AcquisitionTime", TM, Instance),
    Attribute::text(0x0008_0033, "ContentTime", TM, Instance),
    Attribute::text(0x0008_0050, "AccessionNumber", SH, Study),
    Attribute::text(MODALITY, "Modality", CS, Series),
    Attribute::text(0x0008_0070, "Manufacturer", LO, Series),
    Attribute::text(0x0008_0080, "InstitutionName", LO, Series),
    Attribute::text(0x0008_0090, "ReferringPhysicianName", PN, Study),
    Attribute::text(0x0008_0201, "TimezoneOffsetFromUTC", SH, DataSet),
    Attribute::text(0x0008_1010, "StationName", SH, Series),
    Attribute::text(0x0008_1030, "StudyDescription", LO, Study),
    Attribute::text(0x0008_103e, "SeriesDescription", LO, Series),
    Attribute::text(0x0008_1090, "ManufacturerModelName", LO, Series),
    Attribute::who(0x0010_0010, "PatientName", PN),
    Attribute::who(0x0010_0020, "PatientID", LO),
    Attribute::text(0x0010_0021, "IssuerOfPatientID", LO, Patient),
    Attribute::who(0x0010_0030, "PatientBirthDate", DA),
    Attribute::text(0x0010_0040, "PatientSex", CS, Patient),
    Attribute::text(0x0018_0015, "BodyPartExamined", CS, Series),
    Attribute::text(0x0018_1030, "ProtocolName", LO, Series),
    Attribute::number(0x0018_1090, "CardiacNumberOfImages", IS, Instance),
    Attribute::text(0x0020_0010, "StudyID", SH, Study),
    Attribute::text(0x0020_0011, "SeriesNumber", IS, Series),
    Attribute::text(0x0020_0012, "AcquisitionNumber", IS, Instance),
    Attribute::text(0x0020_0013, "InstanceNumber", IS, Instance),
    Attribute::text(0x0020_0052, "FrameOfReferenceUID", UI, Instance),
    Attribute::number(0x0020_0105, "NumberOfTemporalPositions", IS, Instance),
    Attribute::number(0x0020_1002, "ImagesInAcquisition", IS, Series),
    Attribute::number(0x0028_0008, "NumberOfFrames", IS, Instance),
    Attribute::number(0x0028_0010, "Rows", US, Instance),
    Attribute::number(0x0028_0011, "Columns", US, Instance),
    Attribute::number(0x0028_0100, "BitsAllocated", US, Instance),
    Attribute::text(0x0040_0244, "PerformedProcedureStepStartDate", DA, Series),
    Attribute::text(0x0040_0245, "PerformedProcedureStepStartTime", TM, Series),
    Attribute {
        form: Form::Items(REQUEST_ATTRIBUTES),
        ..Attribute::text(REQUEST_ATTRIBUTES_SEQUENCE, "RequestAttributesSequence", SQ, Series)
    },
    Attribute::number(0x0054_0081, "NumberOfSlices", US, Instance),
    Attribute::number(0x0054_0101, "NumberOfTimeSlices", US, Instance),
];

/// What an item of the Request Attributes Sequence (PS3.3 section 10.6) carries, by ascending tags.
pub const REQUEST_ATTRIBUTES: &[Attribute] = &[
    Attribute::text(0x0040_0009, "ScheduledProcedureStepID", SH, Series),
    Attribute::text(0x0040_1001, "RequestedProcedureID", SH, Series),
];

/// Those that describe one level, and how its text is to be read.
pub fn describing(level: Level) -> impl Iterator<Item = &'static Attribute> {
    ATTRIBUTES.iter().filter(move |attribute| [level, DataSet].contains(&attribute.level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_ascend() {
        for table in [ATTRIBUTES, REQUEST_ATTRIBUTES] {
            assert!(table.is_sorted_by(|one, next| one.tag < next.tag));
        }
    }
}
