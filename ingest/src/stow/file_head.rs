//! What stands before the data set in a DICOM file (PS3.10 section 7.1): the preamble, `DICM` and the File Meta Information,
//! which says what the instance is and how its data set is written.

use crate::announced::{Announced, Herald};
use crate::data_set::header::Encoding;
use crate::instance::refusal::Refusal;
use crate::negotiation::admission::{is_taken, keyword};
use dimse::Status;

/// Length of the preamble.
const PREAMBLE: usize = 128;
const PREFIX: &[u8; 4] = b"DICM";

/// Longest File Meta Information that is taken, in bytes; most have less than 500.
const MAX_LENGTH: usize = 64 * 1024;

/// The group of its elements.
const GROUP: [u8; 2] = [2, 0];

/// VRs whose length has four bytes, behind two of none (PS3.5 section 7.1.2).
const LONG: [&[u8; 2]; 12] =
    [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT"];

/// SOP classes that are no instances to store have this failure (PS3.18 table I.2-2).
const CLASS_NOT_SUPPORTED: u16 = 0x0122;

/// The head of a file that is being received.
#[derive(Debug, Default)]
pub(super) struct FileHead {
    bytes: Vec<u8>,
    meta: FileMetaUids,
    /// Where the next element begins, once the preamble is here.
    at: usize,
    /// Where the group ends by its length, if it says one.
    end: Option<usize>,
}

/// What it says of the instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FileMetaUids {
    /// Media Storage SOP Class UID (0002,0002).
    pub sop_class_uid: String,
    /// Media Storage SOP Instance UID (0002,0003).
    pub sop_instance_uid: String,
    /// Transfer Syntax UID (0002,0010).
    pub transfer_syntax_uid: String,
}

impl FileHead {
    /// Takes the next bytes. Gives those of them that are the data set's, once it has begun.
    ///
    /// # Errors
    /// When this is no DICOM file.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        self.bytes.extend_from_slice(bytes);
        match self.walk()? {
            true => Ok(Some(self.bytes.split_off(self.at))),
            false if self.bytes.len() > MAX_LENGTH => {
                Err(no_file(format!("the File Meta Information has more than {MAX_LENGTH} bytes")))
            }
            false => Ok(None),
        }
    }

    /// The file has ended, before its data set has begun.
    pub(super) fn finish(&self) -> Refusal {
        no_file("it ends before its data set begins")
    }

    /// What was read so far.
    #[must_use]
    pub(super) fn meta(&self) -> &FileMetaUids {
        &self.meta
    }

    /// Reads the elements that are here whole. Gives whether the data set has begun.
    fn walk(&mut self) -> Result<bool, Refusal> {
        if self.at == 0 {
            let Some(prefix) = self.bytes.get(PREAMBLE..PREAMBLE + PREFIX.len()) else {
                return Ok(false);
            };
            if prefix != PREFIX {
                return Err(no_file("it does not begin with a preamble and DICM"));
            }
            self.at = PREAMBLE + PREFIX.len();
        }
        loop {
            if self.end == Some(self.at) {
                return Ok(true);
            }
            let rest = &self.bytes[self.at..];
            match rest.get(..2) {
                None => return Ok(false),
                Some(group) if group != GROUP => return Ok(true),
                Some(_) => {}
            }
            let Some(Element { number, value, length }) = element(rest)? else { return Ok(false) };
            let Some(value) = rest.get(value..length) else { return Ok(false) };
            match (number, value) {
                (0x0000, &[a, b, c, d]) => {
                    let group = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok();
                    self.end = group.and_then(|group| (self.at + length).checked_add(group));
                }
                (0x0002, uid) => self.meta.sop_class_uid = text(uid),
                (0x0003, uid) => self.meta.sop_instance_uid = text(uid),
                (0x0010, uid) => self.meta.transfer_syntax_uid = text(uid),
                _ => {}
            }
            self.at += length;
        }
    }
}

/// Where an element of the group is.
struct Element {
    /// The second half of its tag.
    number: u16,
    /// Where its value begins.
    value: usize,
    /// Where that ends.
    length: usize,
}

/// The element that these bytes begin with, in explicit VR little endian, if its length is here.
fn element(bytes: &[u8]) -> Result<Option<Element>, Refusal> {
    let &[_, _, a, b, v, r, c, d, ..] = bytes else { return Ok(None) };
    let (number, vr) = (u16::from_le_bytes([a, b]), [v, r]);
    if !vr.iter().all(u8::is_ascii_uppercase) {
        return Err(no_file("its File Meta Information is not explicit VR little endian"));
    }
    let (value, length) = match LONG.contains(&&vr) {
        false => (8, u32::from(u16::from_le_bytes([c, d]))),
        true => match bytes.get(8..12) {
            Some(&[a, b, c, d]) => (12, u32::from_le_bytes([a, b, c, d])),
            _ => return Ok(None),
        },
    };
    let too_long =
        || no_file(format!("the File Meta Information has more than {MAX_LENGTH} bytes"));
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_LENGTH);
    let length = value + length.ok_or_else(too_long)?;
    Ok(Some(Element { number, value, length }))
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_matches(['\0', ' ']).to_owned()
}

