//! The attributes that an event carries (`contract::attributes`): how their bytes become text and numbers, and
//! texts no longer than an event has room for.

use crate::data_set::acr_nema;
use crate::data_set::header::{Header, HeaderReader, Tag, Wanted};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use character_sets::alternatives::Alternative;
use character_sets::{CharacterSets, Decoded, TextKind};
use contract::attributes::{
    Attribute, CARRIED, Form, MODALITY, REQUEST_ATTRIBUTES, REQUEST_ATTRIBUTES_SEQUENCE,
    SPECIFIC_CHARACTER_SET, Vr,
};
use contract::bounded::{bounded, mark};
use contract::digest::{DELIMITER, DigestParts, PARTS};
use contract::event::{AttributeValue, Attributes, Remarks};
use contract::uid::SeriesInstanceUid;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// SOP Class UID.
pub(crate) const SOP_CLASS_UID: Tag = 0x0008_0016;
/// SOP Instance UID.
pub(crate) const SOP_INSTANCE_UID: Tag = 0x0008_0018;
/// Study Instance UID.
pub(crate) const STUDY_INSTANCE_UID: Tag = 0x0020_000d;
/// Series Instance UID.
pub(crate) const SERIES_INSTANCE_UID: Tag = 0x0020_000e;

/// Values of one attribute that an event has.
const MAX_VALUES: usize = 8;

/// The same of a CS: Image Type and Specific Character Set have several.
const MAX_CODES: usize = 16;

/// Component groups of a name (PS3.5 section 6.2.1).
const MAX_GROUPS: usize = 3;

/// By how much texts that people write and read may exceed their VR: real senders do, and nothing but a
/// reader is in the way of it. Codes go into subjects and keys, and have to keep to theirs.
const LENIENCE: usize = 4;

/// Characters of one value, or of one component group of a name: the most that its VR has, and for texts that
/// people write four times that.
const fn longest(vr: Vr) -> usize {
    match vr {
        Vr::PN | Vr::LO => 64 * LENIENCE,
        Vr::SH => 16 * LENIENCE,
        Vr::UI => 64,
        // An ACR-NEMA date has ten, and a range two of eight.
        Vr::DA => 18,
        Vr::CS | Vr::TM => 16,
        Vr::IS => 12,
        Vr::US | Vr::SQ => 0,
    }
}

const fn most(vr: Vr) -> usize {
    if matches!(vr, Vr::CS) { MAX_CODES } else { MAX_VALUES }
}

/// The four that name the instance; they are no plain attributes of an event.
const IDENTITY: [Tag; 4] =
    [SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID];

/// What the header reader has to keep for an event.
pub const WANTED: Wanted = Wanted {
    tags: &WANTED_TAGS,
    sequences: &[(REQUEST_ATTRIBUTES_SEQUENCE, &tags::<2>(REQUEST_ATTRIBUTES))],
};

const WANTED_TAGS: [Tag; CARRIED.len() + IDENTITY.len()] = {
    let mut wanted = [0; CARRIED.len() + IDENTITY.len()];
    let mut at = 0;
    while at < IDENTITY.len() {
        wanted[at] = IDENTITY[at];
        at += 1;
    }
    while at < wanted.len() {
        wanted[at] = CARRIED[at - IDENTITY.len()].tag;
        at += 1;
    }
    wanted
};

/// The header reader has a bit for each.
const _: () = assert!(WANTED_TAGS.len() <= 64);

const fn tags<const N: usize>(rows: &[Attribute]) -> [Tag; N] {
    let mut tags = [0; N];
    let mut at = 0;
    while at < N {
        tags[at] = rows[at].tag;
        at += 1;
    }
    tags
}

