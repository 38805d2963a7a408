//! The walk over the elements of a data set (PS3.5 section 7), byte by byte where an element
//! begins and in one step over its value.

use super::element::{
    self, Head, ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION, SHORT_HEAD, UNDEFINED_LENGTH, Vr,
};
use super::nesting::{Kind, Level, Nesting};
use super::{Encoding, Header, HeaderError, MAX_VALUE_LENGTH, Slot, Tag, Wanted};
use std::collections::BTreeMap;

/// Items kept of one sequence.
const MAX_ITEMS: usize = 16;

/// The group of items and delimiters.
const DELIMITERS: u32 = 0xfffe;

/// Float Pixel Data, Double Float Pixel Data, Pixel Data.
const PIXEL_DATA: [Tag; 3] = [0x7fe0_0008, 0x7fe0_0009, 0x7fe0_0010];

/// Walks over the elements of a data set, whatever the pieces in which its bytes come.
pub(super) struct Scanner {
    wanted: Wanted,
    encoding: Encoding,
    limit: u64,
    /// Bytes so far that count towards the limit: starts of elements, and what is kept of values.
    counted: u64,
    /// Position in the data set.
    position: u64,
    nesting: Nesting,
    state: State,
    /// Whether an element has shown how they are really written.
    is_decided: bool,
    /// Which of the wanted tags have begun, one bit each: of the data set, and of the item that is being read.
    begun: u64,
    begun_in_item: u64,
    /// What is known of an element without a VR until the next one shows whether it is right.
    guess: Option<Guess>,
    pub(super) header: Header,
}

enum State {
    /// Gathering the tag, VR and length of the next element.
    Head { bytes: [u8; 12], length: usize },
    /// In the middle of a value.
    Value { left: u32, keep: Option<Keep>, maybe_sequence: bool },
    /// In the pixel data, or behind it: nothing more is read. It ends at this position.
    PixelData { end: u64 },
}

/// Where a value goes.
#[derive(Clone, Copy)]
enum Keep {
    /// The data set's own.
    Value(Tag),
    /// Of the last item of a sequence.
    ItemValue(Tag, Tag),
    /// Of an item that there is no room for: into the hash of what is left out.
    LeftOut(Tag, Tag),
}

/// An element without a VR, taken as one with a length of two bytes.
#[derive(Clone, Copy)]
struct Guess {
    tag: Tag,
    /// What it has in place of a VR.
    vr: [u8; 2],
    keep: Option<Keep>,
    /// Where it would end with a length of four bytes in place of VR and length, unless it was taken so.
    implicit_end: Option<u64>,
    /// Whether the length is 0: then there may be one of four bytes behind it.
    is_empty: bool,
}

/// Whether a tag is one of these and begins for the first time.
fn is_first(tags: &[Tag], tag: Tag, begun: &mut u64) -> bool {
    let Some(bit) =
        tags.iter().position(|it| *it == tag).and_then(|at| 1_u64.checked_shl(at as u32))
    else {
        return false;
    };
    let is_first = *begun & bit == 0;
    *begun |= bit;
    is_first
}

