//! The header of a data set: the attributes that are asked for, picked out of the bytes as they
//! stream past, up to the pixel data.
//!
//! Nothing else is kept, so the memory for one instance does not depend on its size, nor on what
//! its sender put before the pixel data. A data set that ends in the middle of an element, or of its pixel
//! data, is told from a whole one.

#[cfg(test)]
mod damaged;
mod element;
mod nesting;
mod overlong;
mod scanner;
#[cfg(test)]
mod tests;

pub use contract::attributes::Tag;
use flate2::{Decompress, FlushDecompress, Status};
use nesting::MAX_DEPTH;
pub use overlong::{Overlong, Slot};
use scanner::Scanner;
use std::collections::BTreeMap;

/// Longest value that is kept of one attribute, in bytes; the rest of a longer one is cut off.
/// The longest text that may be queried for has 10240 characters (VR LT), but none of the
/// attributes kept here is of that VR, and an event with all of them must fit a NATS message.
pub const MAX_VALUE_LENGTH: usize = 4096;

/// Bytes inflated at a time.
const INFLATE_BUFFER: usize = 16 * 1024;

/// How the elements of a data set are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Implicit VR little endian.
    Implicit,
    /// Explicit VR little endian.
    Explicit,
    /// Explicit VR big endian.
    ExplicitBigEndian,
    /// Explicit VR little endian, deflated as a whole.
    Deflated,
}

impl Encoding {
    /// How the data sets of a transfer syntax are written. One that is unknown here is explicit VR
    /// little endian: all are, by PS3.5 section 10 and A.4, but for the ones named below.
    #[must_use]
    pub fn of(transfer_syntax_uid: &str) -> Self {
        match transfer_syntax_uid {
            "1.2.840.10008.1.2" => Self::Implicit,
            // GE's private syntax: implicit VR little endian, with big endian pixel data.
            "1.2.840.113619.5.2" => Self::Implicit,
            "1.2.840.10008.1.2.2" => Self::ExplicitBigEndian,
            // Deflated, and the two that refer to pixel data by JPIP.
            "1.2.840.10008.1.2.1.99" | "1.2.840.10008.1.2.4.95" | "1.2.840.10008.1.2.4.205" => {
                Self::Deflated
            }
            _ => Self::Explicit,
        }
    }
}

/// What to keep: the tags of the data set, and of the items of the sequences among them, 64 of each at most.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Attributes of the data set itself, sequences included.
    pub tags: &'static [Tag],
    /// Sequences among `tags` whose items are kept, with the tags kept of each item.
    pub sequences: &'static [(Tag, &'static [Tag])],
}

/// The values that were kept, as they were on the wire.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Of the data set, by tag.
    pub values: BTreeMap<Tag, Vec<u8>>,
    /// The items of sequences, by the sequence's tag.
    pub items: BTreeMap<Tag, Vec<BTreeMap<Tag, Vec<u8>>>>,
    /// How many more items such a sequence has, which were left out.
    pub items_left_out: BTreeMap<Tag, u64>,
    /// Of which of them only the beginning was kept, with the hash of the whole; and what is in the items that
    /// were left out.
    pub overlong: Overlong,
    /// Whether binary values are big endian.
    pub big_endian: bool,
}

/// The data set can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// More than the limit of elements and of what is kept of them.
    #[error("more than {0} bytes of elements (see HEADER_LIMIT)")]
    TooLong(u64),
    /// It ends in the middle of an element, be it the pixel data.
    #[error("the data set ends in the middle of an element")]
    Truncated,
    /// What is in a sequence can't be told from what is the data set's own.
    #[error("the lengths and delimiters of sequences contradict each other")]
    Nesting,
    /// Two bytes that are no VR, and no length that leads to another element.
    #[error("an element has no VR, and nothing shows where it ends")]
    Unplaced,
    /// Sequences in sequences without end.
    #[error("sequences are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// It is deflated, and there is no end to it.
    #[error("the deflated data set has more than {0} bytes (see INFLATE_LIMIT)")]
    Inflates(u64),
    /// The deflated stream is broken.
    #[error("the deflated data set can't be inflated")]
    Inflate,
}

/// Reads the header of one data set from its fragments.
pub struct HeaderReader {
    scanner: Scanner,
    inflater: Option<Inflater>,
}

/// How far a data set is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the starts of elements, and of the values that are kept, before the pixel data.
    pub header: u64,
    /// Bytes to which a deflated one may be inflated.
    pub inflated: u64,
}

