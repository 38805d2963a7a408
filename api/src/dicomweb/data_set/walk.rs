//! The walk over a data set: elements, sequences, items and fragments, one after the other (PS3.5 section 7). What it passes by
//! is not read, unless somebody asks for it.

use super::{Source, Unreadable};
use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;
use std::fmt::Write as _;

/// How deep sequences may be nested: as deep as receivers take them.
pub(crate) const MAX_DEPTH: usize = 64;

const ITEM: Tag = Tag(0xfffe, 0xe000);
const ITEM_END: Tag = Tag(0xfffe, 0xe00d);
const SEQUENCE_END: Tag = Tag(0xfffe, 0xe0dd);
const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);

/// A length that is not known when something begins.
const UNDEFINED: u32 = u32::MAX;

/// What the walk comes to next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// An element with a value, which is passed by unless it is read now.
    Element(Element),
    /// A sequence of items begins.
    SequenceStart(Tag),
    /// An item begins.
    ItemStart,
    /// It ends.
    ItemEnd,
    /// The sequence ends.
    SequenceEnd,
    /// Encapsulated pixel data begins (PS3.5 section A.4).
    FragmentsStart(Element),
    /// A fragment of it; the first one is the Basic Offset Table.
    Fragment(Element),
    /// It ends.
    FragmentsEnd,
}

/// An element, and where its value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) tag: Tag,
    pub(crate) vr: VR,
    pub(crate) position: u64,
    pub(crate) length: u64,
}

/// A walk under way.
pub(crate) struct Walk {
    source: Source,
    stack: Vec<Frame>,
    /// Bytes of a value that nobody has read.
    unread: u64,
    /// A value that the walk itself had to read.
    held: Option<Vec<u8>>,
    /// That of the data set, by which the VR of some elements is found that have none written.
    is_signed: bool,
}

struct Frame {
    kind: Kind,
    /// Where it ends, if that was said when it began.
    end: Option<u64>,
    /// Whether VRs are written in it.
    implicit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A sequence with as many items so far.
    Sequence(Tag, u32),
    Item,
    Fragments(Tag),
}

impl Walk {
    /// Over a data set from its beginning.
    pub(crate) fn new(source: Source) -> Self {
        Self { source, stack: Vec::new(), unread: 0, held: None, is_signed: false }
    }

    /// The source.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// How many sequences and items the walk is in.
    pub(crate) fn depth(&self) -> usize {
        self.stack.len()
    }

