//! The attributes that Collimator knows: one table. From it ingest knows what to read and what is part of the
//! digest, readers of events their keywords, pseudonyms what to replace, the catalogue its columns and what a series
//! and a study are described by, QIDO-RS what it finds and returns, and the API what it documents.
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

impl Vr {
    /// Its two letters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CS => "CS",
            Self::DA => "DA",
            Self::IS => "IS",
            Self::LO => "LO",
            Self::PN => "PN",
            Self::SH => "SH",
            Self::SQ => "SQ",
            Self::TM => "TM",
            Self::UI => "UI",
            Self::US => "US",
        }
    }

    /// How its values are compared in a search.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::CS | Self::LO | Self::SH | Self::SQ => Kind::Text,
            Self::PN => Kind::Name,
            Self::DA => Kind::Date,
            Self::TM => Kind::Time,
            Self::UI => Kind::Uid,
            Self::IS | Self::US => Kind::Number,
        }
    }
}

/// How a value is compared in a search (PS3.4 section C.2.2.2).
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

/// Where the value of an attribute comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The data set; it is one of the event's `attributes`.
    DataSet,
    /// The event has a field of its own for it.
    Field,
    /// The catalogue works it out from other attributes.
    WorkedOut,
    /// The catalogue counts rows. It can't be searched by.
    Counted,
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

/// What QIDO-RS does with an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qido {
    /// It is neither searched by nor returned.
    Hidden,
    /// It is a matching key, and returned when it is asked for.
    OnRequest,
    /// It is also in each result of its level (PS3.18 tables 10.6.3-3 to -5).
    Always,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// Its tag (PS3.6 section 6).
    pub tag: Tag,
    /// Its keyword, which is its key in an event (PS3.6 section 6).
    pub keyword: &'static str,
    /// Its name (PS3.6 section 6).
    pub name: &'static str,
    /// Its value representation.
    pub vr: Vr,
    /// What it describes.
    pub level: Level,
    /// Where its value comes from.
    pub origin: Origin,
    /// What it is in an event.
    pub form: Form,
    /// The column that keeps its value, in the tables of its level (see [`columns`]); `None` if the catalogue does
    /// not keep it, or works it out.
    pub column: Option<&'static str>,
    /// What QIDO-RS does with it.
    pub qido: Qido,
    /// Whether it says who the patient is: no pseudonymised event has it as it was sent.
    pub identifies_patient: bool,
    /// The version of the digest from which on it is part of it; `None` if it is not (see [`crate::digest`]).
    pub digest_since: Option<usize>,
    /// What the documentation of the API adds to its name and tag.
    pub note: &'static str,
    /// A value for the examples in the documentation of the API; `""` if they do not have it.
    pub example: &'static str,
}

impl Attribute {
    /// An attribute of the data set that is text in events, and no more.
    const fn text(
        keyword: &'static str,
        tag: Tag,
        vr: Vr,
        level: Level,
        name: &'static str,
    ) -> Self {
        Self {
            tag,
            keyword,
            name,
            vr,
            level,
            origin: Origin::DataSet,
            form: Form::Text,
            column: None,
            qido: Qido::Hidden,
            // A row has to say so if it does not: forgotten, it is taken away and not given away.
            identifies_patient: tag >> 16 == 0x0010,
            digest_since: Some(1),
            note: if matches!(vr, Vr::DA) { ", YYYYMMDD" } else { "" },
            example: "",
        }
    }

    /// One that is a number in events.
    const fn number(
        keyword: &'static str,
        tag: Tag,
        vr: Vr,
        level: Level,
        name: &'static str,
    ) -> Self {
        Self { form: Form::Number, ..Self::text(keyword, tag, vr, level, name) }
    }

    /// A sequence.
    const fn items(
        keyword: &'static str,
        tag: Tag,
        items: &'static [Self],
        level: Level,
        name: &'static str,
    ) -> Self {
        Self { form: Form::Items(items), ..Self::text(keyword, tag, SQ, level, name) }
    }

    /// A field of the event.
    const fn field(
        keyword: &'static str,
        tag: Tag,
        vr: Vr,
        level: Level,
        name: &'static str,
    ) -> Self {
        Self {
            origin: Origin::Field,
            digest_since: None,
            ..Self::text(keyword, tag, vr, level, name)
        }
    }