struct Inflater {
    stream: Decompress,
    limit: u64,
    buffer: Box<[u8]>,
    /// Whether it is inflated to its end, though nothing of it is of use behind the pixel data.
    to_the_end: bool,
    ended: bool,
}

impl HeaderReader {
    /// For a data set in `encoding`, which is refused beyond the limits.
    #[must_use]
    pub fn new(encoding: Encoding, wanted: Wanted, limits: Limits) -> Self {
        let inflater = (encoding == Encoding::Deflated).then(|| Inflater {
            stream: Decompress::new(false),
            limit: limits.inflated,
            buffer: vec![0; INFLATE_BUFFER].into_boxed_slice(),
            to_the_end: false,
            ended: false,
        });
        let inflated = if inflater.is_some() { Encoding::Explicit } else { encoding };
        Self { scanner: Scanner::new(inflated, wanted, limits.header), inflater }
    }

    /// The same reader, which refuses a deflated data set that is cut short behind its pixel data as well: whoever
    /// inflates that as a whole could not.
    #[must_use]
    pub fn to_the_end(mut self) -> Self {
        if let Some(inflater) = &mut self.inflater {
            inflater.to_the_end = true;
        }
        self
    }

    /// Takes the next bytes of the data set.
    ///
    /// # Errors
    /// When the data set can't be taken; it stays so.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), HeaderError> {
        match &mut self.inflater {
            None => self.scanner.push(bytes),
            Some(inflater) => inflater.push(bytes, &mut self.scanner),
        }
    }

    /// How many of the next bytes need not be looked at, as they are in the middle of a value that is not
    /// kept. Any number once nothing of what comes makes a difference.
    #[must_use]
    pub fn skippable(&self) -> u64 {
        match &self.inflater {
            None => self.scanner.skippable(),
            Some(inflater) if inflater.is_done(&self.scanner) => u64::MAX,
            Some(_) => 0,
        }
    }

    /// Takes it that so many bytes came, no more than are [`HeaderReader::skippable`].
    ///
    /// # Errors
    /// As [`HeaderReader::push`].
    pub fn skip(&mut self, length: u64) -> Result<(), HeaderError> {
        match self.inflater {
            None => self.scanner.skip(length),
            Some(_) => Ok(()),
        }
    }

    /// One of the data set's own attributes, once all of its value was pushed: also before the
    /// header ends, and also when it turns out that the data set can't be taken.
    #[must_use]
    pub fn value_so_far(&self, tag: Tag) -> Option<&[u8]> {
        self.scanner.whole_value(tag)
    }

    /// The header, once the whole data set was pushed.
    ///
    /// # Errors
    /// When the data set ended too early.
    pub fn finish(self) -> Result<Header, HeaderError> {
        let ended = self.inflater.as_ref().is_none_or(|inflater| inflater.ended);
        let is_enough = ended || self.inflater.is_some_and(|inflater| !inflater.to_the_end);
        match (is_enough && self.scanner.is_over()) || (ended && self.scanner.at_end()) {
            true => Ok(self.scanner.header),
            false => Err(HeaderError::Truncated),
        }
    }
}

impl Inflater {
    /// Whether nothing of what comes makes a difference.
    fn is_done(&self, scanner: &Scanner) -> bool {
        self.ended || (scanner.is_over() && !self.to_the_end)
    }

    fn push(&mut self, mut bytes: &[u8], scanner: &mut Scanner) -> Result<(), HeaderError> {
        // All the bytes may be taken, and there is more to come of them until nothing comes.
        let mut gives = false;
        // Bytes after the end of the stream are padding to an even length (PS3.5 section A.5).
        while (gives || !bytes.is_empty()) && !self.is_done(scanner) {
            let (taken, given) = (self.stream.total_in(), self.stream.total_out());
            let room = self.limit - given;
            let status = self.stream.decompress(bytes, &mut self.buffer, FlushDecompress::None);
            let taken = (self.stream.total_in() - taken) as usize;
            let given = self.stream.total_out() - given;
            // What comes before a fault or the limit counts: how the bytes arrived must make no
            // difference.
            scanner.push(&self.buffer[..given.min(room) as usize])?;
            if given > room {
                return Err(HeaderError::Inflates(self.limit));
            }
            let came_to_nothing = taken == 0 && given == 0 && !bytes.is_empty();
            bytes = &bytes[taken..];
            gives = given > 0;
            self.ended = status.map_err(|_| HeaderError::Inflate)? == Status::StreamEnd;
            if came_to_nothing && !self.ended {
                return Err(HeaderError::Inflate);
            }
        }
        Ok(())
    }
}