    /// The place of an element of the item that the walk is in, as a path of tags and numbers of items from 1:
    /// `00081115/2/00080018`.
    pub(crate) fn path(&self, tag: Tag) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            if let Kind::Sequence(Tag(group, element), items) = frame.kind {
                // To a string nothing fails.
                let _ = write!(path, "{group:04X}{element:04X}/{items}/");
            }
        }
        let _ = write!(path, "{:04X}{:04X}", tag.0, tag.1);
        path
    }

    /// The next event; nothing at the end of the data set.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, Unreadable> {
        self.source.skip(std::mem::take(&mut self.unread))?;
        self.held = None;
        loop {
            let next = match self.stack.last() {
                None if self.source.is_at_end()? => return Ok(None),
                Some(frame) if frame.end.is_some_and(|end| self.source.position() >= end) => {
                    Some(self.leave())
                }
                None | Some(Frame { kind: Kind::Item, .. }) => self.element()?,
                Some(_) => Some(self.item()?),
            };
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Reads the value of the element that the walk has come to last, if nothing of it was read.
    pub(crate) fn value(&mut self) -> Result<Vec<u8>, Unreadable> {
        if let Some(held) = self.held.take() {
            return Ok(held);
        }
        let length = usize::try_from(std::mem::take(&mut self.unread));
        let mut value = vec![0; length.map_err(|_| Unreadable::Truncated)?];
        self.source.read_exact(&mut value)?;
        Ok(value)
    }

    fn leave(&mut self) -> Event {
        match self.stack.pop().map(|frame| frame.kind) {
            Some(Kind::Item) => Event::ItemEnd,
            Some(Kind::Fragments(_)) => Event::FragmentsEnd,
            _ => Event::SequenceEnd,
        }
    }

    fn enter(&mut self, kind: Kind, end: Option<u64>, implicit: bool) -> Result<(), Unreadable> {
        if self.stack.len() >= 2 * MAX_DEPTH {
            return Err(Unreadable::TooDeep);
        }
        self.stack.push(Frame { kind, end, implicit });
        Ok(())
    }

    /// What is in a sequence, or is encapsulated.
    fn item(&mut self) -> Result<Event, Unreadable> {
        let (tag, length) = (self.tag()?, self.u32()?);
        if tag == SEQUENCE_END {
            return Ok(self.leave());
        }
        if tag != ITEM {
            return Err(Unreadable::NoItem);
        }
        let position = self.source.position();
        match self.stack.last_mut() {
            Some(Frame { kind: Kind::Fragments(tag), .. }) => {
                let fragment = Element { tag: *tag, vr: VR::OB, position, length: length.into() };
                self.unread = fragment.length;
                Ok(Event::Fragment(fragment))
            }
            Some(Frame { kind: Kind::Sequence(_, items), implicit, .. }) => {
                *items += 1;
                let implicit = *implicit;
                let end = (length != UNDEFINED).then(|| position + u64::from(length));
                self.enter(Kind::Item, end, implicit)?;
                Ok(Event::ItemStart)
            }
            _ => Err(Unreadable::NoItem),
        }
    }

    /// An element of the data set or of an item; nothing where something ends that has ended already.
    fn element(&mut self) -> Result<Option<Event>, Unreadable> {
        let implicit = match self.stack.last() {
            Some(frame) => frame.implicit,
            None => self.source.encoding().implicit,
        };
        let tag = self.tag()?;
        if tag == ITEM_END || tag == SEQUENCE_END {
            self.u32()?;
            let ends =
                tag == ITEM_END && self.stack.last().is_some_and(|frame| frame.end.is_none());
            return Ok(ends.then(|| self.leave()));
        }
        let (vr, length) =
            if implicit { (self.vr_of(tag), self.u32()?) } else { self.vr_and_length()? };
        let position = self.source.position();
        let is_defined = length != UNDEFINED;
        let element = Element { tag, vr, position, length: u64::from(length) };
        let is_sequence = vr == VR::SQ || !is_defined && vr == VR::UN;
        if is_sequence {
            let end = is_defined.then(|| position + u64::from(length));
            // Of an unknown VR with an undefined length the items are in implicit VR (PS3.5 section 6.2.2).
            self.enter(Kind::Sequence(tag, 0), end, implicit || vr == VR::UN)?;
            return Ok(Some(Event::SequenceStart(tag)));
        }
        if !is_defined {
            self.enter(Kind::Fragments(tag), None, implicit)?;
            return Ok(Some(Event::FragmentsStart(element)));
        }
        self.unread = element.length;
        if tag == PIXEL_REPRESENTATION && length == 2 {
            let value = self.value()?;
            self.is_signed = value.contains(&1);
            self.held = Some(value);
        }
        Ok(Some(Event::Element(element)))
    }

    fn vr_and_length(&mut self) -> Result<(VR, u32), Unreadable> {
        let mut bytes = [0; 4];
        self.source.read_exact(&mut bytes)?;
        let vr = VR::from_binary([bytes[0], bytes[1]]);
        let short = self.u16_of([bytes[2], bytes[3]]);
        match vr {
            Some(
                VR::OB
                | VR::OD
                | VR::OF
                | VR::OL
                | VR::OV
                | VR::OW
                | VR::SQ
                | VR::SV
                | VR::UC
                | VR::UN
                | VR::UR
                | VR::UT
                | VR::UV,
            ) => Ok((vr.unwrap_or(VR::UN), self.u32()?)),
            Some(vr) => Ok((vr, short.into())),
            None => Ok((VR::UN, short.into())),
        }
    }

    /// The VR of an element that has none written.
    fn vr_of(&self, tag: Tag) -> VR {
        let Tag(group, element) = tag;
        if element == 0 {
            return VR::UL;
        }
        if group % 2 == 1 {
            return if (0x10..=0xff).contains(&element) { VR::LO } else { VR::UN };
        }
        let Some(entry) = StandardDataDictionary.by_tag(tag) else { return VR::UN };
        match entry.vr() {
            VirtualVr::Exact(vr) => vr,
            VirtualVr::Xs if self.is_signed => VR::SS,
            VirtualVr::Xs => VR::US,
            VirtualVr::Ox | VirtualVr::Px | VirtualVr::Lt => VR::OW,
            _ => VR::UN,
        }
    }

    fn tag(&mut self) -> Result<Tag, Unreadable> {
        let mut bytes = [0; 4];
        self.source.read_exact(&mut bytes)?;
        let [a, b, c, d] = bytes;
        Ok(Tag(self.u16_of([a, b]), self.u16_of([c, d])))
    }

    fn u32(&mut self) -> Result<u32, Unreadable> {
        let mut bytes = [0; 4];
        self.source.read_exact(&mut bytes)?;
        Ok(match self.source.encoding().big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        })
    }

    fn u16_of(&self, bytes: [u8; 2]) -> u16 {
        match self.source.encoding().big_endian {
            true => u16::from_be_bytes(bytes),
            false => u16::from_le_bytes(bytes),
        }
    }
}