    /// What the catalogue works out.
    const fn worked_out(
        keyword: &'static str,
        tag: Tag,
        vr: Vr,
        level: Level,
        name: &'static str,
    ) -> Self {
        Self { origin: Origin::WorkedOut, ..Self::field(keyword, tag, vr, level, name) }
    }

    /// What the catalogue counts.
    const fn counted(keyword: &'static str, tag: Tag, level: Level, name: &'static str) -> Self {
        Self { origin: Origin::Counted, ..Self::field(keyword, tag, IS, level, name) }
    }

    /// Kept in a column, and searched by and returned by QIDO-RS.
    const fn column(self, column: &'static str) -> Self {
        Self { column: Some(column), qido: Qido::OnRequest, ..self }
    }

    /// Not for QIDO-RS: the API returns it in bodies of its own.
    const fn hidden(self) -> Self {
        Self { qido: Qido::Hidden, ..self }
    }

    /// Part of each result of QIDO-RS at its level.
    const fn always(self) -> Self {
        Self { qido: Qido::Always, ..self }
    }

    /// Though it is of the patient's group, it does not say who the patient is.
    const fn identifies_nobody(self) -> Self {
        Self { identifies_patient: false, ..self }
    }

    /// Part of the digest from this version on. A row that is added has one more than the last release had, so that
    /// what was stored before is still compared by what it knows (see [`crate::digest`]).
    #[must_use]
    pub const fn in_digest_since(self, version: usize) -> Self {
        Self { digest_since: Some(version), ..self }
    }

    /// How the text is encoded is not what it says.
    const fn not_in_digest(self) -> Self {
        Self { digest_since: None, ..self }
    }

    const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// The attribute that QIDO-RS knows by a keyword, or by a tag in eight hexadecimal digits.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::find_in(ATTRIBUTES, name)
    }

    /// The same in another table.
    #[must_use]
    pub fn find_in(table: &'static [Self], name: &str) -> Option<&'static Self> {
        let is_tag = name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let tag = is_tag.then(|| Tag::from_str_radix(name, 16).ok()).flatten();
        table
            .iter()
            .filter(|attribute| attribute.qido != Qido::Hidden)
            .find(|attribute| attribute.keyword == name || Some(attribute.tag) == tag)
    }

    /// Whether it can be searched by: what is counted, and sequences, can't.
    #[must_use]
    pub fn is_matching_key(&self) -> bool {
        self.qido != Qido::Hidden && self.origin != Origin::Counted && self.vr != Vr::SQ
    }

    /// Its tag in eight hexadecimal digits, as the DICOM JSON model has it.
    #[must_use]
    pub fn hex_tag(&self) -> String {
        format!("{:08X}", self.tag)
    }

    /// Its name and tag, and what there is to add, as the API documents it: `Study Date (0008,0020), YYYYMMDD`.
    #[must_use]
    pub fn description(&self) -> String {
        let (group, element) = (self.tag >> 16, self.tag & 0xffff);
        format!("{} ({group:04X},{element:04X}){}", self.name, self.note)
    }

    /// The tables that have its column.
    #[must_use]
    pub const fn tables(&self) -> &'static [Table] {
        match self.level {
            Level::Patient => &[Table::Patients],
            Level::Study => &[Table::Studies],
            Level::Series => &[Table::Series],
            Level::Instance => &[Table::Instances],
            Level::DataSet => &[Table::Studies, Table::Series],
        }
    }

    /// Its column with its table, as in `studies.study_date`; of what both studies and series keep, that of studies.
    #[must_use]
    pub fn qualified_column(&self) -> Option<String> {
        self.column.map(|column| format!("{}.{column}", self.tables()[0].name()))
    }
}

/// A table of the catalogue that keeps attributes, in whatever database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Patients. Their columns are the key of a patient together; what is absent is empty text.
    Patients,
    /// Studies.
    Studies,
    /// Series.
    Series,
    /// Instances.
    Instances,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Patients, Self::Studies, Self::Series, Self::Instances];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Patients => "patients",
            Self::Studies => "studies",
            Self::Series => "series",
            Self::Instances => "instances",
        }
    }
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text. The items of a sequence are a JSON list.
    Text,
    /// An integer; what is none is absent.
    Integer,
}

/// A column that keeps an attribute of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// The key of its value among an event's attributes.
    pub keyword: &'static str,
    /// Its type.
    pub column_type: ColumnType,
    /// The attribute that it keeps.
    pub attribute: &'static Attribute,
}

