//! The start of an element: its tag, its VR and its length (PS3.5 section 7.1), as they should be and as
//! real writers have them.

use super::{Encoding, Tag};

pub(super) const ITEM: Tag = 0xfffe_e000;
pub(super) const ITEM_DELIMITATION: Tag = 0xfffe_e00d;
pub(super) const SEQUENCE_DELIMITATION: Tag = 0xfffe_e0dd;
pub(super) const UNDEFINED_LENGTH: u32 = 0xffff_ffff;

/// The last group that a data set begins with.
const FIRST_GROUP: u32 = 0x0008;

/// Bytes of a tag, a VR or none, and a length of two or four bytes.
pub(super) const SHORT_HEAD: usize = 8;

/// The start of an element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) tag: Tag,
    pub(super) vr: Vr,
    pub(super) length: u32,
}

/// What stands where explicit VR has the VR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vr {
    /// A VR, or two capitals that may become one.
    Named([u8; 2]),
    /// Nothing: implicit VR, or an item or delimiter.
    Implicit,
    /// Half of a length of four bytes: the writer of explicit VR slipped into implicit VR here.
    Slipped([u8; 2]),
    /// Two bytes that are none, in explicit VR. The writer knew no VR and wrote a length of two bytes all
    /// the same, or slipped into implicit VR, whose length this is.
    None {
        /// The two bytes.
        bytes: [u8; 2],
        /// The length in that case.
        implicit_length: u32,
    },
}

impl Head {
    /// Reads it, once `bytes` has all of it.
    pub(super) fn read(bytes: &[u8], encoding: Encoding) -> Option<Self> {
        let reader = Numbers { bytes, big_endian: encoding == Encoding::ExplicitBigEndian };
        let tag = tag(bytes.first_chunk()?, encoding);
        let four = reader.u32(4)?;
        if encoding == Encoding::Implicit || tag >> 16 == 0xfffe {
            return Some(Self { tag, vr: Vr::Implicit, length: four });
        }
        let vr: [u8; 2] = bytes.get(4..6)?.try_into().ok()?;
        let short = reader.u16(6)?;
        if !vr.iter().all(u8::is_ascii_uppercase) {
            return Some(match is_length(vr, short) {
                true => Self { tag, vr: Vr::Slipped(vr), length: four },
                false => Self {
                    tag,
                    vr: Vr::None { bytes: vr, implicit_length: four },
                    length: short.into(),
                },
            });
        }
        // All that are not of the first edition, and all that may be added, have two bytes of nothing and
        // a length of four (PS3.5 section 7.1.2). Two that are not nothing are the length of a VR that
        // somebody made up.
        let has_short_length = has_short_length(vr) || (short != 0 && !has_long_length(vr));
        let length = if has_short_length { short.into() } else { reader.u32(8)? };
        Some(Self { tag, vr: Vr::Named(vr), length })
    }

    /// Whether its value may hold items: nobody who wrote it says otherwise.
    pub(super) fn may_be_sequence(&self) -> bool {
        match self.vr {
            Vr::Named(vr) => matches!(&vr, b"SQ" | b"UN"),
            Vr::Implicit | Vr::Slipped(_) => true,
            Vr::None { .. } => false,
        }
    }

    /// Whether it is one, as who wrote it says.
    pub(super) fn is_sequence(&self) -> bool {
        self.vr == Vr::Named(*b"SQ")
    }
}

/// How the elements of a data set are really written, by the first of them: some senders keep to implicit VR
/// in a context of explicit VR, and the other way round. `bytes` is a short head; `None` when it does not
/// show it, as a private element does not: some writers have those alone in implicit VR.
pub(super) fn really(encoding: Encoding, bytes: &[u8; SHORT_HEAD]) -> Option<Encoding> {
    let [_, _, _, _, v0, v1, l0, l1] = *bytes;
    let (vr, short) = ([v0, v1], u16::from_le_bytes([l0, l1]));
    if tag(bytes, encoding) >> 16 & 1 == 1 {
        return None;
    }
    match encoding {
        // As a length of four bytes it would be 16 KiB at least, which no first element has.
        Encoding::Implicit if has_short_length(vr) && tag(bytes, encoding) >> 16 <= FIRST_GROUP => {
            Some(Encoding::Explicit)
        }
        Encoding::Explicit if is_length(vr, short) => Some(Encoding::Implicit),
        _ if (vr, short) == ([0, 0], 0) => None,
        encoding => Some(encoding),
    }
}

