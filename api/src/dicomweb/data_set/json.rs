//! The metadata of an instance: its data set in the DICOM JSON model (PS3.18 annex F), with the places of long values instead
//! of the values. It is written a piece at a time, so that an instance with a long header is not in memory whole.

use super::values::{is_binary, turn_round, unit, values};
use super::walk::{Element, Event, Walk};
use super::{Source, Unreadable};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use character_sets::CharacterSets;
use dicom_core::{Tag, VR};
use std::io;

/// Bytes from which on a binary value is bulk data.
pub(crate) const LONG_BINARY: u64 = 1024;

/// Bytes from which on text and numbers are: what clients need at once, such as contours, is not.
pub(crate) const LONG_TEXT: u64 = 1024 * 1024;

const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);

/// The elements that are pixel data, of whatever kind, on whatever level.
pub(crate) fn is_pixel_data(tag: Tag) -> bool {
    matches!(tag, Tag(0x7fe0, 0x0008..=0x0010))
}

/// The metadata of one instance, as it is being written.
pub(crate) struct Metadata {
    walk: Walk,
    /// Where bulk data is, without the path of the element.
    bulk_data: String,
    /// Of each level, what it declares or has from the one above.
    character_sets: Vec<Vec<u8>>,
    /// Of each object that is open, whether nothing is in it yet.
    is_empty: Vec<bool>,
    /// Whether the sequence that is open has no item yet.
    without_item: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Elements,
    End,
}

impl Metadata {
    /// Of the data set of `source`; `bulk_data` is where its bulk data is.
    pub(crate) fn new(source: Source, bulk_data: String) -> Self {
        Self {
            walk: Walk::new(source),
            bulk_data,
            character_sets: vec![Vec::new()],
            is_empty: Vec::new(),
            without_item: false,
            state: State::Begin,
        }
    }

    /// Writes more of it, until `into` has about `enough` bytes. Says whether there is more.
    pub(crate) fn write(&mut self, into: &mut Vec<u8>, enough: usize) -> Result<bool, Unreadable> {
        if self.state == State::Begin {
            self.open(into);
            self.state = State::Elements;
        }
        while self.state == State::Elements {
            if into.len() >= enough {
                return Ok(true);
            }
            match self.walk.next()? {
                Some(event) => self.event(event, into)?,
                None => {
                    into.push(b'}');
                    self.state = State::End;
                }
            }
        }
        Ok(false)
    }

    fn open(&mut self, into: &mut Vec<u8>) {
        into.push(b'{');
        self.is_empty.push(true);
    }

    fn event(&mut self, event: Event, into: &mut Vec<u8>) -> Result<(), Unreadable> {
        match event {
            // Lengths of groups are of the file, not of the data set (PS3.18 section F.2.2).
            Event::Element(element) if element.tag.1 == 0 => {}
            Event::Element(element) => self.element(element, into)?,
            Event::SequenceStart(tag) => {
                self.key(tag, VR::SQ, into);
                self.without_item = true;
            }
            Event::ItemStart => {
                into.extend_from_slice(if self.without_item { b",\"Value\":[" } else { b"," });
                self.without_item = false;
                let of_parent = self.character_sets.last().cloned().unwrap_or_default();
                self.character_sets.push(of_parent);
                self.open(into);
            }
            Event::ItemEnd => {
                self.is_empty.pop();
                self.character_sets.pop();
                into.push(b'}');
            }
            Event::SequenceEnd => {
                into.extend_from_slice(if self.without_item { b"}" } else { b"]}" });
                self.without_item = false;
            }
            Event::FragmentsStart(element) => {
                // What is encapsulated is bytes, whatever VR is written.
                self.key(element.tag, VR::OB, into);
                self.uri(element.tag, into)?;
                into.push(b'}');
            }
            Event::Fragment(_) | Event::FragmentsEnd => {}
        }
        Ok(())
    }

    fn key(&mut self, tag: Tag, vr: VR, into: &mut Vec<u8>) {
        if let Some(is_empty) = self.is_empty.last_mut()
            && !std::mem::take(is_empty)
        {
            into.push(b',');
        }
        let key = format!("\"{:04X}{:04X}\":{{\"vr\":\"{}\"", tag.0, tag.1, vr.to_string());
        into.extend_from_slice(key.as_bytes());
    }

    fn uri(&self, tag: Tag, into: &mut Vec<u8>) -> Result<(), Unreadable> {
        into.extend_from_slice(b",\"BulkDataURI\":");
        json(&format!("{}/{}", self.bulk_data, self.walk.path(tag)), into)
    }

    fn element(&mut self, element: Element, into: &mut Vec<u8>) -> Result<(), Unreadable> {
        let Element { tag, vr, length, .. } = element;
        self.key(tag, vr, into);
        let is_long = length > if is_binary(vr) { LONG_BINARY } else { LONG_TEXT };
        if length > 0 && (is_long || is_pixel_data(tag)) {
            self.uri(tag, into)?;
        } else if length > 0 {
            let mut value = self.walk.value()?;
            if self.walk.source().encoding().big_endian {
                // A tag is two numbers.
                turn_round(&mut value, unit(vr));
            }
            self.value(tag, vr, value, into)?;
        }
        into.push(b'}');
        Ok(())
    }

    fn value(
        &mut self,
        tag: Tag,
        vr: VR,
        value: Vec<u8>,
        into: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        if is_binary(vr) {
            let binary = BASE64_STANDARD.encode(&value);
            into.extend_from_slice(format!(",\"InlineBinary\":\"{binary}\"").as_bytes());
            return Ok(());
        }
        if tag == SPECIFIC_CHARACTER_SET {
            // All text here is UTF-8, whatever it is in the file (section F.2).
            into.extend_from_slice(b",\"Value\":[\"ISO_IR 192\"]");
            if let Some(sets) = self.character_sets.last_mut() {
                *sets = value;
            }
            return Ok(());
        }
        let sets = self.character_sets.last().map_or(&[][..], Vec::as_slice);
        let values = values(vr, &value, CharacterSets::parse(sets));
        if values.iter().all(|value| value.is_null() || value == "") {
            return Ok(());
        }
        into.extend_from_slice(b",\"Value\":");
        json(&values, into)
    }
}

fn json(value: &impl serde::Serialize, into: &mut Vec<u8>) -> Result<(), Unreadable> {
    serde_json::to_writer(into, value).map_err(|error| Unreadable::Failed(io::Error::from(error)))
}
