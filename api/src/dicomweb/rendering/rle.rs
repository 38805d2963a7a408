//! RLE (PS3.5 annex G): a frame as segments of bytes, each one sample's high or low byte.

use super::NotRendered;

/// Length of the header: the number of segments, and where 15 of them begin.
const HEADER: usize = 64;

/// The segments of a frame, each of `length` bytes.
pub(super) fn segments(
    frame: &[u8],
    count: usize,
    length: usize,
) -> Result<Vec<Vec<u8>>, NotRendered> {
    let damaged = || NotRendered::damaged("a segment of RLE is missing or short");
    let (header, _) = frame.get(..HEADER).ok_or_else(damaged)?.as_chunks::<4>();
    let number =
        |place: usize| usize::try_from(u32::from_le_bytes(header[place])).unwrap_or(usize::MAX);
    if number(0) != count || !(1..=15).contains(&count) {
        return Err(damaged());
    }
    let segment = |place: usize| {
        let end = if place < count { number(place + 1) } else { frame.len() };
        unpacked(frame.get(number(place)..end).ok_or_else(damaged)?, length).ok_or_else(damaged)
    };
    (1..=count).map(segment).collect()
}

/// The bytes of a segment, as many as there are pixels.
fn unpacked(mut packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let (&control, rest) = packed.split_first()?;
        let left = length - bytes.len();
        packed = match control {
            0..=127 => {
                let literal = rest.get(..usize::from(control) + 1)?;
                bytes.extend_from_slice(&literal[..literal.len().min(left)]);
                &rest[literal.len()..]
            }
            128 => rest,
            129.. => {
                let (&byte, rest) = rest.split_first()?;
                bytes.resize(bytes.len() + (257 - usize::from(control)).min(left), byte);
                rest
            }
        };
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_literal_or_repeated_and_no_more_than_there_are_pixels() {
        assert_eq!(unpacked(&[2, 7, 8, 9, 254, 1, 128, 0, 5], 7), Some(vec![7, 8, 9, 1, 1, 1, 5]));
        assert_eq!(unpacked(&[129, 4], 5), Some(vec![4; 5]));
        assert_eq!(unpacked(&[129, 4], 200), None);
        assert_eq!(unpacked(&[3, 1], 4), None);
    }
}