/// Whether these four bytes are the length of an element in implicit VR, of less than 64 KiB: the first two
/// are no characters, as in a VR that is none.
fn is_length(vr: [u8; 2], short: u16) -> bool {
    short == 0 && vr != [0, 0] && !is_printable(vr)
}

/// The tag in a short head.
pub(super) fn tag(bytes: &[u8; SHORT_HEAD], encoding: Encoding) -> Tag {
    let [g0, g1, e0, e1, ..] = *bytes;
    let (group, element) = match encoding {
        Encoding::ExplicitBigEndian => (u16::from_be_bytes([g0, g1]), u16::from_be_bytes([e0, e1])),
        _ => (u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1])),
    };
    u32::from(group) << 16 | u32::from(element)
}

/// Whether an element may begin with these bytes after one with the tag `before` and `vr_before`, which is no
/// VR: its tag does not descend, and what it has in place of a VR is one, or is none in the same way.
pub(super) fn is_plausible(
    bytes: &[u8; SHORT_HEAD],
    before: Tag,
    vr_before: [u8; 2],
    encoding: Encoding,
) -> bool {
    let (tag, vr) = (tag(bytes, encoding), [bytes[4], bytes[5]]);
    let short = u16::from_le_bytes([bytes[6], bytes[7]]);
    let looks_like_one = encoding == Encoding::Implicit
        || is_vr_in_any_case(vr)
        || is_later_vr(vr, short)
        || is_placeholder(vr)
        || vr == vr_before
        || is_length(vr, short)
        || is_empty(tag, vr, short);
    tag >> 16 == 0xfffe || (tag >= before && looks_like_one)
}

/// Whether it is a VR, if need be in small letters.
fn is_vr_in_any_case(vr: [u8; 2]) -> bool {
    let capitals = vr.map(|byte| byte.to_ascii_uppercase());
    has_short_length(capitals) || has_long_length(capitals)
}

/// Whether these four bytes are no VR and no length, and so an empty value either way. A group length, which has
/// a value, is rather the length of the element before, and the start of its value.
fn is_empty(tag: Tag, vr: [u8; 2], short: u16) -> bool {
    (vr, short) == ([0, 0], 0) && tag & 0xffff != 0
}

/// Whether it may be a VR that came after all that are known here: two capitals and two bytes of nothing.
fn is_later_vr(vr: [u8; 2], short: u16) -> bool {
    vr.iter().all(u8::is_ascii_uppercase) && short == 0
}

/// Whether it is what writers put in place of a VR that they do not know, such as `??` and `--`.
fn is_placeholder(vr: [u8; 2]) -> bool {
    vr[0] == vr[1] && vr[0].is_ascii_punctuation()
}

/// Whether both are characters: a VR that is none, rather than the start of a length.
fn is_printable(vr: [u8; 2]) -> bool {
    vr.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

struct Numbers<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Numbers<'_> {
    fn u16(&self, at: usize) -> Option<u16> {
        let two = self.bytes.get(at..at + 2)?.try_into().ok()?;
        Some(if self.big_endian { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let four = self.bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }
}

/// The VRs whose length has two bytes: those of the first edition but for OB, OW and SQ (PS3.5 section
/// 7.1.2).
fn has_short_length(vr: [u8; 2]) -> bool {
    const SHORT: [&[u8; 2]; 21] = [
        b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN",
        b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
    ];
    SHORT.contains(&&vr)
}

/// The VRs whose length has four.
fn has_long_length(vr: [u8; 2]) -> bool {
    const LONG: [&[u8; 2]; 13] =
        [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"];
    LONG.contains(&&vr)
}