/// The place of what is left out of a sequence.
fn left_out(sequence: Tag, tag: Tag) -> Slot {
    (Some((sequence, MAX_ITEMS)), tag)
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
            nesting: Nesting::new(),
            state: State::Head { bytes: [0; 12], length: 0 },
            is_decided: false,
            begun: 0,
            begun_in_item: 0,
            guess: None,
            header: Header { big_endian, ..Header::default() },
        }
    }

    /// How many of the next bytes make no difference.
    pub(super) fn skippable(&self) -> u64 {
        match self.state {
            State::Head { .. } | State::Value { keep: Some(_), .. } => 0,
            State::Value { left, keep: None, .. } => left.into(),
            State::PixelData { .. } => u64::MAX,
        }
    }

    /// Whether the pixel data is behind the position: what comes makes no difference.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::PixelData { end } if self.position >= end)
    }

    /// Whether the data set may end here.
    pub(super) fn at_end(&self) -> bool {
        match self.state {
            State::PixelData { .. } => self.is_over(),
            State::Value { .. } => false,
            // Some writers fill up with zeros. Big endian, one of them is the start of a tag.
            State::Head { bytes, length } => {
                let is_full = length > 0 && self.header.big_endian;
                self.nesting.is_outside()
                    && !is_full
                    && bytes[..length].iter().all(|byte| *byte == 0)
            }
        }
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
                State::PixelData { .. } => {
                    self.position += bytes.len() as u64;
                    return Ok(());
                }
                State::Value { left, keep, maybe_sequence } => {
                    let length = (*left as usize).min(bytes.len());
                    *left -= length as u32;
                    let (ended, keep, maybe_sequence) = (*left == 0, *keep, *maybe_sequence);
                    self.position += length as u64;
                    if let Some(keep) = keep {
                        let kept = self.keep(keep, &bytes[..length]);
                        self.count(kept)?;
                    }
                    if ended {
                        self.drop_items(keep);
                        self.end_value(maybe_sequence)?;
                    }
                    length
                }
                State::Head { bytes: head, length } => {
                    head[*length] = bytes[0];
                    *length += 1;
                    let (head, length) = (*head, *length);
                    self.position += 1;
                    self.count(1)?;
                    self.read_head(&head, length)?;
                    1
                }
            };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Takes it that `length` bytes came that are [`Scanner::skippable`].
    ///
    /// # Errors
    /// When the data set can't be taken.
    pub(super) fn skip(&mut self, length: u64) -> Result<(), HeaderError> {
        self.position += length;
        if let State::Value { left, maybe_sequence, .. } = &mut self.state {
            *left = u64::from(*left).saturating_sub(length) as u32;
            if *left == 0 {
                let maybe_sequence = *maybe_sequence;
                self.end_value(maybe_sequence)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, length: usize) -> Result<(), HeaderError> {
        self.counted += length as u64;
        match self.counted > self.limit {
            true => Err(HeaderError::TooLong(self.limit)),
            false => Ok(()),
        }
    }

    fn end_value(&mut self, maybe_sequence: bool) -> Result<(), HeaderError> {
        if maybe_sequence {
            self.nesting.passed_sequence();
        }
        self.next_element()
    }

    /// After an element: closes the sequences and items that end here.
    fn next_element(&mut self) -> Result<(), HeaderError> {
        if self.nesting.reach(self.position)? {
            // What ends here by its length shows that its last element ended where it seemed to.
            self.guess = None;
        }
        self.state = State::Head { bytes: [0; 12], length: 0 };
        Ok(())
    }

    fn encoding_here(&self) -> Encoding {
        self.nesting.innermost().map_or(self.encoding, |level| level.encoding)
    }

    /// Looks at the start of an element, of which `length` bytes are there.
    fn read_head(&mut self, bytes: &[u8; 12], length: usize) -> Result<(), HeaderError> {
        if length == SHORT_HEAD
            && let Some(head) = bytes.first_chunk()
            && self.passes_over(head)?
        {
            return Ok(());
        }
        if length < SHORT_HEAD {
            return Ok(());
        }
        match Head::read(&bytes[..length], self.encoding_here()) {
            Some(head) => self.begin(&head),
            None => Ok(()),
        }
    }

    /// Looks at what comes where an element may begin, before it is taken for one. Gives whether it is not, and
    /// was passed over.
    fn passes_over(&mut self, head: &[u8; SHORT_HEAD]) -> Result<bool, HeaderError> {
        if self.nesting.is_outside() {
            // Some writers fill up with zeros.
            if *head == [0; SHORT_HEAD] {
                self.next_element()?;
                return Ok(true);
            }
            if !self.is_decided
                && let Some(really) = element::really(self.encoding, head)
            {
                (self.is_decided, self.encoding) = (true, really);
            }
        }
        let encoding = self.encoding_here();
        if let Some(guess) = self.guess.take()
            && !element::is_plausible(head, guess.tag, guess.vr, encoding)
        {
            self.guess_again(guess, head)?;
            return Ok(true);
        }
        // No items: something else that has no VR, or another one than it should.
        if let Some(Level { kind: Kind::Sequence(_), end: Some(end), has_items: false, .. }) =
            self.nesting.innermost()
            && element::tag(head, encoding) >> 16 != DELIMITERS
        {
            self.begin_value((end - self.position) as u32, None, true)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The element without a VR did not end where it seemed to, so what was read of the next one is its own.
    fn guess_again(&mut self, guess: Guess, bytes: &[u8; SHORT_HEAD]) -> Result<(), HeaderError> {
        let begin = self.position - SHORT_HEAD as u64;
        let four = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let long_end = begin + 4 + u64::from(four);
        let end = match guess.is_empty && long_end >= self.position && four.is_multiple_of(2) {
            true => Some(long_end),
            false => guess.implicit_end,
        };
        let left = end.and_then(|end| u32::try_from(end.checked_sub(self.position)?).ok());
        let left = left.ok_or(HeaderError::Unplaced)?;
        self.nesting.end_of(self.position, left)?;
        if let Some(Keep::Value(tag)) = guess.keep {
            self.header.values.remove(&tag);
        }
        self.begin_value(left, None, false)
    }

    /// Decides what to do with the element that begins here.
    fn begin(&mut self, head: &Head) -> Result<(), HeaderError> {
        self.nesting.end_of(self.position, 0)?;
        match head.tag {
            ITEM => return self.begin_item(head.length),
            ITEM_DELIMITATION => {
                self.nesting.delimit_item()?;
                self.next_element()?;
                return Ok(());
            }
            SEQUENCE_DELIMITATION => return self.delimit_sequence(),
            _ => {}
        }
        let is_own = self.nesting.is_outside();
        self.nesting.begin_element(head.tag)?;
        let wanted = self.wanted_here(head.tag);
        if head.length == UNDEFINED_LENGTH {
            return self.begin_sequence(head, is_own, wanted);
        }
        let end = self.nesting.end_of(self.position, head.length)?;
        if is_own && PIXEL_DATA.contains(&head.tag) {
            self.state = State::PixelData { end };
            return Ok(());
        }
        let keep = wanted.filter(|keep| match keep {
            // Its items are kept, and nothing that stands in their place.
            Keep::Value(tag) => self.items_wanted(*tag).is_none() && !head.is_sequence(),
            Keep::ItemValue(..) | Keep::LeftOut(..) => !head.is_sequence(),
        });
        match head.vr {
            Vr::None { bytes, implicit_length } => {
                let implicit_end = Some(self.position + u64::from(implicit_length));
                let is_empty = head.length == 0;
                self.guess = Some(Guess { tag: head.tag, vr: bytes, keep, implicit_end, is_empty });
            }
            Vr::Slipped(vr) => {
                let (implicit_end, is_empty) = (None, false);
                self.guess = Some(Guess { tag: head.tag, vr, keep, implicit_end, is_empty });
            }
            Vr::Named(_) | Vr::Implicit => {}
        }
        // Nobody knows how long a sequence really is but who looks at its items.
        let is_long_enough = head.length >= SHORT_HEAD as u32;
        if keep.is_none() && head.may_be_sequence() && is_long_enough && self.guess.is_none() {
            return self.begin_sequence(head, is_own, wanted);
        }
        if let Some(Keep::LeftOut(sequence, tag)) = keep {
            let item = self.header.items_left_out.get(&sequence).copied().unwrap_or_default();
            let start = [item.to_be_bytes(), u64::from(head.length).to_be_bytes()].concat();
            self.header.overlong.update(left_out(sequence, tag), &[], &start);
        }
        self.begin_value(head.length, keep, head.may_be_sequence())
    }

    fn begin_value(
        &mut self,
        length: u32,
        keep: Option<Keep>,
        maybe_sequence: bool,
    ) -> Result<(), HeaderError> {
        match length {
            0 => return self.end_value(maybe_sequence),
            left => self.state = State::Value { left, keep, maybe_sequence },
        }
        Ok(())
    }

    fn begin_sequence(
        &mut self,
        head: &Head,
        is_own: bool,
        wanted: Option<Keep>,
    ) -> Result<(), HeaderError> {
        let kind = match head.vr {
            _ if PIXEL_DATA.contains(&head.tag) && is_own => Kind::PixelData,
            _ if PIXEL_DATA.contains(&head.tag) => Kind::Fragments,
            Vr::Named([b'O', _]) => Kind::Fragments,
            _ => Kind::Sequence(match wanted {
                Some(Keep::Value(tag)) => self.items_wanted(tag).map(|_| tag),
                _ => None,
            }),
        };
        // A sequence whose VR its writer did not know is implicit VR inside (PS3.5 section 6.2.2).
        let encoding = match head.vr {
            Vr::Named(vr) if &vr == b"UN" => Encoding::Implicit,
            _ => self.encoding_here(),
        };
        let end = self.end_of(head.length)?;
        self.nesting.enter(Level { kind, end, encoding, has_items: false })?;
        self.next_element()?;
        Ok(())
    }

    fn delimit_sequence(&mut self) -> Result<(), HeaderError> {
        let was_in_pixel_data = self.is_in(Kind::PixelData);
        self.nesting.delimit_sequence()?;
        if was_in_pixel_data && self.nesting.is_outside() {
            self.state = State::PixelData { end: self.position };
            return Ok(());
        }
        self.next_element()
    }

    fn begin_item(&mut self, length: u32) -> Result<(), HeaderError> {
        let kept = self.nesting.begin_item()?;
        // Nothing in it is asked for, or it is a fragment of pixel data: bytes to pass over.
        if kept.is_none() && length != UNDEFINED_LENGTH {
            self.nesting.end_of(self.position, length)?;
            self.nesting.passed_item();
            return self.begin_value(length, None, false);
        }
        if self.is_in(Kind::PixelData) || self.is_in(Kind::Fragments) {
            return Err(HeaderError::Nesting);
        }
        if let Some(tag) = kept {
            let items = self.header.items.entry(tag).or_default();
            match items.len() < MAX_ITEMS {
                true => items.push(BTreeMap::new()),
                false => *self.header.items_left_out.entry(tag).or_default() += 1,
            }
            self.begun_in_item = 0;
        }
        let encoding = self.encoding_here();
        let (kind, end) = (Kind::Item(kept), self.end_of(length)?);
        self.nesting.enter(Level { kind, end, encoding, has_items: false })?;
        self.next_element()?;
        Ok(())
    }

    fn end_of(&self, length: u32) -> Result<Option<u64>, HeaderError> {
        match length {
            UNDEFINED_LENGTH => Ok(None),
            length => self.nesting.end_of(self.position, length).map(Some),
        }
    }

    fn is_in(&self, kind: Kind) -> bool {
        self.nesting.innermost().is_some_and(|level| level.kind == kind)
    }

    fn items_wanted(&self, sequence: Tag) -> Option<&'static [Tag]> {
        let wanted = self.wanted.sequences.iter().find(|(tag, _)| *tag == sequence);
        wanted.map(|(_, tags)| *tags)
    }

    /// Where the value of the element that begins goes if it is wanted. The first one counts, be it empty: a
    /// data set has each attribute once, and so has an item (PS3.5 section 7.1).
    fn wanted_here(&mut self, tag: Tag) -> Option<Keep> {
        match self.nesting.innermost().map(|level| level.kind) {
            None => is_first(self.wanted.tags, tag, &mut self.begun).then_some(Keep::Value(tag)),
            Some(Kind::Item(Some(sequence))) => {
                let tags = self.items_wanted(sequence)?;
                let is_left_out = self.header.items_left_out.contains_key(&sequence);
                is_first(tags, tag, &mut self.begun_in_item).then_some(match is_left_out {
                    true => Keep::LeftOut(sequence, tag),
                    false => Keep::ItemValue(sequence, tag),
                })
            }
            Some(_) => None,
        }
    }

    /// Drops a value that was kept and is a sequence, which implicit VR does not say.
    fn drop_items(&mut self, keep: Option<Keep>) {
        const ITEM_BYTES: [u8; 4] = [0xfe, 0xff, 0x00, 0xe0];
        if let Some(Keep::Value(tag)) = keep
            && self.header.values.get(&tag).is_some_and(|value| value.starts_with(&ITEM_BYTES))
        {
            self.header.values.remove(&tag);
        }
    }

    /// Keeps bytes of a value; gives how many.
    fn keep(&mut self, keep: Keep, bytes: &[u8]) -> usize {
        let (place, value) = match keep {
            Keep::LeftOut(sequence, tag) => {
                self.header.overlong.update(left_out(sequence, tag), &[], bytes);
                return 0;
            }
            Keep::Value(tag) => ((None, tag), Some(self.header.values.entry(tag).or_default())),
            Keep::ItemValue(sequence, tag) => {
                let items = self.header.items.entry(sequence).or_default();
                let place = (Some((sequence, items.len().saturating_sub(1))), tag);
                (place, items.last_mut().map(|item| item.entry(tag).or_default()))
            }
        };
        let Some(value) = value else { return 0 };
        let room = MAX_VALUE_LENGTH.saturating_sub(value.len());
        let (kept, more) = bytes.split_at(bytes.len().min(room));
        value.extend_from_slice(kept);
        if !more.is_empty() {
            self.header.overlong.update(place, value, more);
        }
        kept.len()
    }
}