/// The attributes of a header, decoded, and what there is to remark on them. Whatever its bytes are, none
/// makes this fail: what can't be decoded becomes U+FFFD, and the instance is never lost for it.
#[must_use]
pub fn decode(header: &Header) -> (Attributes, Remarks) {
    let character_sets = match header.values.get(&SPECIFIC_CHARACTER_SET) {
        Some(raw) => CharacterSets::parse(raw),
        None => CharacterSets::default(),
    };
    let mut decoder =
        Decoder { character_sets, alternative: None, header, remarks: Remarks::default() };
    decoder.look_for_alternative();
    let mut attributes = decoder.attributes(&CARRIED, &header.values, None);
    for Attribute { tag, keyword, form, .. } in &CARRIED {
        if let (Form::Items(rows), Some(items)) = (form, header.items.get(tag)) {
            let items = items.iter().enumerate();
            let items = items
                .map(|(place, item)| decoder.attributes(rows, item, Some((*tag, keyword, place))));
            let items: Vec<_> = items.collect();
            attributes.insert(*keyword, AttributeValue::Items(items));
        }
        if let Some(items) = header.items_left_out.get(tag) {
            decoder.remarks.items_left_out.insert((*keyword).to_owned(), *items);
        }
    }
    (attributes, decoder.remarks)
}

/// The text of one of the UIDs that name the instance, with its padding; empty when absent.
#[must_use]
pub(crate) fn uid(header: &Header, tag: Tag) -> Cow<'_, str> {
    header.values.get(&tag).map_or(Cow::Borrowed(""), |raw| String::from_utf8_lossy(raw))
}

/// The series of a data set, as soon as it has been read.
#[must_use]
pub(crate) fn series_so_far(reader: &HeaderReader) -> Option<SeriesInstanceUid> {
    let raw = reader.value_so_far(SERIES_INSTANCE_UID)?;
    SeriesInstanceUid::parse(&String::from_utf8_lossy(raw)).ok()
}

/// The modality of a data set, as soon as it has been read; empty until then.
#[must_use]
pub(crate) fn modality_so_far(reader: &HeaderReader) -> String {
    let text = reader.value_so_far(MODALITY).map(code).unwrap_or_default();
    cut(text, Vr::CS, None)
}

/// A UID that a sender chose, as an event has it.
#[must_use]
pub(crate) fn bounded_uid(uid: &str) -> Cow<'_, str> {
    bounded(uid, longest(Vr::UI))
}

/// Bytes of a value that are kept undecoded.
const MAX_UNDECODED: usize = 1024;

/// Values that are kept undecoded: more than there are texts beside those in items.
const MAX_UNDECODED_VALUES: usize = 32;

/// The items whose sequence this is, by its tag and keyword, and the place of one of them.
type Item = Option<(Tag, &'static str, usize)>;

struct Decoder<'a> {
    character_sets: CharacterSets<'a>,
    /// The one that text is in which the declared ones do not have.
    alternative: Option<Alternative>,
    header: &'a Header,
    remarks: Remarks,
}

