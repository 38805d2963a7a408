//! Small data sets with sequences, as N-services have them (PS3.5 section 7.5): read and written in Implicit or Explicit VR
//! Little Endian, without a copy.

use crate::identifier::{Encoding, LONG, Unreadable};

/// Sequences within sequences that are read; those of N-services have four at most.
const MAX_DEPTH: usize = 16;

/// Item (FFFE,E000), Item Delimitation Item and Sequence Delimitation Item.
const ITEM: u32 = 0xfffe_e000;
const ITEM_END: u32 = 0xfffe_e00d;
const SEQUENCE_END: u32 = 0xfffe_e0dd;

/// The length of a sequence or an item that ends with a delimiter.
const UNDEFINED: u32 = u32::MAX;

/// A data set, or an item of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSet<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
}

/// An element: its tag, its value or the bytes of its items, and whether it is of undefined length.
struct Element<'a> {
    tag: u32,
    value: &'a [u8],
    after: &'a [u8],
}

impl<'a> DataSet<'a> {
    /// Of these bytes, which may be anything.
    #[must_use]
    pub fn new(bytes: &'a [u8], encoding: Encoding) -> Self {
        Self { bytes, encoding }
    }

    /// The text of an element, without padding; `None` where it is absent or no text.
    ///
    /// # Errors
    /// When the bytes end in the middle of an element.
    pub fn text(&self, tag: u32) -> Result<Option<&'a str>, Unreadable> {
        let value = self.value(tag)?.and_then(|value| std::str::from_utf8(value).ok());
        Ok(value.map(|text| text.trim_matches([' ', '\0'])))
    }

    /// The items of a sequence; none where it is absent.
    ///
    /// # Errors
    /// When the bytes end in the middle of an element, or what it has is no item.
    pub fn items(&self, tag: u32) -> Result<Vec<DataSet<'a>>, Unreadable> {
        let mut rest = self.value(tag)?.unwrap_or_default();
        let mut items = Vec::new();
        while !rest.is_empty() {
            let (tag, length, after) = header(rest).ok_or(Unreadable)?;
            match tag {
                ITEM => {
                    let (item, next) = item(after, length, self.encoding, 0)?;
                    items.push(DataSet::new(item, self.encoding));
                    rest = next;
                }
                SEQUENCE_END => break,
                _ => return Err(Unreadable),
            }
        }
        Ok(items)
    }

    fn value(&self, wanted: u32) -> Result<Option<&'a [u8]>, Unreadable> {
        let mut rest = self.bytes;
        while !rest.is_empty() {
            let element = element(rest, self.encoding, 0)?;
            if element.tag == wanted {
                return Ok(Some(element.value));
            }
            if element.tag == ITEM_END {
                return Ok(None);
            }
            rest = element.after;
        }
        Ok(None)
    }
}

/// A tag and a length of four bytes.
fn header(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (group, rest) = bytes.split_first_chunk()?;
    let (element, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let tag = u32::from(u16::from_le_bytes(*group)) << 16 | u32::from(u16::from_le_bytes(*element));
    Some((tag, u32::from_le_bytes(*length), rest))
}

fn element(bytes: &[u8], encoding: Encoding, depth: usize) -> Result<Element<'_>, Unreadable> {
    let (tag, long, rest) = header(bytes).ok_or(Unreadable)?;
    let (length, rest) = match encoding {
        // Delimiters have no VR.
        _ if tag >> 16 == 0xfffe => (long, rest),
        Encoding::Implicit => (long, rest),
        Encoding::Explicit => {
            let [a, b, c, d] = long.to_le_bytes();
            match LONG.contains(&[a, b]) {
                true => {
                    let (length, rest) = rest.split_first_chunk().ok_or(Unreadable)?;
                    (u32::from_le_bytes(*length), rest)
                }
                false => (u32::from(u16::from_le_bytes([c, d])), rest),
            }
        }
    };
    if length != UNDEFINED {
        let (value, after) = rest.split_at_checked(length as usize).ok_or(Unreadable)?;
        return Ok(Element { tag, value, after });
    }
    let mut at = rest;
    loop {
        let (next, length, after) = header(at).ok_or(Unreadable)?;
        match next {
            ITEM => (_, at) = item(after, length, encoding, depth)?,
            SEQUENCE_END => {
                let value = &rest[..rest.len() - at.len()];
                return Ok(Element { tag, value, after });
            }
            _ => return Err(Unreadable),
        }
    }
}

/// The bytes of an item whose header was read, and what comes after it.
fn item(
    bytes: &[u8],
    length: u32,
    encoding: Encoding,
    depth: usize,
) -> Result<(&[u8], &[u8]), Unreadable> {
    if length != UNDEFINED {
        return bytes.split_at_checked(length as usize).ok_or(Unreadable);
    }
    if depth >= MAX_DEPTH {
        return Err(Unreadable);
    }
    let mut rest = bytes;
    loop {
        let element = element(rest, encoding, depth + 1)?;
        if element.tag == ITEM_END {
            return Ok((&bytes[..bytes.len() - rest.len()], element.after));
        }
        rest = element.after;
    }
}

/// A data set that is being written. Its elements are put in ascending order.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    encoding: Encoding,
}