/// The columns of a table that keep attributes of the data set, by ascending tags. What else a table has (UIDs, counts,
/// times) is not among them.
pub fn columns(table: Table) -> impl Iterator<Item = Column> + Clone {
    columns_in(ATTRIBUTES, table)
}

/// The same by another table of attributes.
pub fn columns_in(
    attributes: &'static [Attribute],
    table: Table,
) -> impl Iterator<Item = Column> + Clone {
    let kept = attributes.iter().filter(move |attribute| {
        attribute.origin == Origin::DataSet && attribute.tables().contains(&table)
    });
    kept.filter_map(|attribute| {
        Some(Column {
            name: attribute.column?,
            keyword: attribute.keyword,
            column_type: match attribute.form {
                Form::Number => ColumnType::Integer,
                Form::Text | Form::Items(_) => ColumnType::Text,
            },
            attribute,
        })
    })
}

/// Declares the table, and each row by its keyword.
macro_rules! attributes {
    ($($keyword:ident = $make:ident($($argument:expr),*)$(.$method:ident($($value:expr),*))*;)*) => {
        /// The table, by ascending tags.
        pub const ATTRIBUTES: &[Attribute] = &[$(
            Attribute::$make(stringify!($keyword), $($argument),*)$(.$method($($value),*))*
        ),*];

        /// Each by its keyword, for those who know which one they mean.
        #[allow(non_upper_case_globals, reason = "these are DICOM's keywords")]
        pub mod keyword {
            use super::{ATTRIBUTES, Attribute};

            #[allow(clippy::upper_case_acronyms, non_camel_case_types, reason = "as above")]
            enum Place { $($keyword),* }

            $(
                #[doc = stringify!($keyword)]
                pub static $keyword: &Attribute = &ATTRIBUTES[Place::$keyword as usize];
            )*
        }
    };
}

/// Specific Character Set.
pub const SPECIFIC_CHARACTER_SET: Tag = 0x0008_0005;
/// Modality.
pub const MODALITY: Tag = 0x0008_0060;
/// Request Attributes Sequence.
pub const REQUEST_ATTRIBUTES_SEQUENCE: Tag = 0x0040_0275;

