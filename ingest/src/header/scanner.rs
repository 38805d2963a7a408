//! The walk over the elements of a data set (PS3.5 section 7), byte by byte where an element
//! begins and in one step over its value.

use super::{Encoding, Header, HeaderError, MAX_VALUE_LENGTH, Tag, Wanted};
use std::collections::BTreeMap;

/// Items kept of one sequence.
const MAX_ITEMS: usize = 16;

/// How deep sequences may be nested.
pub(super) const MAX_DEPTH: usize = 64;

/// Pixel Data and its float and double variants: group 7FE0.
const PIXEL_DATA_GROUP: u32 = 0x7fe0;
const ITEM: Tag = 0xfffe_e000;
const ITEM_DELIMITATION: Tag = 0xfffe_e00d;
const SEQUENCE_DELIMITATION: Tag = 0xfffe_e0dd;
const UNDEFINED_LENGTH: u32 = 0xffff_ffff;

/// Walks over the elements of a data set, whatever the pieces in which its bytes come.
pub(super) struct Scanner {
    wanted: Wanted,
    encoding: Encoding,
    limit: u64,
    /// Bytes so far that count towards the limit.
    counted: u64,
    /// Position in the data set.
    position: u64,
    /// Sequences and items that are open around the position, outermost first.
    open: Vec<Open>,
    state: State,
    pub(super) header: Header,
}

enum State {
    /// Gathering the tag, VR and length of the next element.
    Head { bytes: [u8; 12], length: usize },
    /// In the middle of a value.
    Value { left: u32, keep: Option<Keep>, counts: bool },
    /// The pixel data was reached: all that follows is passed over.
    PixelData,
}

/// Where a value goes.
#[derive(Clone, Copy)]
enum Keep {
    /// The data set's own.
    Value(Tag),
    /// Of the last item of a sequence.
    ItemValue(Tag, Tag),
}

/// A sequence or an item whose elements are being walked over.
struct Open {
    kind: Kind,
    /// Position at which it ends, if that was said in advance.
    end: Option<u64>,
    /// How its elements are written.
    encoding: Encoding,
    /// Whether what is in it counts towards the limit.
    counts: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of a sequence whose items are kept under this tag, if any.
    Sequence(Option<Tag>),
    /// As its sequence.
    Item(Option<Tag>),
    /// Encapsulated pixel data somewhere inside: its items hold bytes, not elements.
    Fragments,
}

/// The start of an element.
struct Head {
    tag: Tag,
    /// `None` for implicit VR and for delimiters.
    vr: Option<[u8; 2]>,
    length: u32,
}

impl Scanner {
    pub(super) fn new(encoding: Encoding, wanted: Wanted, limit: u64) -> Self {
        let big_endian = encoding == Encoding::ExplicitBigEndian;
        Self {
            wanted,
            encoding,
            limit,
            counted: 0,
            position: 0,
            open: Vec::new(),
            state: State::Head { bytes: [0; 12], length: 0 },
            header: Header { big_endian, ..Header::default() },
        }
    }

    pub(super) fn at_pixel_data(&self) -> bool {
        matches!(self.state, State::PixelData)
    }

    /// Between two elements of the data set itself, where it may end.
    pub(super) fn at_end(&self) -> bool {
        matches!(self.state, State::Head { length: 0, .. }) && self.open.is_empty()
    }

    /// A value that was kept, unless it is being read: half of a UID may be another one's.
    pub(super) fn whole_value(&self, tag: Tag) -> Option<&[u8]> {
        match self.state {
            State::Value { keep: Some(Keep::Value(being_read)), .. } if being_read == tag => None,
            _ => self.header.values.get(&tag).map(Vec::as_slice),
        }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), HeaderError> {
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::PixelData => return Ok(()),
                State::Value { left, keep, counts } => {
                    let length = (*left as usize).min(bytes.len());
                    *left -= length as u32;
                    let (ended, keep, counts) = (*left == 0, *keep, *counts);
                    if let Some(keep) = keep {
                        self.keep(keep, &bytes[..length]);
                    }
                    self.advance(length, counts)?;
                    if ended {
                        self.next_element();
                    }
                    length
                }
                State::Head { bytes: head, length } => {
                    head[*length] = bytes[0];
                    *length += 1;
                    let (head, length) = (*head, *length);
                    self.advance(1, true)?;
                    if let Some(head) = self.read_head(&head[..length]) {
                        self.begin(&head)?;
                    }
                    1
                }
            };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn advance(&mut self, length: usize, counts: bool) -> Result<(), HeaderError> {
        self.position += length as u64;
        if counts {
            self.counted += length as u64;
        }
        match self.counted > self.limit {
            true => Err(HeaderError::TooLong(self.limit)),
            false => Ok(()),
        }
    }

