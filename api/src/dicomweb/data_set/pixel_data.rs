//! Where the frames of an instance, and the bytes of any element, are in its file.

use super::values::unit;
use super::walk::{Element, Event, Walk};
use super::{Source, Unreadable, json};
use dicom_core::{Tag, VR};
use std::ops::Range;

const SAMPLES_PER_PIXEL: Tag = Tag(0x0028, 0x0002);
const PHOTOMETRIC_INTERPRETATION: Tag = Tag(0x0028, 0x0004);
const NUMBER_OF_FRAMES: Tag = Tag(0x0028, 0x0008);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const EXTENDED_OFFSET_TABLE: Tag = Tag(0x7fe0, 0x0001);
const EXTENDED_OFFSET_TABLE_LENGTHS: Tag = Tag(0x7fe0, 0x0002);

/// The longest offset table that is read: two million frames.
const MAX_OFFSETS: u64 = 16 * 1024 * 1024;

/// Bytes of a file, or of its data set inflated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    /// One after the other.
    pub(crate) ranges: Vec<Range<u64>>,
    /// Bytes of a unit whose bytes are turned round: what is served is little endian.
    pub(crate) turned: usize,
    /// Bytes at the end that are left out after that.
    pub(crate) cut: u64,
}

impl Extent {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum::<u64>() - self.cut
    }
}

/// Why a frame can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoFrame {
    /// There is none of that number, or the pixel data ends before it.
    OutOfRange,
    /// It begins or ends within a byte, or within a unit that has to be turned round.
    WithinByte,
    /// Nothing says which fragments are of which frame.
    NoOffsets,
}

/// The pixel data of an instance.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PixelData {
    shape: Shape,
    content: Content,
    big_endian: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Content {
    Native(Element),
    Encapsulated { fragments: Vec<Range<u64>>, offsets: Vec<u64>, lengths: Vec<u64> },
}

/// What says how long a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    rows: u64,
    columns: u64,
    samples: u64,
    bits: u64,
    frames: u64,
    /// Of three samples the second and third are there for every other pixel (PS3.3 section C.7.6.3.1.2).
    is_subsampled: bool,
}

