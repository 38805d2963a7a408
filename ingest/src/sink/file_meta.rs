//! What stands before the data set in a DICOM file: the preamble and the File Meta Information (PS3.10 section 7.1).
//!
//! It says what the instance is and how it is written, and neither who sent it nor which version of ours wrote it: the
//! same data set in the same transfer syntax is always the same file, and so has the same digest.

use crate::announced::Herald;
use contract::uid::MAX_UID_LENGTH;
use dimse::negotiation::IMPLEMENTATION_CLASS_UID;

/// Length of the preamble, which is zeros, and of `DICM` behind it.
const PREAMBLE: usize = 128;

/// Implementation Version Name (0002,0013), the same in every version.
const IMPLEMENTATION_VERSION_NAME: &str = "COLLIMATOR";

/// What the File Meta Information says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileMeta<'a> {
    /// Media Storage SOP Class UID (0002,0002).
    pub sop_class_uid: &'a str,
    /// Media Storage SOP Instance UID (0002,0003).
    pub sop_instance_uid: &'a str,
    /// Transfer Syntax UID (0002,0010).
    pub transfer_syntax_uid: &'a str,
}

impl FileMeta<'_> {
    /// The name by which `herald` has a UID that is missing or too long to be one, if any is.
    #[must_use]
    pub(crate) fn missing(&self, herald: Herald) -> Option<&'static str> {
        let [class, instance] = herald.uid_names();
        let uids = [
            (class, self.sop_class_uid),
            (instance, self.sop_instance_uid),
            ("Transfer Syntax UID", self.transfer_syntax_uid),
        ];
        let is_none = |uid: &str| uid.is_empty() || uid.len() > MAX_UID_LENGTH;
        uids.into_iter().find(|(_, uid)| is_none(uid)).map(|(name, _)| name)
    }

    /// The preamble, `DICM` and group 0002 in explicit VR little endian.
    #[must_use]
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut group = Vec::with_capacity(256);
        // File Meta Information Version: OB, which has a length of four bytes.
        put_head(&mut group, 0x0001, b"OB");
        group.extend([0, 0, 2, 0, 0, 0, 0, 1]);
        put_text(&mut group, 0x0002, b"UI", self.sop_class_uid);
        put_text(&mut group, 0x0003, b"UI", self.sop_instance_uid);
        put_text(&mut group, 0x0010, b"UI", self.transfer_syntax_uid);
        put_text(&mut group, 0x0012, b"UI", IMPLEMENTATION_CLASS_UID);
        put_text(&mut group, 0x0013, b"SH", IMPLEMENTATION_VERSION_NAME);
        let mut bytes = Vec::with_capacity(PREAMBLE + 16 + group.len());
        bytes.resize(PREAMBLE, 0);
        bytes.extend(b"DICM");
        put_head(&mut bytes, 0x0000, b"UL");
        bytes.extend(4_u16.to_le_bytes());
        bytes.extend((group.len() as u32).to_le_bytes());
        bytes.extend(group);
        bytes
    }
}

fn put_head(to: &mut Vec<u8>, element: u16, vr: &[u8; 2]) {
    to.extend([2, 0]);
    to.extend(element.to_le_bytes());
    to.extend(vr);
}

/// A value of even length: of UIDs with a zero behind it where it has to be, else with a space (PS3.5 section 6.2).
fn put_text(to: &mut Vec<u8>, element: u16, vr: &[u8; 2], text: &str) {
    put_head(to, element, vr);
    to.extend((text.len().next_multiple_of(2) as u16).to_le_bytes());
    to.extend(text.as_bytes());
    if !text.len().is_multiple_of(2) {
        to.push(if vr == b"UI" { 0 } else { b' ' });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_object::FileMetaTable;

    const META: FileMeta<'_> = FileMeta {
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.4",
        sop_instance_uid: "2.25.3",
        transfer_syntax_uid: "1.2.840.10008.1.2.1",
    };

    #[test]
    fn others_read_what_was_written() {
        let bytes = META.bytes();
        assert_eq!((&bytes[..PREAMBLE], bytes.len() % 2), (&[0; PREAMBLE][..], 0));
        let read = FileMetaTable::from_reader(&bytes[PREAMBLE..]).unwrap();
        assert_eq!(read.information_version, [0, 1]);
        assert_eq!(read.information_group_length as usize, bytes.len() - PREAMBLE - 16);
        assert_eq!(read.media_storage_sop_class_uid(), META.sop_class_uid);
        assert_eq!(read.media_storage_sop_instance_uid(), META.sop_instance_uid);
        assert_eq!(read.transfer_syntax(), META.transfer_syntax_uid);
        assert_eq!(read.implementation_class_uid(), IMPLEMENTATION_CLASS_UID);
        let name = read.implementation_version_name.unwrap();
        assert_eq!(name.trim_end(), IMPLEMENTATION_VERSION_NAME);
        assert_eq!(read.source_application_entity_title, None);
    }

    #[test]
    fn a_file_names_its_class_instance_and_transfer_syntax() {
        assert_eq!(META.missing(Herald::Command), None);
        let long = "1".repeat(MAX_UID_LENGTH + 1);
        for (meta, name) in [
            (FileMeta { sop_class_uid: "", ..META }, "Affected SOP Class UID"),
            (FileMeta { sop_instance_uid: &long, ..META }, "Affected SOP Instance UID"),
            (FileMeta { transfer_syntax_uid: &long, ..META }, "Transfer Syntax UID"),
        ] {
            assert_eq!(meta.missing(Herald::Command), Some(name));
        }
    }
}
