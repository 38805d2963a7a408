//! JPEG (PS3.5 section 8.2.1): baseline and extended with 8 bits, and lossless.

use super::{Header, NotRendered, Samples, Values};
use jpeg_decoder::{CodingProcess, ColorTransform, Decoder, PixelFormat};

/// Scans of an image. Each walks all of it, whatever its length; three components need three.
const MAX_SCANS: usize = 16;

/// Decodes a frame. Its own header is looked at first: it may say another size than the data set.
pub(super) fn decode(header: &Header, frame: &[u8]) -> Result<Samples, NotRendered> {
    let mut decoder = Decoder::new(frame);
    decoder.read_info().map_err(why)?;
    let info = decoder.info().ok_or_else(|| NotRendered::damaged("it has no JPEG frame"))?;
    if (u32::from(info.width), u32::from(info.height)) != (header.columns, header.rows) {
        return Err(NotRendered::damaged("the JPEG image has another size than the data set says"));
    }
    // Start of scan; in a comment it may be that by chance, but not so often.
    let scans = frame.windows(2).filter(|it| *it == [0xff, 0xda]).count();
    if scans > MAX_SCANS || info.coding_process == CodingProcess::DctProgressive {
        return Err(NotRendered::unsupported("JPEG in so many scans is not decoded"));
    }
    let is_lossless = info.coding_process == CodingProcess::Lossless;
    let is_colour = info.pixel_format == PixelFormat::RGB24;
    let mut is_rgb = false;
    if is_colour {
        // Without a marker of its own it is what the data set says; with one it is what that says.
        if is_lossless {
            decoder.set_color_transform(ColorTransform::None);
        } else {
            is_rgb = true;
            if header.photometric.starts_with("YBR") {
                decoder.set_color_transform(ColorTransform::YCbCr);
            } else if !has_marker(frame) {
                decoder.set_color_transform(ColorTransform::RGB);
            }
        }
    }
    let channels = info.pixel_format.pixel_bytes();
    let (samples, words) = match info.pixel_format {
        PixelFormat::L8 => (1, false),
        PixelFormat::L16 => (1, true),
        PixelFormat::RGB24 => (3, false),
        PixelFormat::CMYK32 => return Err(NotRendered::unsupported("CMYK is not rendered")),
    };
    let other = || NotRendered::damaged("the JPEG image has other samples than the data set says");
    if samples != header.samples {
        return Err(other());
    }
    let pixels = decoder.decode().map_err(why)?;
    if pixels.len() != header.area() * channels {
        return Err(other());
    }
    let values = match (words, header.is_signed) {
        (true, _) => {
            let (words, _) = pixels.as_chunks::<2>();
            let sign = |it: &[u8; 2]| super::decode::signed(header, u16::from_ne_bytes(*it).into());
            Values::Words(words.iter().map(sign).collect())
        }
        (false, true) if !is_colour => Values::Words(
            pixels.iter().map(|&it| super::decode::signed(header, it.into())).collect(),
        ),
        (false, _) => Values::Bytes(pixels),
    };
    Ok(Samples { values, is_rgb })
}

fn why(error: jpeg_decoder::Error) -> NotRendered {
    match error {
        jpeg_decoder::Error::Unsupported(_) => {
            NotRendered::unsupported(format!("its kind of JPEG is not decoded: {error}"))
        }
        error => NotRendered::damaged(error),
    }
}

/// Whether something before the image says what its colours are: JFIF or Adobe.
fn has_marker(frame: &[u8]) -> bool {
    let mut rest = frame.get(2..).unwrap_or_default();
    while let [0xff, marker, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low])) + 2;
        let content = rest.get(4..length).unwrap_or_default();
        match marker {
            0xe0 if content.starts_with(b"JFIF") => return true,
            0xee if content.starts_with(b"Adobe") => return true,
            // The image begins.
            0xda => return false,
            _ => rest = rest.get(length..).unwrap_or_default(),
        }
    }
    false
}
