//! The attributes that an event carries: which they are, and how their bytes become text and
//! numbers.
//!
//! They are what QIDO-RS must return at each level (PS3.18 section 10.6.3.3), what describes an
//! instance to people, and the hints at how many instances there will be.

use crate::header::{Header, HeaderReader, Tag, Wanted};
use crate::text::{CharacterSets, TextKind};
use shared::event::{AttributeValue, Attributes};
use shared::uid::SeriesInstanceUid;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// SOP Class UID.
pub const SOP_CLASS_UID: Tag = 0x0008_0016;
/// SOP Instance UID.
pub const SOP_INSTANCE_UID: Tag = 0x0008_0018;
/// Study Instance UID.
pub const STUDY_INSTANCE_UID: Tag = 0x0020_000d;
/// Series Instance UID.
pub const SERIES_INSTANCE_UID: Tag = 0x0020_000e;

const MODALITY: Tag = 0x0008_0060;
const SPECIFIC_CHARACTER_SET: Tag = 0x0008_0005;
const REQUEST_ATTRIBUTES_SEQUENCE: Tag = 0x0040_0275;

/// How the bytes of an attribute are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// PN.
    Name,
    /// LO, SH: text in the data set's character sets.
    Text,
    /// CS, DA, TM, IS, UI: text in the default repertoire.
    Code,
    /// IS of one value, as a number; as text where it is none.
    Count,
    /// US.
    Unsigned,
    /// SQ, its items' attributes in turn.
    Items(&'static [Row]),
}

