//! Identifiers of C-FIND (PS3.4 section C.2.2): small data sets of a few attributes, in Implicit or Explicit VR Little
//! Endian (PS3.5 section 7.1).

/// Longest identifier that is taken, in bytes. A match has what was asked for, a few hundred bytes.
pub const MAX_IDENTIFIER_LENGTH: usize = 64 * 1024;

/// Explicit VR Little Endian.
pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// Implicit VR Little Endian: what every SCP has to accept.
pub const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";

/// The VRs whose length has four bytes in Explicit VR (PS3.5 section 7.1.2).
pub(crate) const LONG: [[u8; 2]; 13] = [
    *b"OB", *b"OD", *b"OF", *b"OL", *b"OV", *b"OW", *b"SQ", *b"SV", *b"UC", *b"UN", *b"UR", *b"UT",
    *b"UV",
];

/// How data sets are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Explicit VR Little Endian.
    Explicit,
    /// Implicit VR Little Endian.
    Implicit,
}

impl Encoding {
    /// That of a transfer syntax, if it is one of the two.
    #[must_use]
    pub fn of(transfer_syntax_uid: &str) -> Option<Self> {
        match transfer_syntax_uid {
            EXPLICIT_VR_LITTLE_ENDIAN => Some(Self::Explicit),
            IMPLICIT_VR_LITTLE_ENDIAN => Some(Self::Implicit),
            _ => None,
        }
    }
}

/// An identifier that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the identifier can't be read")]
pub struct Unreadable;

/// An attribute of an identifier that is asked for, or matched by its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// Its tag.
    pub tag: u32,
    /// Its VR, one of text.
    pub vr: [u8; 2],
    /// Its value, without padding; empty where it is asked for.
    pub value: &'a str,
}

/// An identifier of these attributes, which ascend.
#[must_use]
pub fn write(keys: &[Key<'_>], encoding: Encoding) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    for Key { tag, vr, value } in keys {
        let padding = value.len() % 2;
        let length = value.len() + padding;
        bytes.extend(((tag >> 16) as u16).to_le_bytes());
        bytes.extend((*tag as u16).to_le_bytes());
        match encoding {
            Encoding::Explicit => {
                bytes.extend(vr);
                bytes.extend((length as u16).to_le_bytes());
            }
            Encoding::Implicit => bytes.extend((length as u32).to_le_bytes()),
        }
        bytes.extend_from_slice(value.as_bytes());
        let pad = if vr == b"UI" { 0 } else { b' ' };
        bytes.extend(std::iter::repeat_n(pad, padding));
    }
    bytes
}

/// The values of some attributes, without padding; `None` of one that is absent. What is no text is as good as none.
///
/// # Errors
/// When the bytes end in the middle of an element, or one of them has no length.
pub fn read<const N: usize>(
    identifier: &[u8],
    encoding: Encoding,
    wanted: [u32; N],
) -> Result<[Option<&str>; N], Unreadable> {
    let mut found = [None; N];
    let mut rest = identifier;
    while !rest.is_empty() {
        let (tag, value, after) = split(rest, encoding).ok_or(Unreadable)?;
        rest = after;
        if let Some(place) = wanted.iter().position(|it| *it == tag) {
            let text = std::str::from_utf8(value).unwrap_or_default();
            found[place] = Some(text.trim_matches([' ', '\0']));
        }
    }
    Ok(found)
}

/// The first element: its tag, its value, and what comes after it.
fn split(bytes: &[u8], encoding: Encoding) -> Option<(u32, &[u8], &[u8])> {
    let (group, rest) = bytes.split_first_chunk()?;
    let (element, rest) = rest.split_first_chunk()?;
    let tag = u32::from(u16::from_le_bytes(*group)) << 16 | u32::from(u16::from_le_bytes(*element));
    let (length, rest) = match encoding {
        Encoding::Implicit => long(rest)?,
        Encoding::Explicit => {
            let (vr, rest) = rest.split_first_chunk::<2>()?;
            match LONG.contains(vr) {
                true => long(rest.get(2..)?)?,
                false => {
                    let (length, rest) = rest.split_first_chunk()?;
                    (usize::from(u16::from_le_bytes(*length)), rest)
                }
            }
        }
    };
    let (value, after) = rest.split_at_checked(length)?;
    Some((tag, value, after))
}

fn long(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*length)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEVEL: u32 = 0x0008_0052;
    const SERIES: u32 = 0x0020_000e;
    const COUNT: u32 = 0x0020_1209;

    fn keys() -> [Key<'static>; 3] {
        [
            Key { tag: LEVEL, vr: *b"CS", value: "SERIES" },
            Key { tag: SERIES, vr: *b"UI", value: "1.2.3" },
            Key { tag: COUNT, vr: *b"IS", value: "" },
        ]
    }

    #[test]
    fn an_identifier_is_read_as_it_was_written() {
        for encoding in [Encoding::Explicit, Encoding::Implicit] {
            let written = write(&keys(), encoding);
            assert_eq!(written.len() % 2, 0);
            let read = read(&written, encoding, [COUNT, SERIES, 0x0020_0013]).unwrap();
            assert_eq!(read, [Some(""), Some("1.2.3"), None]);
        }
    }

    #[test]
    fn elements_that_nobody_asked_for_are_read_past_and_one_without_a_length_is_not() {
        let mut explicit = vec![0x08, 0x00, 0x40, 0x11, b'S', b'Q', 0, 0, 4, 0, 0, 0, 1, 2, 3, 4];
        explicit.extend(write(&keys(), Encoding::Explicit));
        assert_eq!(read(&explicit, Encoding::Explicit, [SERIES]), Ok([Some("1.2.3")]));
        explicit[8..12].fill(0xff);
        assert_eq!(read(&explicit, Encoding::Explicit, [SERIES]), Err(Unreadable));
        let written = write(&keys(), Encoding::Implicit);
        assert_eq!(read(&written[..20], Encoding::Implicit, [SERIES]), Err(Unreadable));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for encoding in [Encoding::Explicit, Encoding::Implicit] {
                let _ = read(&bytes, encoding, [SERIES, COUNT]);
            }
        }
    }
}