impl Decoder<'_> {
    /// Finds out which character set the values are in that the declared one leaves in doubt, all of them
    /// together: one name alone is little evidence.
    fn look_for_alternative(&mut self) {
        let sets = self.character_sets;
        let texts = |rows: &'static [Attribute], values: &'_ BTreeMap<Tag, Vec<u8>>| -> Vec<_> {
            let kinds = rows.iter().filter_map(|row| Some((kind(row.vr)?, values.get(&row.tag)?)));
            let doubtful =
                kinds.filter(|(kind, raw)| !raw.is_ascii() && sets.decode(*kind, raw).is_doubtful);
            doubtful.map(|(kind, raw)| (kind, raw.clone())).collect()
        };
        let mut doubtful = texts(&CARRIED, &self.header.values);
        for item in self.header.items.values().flatten() {
            doubtful.extend(texts(REQUEST_ATTRIBUTES, item));
        }
        if !doubtful.is_empty() {
            let values: Vec<_> =
                doubtful.iter().map(|(kind, raw)| (*kind, raw.as_slice())).collect();
            self.alternative = sets.alternative(&values);
        }
    }

    fn attributes(
        &mut self,
        rows: &[Attribute],
        values: &BTreeMap<Tag, Vec<u8>>,
        item: Item,
    ) -> Attributes {
        rows.iter()
            .filter_map(|row| {
                Some((Cow::Borrowed(row.keyword), self.value(row, values.get(&row.tag)?, item)?))
            })
            .collect()
    }

    /// The value, `None` when it is empty.
    fn value(&mut self, row: &Attribute, raw: &[u8], item: Item) -> Option<AttributeValue> {
        let Attribute { tag, keyword, vr, form, .. } = *row;
        let text = match vr {
            Vr::PN | Vr::LO | Vr::SH => self.text(row, raw, item),
            Vr::DA | Vr::TM => self.moment(keyword, vr, code(raw)),
            Vr::CS | Vr::UI => code(raw),
            Vr::IS => {
                let text = code(raw);
                // An IS has 32 bits; what is none stays as it was sent.
                match text.parse::<i32>() {
                    Ok(number) if form == Form::Number => {
                        return Some(AttributeValue::Number(number.into()));
                    }
                    _ => text,
                }
            }
            Vr::US => {
                // Of another length it is of another VR, or several: no number that could be told.
                let bytes: [u8; 2] = raw.try_into().ok()?;
                let number = match self.header.big_endian {
                    true => u16::from_be_bytes(bytes),
                    false => u16::from_le_bytes(bytes),
                };
                return Some(AttributeValue::Number(number.into()));
            }
            Vr::SQ => return None,
        };
        let place = (item.map(|(sequence, _, place)| (sequence, place)), tag);
        let text = cut(text, vr, self.header.overlong.hash(place).as_ref());
        (!text.is_empty()).then_some(AttributeValue::Text(text.into()))
    }

    fn text(&mut self, row: &Attribute, raw: &[u8], item: Item) -> String {
        let Attribute { keyword, vr, .. } = *row;
        let kind = kind(vr).unwrap_or(TextKind::Short);
        let Decoded { mut text, is_doubtful } = self.character_sets.decode(kind, raw);
        if is_doubtful {
            let is_lost = text.contains(char::REPLACEMENT_CHARACTER);
            let other = self.alternative.map(|other| (other, other.decode(kind, raw)));
            let other = other.filter(|(_, other)| *other != text);
            if let Some((alternative, other)) = other.as_ref() {
                self.remarks.text_decoded_as = Some(alternative.name.to_owned());
                text.clone_from(other);
            }
            let undecoded = &mut self.remarks.undecoded_values;
            if (is_lost || other.is_some()) && undecoded.len() < MAX_UNDECODED_VALUES {
                let name = match item {
                    None => keyword.to_owned(),
                    Some((_, sequence, place)) => format!("{sequence}.{}.{keyword}", place + 1),
                };
                let bytes = &raw[..raw.len().min(MAX_UNDECODED)];
                undecoded.insert(name, BASE64_STANDARD.encode(bytes));
            }
        }
        match vr {
            // Spaces on either side are padding (PS3.5 section 6.2); of a name only those at the end.
            Vr::LO | Vr::SH if has_padding(&text) => each(&text, |it| it.trim_matches(' ')),
            _ => text,
        }
    }

    /// A date or time as DICOM writes it; one that is written as ACR-NEMA did is remarked upon.
    fn moment(&mut self, keyword: &str, vr: Vr, text: String) -> String {
        let normalised = match vr {
            Vr::DA => acr_nema::date(&text),
            _ => acr_nema::time(&text),
        };
        match normalised {
            None => text,
            Some(normalised) => {
                self.remarks.original_values.insert(keyword.to_owned(), text);
                normalised
            }
        }
    }
}

/// How text of an attribute is parted; `None` of one whose text is in the default repertoire.
fn kind(vr: Vr) -> Option<TextKind> {
    match vr {
        Vr::PN => Some(TextKind::PersonName),
        Vr::LO | Vr::SH => Some(TextKind::Short),
        _ => None,
    }
}

/// Text of a VR that has no character set but the default one.
fn code(raw: &[u8]) -> String {
    let text = CharacterSets::default().decode(TextKind::Short, raw).text;
    match has_padding(&text) {
        true => each(text.trim(), |value| value.trim_matches(' ')),
        false => text.trim().to_owned(),
    }
}

/// Whether there is a space beside a value.
fn has_padding(text: &str) -> bool {
    text.starts_with(' ') || (text.contains('\\') && text.contains(' '))
}

fn each(text: &str, value: impl Fn(&str) -> &str) -> String {
    text.split('\\').map(value).collect::<Vec<_>>().join("\\")
}