type Row = (Tag, &'static str, Value);

/// The attributes in ascending order, with their keywords (PS3.6 section 6).
const ATTRIBUTES: &[Row] = &[
    (SPECIFIC_CHARACTER_SET, "SpecificCharacterSet", Value::Code),
    (0x0008_0008, "ImageType", Value::Code),
    (0x0008_0020, "StudyDate", Value::Code),
    (0x0008_0021, "SeriesDate", Value::Code),
    (0x0008_0022, "AcquisitionDate", Value::Code),
    (0x0008_0023, "ContentDate", Value::Code),
    (0x0008_0030, "StudyTime", Value::Code),
    (0x0008_0031, "SeriesTime", Value::Code),
    (0x0008_0032, "AcquisitionTime", Value::Code),
    (0x0008_0033, "ContentTime", Value::Code),
    (0x0008_0050, "AccessionNumber", Value::Text),
    (MODALITY, "Modality", Value::Code),
    (0x0008_0070, "Manufacturer", Value::Text),
    (0x0008_0080, "InstitutionName", Value::Text),
    (0x0008_0090, "ReferringPhysicianName", Value::Name),
    (0x0008_0201, "TimezoneOffsetFromUTC", Value::Code),
    (0x0008_1010, "StationName", Value::Text),
    (0x0008_1030, "StudyDescription", Value::Text),
    (0x0008_103e, "SeriesDescription", Value::Text),
    (0x0008_1090, "ManufacturerModelName", Value::Text),
    (0x0010_0010, "PatientName", Value::Name),
    (0x0010_0020, "PatientID", Value::Text),
    (0x0010_0021, "IssuerOfPatientID", Value::Text),
    (0x0010_0030, "PatientBirthDate", Value::Code),
    (0x0010_0040, "PatientSex", Value::Code),
    (0x0018_0015, "BodyPartExamined", Value::Code),
    (0x0018_1030, "ProtocolName", Value::Text),
    (0x0018_1090, "CardiacNumberOfImages", Value::Count),
    (0x0020_0010, "StudyID", Value::Text),
    (0x0020_0011, "SeriesNumber", Value::Code),
    (0x0020_0012, "AcquisitionNumber", Value::Code),
    (0x0020_0013, "InstanceNumber", Value::Code),
    (0x0020_0052, "FrameOfReferenceUID", Value::Code),
    (0x0020_0105, "NumberOfTemporalPositions", Value::Count),
    (0x0020_1002, "ImagesInAcquisition", Value::Count),
    (0x0028_0008, "NumberOfFrames", Value::Count),
    (0x0028_0010, "Rows", Value::Unsigned),
    (0x0028_0011, "Columns", Value::Unsigned),
    (0x0028_0100, "BitsAllocated", Value::Unsigned),
    (0x0040_0244, "PerformedProcedureStepStartDate", Value::Code),
    (0x0040_0245, "PerformedProcedureStepStartTime", Value::Code),
    (REQUEST_ATTRIBUTES_SEQUENCE, "RequestAttributesSequence", Value::Items(REQUEST_ATTRIBUTES)),
    (0x0054_0081, "NumberOfSlices", Value::Unsigned),
    (0x0054_0101, "NumberOfTimeSlices", Value::Unsigned),
];

const REQUEST_ATTRIBUTES: &[Row] = &[
    (0x0040_0009, "ScheduledProcedureStepID", Value::Text),
    (0x0040_1001, "RequestedProcedureID", Value::Text),
];

/// The four that name the instance; they are no plain attributes of an event.
const IDENTITY: [Tag; 4] =
    [SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID];

/// What the header reader has to keep for an event.
pub const WANTED: Wanted = Wanted {
    tags: &WANTED_TAGS,
    sequences: &[(REQUEST_ATTRIBUTES_SEQUENCE, &tags::<2>(REQUEST_ATTRIBUTES))],
};

const WANTED_TAGS: [Tag; ATTRIBUTES.len() + IDENTITY.len()] = {
    let mut wanted = [0; ATTRIBUTES.len() + IDENTITY.len()];
    let mut at = 0;
    while at < IDENTITY.len() {
        wanted[at] = IDENTITY[at];
        at += 1;
    }
    while at < wanted.len() {
        wanted[at] = ATTRIBUTES[at - IDENTITY.len()].0;
        at += 1;
    }
    wanted
};

const fn tags<const N: usize>(rows: &[Row]) -> [Tag; N] {
    let mut tags = [0; N];
    let mut at = 0;
    while at < N {
        tags[at] = rows[at].0;
        at += 1;
    }
    tags
}

/// The attributes of a header, decoded. Whatever its bytes are, none makes this fail: what can't be
/// decoded becomes U+FFFD, and the instance is never lost for it.
#[must_use]
pub fn decode(header: &Header) -> Attributes {
    let character_sets = match header.values.get(&SPECIFIC_CHARACTER_SET) {
        Some(raw) => CharacterSets::parse(raw),
        None => CharacterSets::default(),
    };
    let decoder = Decoder { character_sets, big_endian: header.big_endian };
    let mut attributes = decoder.attributes(ATTRIBUTES, &header.values);
    for (tag, keyword, value) in ATTRIBUTES {
        if let (Value::Items(rows), Some(items)) = (value, header.items.get(tag)) {
            let items: Vec<_> = items.iter().map(|item| decoder.attributes(rows, item)).collect();
            attributes.insert(*keyword, AttributeValue::Items(items));
        }
    }
    attributes
}

/// The text of one of the UIDs that name the instance, with its padding; empty when absent.
#[must_use]
pub fn uid(header: &Header, tag: Tag) -> Cow<'_, str> {
    header.values.get(&tag).map_or(Cow::Borrowed(""), |raw| String::from_utf8_lossy(raw))
}

/// The series of a data set, as soon as it has been read.
#[must_use]
pub fn series_so_far(reader: &HeaderReader) -> Option<SeriesInstanceUid> {
    let raw = reader.value_so_far(SERIES_INSTANCE_UID)?;
    SeriesInstanceUid::parse(&String::from_utf8_lossy(raw)).ok()
}

/// The modality of a data set, as soon as it has been read; empty until then.
#[must_use]
pub fn modality_so_far(reader: &HeaderReader) -> String {
    reader.value_so_far(MODALITY).map(code).unwrap_or_default()
}

struct Decoder {
    character_sets: CharacterSets,
    big_endian: bool,
}

impl Decoder {
    fn attributes(&self, rows: &[Row], values: &BTreeMap<Tag, Vec<u8>>) -> Attributes {
        rows.iter()
            .filter_map(|(tag, keyword, value)| {
                Some((Cow::Borrowed(*keyword), self.value(*value, values.get(tag)?)?))
            })
            .collect()
    }

