//! The samples of a frame, of the bytes that are in the file.

use super::{Header, MAX_ENCODED, NotRendered, Samples, Values, jpeg, jpeg_2000, rle};

/// Decodes a frame.
pub(super) fn decode(
    header: &Header,
    transfer_syntax_uid: &str,
    frame: Vec<u8>,
) -> Result<Samples, NotRendered> {
    let is_native = Coding::of(transfer_syntax_uid)? == Coding::Native;
    if !is_native && frame.len() as u64 > MAX_ENCODED {
        return Err(NotRendered::TooLong(frame.len() as u64));
    }
    match Coding::of(transfer_syntax_uid)? {
        Coding::Native => native(header, frame),
        Coding::Rle => {
            let bytes = header.bits_allocated as usize / 8;
            if bytes == 0 {
                return Err(NotRendered::unsupported("RLE of single bits is not rendered"));
            }
            let segments = rle::segments(&frame, header.samples * bytes, header.area())?;
            let mut samples = vec![0; header.area() * header.samples * bytes];
            for (place, segment) in segments.iter().enumerate() {
                // The high byte comes first.
                let (sample, byte) = (place / bytes, bytes - 1 - place % bytes);
                let into =
                    samples.iter_mut().skip(sample * bytes + byte).step_by(header.samples * bytes);
                into.zip(segment).for_each(|(into, byte)| *into = *byte);
            }
            Ok(Samples { values: values(header, samples)?, is_rgb: false })
        }
        Coding::Jpeg => jpeg::decode(header, &frame),
        Coding::Jpeg2000 => jpeg_2000::decode(header, &frame),
    }
}

/// How frames are encoded that are decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Native,
    Rle,
    Jpeg,
    Jpeg2000,
}

impl Coding {
    /// That of a transfer syntax.
    pub(crate) fn of(transfer_syntax_uid: &str) -> Result<Self, NotRendered> {
        Ok(match transfer_syntax_uid {
            "1.2.840.10008.1.2"
            | "1.2.840.10008.1.2.1"
            | "1.2.840.10008.1.2.2"
            | "1.2.840.10008.1.2.1.99"
            | "1.2.840.113619.5.2" => Self::Native,
            "1.2.840.10008.1.2.5" => Self::Rle,
            "1.2.840.10008.1.2.4.50"
            | "1.2.840.10008.1.2.4.51"
            | "1.2.840.10008.1.2.4.57"
            | "1.2.840.10008.1.2.4.70" => Self::Jpeg,
            "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => Self::Jpeg2000,
            _ => {
                return Err(NotRendered::unsupported(
                    "frames of its transfer syntax are not decoded",
                ));
            }
        })
    }
}

fn native(header: &Header, mut frame: Vec<u8>) -> Result<Samples, NotRendered> {
    let area = header.area();
    if header.bits_allocated == 1 {
        if header.samples != 1 || frame.len() < area.div_ceil(8) {
            return Err(NotRendered::damaged("its pixel data is short"));
        }
        let bits = (0..area).map(|place| frame[place / 8] >> (place % 8) & 1);
        return Ok(Samples { values: Values::Bytes(bits.collect()), is_rgb: false });
    }
    let bytes = header.bits_allocated as usize / 8;
    if header.photometric == "YBR_FULL_422" && header.samples == 3 && bytes == 1 {
        // Of each two pixels both luminances, and colours that they share (PS3.3 section C.7.6.3.1.2).
        let (pairs, _) = frame.as_chunks::<4>();
        let full =
            pairs.iter().flat_map(|&[one, other, blue, red]| [one, blue, red, other, blue, red]);
        frame = full.collect();
    } else if header.is_planar && header.samples > 1 && frame.len() >= area * header.samples * bytes
    {
        let mut beside = vec![0; area * header.samples * bytes];
        for (place, sample) in frame.chunks_exact(bytes).take(area * header.samples).enumerate() {
            let to = (place % area * header.samples + place / area) * bytes;
            beside[to..to + bytes].copy_from_slice(sample);
        }
        frame = beside;
    }
    let length = area * header.samples * bytes;
    if frame.len() < length {
        return Err(NotRendered::damaged("its pixel data is short"));
    }
    frame.truncate(length);
    Ok(Samples { values: values(header, frame)?, is_rgb: false })
}

/// Numbers of their bytes in little endian.
fn values(header: &Header, bytes: Vec<u8>) -> Result<Values, NotRendered> {
    Ok(match header.bits_allocated {
        8 if !header.is_signed && header.bits_stored == 8 => Values::Bytes(bytes),
        8 => Values::Words(bytes.iter().map(|&it| signed(header, it.into())).collect()),
        16 => {
            let (words, _) = bytes.as_chunks::<2>();
            let word = |it: &[u8; 2]| signed(header, u16::from_le_bytes(*it).into());
            Values::Words(words.iter().map(word).collect())
        }
        _ => {
            let (words, _) = bytes.as_chunks::<4>();
            let words = words.iter().map(|it| u32::from_le_bytes(*it));
            if !header.is_signed
                && header.bits_stored == 32
                && words.clone().any(|it| it > i32::MAX as u32)
            {
                return Err(NotRendered::unsupported("values over 31 bits are not rendered"));
            }
            Values::Words(words.map(|it| signed(header, it)).collect())
        }
    })
}

/// A number of its stored bits; what is above them is something else.
pub(super) fn signed(header: &Header, word: u32) -> i32 {
    let above = 32 - header.bits_stored;
    match header.is_signed {
        true => (word << above).cast_signed() >> above,
        false => i32::try_from(word << above >> above).unwrap_or(i32::MAX),
    }
}