/// The text, with no more and no longer values than an event has room for. `whole` is the hash of all bytes,
/// where only the beginning of them was kept.
fn cut(text: String, vr: Vr, whole: Option<&blake3::Hash>) -> String {
    if text.len() <= longest(vr) && whole.is_none() {
        return text;
    }
    let part = |part: &str| match whole {
        None => bounded(part, longest(vr)).into_owned(),
        // One mark is enough, of all of it.
        Some(_) => part.chars().take(longest(vr)).collect(),
    };
    let of_value = |text: &str| match vr {
        Vr::PN => list(text, '=', MAX_GROUPS, part),
        _ => part(text),
    };
    let cut = list(&text, '\\', most(vr), of_value);
    cut + &whole.map(mark).unwrap_or_default()
}

/// The parts of a text, the first `most` of them; then the mark of a cut stands for the rest.
fn list(text: &str, delimiter: char, most: usize, part: impl Fn(&str) -> String) -> String {
    let mut parts: Vec<_> = text.split(delimiter).take(most).map(part).collect();
    if text.split(delimiter).nth(most).is_some() {
        parts.push(mark(&blake3::hash(text.as_bytes())));
    }
    parts.join(delimiter.encode_utf8(&mut [0; 4]))
}

/// Digest of what an instance says, as decoded, and of what its event has no room for. The same instance in
/// another transfer syntax or character set has the same digest; one with another patient's name has another.
/// 32 hex digits for each version of the digest (see `contract::digest`).
#[must_use]
pub(crate) fn digest(uids: [&str; 4], attributes: &Attributes, header: &Header) -> String {
    digest_by(&PARTS, uids, attributes, header)
}

fn digest_by(
    parts: &DigestParts,
    uids: [&str; 4],
    attributes: &Attributes,
    header: &Header,
) -> String {
    let mut hashers = vec![blake3::Hasher::new(); parts.count()];
    for uid in uids {
        hashers[0].update(uid.as_bytes()).update(b"\0");
    }
    for (keyword, value) in attributes.iter() {
        let Some(part) = parts.part(keyword) else { continue };
        // JSON is one text for one value, and no value of another keyword can look like it.
        let value = serde_json::to_vec(value).unwrap_or_default();
        hashers[part].update(keyword.as_bytes()).update(b"\0").update(&value).update(b"\0");
    }
    // There was a sequence in the first version, and there is no other.
    for (sequence, items) in &header.items_left_out {
        hashers[0].update(&sequence.to_be_bytes()).update(&items.to_be_bytes());
        for ((place, tag), hash) in header.overlong.hashes() {
            // What is cut of a value that is told shows in its mark.
            if place.is_some_and(|(of, item)| of == *sequence && item >= header.items[&of].len()) {
                hashers[0].update(&tag.to_be_bytes()).update(hash.as_bytes());
            }
        }
    }
    let parts = hashers.iter().map(|hasher| digits(&hasher.finalize()));
    parts.collect::<Vec<_>>().join(DELIMITER)
}

