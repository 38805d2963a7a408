//! JPEG 2000 (PS3.5 section 8.2.4), lossless or not.

use super::{Header, NotRendered, Samples, Values, codestream};
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

/// Where the codestream's SIZ marker says whether its first component has a sign (ISO/IEC 15444-1 section A.5.1).
const SIGN: usize = 42;

/// Decodes a frame. Its own header is looked at first: it may say another size than the data set.
pub(super) fn decode(header: &Header, frame: &[u8]) -> Result<Samples, NotRendered> {
    codestream::check(header, frame)?;
    let settings = DecodeSettings { resolve_palette_indices: false, ..DecodeSettings::default() };
    let image = Image::new(frame, &settings).map_err(NotRendered::damaged)?;
    if (image.width(), image.height()) != (header.columns, header.rows) {
        return Err(NotRendered::damaged(
            "the JPEG 2000 image has another size than the data set says",
        ));
    }
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(NotRendered::damaged)?;
    let components = decoded.components();
    let fits = components.iter().all(|it| it.samples().len() == header.area());
    if components.len() != header.samples || !fits {
        return Err(NotRendered::damaged(
            "the JPEG 2000 image has other samples than the data set says",
        ));
    }
    // The decoder adds half of the range to all, as only numbers without a sign need.
    let is_signed = frame.starts_with(&[0xff, 0x4f, 0xff, 0x51])
        && frame.get(SIGN).is_some_and(|it| it & 0x80 != 0);
    let half = |bits: u8| if is_signed { (1_u32 << (bits - 1)) as f32 } else { 0.0 };
    let mut words = vec![0; header.area() * header.samples];
    for (place, component) in components.iter().enumerate() {
        let half = half(component.bit_depth());
        let into = words.iter_mut().skip(place).step_by(header.samples);
        for (word, sample) in into.zip(component.samples()) {
            #[allow(clippy::cast_possible_truncation, reason = "what is beyond becomes the end")]
            let value = (sample - half).round() as i32;
            *word = value;
        }
    }
    // A stream without a sign may have numbers with one.
    if !is_signed && header.is_signed {
        words.iter_mut().for_each(|it| *it = super::decode::signed(header, it.cast_unsigned()));
    }
    // Colours that the stream transformed (YBR_RCT, YBR_ICT) it has turned back.
    let is_rgb = header.samples == 3 && header.photometric != "YBR_FULL";
    Ok(Samples { values: Values::Words(words), is_rgb })
}