attributes! {
    SpecificCharacterSet = text(SPECIFIC_CHARACTER_SET, CS, DataSet, "Specific Character Set")
        .column("specific_character_set").hidden().not_in_digest().note(" of the sender; text in this record is UTF-8").example("ISO_IR 100");
    ImageType = text(0x0008_0008, CS, Instance, "Image Type")
        .column("image_type").note(", its values parted by `\\`").example("ORIGINAL\\PRIMARY\\M");
    SOPClassUID = field(0x0008_0016, UI, Instance, "SOP Class UID").column("sop_class_uid").always();
    SOPInstanceUID = field(0x0008_0018, UI, Instance, "SOP Instance UID").column("sop_instance_uid").always();
    StudyDate = text(0x0008_0020, DA, Study, "Study Date").column("study_date").always().example("20260203");
    SeriesDate = text(0x0008_0021, DA, Series, "Series Date").column("series_date").example("20260203");
    AcquisitionDate = text(0x0008_0022, DA, Instance, "Acquisition Date")
        .column("acquisition_date").example("20260203");
    ContentDate = text(0x0008_0023, DA, Instance, "Content Date").column("content_date").example("20260203");
    StudyTime = text(0x0008_0030, TM, Study, "Study Time").column("study_time").always().example("040500");
    SeriesTime = text(0x0008_0031, TM, Series, "Series Time").column("series_time").example("040501");
    AcquisitionTime = text(0x0008_0032, TM, Instance, "Acquisition Time")
        .column("acquisition_time").example("040501.25");
    ContentTime = text(0x0008_0033, TM, Instance, "Content Time").column("content_time").example("040502");
    AccessionNumber = text(0x0008_0050, SH, Study, "Accession Number")
        .column("accession_number").always().example("A-1001");
    Modality = text(MODALITY, CS, Series, "Modality").column("modality").always().example("MR");
    ModalitiesInStudy = worked_out(0x0008_0061, CS, Study, "Modalities in Study").always();
    Manufacturer = text(0x0008_0070, LO, Series, "Manufacturer").column("manufacturer").example("ACME");
    InstitutionName = text(0x0008_0080, LO, Series, "Institution Name")
        .column("institution_name").example("St. Elsewhere");
    ReferringPhysicianName = text(0x0008_0090, PN, Study, "Referring Physician's Name")
        .column("referring_physician_name").always().example("Doe^John");
    TimezoneOffsetFromUTC = text(0x0008_0201, SH, DataSet, "Timezone Offset From UTC")
        .column("timezone_offset_from_utc").hidden();
    StationName = text(0x0008_1010, SH, Series, "Station Name").column("station_name").example("MR1");
    StudyDescription = text(0x0008_1030, LO, Study, "Study Description")
        .column("study_description").example("Knee left");
    SeriesDescription = text(0x0008_103e, LO, Series, "Series Description")
        .column("series_description").always().example("t1_tse_sag");
    ManufacturerModelName = text(0x0008_1090, LO, Series, "Manufacturer's Model Name")
        .column("manufacturer_model_name").example("Magnet 3000");
    AvailableTransferSyntaxUID = field(0x0008_3002, UI, Instance, "Available Transfer Syntax UID")
        .column("transfer_syntax_uid");
    PatientName = text(0x0010_0010, PN, Patient, "Patient's Name").column("patient_name").always();
    PatientID = text(0x0010_0020, LO, Patient, "Patient ID").column("patient_id").always();
    IssuerOfPatientID = text(0x0010_0021, LO, Patient, "Issuer of Patient ID")
        .column("issuer_of_patient_id").identifies_nobody();
    PatientBirthDate = text(0x0010_0030, DA, Patient, "Patient's Birth Date")
        .column("patient_birth_date").always().example("19800101");
    PatientSex = text(0x0010_0040, CS, Patient, "Patient's Sex")
        .column("patient_sex").identifies_nobody().always().example("F");
    BodyPartExamined = text(0x0018_0015, CS, Series, "Body Part Examined")
        .column("body_part_examined").example("KNEE");
    ProtocolName = text(0x0018_1030, LO, Series, "Protocol Name").column("protocol_name").example("t1_tse_sag");
    CardiacNumberOfImages = number(0x0018_1090, IS, Instance, "Cardiac Number of Images");
    StudyInstanceUID = field(0x0020_000d, UI, Study, "Study Instance UID").column("study_instance_uid").always();
    SeriesInstanceUID = field(0x0020_000e, UI, Series, "Series Instance UID").column("series_instance_uid").always();
    StudyID = text(0x0020_0010, SH, Study, "Study ID").column("study_id").always().example("S1");
    SeriesNumber = text(0x0020_0011, IS, Series, "Series Number").column("series_number").always().example("3");
    AcquisitionNumber = text(0x0020_0012, IS, Instance, "Acquisition Number")
        .column("acquisition_number").example("1");
    InstanceNumber = text(0x0020_0013, IS, Instance, "Instance Number")
        .column("instance_number").always().example("1");
    FrameOfReferenceUID = text(0x0020_0052, UI, Instance, "Frame of Reference UID")
        .column("frame_of_reference_uid").example("2.25.12");
    NumberOfTemporalPositions = number(0x0020_0105, IS, Instance, "Number of Temporal Positions");
    ImagesInAcquisition = number(0x0020_1002, IS, Series, "Images in Acquisition")
        .column("images_in_acquisition").hidden().note(": a hint by the sender").example("17");
    NumberOfStudyRelatedSeries = counted(0x0020_1206, Study, "Number of Study Related Series").always();
    NumberOfStudyRelatedInstances = counted(0x0020_1208, Study, "Number of Study Related Instances").always();
    NumberOfSeriesRelatedInstances = counted(0x0020_1209, Series, "Number of Series Related Instances").always();
    NumberOfFrames = number(0x0028_0008, IS, Instance, "Number of Frames").column("number_of_frames").always();
    Rows = number(0x0028_0010, US, Instance, "Rows").column("rows").always().example("512");
    Columns = number(0x0028_0011, US, Instance, "Columns").column("columns").always().example("512");
    BitsAllocated = number(0x0028_0100, US, Instance, "Bits Allocated")
        .column("bits_allocated").always().example("16");
    PerformedProcedureStepStartDate = text(0x0040_0244, DA, Series, "Performed Procedure Step Start Date")
        .column("performed_procedure_step_start_date").always().example("20260203");
    PerformedProcedureStepStartTime = text(0x0040_0245, TM, Series, "Performed Procedure Step Start Time")
        .column("performed_procedure_step_start_time").always().example("040500");
    RequestAttributesSequence = items(REQUEST_ATTRIBUTES_SEQUENCE, REQUEST_ATTRIBUTES, Series, "Request Attributes Sequence")
        .column("request_attributes").always();
    NumberOfSlices = number(0x0054_0081, US, Instance, "Number of Slices");
    NumberOfTimeSlices = number(0x0054_0101, US, Instance, "Number of Time Slices");
}