/// The first 32 hex digits of a hash: as many as it takes that no two are ever the same by chance.
pub(crate) fn digits(hash: &blake3::Hash) -> String {
    hash.to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_set::header::{Encoding, Limits};
    use contract::attributes::{ATTRIBUTES, keyword};
    use contract::digest::agree;
    use contract::event::{InstanceStored, StoredObject};
    use contract::uid::{SopInstanceUid, StudyInstanceUid};

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
        assert!(CARRIED.is_sorted_by_key(|attribute| attribute.tag));
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
        let (attributes, _) = decode(&reader.finish().unwrap());
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

    fn decoded(elements: &[(Tag, &[u8])]) -> (Attributes, Remarks) {
        let limits = Limits { header: 1 << 20, inflated: 1 << 20 };
        let mut reader = HeaderReader::new(Encoding::Implicit, WANTED, limits);
        for (tag, value) in elements {
            reader.push(&element(*tag, value)).unwrap();
        }
        decode(&reader.finish().unwrap())
    }

    fn text(attributes: &Attributes, keyword: &str) -> String {
        match attributes.get(keyword) {
            Some(AttributeValue::Text(text)) => text.to_string(),
            other => panic!("{keyword}: {other:?}"),
        }
    }

    #[test]
    fn a_number_is_told_as_one_only_if_it_is_one() {
        let of = |text: &[u8]| decoded(&[(0x0028_0008, text)]).0.get("NumberOfFrames").cloned();
        let number = |number| Some(AttributeValue::Number(number));
        let text = |text: &str| Some(AttributeValue::Text(text.into()));
        assert_eq!(of(b" +7 "), number(7));
        assert_eq!(of(b"2147483647"), number(2_147_483_647));
        assert_eq!(of(b"2147483648"), text("2147483648"));
        assert_eq!(of(b"1e3"), text("1e3"));
        assert_eq!(of(b"3.0"), text("3.0"));
        assert_eq!(of(b"5\\6"), text("5\\6"));
        let rows = |raw: &[u8]| decoded(&[(0x0028_0010, raw)]).0.get("Rows").cloned();
        assert_eq!(rows(&[0x40, 1]), number(320));
        for raw in [&b"\x01"[..], &[1, 2, 3], b"512 ", &[2, 0, 3, 0]] {
            assert_eq!(rows(raw), None, "{raw:?}");
        }
    }

    #[test]
    fn spaces_around_a_value_are_padding() {
        let (attributes, remarks) = decoded(&[
            (MODALITY, b" MR "),
            (0x0008_0050, b"  A 1 "),
            (0x0010_0010, b" Roe^Jane "),
            (0x0010_0020, b" L1 \\ L2"),
        ]);
        assert_eq!(text(&attributes, "Modality"), "MR");
        assert_eq!(text(&attributes, "AccessionNumber"), "A 1");
        assert_eq!(text(&attributes, "PatientName"), " Roe^Jane");
        assert_eq!(text(&attributes, "PatientID"), "L1\\L2");
        assert_eq!(remarks, Remarks::default());
    }

    #[test]
    fn dates_and_times_of_acr_nema_are_normalised_and_kept_as_they_came() {
        let (attributes, remarks) = decoded(&[
            (0x0008_0020, b"1993.12.31"),
            (0x0008_0021, b"UNKNOWN"),
            (0x0008_0030, b"12:34:56.5"),
        ]);
        assert_eq!(text(&attributes, "StudyDate"), "19931231");
        assert_eq!(text(&attributes, "SeriesDate"), "UNKNOWN");
        assert_eq!(text(&attributes, "StudyTime"), "123456.5");
        let originals = [("StudyDate", "1993.12.31"), ("StudyTime", "12:34:56.5")];
        assert_eq!(
            remarks.original_values,
            originals.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        );
    }

    #[test]
    fn long_values_are_cut_and_marked_and_stay_different() {
        let id = |length, end: &[u8]| {
            let raw = [&b"7".repeat(length), end].concat();
            text(&decoded(&[(0x0010_0020, &raw)]).0, "PatientID")
        };
        assert_eq!(id(256, b""), "7".repeat(256));
        for length in [256, 5000, 70_000] {
            let cut = id(length, b"1");
            assert_eq!(cut.chars().count(), 256 + 17, "{cut}");
            assert!(cut.contains('…'));
            assert_ne!(cut, id(length, b"2"), "a change behind the cut");
        }
        let modality = text(&decoded(&[(MODALITY, &b"M".repeat(3800))]).0, "Modality");
        assert!(modality.starts_with(&format!("{}…", "M".repeat(16))), "{modality}");
        let (types, _) = decoded(&[(0x0008_0008, &b"DERIVED\\".repeat(40))]);
        let types = text(&types, "ImageType");
        assert_eq!(types.split('\\').count(), 17);
        assert!(types.split('\\').next_back().unwrap().starts_with('…'), "{types}");
    }

    #[test]
    fn items_that_there_is_no_room_for_are_counted() {
        let request = element(0x0040_1001, b"R1");
        let items = element(0xfffe_e000, &request).repeat(19);
        let (attributes, remarks) = decoded(&[(REQUEST_ATTRIBUTES_SEQUENCE, &items)]);
        let AttributeValue::Items(kept) = &attributes["RequestAttributesSequence"] else {
            panic!("no items")
        };
        assert_eq!(kept.len(), 16);
        assert!(kept.iter().all(|item| text(item, "RequestedProcedureID") == "R1"));
        assert_eq!(remarks.items_left_out, [("RequestAttributesSequence".to_owned(), 3)].into());
    }

    #[test]
    fn the_digest_of_what_the_first_version_knew_never_changes() {
        let header = |name: &[u8]| {
            let mut reader = reader();
            for (tag, value) in [
                (SPECIFIC_CHARACTER_SET, &b"ISO_IR 100"[..]),
                (MODALITY, b"MR"),
                (0x0010_0010, name),
                (0x0010_0020, b"4711"),
                (0x0028_0010, &[0x40, 1]),
                (
                    REQUEST_ATTRIBUTES_SEQUENCE,
                    &element(0xfffe_e000, &element(0x0040_1001, b"RP-9")),
                ),
            ] {
                reader.push(&element(tag, value)).unwrap();
            }
            reader.push(&element(0x7fe0_0010, &[0; 8])).unwrap();
            reader.finish().unwrap()
        };
        let uids = ["1.2.840.10008.5.1.4.1.1.4", "2.25.3", "2.25.1", "2.25.2"];
        let roe = header(b"Roe^Jane");
        // Recorded by the version that had no other: with another, each instance that is sent again is a correction.
        let recorded = "b65e0d2d5e86737fb14979b4794b7c20";
        let now = digest(uids, &decode(&roe).0, &roe);
        assert_eq!(now.split(DELIMITER).next(), Some(recorded));

        // A later version has one more attribute, and one more part.
        let laterality = Attribute {
            tag: 0x0020_0060,
            keyword: "Laterality",
            ..keyword::BodyPartExamined.in_digest_since(PARTS.count() + 1)
        };
        let later = DigestParts::of([ATTRIBUTES, &[laterality]].concat().leak());
        let of_later = |header: &Header, laterality: &str| {
            let mut attributes = decode(header).0;
            attributes.insert("Laterality", AttributeValue::Text(laterality.into()));
            digest_by(&later, uids, &attributes, header)
        };
        let left = of_later(&roe, "L");
        assert!(left.starts_with(&format!("{now}{DELIMITER}")), "{left}");
        assert!(agree(recorded, &left), "an unchanged instance is sent again after the upgrade");
        assert!(!agree(&left, &of_later(&roe, "R")), "what was added is corrected");
        let doe = header(b"Doe^Jane");
        assert!(!agree(recorded, &of_later(&doe, "L")), "the name is corrected");
    }

    #[test]
    fn the_header_reader_keeps_each_attribute_of_the_table() {
        for attribute in &CARRIED {
            assert!(WANTED.tags.contains(&attribute.tag), "{}", attribute.keyword);
            let Form::Items(items) = attribute.form else { continue };
            let of_sequence = |(tag, _): &&(Tag, &[Tag])| *tag == attribute.tag;
            let (_, tags) = WANTED.sequences.iter().find(of_sequence).expect(attribute.keyword);
            assert!(items.iter().map(|item| &item.tag).eq(*tags), "{}", attribute.keyword);
        }
    }

    #[test]
    fn two_instances_that_differ_in_what_is_left_out_alone_have_two_digests() {
        let digest_of = |items: &[&[u8]]| {
            let items: Vec<_> = items.iter().flat_map(|it| element(0xfffe_e000, it)).collect();
            let limits = Limits { header: 1 << 20, inflated: 1 << 20 };
            let mut reader = HeaderReader::new(Encoding::Implicit, WANTED, limits);
            reader.push(&element(REQUEST_ATTRIBUTES_SEQUENCE, &items)).unwrap();
            let header = reader.finish().unwrap();
            digest(["", "", "", ""], &decode(&header).0, &header)
        };
        let (one, other) = (element(0x0040_1001, b"R1"), element(0x0040_1001, b"R2"));
        let empty: &[u8] = &[];
        let with = |rest: &[&[u8]]| digest_of(&[&vec![&one[..]; 16], rest].concat());
        let digests = [
            with(&[]),
            with(&[empty]),
            with(&[&one]),
            with(&[&other]),
            with(&[&one, &other]),
            with(&[&other, &one]),
            with(&[&one, empty, &other]),
        ];
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(digest), "{at}");
        }
        assert_eq!(with(&[&one, &other]), digests[4]);
    }

    #[test]
    fn the_event_of_the_longest_attributes_there_can_be_fits_half_a_message() {
        let limits = Limits { header: 1 << 24, inflated: 1 << 24 };
        let tags = |rows: &[Attribute]| rows.iter().map(|row| row.tag).collect::<Vec<_>>();
        // Control characters, which JSON escapes with six bytes each; four bytes of UTF-8 each; what the
        // character set leaves in doubt, so that the bytes are kept too; many short values; all of them longer
        // than what is kept of one.
        for set in [&b"ISO_IR 192"[..], b"ISO 2022 IR 6\\ISO 2022 IR 149", b""] {
            for part in
                ["\u{1}", "\u{1F600}", "\u{fc}", "\u{1}\\", "\u{1F600}=", "\"\\", "1993.12.31\\"]
            {
                let value = part.repeat(6000 / part.len());
                let item = tags(REQUEST_ATTRIBUTES);
                let item: Vec<_> =
                    item.iter().flat_map(|tag| element(*tag, value.as_bytes())).collect();
                let items = element(0xfffe_e000, &item).repeat(40);
                let mut reader = HeaderReader::new(Encoding::Implicit, WANTED, limits);
                for tag in WANTED.tags.iter().copied().collect::<std::collections::BTreeSet<_>>() {
                    let written = match tag {
                        SPECIFIC_CHARACTER_SET => element(tag, set),
                        REQUEST_ATTRIBUTES_SEQUENCE => element(tag, &items),
                        tag => element(tag, value.as_bytes()),
                    };
                    reader.push(&written).unwrap();
                }
                let (attributes, remarks) = decode(&reader.finish().unwrap());
                let longest = "\"".repeat(64);
                let event = InstanceStored {
                    sop_instance_uid: SopInstanceUid::parse(&longest).unwrap(),
                    sop_class_uid: longest.clone(),
                    series_instance_uid: SeriesInstanceUid::parse(&longest).unwrap(),
                    study_instance_uid: StudyInstanceUid::parse(&longest).ok(),
                    attributes,
                    remarks,
                    transfer_syntax_uid: longest.clone(),
                    bytes: u64::MAX,
                    digest: longest.clone(),
                    object: Some(StoredObject {
                        key: longest.clone(),
                        bytes: u64::MAX,
                        blake3: longest.clone(),
                    }),
                    calling_ae_title: longest.clone(),
                    called_ae_title: longest.clone(),
                    peer_address: longest.clone(),
                    association_id: longest.clone(),
                    node_name: "\u{1}".repeat(1024),
                    ordinal: u64::MAX,
                    series_ordinal: u64::MAX,
                    received_at: jiff::Timestamp::MAX,
                };
                let length = serde_json::to_vec(&event).unwrap().len();
                assert!(length < 512 * 1024, "{set:?} {part:?}: {length}");
            }
        }
    }

    #[test]
    fn what_was_decoded_by_another_set_is_remarked_with_its_bytes() {
        let name = b"M\xfcller^J\xfcrgen";
        let (attributes, remarks) = decoded(&[
            (SPECIFIC_CHARACTER_SET, b"ISO 2022 IR 6\\ISO 2022 IR 100"),
            (0x0010_0010, name),
        ]);
        assert_eq!(text(&attributes, "PatientName"), "Müller^Jürgen");
        assert_eq!(remarks.text_decoded_as.as_deref(), Some("windows-1252"));
        assert_eq!(remarks.undecoded_values["PatientName"], BASE64_STANDARD.encode(name));
        let (attributes, remarks) =
            decoded(&[(SPECIFIC_CHARACTER_SET, b"ISO_IR 100"), (0x0010_0010, name)]);
        assert_eq!(text(&attributes, "PatientName"), "Müller^Jürgen");
        assert_eq!(remarks, Remarks::default());
    }
}
