//! Where in its sequences and items a walk over a data set is (PS3.5 section 7.5). What is written inside
//! must never be taken for the data set's own: an instance would be filed under another patient.
//!
//! So a level of explicit length ends by its length and nothing else, and a delimiter ends no more than its
//! own level. Delimiters that end nothing are passed over: devices close by a delimiter what has its length
//! already. One repair leads outwards: a sequence's delimiter in an item of undefined length ends both, as an
//! ultrasound scanner writes it. After that all has to fit, or the data set is refused.

use super::{Encoding, HeaderError, Tag};

/// How deep sequences may be nested.
pub(super) const MAX_DEPTH: usize = 64;

/// A sequence or an item whose elements are being walked over.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) kind: Kind,
    /// Position at which it ends, if that was said in advance.
    pub(super) end: Option<u64>,
    /// How its elements are written.
    pub(super) encoding: Encoding,
    /// Whether an item has begun in it.
    pub(super) has_items: bool,
}

/// What is being walked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of a sequence whose items are kept under this tag, if any.
    Sequence(Option<Tag>),
    /// As its sequence.
    Item(Option<Tag>),
    /// Encapsulated pixel data somewhere inside, or what is written like it: its items hold bytes, not elements.
    Fragments,
    /// The encapsulated pixel data of the data set itself.
    PixelData,
}

/// What ended last, if nothing has begun since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Nothing,
    Item,
    /// A sequence, inside of what is open now.
    Sequence,
}

/// The sequences and items that are open around a position, outermost first.
#[derive(Debug)]
pub(super) struct Nesting {
    open: Vec<Level>,
    ended: Ended,
    /// Whether a level was ended by something else than its own end.
    repaired: bool,
    /// The latest of the data set's own tags.
    last: Tag,
}

impl Nesting {
    pub(super) fn new() -> Self {
        Self { open: Vec::new(), ended: Ended::Nothing, repaired: false, last: 0 }
    }

    /// Whether the position is in no sequence.
    pub(super) fn is_outside(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn innermost(&self) -> Option<&Level> {
        self.open.last()
    }

    /// Looks whether an element may begin here.
    ///
    /// # Errors
    /// When it stands where only items may, or after a repair does not go on as the data set did.
    pub(super) fn begin_element(&mut self, tag: Tag) -> Result<(), HeaderError> {
        self.ended = Ended::Nothing;
        match self.open.last().map(|level| level.kind) {
            Some(Kind::Sequence(_) | Kind::Fragments | Kind::PixelData) => {
                return Err(HeaderError::Nesting);
            }
            Some(Kind::Item(_)) => return Ok(()),
            None => {}
        }
        if self.repaired && tag <= self.last {
            return Err(HeaderError::Nesting);
        }
        self.last = tag;
        Ok(())
    }

    /// Looks whether an item may begin here; gives the tag under which it is kept.
    ///
    /// # Errors
    /// When no sequence is open, or an item of it is.
    pub(super) fn begin_item(&mut self) -> Result<Option<Tag>, HeaderError> {
        self.ended = Ended::Nothing;
        let Some(level) = self.open.last_mut() else { return Err(HeaderError::Nesting) };
        level.has_items = true;
        match level.kind {
            Kind::Sequence(kept) => Ok(kept),
            Kind::Fragments | Kind::PixelData => Ok(None),
            Kind::Item(_) => Err(HeaderError::Nesting),
        }
    }

    /// The end of a value, sequence or item that begins at `position`, where it has a length.
    ///
    /// # Errors
    /// When it would end behind what it is in.
    pub(super) fn end_of(&self, position: u64, length: u32) -> Result<u64, HeaderError> {
        let end = position + u64::from(length);
        let around = self.open.iter().rev().find_map(|level| level.end);
        match around.is_some_and(|around| end > around) {
            true => Err(HeaderError::Nesting),
            false => Ok(end),
        }
    }

    /// Goes into a sequence or an item.
    ///
    /// # Errors
    /// When there are too many around it.
    pub(super) fn enter(&mut self, level: Level) -> Result<(), HeaderError> {
        if self.open.len() == MAX_DEPTH {
            return Err(HeaderError::TooDeep);
        }
        self.open.push(level);
        Ok(())
    }

    /// A value has ended that may have been a sequence, and was not walked over.
    pub(super) fn passed_sequence(&mut self) {
        self.ended = Ended::Sequence;
    }

    /// An item has ended that was not walked over.
    pub(super) fn passed_item(&mut self) {
        self.ended = Ended::Item;
    }

    /// Leaves what ends at `position` by its length. Gives whether something did.
    ///
    /// # Errors
    /// When something in it is open that has no length: then one of the two ends is wrong.
    pub(super) fn reach(&mut self, position: u64) -> Result<bool, HeaderError> {
        let ends = |level: &Level| level.end.is_some_and(|end| end <= position);
        let depth = self.open.len();
        while let Some(outermost) = self.open.iter().rposition(ends) {
            if outermost + 1 < self.open.len() {
                return Err(HeaderError::Nesting);
            }
            self.leave();
        }
        Ok(self.open.len() < depth)
    }

    /// The position is at a delimiter of an item.
    ///
    /// # Errors
    /// When it can't be told any more what it ends.
    pub(super) fn delimit_item(&mut self) -> Result<(), HeaderError> {
        match self.open.last() {
            // It has ended by its length.
            _ if self.ended == Ended::Item => Ok(()),
            Some(Level { kind: Kind::Item(_), end: None, .. }) => {
                self.leave();
                Ok(())
            }
            Some(_) => Ok(()),
            None => self.stray(),
        }
    }

    /// The position is at a delimiter of a sequence.
    ///
    /// # Errors
    /// When it can't be told any more what it ends.
    pub(super) fn delimit_sequence(&mut self) -> Result<(), HeaderError> {
        match self.open.as_slice() {
            // It has ended already, in what is still open.
            [_, ..] if self.ended == Ended::Sequence => Ok(()),
            [
                ..,
                Level {
                    kind: Kind::Sequence(_) | Kind::Fragments | Kind::PixelData,
                    end: None,
                    ..
                },
            ] => {
                self.leave();
                Ok(())
            }
            [
                ..,
                Level { kind: Kind::Sequence(_), end: None, .. },
                Level { kind: Kind::Item(_), end: None, .. },
            ] => {
                self.repaired = true;
                self.leave();
                self.leave();
                Ok(())
            }
            [_, ..] => Ok(()),
            [] if self.ended == Ended::Sequence && !self.repaired => Ok(()),
            [] => self.stray(),
        }
    }

    /// A delimiter that ends nothing, outside of all sequences.
    fn stray(&self) -> Result<(), HeaderError> {
        match self.repaired {
            true => Err(HeaderError::Nesting),
            false => Ok(()),
        }
    }

    fn leave(&mut self) {
        self.ended = match self.open.pop().map(|level| level.kind) {
            Some(Kind::Item(_)) => Ended::Item,
            Some(Kind::Sequence(_) | Kind::Fragments | Kind::PixelData) => Ended::Sequence,
            None => Ended::Nothing,
        };
    }
}