    /// After an element: closes the sequences and items that end here.
    fn next_element(&mut self) {
        let position = self.position;
        while self.open.last().is_some_and(|open| open.end.is_some_and(|end| end <= position)) {
            self.open.pop();
        }
        self.state = State::Head { bytes: [0; 12], length: 0 };
    }

    fn encoding_here(&self) -> Encoding {
        self.open.last().map_or(self.encoding, |open| open.encoding)
    }

    /// The start of an element, once `bytes` has all of it (PS3.5 section 7.1).
    fn read_head(&self, bytes: &[u8]) -> Option<Head> {
        let encoding = self.encoding_here();
        let big_endian = encoding == Encoding::ExplicitBigEndian;
        let u16_at = |at: usize| {
            let pair: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
            Some(if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
        };
        let u32_at = |at: usize| {
            let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
            Some(if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
        };
        let tag = u32::from(u16_at(0)?) << 16 | u32::from(u16_at(2)?);
        let vr: [u8; 2] = bytes.get(4..6)?.try_into().ok()?;
        let is_delimiter = tag >> 16 == 0xfffe;
        // Some writers slip into implicit VR within an explicit data set: two bytes that are no VR
        // are then the start of a length.
        let has_vr = vr.iter().all(u8::is_ascii_uppercase);
        if encoding == Encoding::Implicit || is_delimiter || !has_vr {
            return Some(Head { tag, vr: None, length: u32_at(4)? });
        }
        let length = match has_short_length(vr) {
            true => u16_at(6)?.into(),
            false => u32_at(8)?,
        };
        Some(Head { tag, vr: Some(vr), length })
    }

    /// Decides what to do with the element that begins here.
    fn begin(&mut self, head: &Head) -> Result<(), HeaderError> {
        match head.tag {
            ITEM => return self.begin_item(head.length),
            ITEM_DELIMITATION | SEQUENCE_DELIMITATION => {
                self.close(head.tag);
                self.next_element();
                return Ok(());
            }
            _ => {}
        }
        if self.open.is_empty() && head.tag >> 16 == PIXEL_DATA_GROUP {
            self.state = State::PixelData;
            return Ok(());
        }
        let keep = self.wanted_here(head.tag);
        let sequence = match (self.open.is_empty(), keep) {
            (true, Some(Keep::Value(tag))) => self.items_wanted(tag).map(|_| tag),
            _ => None,
        };
        if head.length == UNDEFINED_LENGTH || sequence.is_some() {
            return self.begin_sequence(head, sequence);
        }
        self.begin_value(head.length, keep, self.counts(head.tag));
        Ok(())
    }

    fn begin_value(&mut self, length: u32, keep: Option<Keep>, counts: bool) {
        match length {
            0 => self.next_element(),
            left => self.state = State::Value { left, keep, counts },
        }
    }

    fn begin_sequence(&mut self, head: &Head, kept: Option<Tag>) -> Result<(), HeaderError> {
        let kind = match head.vr {
            Some([b'O', _]) => Kind::Fragments,
            None if head.tag >> 16 == PIXEL_DATA_GROUP => Kind::Fragments,
            _ => Kind::Sequence(kept),
        };
        // A sequence whose VR its writer did not know is implicit VR inside (PS3.5 section 6.2.2).
        let encoding = match head.vr {
            Some(vr) if &vr == b"UN" => Encoding::Implicit,
            _ => self.encoding_here(),
        };
        let counts = self.counts(head.tag);
        self.push_open(Open { kind, end: self.end_of(head.length), encoding, counts })
    }

    fn begin_item(&mut self, length: u32) -> Result<(), HeaderError> {
        let counts = self.counts(ITEM);
        let kept = match self.open.last().map(|open| open.kind) {
            Some(Kind::Sequence(kept)) => kept,
            _ => None,
        };
        // Nothing in it is asked for, or it is a fragment of pixel data: bytes to pass over.
        if kept.is_none() && length != UNDEFINED_LENGTH {
            self.begin_value(length, None, counts);
            return Ok(());
        }
        if let Some(items) = kept.map(|tag| self.header.items.entry(tag).or_default())
            && items.len() < MAX_ITEMS
        {
            items.push(BTreeMap::new());
        }
        let encoding = self.encoding_here();
        let (kind, end) = (Kind::Item(kept), self.end_of(length));
        self.push_open(Open { kind, end, encoding, counts })
    }

    fn push_open(&mut self, open: Open) -> Result<(), HeaderError> {
        if self.open.len() == MAX_DEPTH {
            return Err(HeaderError::TooDeep);
        }
        self.open.push(open);
        self.next_element();
        Ok(())
    }

    /// Closes what a delimiter ends. One that has no partner is passed over; a sequence's end also
    /// ends an item that was left open.
    fn close(&mut self, delimiter: Tag) {
        let ends = |open: &Open| match open.kind {
            Kind::Item(_) => delimiter == ITEM_DELIMITATION,
            Kind::Sequence(_) | Kind::Fragments => delimiter == SEQUENCE_DELIMITATION,
        };
        if self.open.last().is_some_and(ends) {
            self.open.pop();
        } else if delimiter == SEQUENCE_DELIMITATION
            && matches!(self.open.as_slice(), [.., outer, _] if ends(outer))
        {
            self.open.truncate(self.open.len() - 2);
        }
    }

    fn end_of(&self, length: u32) -> Option<u64> {
        (length != UNDEFINED_LENGTH).then(|| self.position + u64::from(length))
    }

    fn items_wanted(&self, sequence: Tag) -> Option<&'static [Tag]> {
        let wanted = self.wanted.sequences.iter().find(|(tag, _)| *tag == sequence);
        wanted.map(|(_, tags)| *tags)
    }

    /// Where the value of `tag` goes if it is wanted. The first one counts: a data set has each
    /// attribute once.
    fn wanted_here(&self, tag: Tag) -> Option<Keep> {
        match self.open.last().map(|open| open.kind) {
            None => (self.wanted.tags.contains(&tag) && !self.header.values.contains_key(&tag))
                .then_some(Keep::Value(tag)),
            Some(Kind::Item(Some(sequence))) => self
                .items_wanted(sequence)
                .filter(|tags| tags.contains(&tag))
                .map(|_| Keep::ItemValue(sequence, tag)),
            Some(_) => None,
        }
    }

    fn keep(&mut self, keep: Keep, bytes: &[u8]) {
        let (place, value) = match keep {
            Keep::Value(tag) => ((None, tag), Some(self.header.values.entry(tag).or_default())),
            Keep::ItemValue(sequence, tag) => {
                let items = self.header.items.entry(sequence).or_default();
                let place = (Some((sequence, items.len().saturating_sub(1))), tag);
                (place, items.last_mut().map(|item| item.entry(tag).or_default()))
            }
        };
        if let Some(value) = value {
            let room = MAX_VALUE_LENGTH.saturating_sub(value.len());
            let (kept, more) = bytes.split_at(bytes.len().min(room));
            value.extend_from_slice(kept);
            if !more.is_empty() {
                self.header.overlong.update(place, value, more);
            }
        }
    }

    /// Whether a value counts towards the limit on what may stand before the pixel data. What a
    /// data set without pixel data carries in its place does not: an encapsulated document, and
    /// the standard's groups above those that are read here (contours, waveforms, spectra).
    /// Private elements count wherever they stand.
    fn counts(&self, tag: Tag) -> bool {
        const ENCAPSULATED_DOCUMENT: Tag = 0x0042_0011;
        if let Some(open) = self.open.last() {
            return open.counts;
        }
        let is_private = (tag >> 16) % 2 == 1;
        let last_wanted = self.wanted.tags.last().copied().unwrap_or(0);
        tag != ENCAPSULATED_DOCUMENT && (is_private || tag >> 16 <= last_wanted >> 16)
    }
}

/// Whether an explicit VR has a length of two bytes: those of the first edition. All others, and
/// all that may be added, have four (PS3.5 section 7.1.2).
fn has_short_length(vr: [u8; 2]) -> bool {
    matches!(
        &vr,
        b"AE"
            | b"AS"
            | b"AT"
            | b"CS"
            | b"DA"
            | b"DS"
            | b"DT"
            | b"FL"
            | b"FD"
            | b"IS"
            | b"LO"
            | b"LT"
            | b"PN"
            | b"SH"
            | b"SL"
            | b"SS"
            | b"ST"
            | b"TM"
            | b"UI"
            | b"UL"
            | b"US"
    )
}
