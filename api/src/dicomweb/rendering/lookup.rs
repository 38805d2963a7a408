//! Lookup tables: of colours (PS3.3 section C.7.6.3.1.5), and of grey values (sections C.11.1 and C.11.2).

/// What says how a table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptor {
    entries: usize,
    first: i32,
    bits: u32,
}

impl Descriptor {
    /// Of its three numbers.
    pub(crate) fn of(numbers: &[u16], is_signed: bool) -> Option<Self> {
        let [entries, first, bits] = *numbers else { return None };
        let first = if is_signed { i32::from(first.cast_signed()) } else { first.into() };
        // 65,536 does not fit, and is written as 0.
        let entries = if entries == 0 { 65_536 } else { usize::from(entries) };
        (8..=16).contains(&bits).then_some(Self { entries, first, bits: bits.into() })
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lookup {
    first: i32,
    bits: u32,
    entries: Vec<u16>,
}

impl Lookup {
    /// Of a descriptor and its data, in little endian; nothing where that is too short.
    pub(crate) fn of(descriptor: Descriptor, data: &[u8], is_segmented: bool) -> Option<Self> {
        let Descriptor { entries: count, first, bits } = descriptor;
        let words = |data: &[u8]| -> Vec<u16> {
            data.as_chunks::<2>().0.iter().map(|it| u16::from_le_bytes(*it)).collect()
        };
        let entries = match is_segmented {
            true => expanded(&words(data), count)?,
            // Entries of 8 bits are two to a word, or one.
            false if bits == 8 && data.len() < 2 * count => {
                data.iter().map(|&it| it.into()).collect()
            }
            false => words(data),
        };
        // Some say 16 bits and fill 8.
        let is_8 = bits == 8 || entries.iter().all(|it| *it < 256) && !is_segmented && bits == 16;
        let entries = entries.get(..count)?.to_vec();
        Some(Self { first, bits: if is_8 { 8 } else { bits }, entries })
    }

    /// What a value becomes; beyond the ends of the table what they become.
    pub(crate) fn of_value(&self, value: i32) -> u16 {
        let place = usize::try_from(i64::from(value) - i64::from(self.first)).unwrap_or(0);
        self.entries.get(place).or(self.entries.last()).copied().unwrap_or_default()
    }

    /// The same in 8 bits.
    pub(crate) fn of_value_8(&self, value: i32) -> u8 {
        let high = self.of_value(value) >> (self.bits - 8);
        u8::try_from(high).unwrap_or(u8::MAX)
    }

    /// The same as a part of the highest value that its bits have.
    pub(crate) fn of_value_part(&self, value: f64) -> f64 {
        #[allow(clippy::cast_possible_truncation, reason = "what is beyond becomes the end")]
        let value = value.round() as i32;
        f64::from(self.of_value(value)) / f64::from((1_u32 << self.bits) - 1)
    }
}

/// A segmented table as a plain one (section C.7.9.2).
fn expanded(words: &[u16], count: usize) -> Option<Vec<u16>> {
    let mut entries: Vec<u16> = Vec::with_capacity(count);
    let mut rest = words;
    while let [kind, length, following @ ..] = rest {
        if entries.len() >= count {
            break;
        }
        let length = usize::from(*length);
        match kind {
            0 => {
                entries.extend_from_slice(following.get(..length)?);
                rest = &following[length..];
            }
            1 => {
                let (from, to) = (i64::from(*entries.last()?), i64::from(*following.first()?));
                let steps = i64::try_from(length).ok()?;
                for step in 1..=steps {
                    entries.push(u16::try_from(from + (to - from) * step / steps).ok()?);
                }
                rest = &following[1..];
            }
            _ => return None,
        }
    }
    Some(entries)
}