impl PixelData {
    /// Finds it. Nothing of it is read but the lengths of fragments.
    pub(crate) fn find(source: Source) -> Result<Option<Self>, Unreadable> {
        let big_endian = source.encoding().big_endian;
        let mut walk = Walk::new(source);
        let mut shape =
            Shape { rows: 0, columns: 0, samples: 1, bits: 0, frames: 1, is_subsampled: false };
        let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
        while let Some(event) = walk.next()? {
            if walk.depth() > 1 {
                continue;
            }
            match event {
                Event::Element(element) if json::is_pixel_data(element.tag) => {
                    return Ok(Some(Self { shape, content: Content::Native(element), big_endian }));
                }
                Event::FragmentsStart(element) if json::is_pixel_data(element.tag) => {
                    let content = fragments(&mut walk, offsets, lengths)?;
                    return Ok(Some(Self { shape, content, big_endian }));
                }
                Event::Element(element) if walk.depth() == 0 => match element.tag {
                    EXTENDED_OFFSET_TABLE if element.length <= MAX_OFFSETS => {
                        offsets = u64s(&walk.value()?);
                    }
                    EXTENDED_OFFSET_TABLE_LENGTHS if element.length <= MAX_OFFSETS => {
                        lengths = u64s(&walk.value()?);
                    }
                    tag if tag.0 == 0x0028 && element.length <= 64 => {
                        shape.note(tag, &walk.value()?, big_endian);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whether it is encapsulated.
    pub(crate) fn is_encapsulated(&self) -> bool {
        matches!(self.content, Content::Encapsulated { .. })
    }

    /// How many fragments it has, if it is encapsulated.
    pub(crate) fn fragments(&self) -> Option<u64> {
        match &self.content {
            Content::Encapsulated { fragments, .. } => Some(fragments.len() as u64),
            Content::Native(_) => None,
        }
    }

    /// How many frames it has.
    pub(crate) fn frames(&self) -> u64 {
        self.shape.frames
    }

    /// Where a frame is; the first is 1.
    pub(crate) fn frame(&self, number: u64) -> Result<Extent, NoFrame> {
        if number == 0 || number > self.shape.frames {
            return Err(NoFrame::OutOfRange);
        }
        match &self.content {
            Content::Native(element) => self.native(*element, number - 1),
            Content::Encapsulated { fragments, offsets, lengths } => {
                let ranges =
                    encapsulated(fragments, offsets, lengths, self.shape.frames, number - 1)?;
                Ok(Extent { ranges, turned: 1, cut: 0 })
            }
        }
    }

    fn native(&self, element: Element, index: u64) -> Result<Extent, NoFrame> {
        let bits = self.shape.frame_bits().ok_or(NoFrame::OutOfRange)?;
        let first = bits.checked_mul(index).ok_or(NoFrame::OutOfRange)?;
        let is_last = index + 1 == self.shape.frames;
        if first % 8 != 0 || bits % 8 != 0 && !is_last {
            return Err(NoFrame::WithinByte);
        }
        let (start, length) = (first / 8, bits.div_ceil(8));
        if bits == 0 || start + length > element.length {
            return Err(NoFrame::OutOfRange);
        }
        let turned = if self.big_endian { unit(element.vr) } else { 1 };
        if start % turned as u64 != 0 {
            return Err(NoFrame::WithinByte);
        }
        // What is turned round is read in whole units, and then may be longer.
        let read = length.next_multiple_of(turned as u64);
        if start + read > element.length {
            return Err(NoFrame::OutOfRange);
        }
        let start = element.position + start;
        let range = start..start + read;
        Ok(Extent { ranges: vec![range], turned, cut: read - length })
    }
}

impl Shape {
    fn note(&mut self, tag: Tag, value: &[u8], big_endian: bool) {
        let number = || {
            let bytes = value.first_chunk::<2>().copied().unwrap_or_default();
            u64::from(if big_endian {
                u16::from_be_bytes(bytes)
            } else {
                u16::from_le_bytes(bytes)
            })
        };
        let text = || String::from_utf8_lossy(value).trim_matches([' ', '\0']).to_owned();
        match tag {
            ROWS => self.rows = number(),
            COLUMNS => self.columns = number(),
            SAMPLES_PER_PIXEL => self.samples = number(),
            BITS_ALLOCATED => self.bits = number(),
            NUMBER_OF_FRAMES => self.frames = text().parse().unwrap_or(1).max(1),
            PHOTOMETRIC_INTERPRETATION => self.is_subsampled = text() == "YBR_FULL_422",
            _ => {}
        }
    }

    fn frame_bits(&self) -> Option<u64> {
        let samples = if self.is_subsampled { 2 } else { self.samples };
        self.rows.checked_mul(self.columns)?.checked_mul(samples)?.checked_mul(self.bits)
    }
}

/// The fragments, as the walk comes to them, and what says which are of which frame.
fn fragments(
    walk: &mut Walk,
    mut offsets: Vec<u64>,
    lengths: Vec<u64>,
) -> Result<Content, Unreadable> {
    let (mut found, mut is_table) = (Vec::new(), true);
    loop {
        match walk.next()? {
            Some(Event::Fragment(fragment)) if is_table => {
                is_table = false;
                let is_read = offsets.is_empty() && (1..=MAX_OFFSETS).contains(&fragment.length);
                if is_read {
                    let table = walk.value()?;
                    let (entries, _) = table.as_chunks::<4>();
                    offsets = entries.iter().map(|it| u32::from_le_bytes(*it).into()).collect();
                }
            }
            Some(Event::Fragment(it)) => found.push(it.position..it.position + it.length),
            Some(Event::FragmentsEnd) => break,
            _ => return Err(Unreadable::Truncated),
        }
    }
    Ok(Content::Encapsulated { fragments: found, offsets, lengths })
}

/// The fragments of a frame (PS3.5 section A.4).
fn encapsulated(
    fragments: &[Range<u64>],
    offsets: &[u64],
    lengths: &[u64],
    frames: u64,
    index: u64,
) -> Result<Vec<Range<u64>>, NoFrame> {
    let place = usize::try_from(index).map_err(|_| NoFrame::OutOfRange)?;
    let first = fragments.first().ok_or(NoFrame::OutOfRange)?;
    if frames == 1 && lengths.is_empty() {
        return Ok(fragments.to_vec());
    }
    if offsets.len() as u64 == frames {
        // They count from the first fragment's item, whose tag and length are 8 bytes.
        let begins = |place: usize| offsets.get(place).map(|it| first.start.saturating_add(*it));
        let (begin, end) = (begins(place).ok_or(NoFrame::OutOfRange)?, begins(place + 1));
        let place_of = |start: u64| fragments.partition_point(|it| it.start < start);
        let to = end.map_or(fragments.len(), place_of);
        let mut found = fragments.get(place_of(begin)..to).unwrap_or_default().to_vec();
        if let ([only], Some(length)) = (&mut found[..], lengths.get(place)) {
            // Without the byte that makes its length even.
            only.end = only.end.min(only.start.saturating_add(*length));
        }
        return match found.first() {
            Some(first) if first.start == begin => Ok(found),
            _ => Err(NoFrame::NoOffsets),
        };
    }
    if fragments.len() as u64 == frames {
        return Ok(vec![fragments[place].clone()]);
    }
    Err(if (fragments.len() as u64) < frames { NoFrame::OutOfRange } else { NoFrame::NoOffsets })
}

fn u64s(bytes: &[u8]) -> Vec<u64> {
    let (values, _) = bytes.as_chunks::<8>();
    values.iter().map(|value| u64::from_le_bytes(*value)).collect()
}

/// What bulk data is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BulkData {
    /// The value of an element.
    Value(Extent),
    /// The pixel data of the instance, encapsulated: frame by frame.
    Frames,
}

/// Finds the element at a path that [`Walk::path`] made.
pub(crate) fn bulk_data(source: Source, path: &str) -> Result<Option<BulkData>, Unreadable> {
    let big_endian = source.encoding().big_endian;
    let mut walk = Walk::new(source);
    while let Some(event) = walk.next()? {
        match event {
            Event::Element(element) if walk.path(element.tag) == path => {
                if element.vr == VR::SQ {
                    return Ok(None);
                }
                let range = element.position..element.position + element.length;
                let turned = if big_endian { unit(element.vr) } else { 1 };
                return Ok(Some(BulkData::Value(Extent { ranges: vec![range], turned, cut: 0 })));
            }
            Event::FragmentsStart(element) if walk.path(element.tag) == path => {
                if json::is_pixel_data(element.tag) && walk.depth() == 1 {
                    return Ok(Some(BulkData::Frames));
                }
                let Content::Encapsulated { fragments, .. } =
                    fragments(&mut walk, Vec::new(), Vec::new())?
                else {
                    return Ok(None);
                };
                return Ok(Some(BulkData::Value(Extent { ranges: fragments, turned: 1, cut: 0 })));
            }
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "an extent is a list of ranges")]
mod tests {
    use super::*;

    fn shape(frames: u64, bits: u64) -> Shape {
        Shape { rows: 3, columns: 5, samples: 1, bits, frames, is_subsampled: false }
    }

    fn native(shape: Shape, length: u64, big_endian: bool) -> PixelData {
        let tag = Tag(0x7fe0, 0x0010);
        let element = Element { tag, vr: VR::OW, position: 1000, length };
        PixelData { shape, content: Content::Native(element), big_endian }
    }

    #[test]
    fn a_native_frame_is_where_its_size_says() {
        let extent = |range: Range<u64>, turned| Ok(Extent { ranges: vec![range], turned, cut: 0 });
        let pixels = native(shape(2, 16), 60, false);
        assert_eq!(pixels.frame(1), extent(1000..1030, 1));
        assert_eq!(pixels.frame(2), extent(1030..1060, 1));
        assert_eq!(pixels.frame(3), Err(NoFrame::OutOfRange));
        assert_eq!(pixels.frame(0), Err(NoFrame::OutOfRange));
        assert_eq!(native(shape(2, 16), 58, false).frame(2), Err(NoFrame::OutOfRange));
        assert_eq!(native(shape(2, 16), 60, true).frame(2), extent(1030..1060, 2));
        // Of 15 bits each the second begins within a byte, and of 15 bytes within a word.
        let bits = native(shape(2, 1), 4, false);
        assert_eq!(
            (bits.frame(1), bits.frame(2)),
            (Err(NoFrame::WithinByte), Err(NoFrame::WithinByte))
        );
        assert_eq!(native(shape(1, 1), 2, false).frame(1), extent(1000..1002, 1));
        // Of words that are turned round the last one is read whole.
        let odd = native(shape(2, 8), 30, true);
        let cut = Extent { ranges: vec![1000..1016], turned: 2, cut: 1 };
        assert_eq!((cut.len(), odd.frame(1)), (15, Ok(cut)));
        assert_eq!(odd.frame(2), Err(NoFrame::WithinByte));
        let subsampled = Shape { samples: 3, is_subsampled: true, columns: 6, ..shape(1, 8) };
        assert_eq!(native(subsampled, 36, false).frame(1), extent(1000..1036, 1));
    }

    #[test]
    fn fragments_are_of_the_frames_that_a_table_says_or_that_their_number_does() {
        let fragments = [108..120, 128..140, 148..160];
        let of = |offsets: &[u64], lengths: &[u64], frames, index| {
            encapsulated(&fragments, offsets, lengths, frames, index)
        };
        assert_eq!(of(&[], &[], 1, 0), Ok(fragments.to_vec()));
        assert_eq!(of(&[], &[], 3, 1), Ok(vec![128..140]));
        assert_eq!(of(&[0, 40], &[], 2, 0), Ok(vec![108..120, 128..140]));
        assert_eq!(of(&[0, 40], &[], 2, 1), Ok(vec![148..160]));
        assert_eq!(of(&[0, 20, 40], &[11, 11, 11], 3, 2), Ok(vec![148..159]));
        assert_eq!(of(&[0, 30], &[], 2, 1), Err(NoFrame::NoOffsets));
        assert_eq!(of(&[], &[], 2, 1), Err(NoFrame::NoOffsets));
        assert_eq!(of(&[], &[], 4, 3), Err(NoFrame::OutOfRange));
    }
}