impl Writer {
    /// Without elements.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self { bytes: Vec::new(), encoding }
    }

    /// Puts an element of VR UI.
    pub fn uid(&mut self, tag: u32, uid: &str) {
        let odd = uid.len() % 2;
        self.header(tag, *b"UI", uid.len() + odd);
        self.bytes.extend_from_slice(uid.as_bytes());
        self.bytes.extend(std::iter::repeat_n(0, odd));
    }

    /// Puts an element of a VR of text, other than UI, whose length has two bytes.
    pub fn text(&mut self, tag: u32, vr: [u8; 2], text: &str) {
        let odd = text.len() % 2;
        self.header(tag, vr, text.len() + odd);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend(std::iter::repeat_n(b' ', odd));
    }

    /// Puts an element of VR US.
    pub fn number(&mut self, tag: u32, value: u16) {
        self.header(tag, *b"US", 2);
        self.bytes.extend(value.to_le_bytes());
    }

    /// Puts a sequence of these items.
    pub fn sequence(&mut self, tag: u32, items: impl IntoIterator<Item = Writer>) {
        let mut all = Vec::new();
        for item in items {
            put_tag(&mut all, ITEM);
            all.extend((item.bytes.len() as u32).to_le_bytes());
            all.extend(item.bytes);
        }
        self.header(tag, *b"SQ", all.len());
        self.bytes.extend(all);
    }

    /// The bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn header(&mut self, tag: u32, vr: [u8; 2], length: usize) {
        put_tag(&mut self.bytes, tag);
        match self.encoding {
            Encoding::Implicit => self.bytes.extend((length as u32).to_le_bytes()),
            Encoding::Explicit => {
                self.bytes.extend(vr);
                if LONG.contains(&vr) {
                    self.bytes.extend([0, 0]);
                    self.bytes.extend((length as u32).to_le_bytes());
                } else {
                    self.bytes.extend((length as u16).to_le_bytes());
                }
            }
        }
    }
}

fn put_tag(bytes: &mut Vec<u8>, tag: u32) {
    bytes.extend(((tag >> 16) as u16).to_le_bytes());
    bytes.extend((tag as u16).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UID: u32 = 0x0008_1195;
    const SEQUENCE: u32 = 0x0008_1199;
    const INSTANCE: u32 = 0x0008_1155;

    fn written(encoding: Encoding) -> Vec<u8> {
        let item = |uid: &str| {
            let mut item = Writer::new(encoding);
            item.uid(INSTANCE, uid);
            item
        };
        let mut data_set = Writer::new(encoding);
        data_set.uid(UID, "1.2.3");
        data_set.sequence(SEQUENCE, ["1.4", "1.5.6"].map(item));
        data_set.number(0x0008_1197, 0x0112);
        data_set.finish()
    }

    #[test]
    fn a_data_set_with_items_is_read_as_it_was_written() {
        for encoding in [Encoding::Implicit, Encoding::Explicit] {
            let bytes = written(encoding);
            let data_set = DataSet::new(&bytes, encoding);
            assert_eq!(data_set.text(UID), Ok(Some("1.2.3")));
            assert_eq!(data_set.text(INSTANCE), Ok(None), "it is in the items");
            let items = data_set.items(SEQUENCE).unwrap();
            let uids: Vec<_> = items.iter().map(|it| it.text(INSTANCE).unwrap().unwrap()).collect();
            assert_eq!(uids, ["1.4", "1.5.6"]);
            for end in 1..bytes.len() {
                let cut = DataSet::new(&bytes[..end], encoding);
                let _ = (cut.text(0xffff_ffff), cut.items(SEQUENCE));
            }
            assert!(DataSet::new(&bytes[..bytes.len() - 1], encoding).text(0xffff_ffff).is_err());
        }
    }

    #[test]
    fn items_and_sequences_of_undefined_length_are_read() {
        let undefined = [0xff; 4];
        let mut bytes = Vec::new();
        put_tag(&mut bytes, SEQUENCE);
        bytes.extend(undefined);
        for _ in 0..2 {
            put_tag(&mut bytes, ITEM);
            bytes.extend(undefined);
            let mut inner = Writer::new(Encoding::Implicit);
            inner.uid(INSTANCE, "1.4");
            bytes.extend(inner.finish());
            put_tag(&mut bytes, ITEM_END);
            bytes.extend([0; 4]);
        }
        put_tag(&mut bytes, SEQUENCE_END);
        bytes.extend([0; 4]);
        let mut after = Writer::new(Encoding::Implicit);
        after.uid(0x0040_0001, "1.9");
        bytes.extend(after.finish());
        let data_set = DataSet::new(&bytes, Encoding::Implicit);
        let items = data_set.items(SEQUENCE).unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(items[1].text(INSTANCE), Ok(Some("1.4")));
        assert_eq!(data_set.text(0x0040_0001), Ok(Some("1.9")));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xff), Just(0xfe)], 0..300),
        ) {
            for encoding in [Encoding::Implicit, Encoding::Explicit] {
                let data_set = DataSet::new(&bytes, encoding);
                let _ = (data_set.text(UID), data_set.items(SEQUENCE));
            }
        }
    }
}