/// What an item of the Request Attributes Sequence (PS3.3 section 10.6) carries, by ascending tags. To the digest the
/// sequence is one value: one more attribute of its items makes a correction of each instance that has it.
pub const REQUEST_ATTRIBUTES: &[Attribute] = &[
    Attribute::text(
        "ScheduledProcedureStepID",
        0x0040_0009,
        SH,
        Series,
        "Scheduled Procedure Step ID",
    )
    .example("SPS-1"),
    Attribute::text("RequestedProcedureID", 0x0040_1001, SH, Series, "Requested Procedure ID")
        .example("RP-1"),
];

/// How many attributes of the table an event has.
const CARRIED_COUNT: usize = {
    let (mut count, mut at) = (0, 0);
    while at < ATTRIBUTES.len() {
        if matches!(ATTRIBUTES[at].origin, Origin::DataSet) {
            count += 1;
        }
        at += 1;
    }
    count
};

/// The attributes of the data set, by ascending tags: those that an event has among its `attributes`.
pub const CARRIED: [Attribute; CARRIED_COUNT] = {
    let mut carried = [ATTRIBUTES[0]; CARRIED_COUNT];
    let (mut count, mut at) = (0, 0);
    while at < ATTRIBUTES.len() {
        if matches!(ATTRIBUTES[at].origin, Origin::DataSet) {
            carried[count] = ATTRIBUTES[at];
            count += 1;
        }
        at += 1;
    }
    carried
};

/// Those of a table that are attributes of the data set.
pub fn carried_in(table: &'static [Attribute]) -> impl Iterator<Item = &'static Attribute> {
    table.iter().filter(|attribute| attribute.origin == Origin::DataSet)
}

/// The attributes of the data set in a table that describe one level, and how its text is to be read.
pub fn describing_in(
    table: &'static [Attribute],
    level: Level,
) -> impl Iterator<Item = &'static Attribute> {
    carried_in(table).filter(move |attribute| [level, DataSet].contains(&attribute.level))
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

    #[test]
    fn an_attribute_is_found_by_keyword_and_by_tag() {
        let found = Attribute::find("PatientID").unwrap();
        assert_eq!((found.tag, found.level), (0x0010_0020, Patient));
        assert_eq!(Attribute::find("0008103e"), Attribute::find("SeriesDescription"));
        for none in ["PatientAge", "SpecificCharacterSet", "+0080020", "80020"] {
            assert_eq!(Attribute::find(none), None, "{none}");
        }
        assert_eq!(keyword::Modality.tag, MODALITY);
    }

    #[test]
    fn a_column_is_in_the_tables_of_its_level() {
        let names = |table| columns(table).map(|column| column.name).collect::<Vec<_>>();
        let patients = names(Table::Patients);
        assert_eq!(
            patients,
            [
                "patient_name",
                "patient_id",
                "issuer_of_patient_id",
                "patient_birth_date",
                "patient_sex"
            ]
        );
        for table in [Table::Studies, Table::Series] {
            assert!(names(table).contains(&"timezone_offset_from_utc"), "{table:?}");
        }
        let rows = columns(Table::Instances).find(|column| column.keyword == "Rows").unwrap();
        assert_eq!((rows.name, rows.column_type), ("rows", ColumnType::Integer));
        let study_date = keyword::StudyDate.qualified_column();
        assert_eq!(study_date.as_deref(), Some("studies.study_date"));
    }

    #[test]
    fn what_says_who_the_patient_is_is_known() {
        let identifying = ATTRIBUTES.iter().filter(|attribute| attribute.identifies_patient);
        let keywords: Vec<_> = identifying.map(|attribute| attribute.keyword).collect();
        assert_eq!(keywords, ["PatientName", "PatientID", "PatientBirthDate"]);
    }
}