impl FileMetaUids {
    /// What it says of the instance, if that is one to store.
    ///
    /// # Errors
    /// When it is none, or nothing says how it is written.
    pub(super) fn announced(&self) -> Result<Announced<'_>, Refusal> {
        let announced = self.unchecked();
        let class = announced.sop_class_uid;
        if !class.is_empty() && !is_taken(class) {
            let (status, comment) =
                (Status::of(CLASS_NOT_SUPPORTED), "its SOP class is none that is stored");
            return Err(Refusal::new(status, "sop_class", comment));
        }
        let is_uid = |uid: &str| {
            (1..=64).contains(&uid.len())
                && uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        if !is_uid(announced.transfer_syntax_uid) {
            return Err(no_file("its File Meta Information has no Transfer Syntax UID"));
        }
        Ok(announced)
    }

    /// The same, whatever it is.
    #[must_use]
    pub(super) fn unchecked(&self) -> Announced<'_> {
        Announced {
            herald: Herald::FileMeta,
            sop_class_uid: &self.sop_class_uid,
            sop_instance_uid: &self.sop_instance_uid,
            transfer_syntax_uid: &self.transfer_syntax_uid,
            encoding: Encoding::of(&self.transfer_syntax_uid),
            sop_class: keyword(&self.sop_class_uid),
        }
    }
}

fn no_file(comment: impl Into<String>) -> Refusal {
    Refusal::new(Status::CannotUnderstand, "no_dicom_file", comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(number: u16, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2, 0];
        bytes.extend(number.to_le_bytes());
        bytes.extend(vr);
        match LONG.contains(&vr) {
            true => bytes.extend([&[0, 0][..], &(value.len() as u32).to_le_bytes()].concat()),
            false => bytes.extend((value.len() as u16).to_le_bytes()),
        }
        bytes.extend(value);
        bytes
    }

    fn preamble() -> Vec<u8> {
        [&[7; PREAMBLE][..], PREFIX].concat()
    }

    fn group() -> Vec<u8> {
        [
            element(1, b"OB", &[0, 1]),
            element(2, b"UI", b"1.2.840.10008.5.1.4.1.1.4\0"),
            element(3, b"UI", b"2.25.3"),
            element(0x10, b"UI", b"1.2.840.10008.1.2.1\0"),
        ]
        .concat()
    }

    fn with_length(length: u32) -> Vec<u8> {
        [preamble(), element(0, b"UL", &length.to_le_bytes()), group()].concat()
    }

    /// The data set of a file that comes in pieces of this length, and what its head says.
    fn read(file: &[u8], length: usize) -> Result<(Vec<u8>, FileMetaUids), Refusal> {
        let mut head = FileHead::default();
        let mut pieces = file.chunks(length);
        while let Some(piece) = pieces.next() {
            if let Some(begin) = head.push(piece)? {
                let rest = pieces.flatten().copied();
                return Ok((begin.into_iter().chain(rest).collect(), head.meta().clone()));
            }
        }
        Err(head.finish())
    }

    #[test]
    fn the_data_set_begins_behind_the_group_whatever_its_length_says() {
        let data_set = [8, 0, 0x16, 0, b'U', b'I', 0, 0];
        let length = group().len() as u32;
        let meta = FileMetaUids {
            sop_class_uid: "1.2.840.10008.5.1.4.1.1.4".into(),
            sop_instance_uid: "2.25.3".into(),
            transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
        };
        for head in [
            with_length(length),
            with_length(length + 2),
            with_length(3),
            [preamble(), group()].concat(),
        ] {
            let file = [&head[..], &data_set].concat();
            for pieces in [1, 5, usize::MAX] {
                assert_eq!(read(&file, pieces), Ok((data_set.to_vec(), meta.clone())));
            }
        }
        // A deflated one may begin with anything.
        let deflated = [&with_length(length)[..], &[2, 0, 2, 0]].concat();
        assert_eq!(read(&deflated, 3).unwrap().0, [2, 0, 2, 0]);
        let announced = meta.announced().unwrap();
        assert_eq!(announced.sop_class, "MRImageStorage");
        assert_eq!(announced.encoding, Encoding::Explicit);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let long = [preamble(), element(0x102, b"OB", &vec![0; MAX_LENGTH + 1])].concat();
        let many = [preamble(), element(0x102, b"UN", &[0; 100]).repeat(700)].concat();
        let implicit = [preamble(), vec![2, 0, 0x10, 0, 4, 0, 0, 0, b'1', b'.', b'2', 0]].concat();
        for file in [b"".to_vec(), vec![0; 200], preamble(), long, many, implicit] {
            for pieces in [1000, usize::MAX] {
                let refusal = read(&file, pieces).unwrap_err();
                assert_eq!(refusal.status, Status::CannotUnderstand);
            }
        }
    }

    #[test]
    fn only_instances_that_are_stored_and_can_be_read_are_announced() {
        let meta = FileMetaUids {
            sop_class_uid: "1.2.840.10008.5.1.4.1.2.2.1".into(),
            transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
            ..FileMetaUids::default()
        };
        assert_eq!(meta.announced().unwrap_err().status.code(), 0x0122, "no storage class");
        let unknown = FileMetaUids { sop_class_uid: String::new(), ..meta.clone() };
        assert!(unknown.announced().is_ok(), "the data set may say it");
        for syntax in ["", "1.2.x", &"1".repeat(65)] {
            let meta = FileMetaUids { transfer_syntax_uid: syntax.into(), ..unknown.clone() };
            assert_eq!(meta.announced().unwrap_err().status, Status::CannotUnderstand);
        }
    }
}
