//! The bytes of a data set: behind the File Meta Information, inflated where they are deflated.

use super::Unreadable;
use flate2::bufread::DeflateDecoder;
use std::io::{self, BufRead, BufReader, Read};
use store::{Object, ObjectReader};

/// Bytes that are read at a time. Most headers are shorter than two of these.
const BUFFER: usize = 16 * 1024;

/// Length of the preamble and the prefix of a file.
const PREAMBLE: usize = 128 + 4;

/// The longest File Meta Information that is looked at: ours have some 200 bytes.
const MAX_META: u32 = 64 * 1024;

/// How the elements of a data set are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// Without VRs.
    pub(crate) implicit: bool,
    /// Numbers begin with their most significant byte.
    pub(crate) big_endian: bool,
    /// As a whole.
    pub(crate) deflated: bool,
}

impl Encoding {
    /// How the data sets of a transfer syntax are written: as receivers read them. One that is unknown here is explicit
    /// VR little endian (PS3.5 sections 10 and A.4).
    pub(crate) fn of(transfer_syntax_uid: &str) -> Self {
        let (implicit, big_endian, deflated) = match transfer_syntax_uid {
            "1.2.840.10008.1.2" | "1.2.840.113619.5.2" => (true, false, false),
            "1.2.840.10008.1.2.2" => (false, true, false),
            "1.2.840.10008.1.2.1.99" | "1.2.840.10008.1.2.4.95" | "1.2.840.10008.1.2.4.205" => {
                (false, false, true)
            }
            _ => (false, false, false),
        };
        Self { implicit, big_endian, deflated }
    }
}

/// Reads a data set from its beginning. Positions are those in the file, or of the inflated data set.
pub(crate) struct Source {
    bytes: Bytes,
    position: u64,
    encoding: Encoding,
}

enum Bytes {
    File { reader: BufReader<ObjectReader>, length: u64 },
    Inflated(BufReader<DeflateDecoder<BufReader<ObjectReader>>>),
}

impl Source {
    /// Opens the data set of a file that is in this transfer syntax.
    pub(crate) fn open(object: &Object, transfer_syntax_uid: &str) -> Result<Self, Unreadable> {
        let mut reader = BufReader::with_capacity(BUFFER, object.reader());
        // The first element has the length of the others.
        let mut head = [0; PREAMBLE + 12];
        reader.read_exact(&mut head).map_err(ended)?;
        let is_file = head[128..PREAMBLE] == *b"DICM";
        let (element, length) = head[PREAMBLE..].split_at(8);
        if !is_file || element != [2, 0, 0, 0, b'U', b'L', 4, 0] {
            return Err(Unreadable::NoFile);
        }
        let length = u32::from_le_bytes(length.try_into().unwrap_or_default());
        if length > MAX_META {
            return Err(Unreadable::NoFile);
        }
        reader.seek_relative(length.into())?;
        let position = head.len() as u64 + u64::from(length);
        let encoding = Encoding::of(transfer_syntax_uid);
        let (bytes, position) = match encoding.deflated {
            true => {
                let inflated = DeflateDecoder::new(reader);
                (Bytes::Inflated(BufReader::with_capacity(BUFFER, inflated)), 0)
            }
            false => (Bytes::File { reader, length: object.len() }, position),
        };
        let mut source = Self { bytes, position, encoding };
        source.look_for_vrs()?;
        Ok(source)
    }

    /// Some senders write the other one of implicit and explicit VR than they say.
    fn look_for_vrs(&mut self) -> Result<(), Unreadable> {
        let next = self.buffered()?;
        if let Some(vr) = next.get(4..6) {
            let has_vr = dicom_core::VR::from_binary([vr[0], vr[1]]).is_some();
            self.encoding.implicit = !has_vr;
        }
        Ok(())
    }

    /// How the elements are written.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Where the next byte is.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Whether there is no further byte.
    pub(crate) fn is_at_end(&mut self) -> Result<bool, Unreadable> {
        Ok(self.buffered()?.is_empty())
    }

    fn buffered(&mut self) -> io::Result<&[u8]> {
        match &mut self.bytes {
            Bytes::File { reader, .. } => reader.fill_buf(),
            Bytes::Inflated(reader) => reader.fill_buf(),
        }
    }

    /// Reads as many bytes as there is room for.
    pub(crate) fn read_exact(&mut self, into: &mut [u8]) -> Result<(), Unreadable> {
        match &mut self.bytes {
            Bytes::File { reader, .. } => reader.read_exact(into),
            Bytes::Inflated(reader) => reader.read_exact(into),
        }
        .map_err(ended)?;
        self.position += into.len() as u64;
        Ok(())
    }

    /// Passes over bytes.
    pub(crate) fn skip(&mut self, length: u64) -> Result<(), Unreadable> {
        match &mut self.bytes {
            Bytes::File { reader, length: end } => {
                let offset = i64::try_from(length).map_err(|_| Unreadable::Truncated)?;
                if self.position.checked_add(length).is_none_or(|to| to > *end) {
                    return Err(Unreadable::Truncated);
                }
                reader.seek_relative(offset)?;
            }
            Bytes::Inflated(reader) => {
                let skipped = io::copy(&mut reader.take(length), &mut io::sink())?;
                if skipped < length {
                    return Err(Unreadable::Truncated);
                }
            }
        }
        self.position += length;
        Ok(())
    }
}

fn ended(error: io::Error) -> Unreadable {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Unreadable::Truncated,
        _ => Unreadable::Failed(error),
    }
}