    /// The value, `None` when it is empty.
    fn value(&self, value: Value, raw: &[u8]) -> Option<AttributeValue> {
        let text = match value {
            Value::Name => self.character_sets.decode(TextKind::PersonName, raw),
            Value::Text => self.character_sets.decode(TextKind::Short, raw),
            Value::Code => code(raw),
            Value::Count => {
                let text = code(raw);
                match text.parse() {
                    Ok(number) => return Some(AttributeValue::Number(number)),
                    Err(_) => text,
                }
            }
            Value::Unsigned => {
                let first: [u8; 2] = raw.get(..2)?.try_into().ok()?;
                let number = match self.big_endian {
                    true => u16::from_be_bytes(first),
                    false => u16::from_le_bytes(first),
                };
                return Some(AttributeValue::Number(number.into()));
            }
            Value::Items(_) => return None,
        };
        (!text.is_empty()).then_some(AttributeValue::Text(text.into()))
    }
}

/// Text of a VR that has no character set but the default one.
fn code(raw: &[u8]) -> String {
    let text = CharacterSets::default().decode(TextKind::Short, raw);
    text.trim().to_owned()
}

/// Digest of what an instance says, as decoded: the same instance in another transfer syntax or
/// character set has the same, one with another patient's name has another. 32 hex digits.
#[must_use]
pub fn digest(uids: [&str; 4], attributes: &Attributes) -> String {
    let mut hasher = blake3::Hasher::new();
    for uid in uids {
        hasher.update(uid.as_bytes()).update(b"\0");
    }
    let told = attributes.iter().filter(|(keyword, _)| *keyword != "SpecificCharacterSet");
    for (keyword, value) in told {
        // JSON is one text for one value, and no value of another keyword can look like it.
        let value = serde_json::to_vec(value).unwrap_or_default();
        hasher.update(keyword.as_bytes()).update(b"\0").update(&value).update(b"\0");
    }
    digits(&hasher.finalize())
}

/// The first 32 hex digits of a hash: as many as it takes that no two are ever the same by chance.
pub(crate) fn digits(hash: &blake3::Hash) -> String {
    hash.to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Encoding, Limits};

    /// An element of implicit VR little endian.
    fn element(tag: Tag, value: &[u8]) -> Vec<u8> {
        let (group, element) = ((tag >> 16) as u16, tag as u16);
        [&group.to_le_bytes()[..], &element.to_le_bytes(), &(value.len() as u32).to_le_bytes()]
            .concat()
            .into_iter()
            .chain(value.iter().copied())
            .collect()
    }

    fn reader() -> HeaderReader {
        HeaderReader::new(Encoding::Implicit, WANTED, Limits { header: 1024, inflated: 1024 })
    }

    #[test]
    fn the_attributes_ascend_so_that_the_limit_knows_the_last_one() {
        assert!(ATTRIBUTES.is_sorted_by_key(|(tag, ..)| *tag));
        assert!(IDENTITY.iter().all(|tag| tag < WANTED.tags.last().unwrap()));
    }

    #[test]
    fn the_hints_at_how_many_instances_there_will_be_are_numbers() {
        let hints = [
            (0x0018_1090, "CardiacNumberOfImages", b"20".as_slice(), 20),
            (0x0020_0105, "NumberOfTemporalPositions", b"5 ", 5),
            (0x0020_1002, "ImagesInAcquisition", b"176 ", 176),
            (0x0054_0081, "NumberOfSlices", &[0x2c, 0x01], 300),
            (0x0054_0101, "NumberOfTimeSlices", &[12, 0], 12),
        ];
        let mut reader = reader();
        for (tag, _, value, _) in hints {
            reader.push(&element(tag, value)).unwrap();
        }
        reader.push(&element(0x7fe0_0010, &[0; 8])).unwrap();
        let attributes = decode(&reader.finish().unwrap());
        for (_, keyword, _, number) in hints {
            assert_eq!(attributes[keyword], AttributeValue::Number(number), "{keyword}");
        }
    }

    #[test]
    fn the_series_is_known_before_the_instance_is_whole() {
        let mut reader = reader();
        reader.push(&element(MODALITY, b"MR")).unwrap();
        let series = element(SERIES_INSTANCE_UID, b"2.25.17\0");
        let (most, rest) = series.split_at(series.len() - 2);
        reader.push(most).unwrap();
        assert_eq!(series_so_far(&reader), None);
        reader.push(rest).unwrap();
        assert_eq!(series_so_far(&reader).unwrap().as_str(), "2.25.17");
        assert_eq!(modality_so_far(&reader), "MR");
    }
}
