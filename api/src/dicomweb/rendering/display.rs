//! Pixels as they are shown: values by the modality's and the VOI transformation (PS3.3 sections C.11.1 and C.11.2, PS3.4
//! section N.2), colours as RGB (PS3.3 section C.7.6.3.1.2).

use super::header::{Function, Header, Window};
use super::{NotRendered, Picture, Samples, Values};

/// Values of which each is mapped once, and looked up after that.
const TABLE: i64 = 65_536;

/// Brings a frame to 8 bits. `window` is what the request names.
pub(super) fn display(
    header: &Header,
    samples: Samples,
    window: Option<Window>,
) -> Result<Picture, NotRendered> {
    let is_grey = matches!(&*header.photometric, "MONOCHROME1" | "MONOCHROME2");
    if !is_grey && window.is_some() {
        return Err(NotRendered::unsupported(
            "a window is for grey images, and this one has colours",
        ));
    }
    let (channels, pixels) = match (&*header.photometric, header.samples) {
        ("MONOCHROME1" | "MONOCHROME2", 1) => (1, grey(header, samples.values, window)),
        ("PALETTE COLOR", 1) => (3, palette(header, samples.values)?),
        (photometric, 3) => {
            let mut pixels = eight_bits(header, samples.values);
            match photometric {
                "RGB" => {}
                _ if samples.is_rgb => {}
                "YBR_FULL" | "YBR_FULL_422" => {
                    pixels.as_chunks_mut::<3>().0.iter_mut().for_each(to_rgb)
                }
                _ => return Err(not_shown(header)),
            }
            (3, pixels)
        }
        _ => return Err(not_shown(header)),
    };
    Ok(Picture { width: header.columns, height: header.rows, channels, pixels })
}

/// Without the name: whoever sent it may have written anything.
fn not_shown(header: &Header) -> NotRendered {
    let samples = header.samples;
    NotRendered::unsupported(format!(
        "its photometric interpretation with {samples} samples is not rendered"
    ))
}

fn grey(header: &Header, values: Values, window: Option<Window>) -> Vec<u8> {
    let (least, most) = extent(header, &values);
    let shade = Shade::of(header, window, least.into(), most.into());
    let is_inverted = header.photometric == "MONOCHROME1";
    let shown = |value: i32| {
        let shade = shade.of_value(value);
        if is_inverted { 255 - shade } else { shade }
    };
    match values {
        Values::Bytes(bytes) => {
            let table: Vec<u8> = (0..256).map(shown).collect();
            bytes.iter().map(|&it| table[usize::from(it)]).collect()
        }
        Values::Words(words) => {
            let (low, high) = words
                .iter()
                .fold((i32::MAX, i32::MIN), |(low, high), &it| (low.min(it), high.max(it)));
            if i64::from(high) - i64::from(low) >= TABLE {
                return words.iter().map(|&it| shown(it)).collect();
            }
            let table: Vec<u8> = (low..=high).map(shown).collect();
            words.iter().map(|&it| table[usize::try_from(it - low).unwrap_or_default()]).collect()
        }
    }
}

/// The least and the greatest value, without padding.
fn extent(header: &Header, values: &Values) -> (i32, i32) {
    let of = |values: &mut dyn Iterator<Item = i32>| {
        let kept = values.filter(|it| Some(*it) != header.padding);
        kept.fold(None, |found: Option<(i32, i32)>, it| {
            Some(found.map_or((it, it), |(low, high)| (low.min(it), high.max(it))))
        })
    };
    let found = match values {
        Values::Bytes(bytes) => of(&mut bytes.iter().map(|&it| it.into())),
        Values::Words(words) => of(&mut words.iter().copied()),
    };
    found.unwrap_or((0, 1))
}

/// How values become grey.
struct Shade<'a> {
    header: &'a Header,
    window: Option<Window>,
    /// What is black, and what is white, where nothing else says it.
    range: (f64, f64),
}

impl<'a> Shade<'a> {
    fn of(header: &'a Header, window: Option<Window>, least: f64, most: f64) -> Self {
        let window = match &header.voi_lut {
            Some(_) => window,
            None => window.or(header.window),
        };
        let is_plain = header.bits_stored <= 8 && !header.is_signed && header.rescale.is_none();
        let mut shade = Self { header, window, range: (0.0, 0.0) };
        shade.range = match is_plain && header.modality_lut.is_none() {
            true => (0.0, f64::from((1_u32 << header.bits_stored) - 1)),
            false => {
                let (one, other) = (shade.modality(least), shade.modality(most));
                (one.min(other), one.max(other))
            }
        };
        shade
    }

    /// What the modality means by a stored value.
    fn modality(&self, value: f64) -> f64 {
        if let Some(table) = &self.header.modality_lut {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "a stored value is a whole number"
            )]
            return f64::from(table.of_value(value as i32));
        }
        let (slope, intercept) = self.header.rescale.unwrap_or((1.0, 0.0));
        value * slope + intercept
    }

    fn of_value(&self, value: i32) -> u8 {
        let value = self.modality(value.into());
        let part = match (self.window, &self.header.voi_lut) {
            (Some(window), _) => window.part(value),
            (None, Some(table)) => table.of_value_part(value),
            (None, None) => {
                let (black, white) = self.range;
                if white > black { (value - black) / (white - black) } else { 0.0 }
            }
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and 255"
        )]
        let shade = (part.clamp(0.0, 1.0) * 255.0).round() as u8;
        shade
    }
}

impl Window {
    /// How bright a value is, from 0 to 1.
    fn part(&self, value: f64) -> f64 {
        let Self { centre, width, function } = *self;
        match function {
            Function::Linear if width <= 1.0 => f64::from(u8::from(value > centre - 0.5)),
            Function::Linear => (value - (centre - 0.5)) / (width - 1.0) + 0.5,
            Function::LinearExact => (value - centre) / width + 0.5,
            Function::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - centre) / width).exp()),
        }
    }
}

fn palette(header: &Header, values: Values) -> Result<Vec<u8>, NotRendered> {
    let Some(colours) = &header.palette else {
        return Err(NotRendered::damaged("the data set has no palette, or a short one"));
    };
    let colour = |value: i32| [0, 1, 2].map(|it: usize| colours[it].of_value_8(value));
    Ok(match values {
        Values::Bytes(bytes) => bytes.iter().flat_map(|&it| colour(it.into())).collect(),
        Values::Words(words) => words.iter().flat_map(|&it| colour(it)).collect(),
    })
}

/// Colours in their highest 8 bits.
fn eight_bits(header: &Header, values: Values) -> Vec<u8> {
    let high = header.bits_stored.saturating_sub(8);
    match values {
        Values::Bytes(bytes) => bytes,
        Values::Words(words) => words
            .iter()
            .map(|it| u8::try_from((it >> high).clamp(0, 255)).unwrap_or_default())
            .collect(),
    }
}

fn to_rgb(pixel: &mut [u8; 3]) {
    let [y, blue, red] = pixel.map(f64::from);
    let (blue, red) = (blue - 128.0, red - 128.0);
    let colours = [y + 1.402 * red, y - 0.344_136 * blue - 0.714_136 * red, y + 1.772 * blue];
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and 255"
    )]
    let colours = colours.map(|it| it.round().clamp(0.0, 255.0) as u8);
    *pixel = colours;
}
