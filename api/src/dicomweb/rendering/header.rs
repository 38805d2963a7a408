//! What a data set says of how its pixels are stored and shown (PS3.3 sections C.7.6.3, C.11.1, C.11.2, and of enhanced
//! multi-frame images C.7.6.16.2). It is read without the pixel data.

use super::lookup::{Descriptor, Lookup};
use super::{MAX_SAMPLES, NotRendered};
use crate::dicomweb::data_set::values::{turn_round, unit};
use crate::dicomweb::data_set::walk::{Element, Event, Walk};
use crate::dicomweb::data_set::{Source, Unreadable, json};
use dicom_core::Tag;
use std::collections::HashMap;

/// The longest value that is read: a lookup table of 65,536 entries of 16 bits.
const MAX_VALUE: u64 = 2 * 65_536;

/// Elements that are read, by their paths without the numbers of items.
const READ: [&str; 29] = [
    "00280002", "00280004", "00280006", "00280008", "00280010", "00280011", "00280100", "00280101",
    "00280102", "00280103", "00280120", "00281050", "00281051", "00281052", "00281053", "00281056",
    "00281101", "00281102", "00281103", "00281201", "00281202", "00281203", "00281221", "00281222",
    "00281223", "00283002", "00283006", "00289145", "00289132",
];

/// How `/` joins the first item of the shared functional groups.
const SHARED: &str = "52009229/1/";

/// The VOI window of a grey image (PS3.3 section C.11.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub(crate) centre: f64,
    pub(crate) width: f64,
    pub(crate) function: Function,
}

/// How a window maps values (PS3.3 section C.11.2.1.2 and C.11.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Linear,
    LinearExact,
    Sigmoid,
}

/// What is known of the pixels of one frame.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) rows: u32,
    pub(crate) columns: u32,
    pub(crate) samples: usize,
    pub(crate) photometric: String,
    pub(crate) is_planar: bool,
    pub(crate) bits_allocated: u32,
    pub(crate) bits_stored: u32,
    pub(crate) is_signed: bool,
    pub(crate) padding: Option<i32>,
    /// Slope and intercept, where there are some.
    pub(crate) rescale: Option<(f64, f64)>,
    pub(crate) modality_lut: Option<Lookup>,
    pub(crate) window: Option<Window>,
    pub(crate) voi_lut: Option<Lookup>,
    /// Red, green and blue.
    pub(crate) palette: Option<[Lookup; 3]>,
}

impl Header {
    /// Reads it, for the frame of this number; the first is 1. The outer error is of the file, the inner one of what it says.
    pub(crate) fn read(
        source: Source,
        frame: u64,
    ) -> Result<Result<Self, NotRendered>, Unreadable> {
        Ok(Self::of(&Found::read(source, frame)?, frame))
    }

    fn of(found: &Found, frame: u64) -> Result<Self, NotRendered> {
        if found.is_float {
            return Err(NotRendered::unsupported(
                "pixels that are floating point numbers are not rendered",
            ));
        }
        let number = |path: &str| found.numbers(path).first().copied();
        let needed = |path: &str, name: &str| {
            number(path).ok_or_else(|| NotRendered::damaged(format!("the data set has no {name}")))
        };
        let (rows, columns) = (needed("00280010", "Rows")?, needed("00280011", "Columns")?);
        let samples = number("00280002").unwrap_or(1);
        let area = u64::from(rows) * u64::from(columns) * u64::from(samples);
        if area > MAX_SAMPLES {
            return Err(NotRendered::TooLarge { rows: rows.into(), columns: columns.into() });
        }
        if area == 0 {
            return Err(NotRendered::damaged("the data set says that it has no pixels"));
        }
        let bits_allocated = u32::from(needed("00280100", "BitsAllocated")?);
        let bits_stored = number("00280101").map_or(bits_allocated, u32::from);
        if !matches!(bits_allocated, 1 | 8 | 16 | 32)
            || bits_stored == 0
            || bits_stored > bits_allocated
        {
            let said = format!("{bits_stored} bits stored in {bits_allocated} are not rendered");
            return Err(NotRendered::unsupported(said));
        }
        if number("00280102").is_some_and(|high| u32::from(high) != bits_stored - 1) {
            return Err(NotRendered::unsupported(
                "stored bits that begin above the lowest are not rendered",
            ));
        }
        let is_signed = number("00280103") == Some(1);
        let group = |path: &str| {
            let places =
                [path.to_owned(), format!("{SHARED}{path}"), format!("52009230/{frame}/{path}")];
            // What is said of the frame itself is said last.
            places.into_iter().rev().find(|place| found.values.contains_key(place))
        };
        let decimal = |path: &str| group(path).and_then(|place| found.decimal(&place));
        let rescale = match (decimal("00289145/1/00281053"), decimal("00281053")) {
            (Some(slope), _) => Some((slope, decimal("00289145/1/00281052").unwrap_or(0.0))),
            (None, Some(slope)) => Some((slope, decimal("00281052").unwrap_or(0.0))),
            (None, None) => None,
        };
        let window = |prefix: &str| {
            let of = |tag: &str| decimal(&format!("{prefix}{tag}"));
            let function = group(&format!("{prefix}00281056")).map(|place| found.text(&place));
            let function = match function.as_deref() {
                Some("SIGMOID") => Function::Sigmoid,
                Some("LINEAR_EXACT") => Function::LinearExact,
                _ => Function::Linear,
            };
            let (centre, width) = (of("00281050")?, of("00281051")?);
            let least = if function == Function::Linear { 1.0 } else { f64::MIN_POSITIVE };
            (width >= least).then_some(Window { centre, width, function })
        };
        let photometric = found.text("00280004");
        let lookup = |prefix: &str, is_signed: bool| {
            let descriptor =
                Descriptor::of(&found.numbers(&format!("{prefix}00283002")), is_signed)?;
            Lookup::of(descriptor, found.bytes(&format!("{prefix}00283006"))?, false)
        };
        let palette = || {
            let colour = |index: usize| {
                let descriptor =
                    Descriptor::of(&found.numbers(&format!("0028110{index}")), is_signed)?;
                match found.bytes(&format!("0028120{index}")) {
                    Some(data) => Lookup::of(descriptor, data, false),
                    None => Lookup::of(descriptor, found.bytes(&format!("0028122{index}"))?, true),
                }
            };
            Some([colour(1)?, colour(2)?, colour(3)?])
        };
        let modality_lut = lookup("00283000/1/", is_signed);
        // What goes into the VOI LUT is what the modality means by a value (PS3.3 section C.11.2.1.1).
        let is_range_signed = modality_lut.is_none()
            && (is_signed || rescale.is_some_and(|(_, intercept)| intercept < 0.0));
        Ok(Self {
            rows: rows.into(),
            columns: columns.into(),
            samples: usize::from(samples),
            is_planar: number("00280006") == Some(1),
            bits_allocated,
            bits_stored,
            is_signed,
            padding: number("00280120")
                .map(|it| if is_signed { i32::from(it.cast_signed()) } else { it.into() }),
            rescale,
            modality_lut,
            window: window("00289132/1/").or_else(|| window("")),
            voi_lut: lookup("00283010/1/", is_range_signed),
            palette: (photometric == "PALETTE COLOR").then(palette).flatten(),
            photometric,
        })
    }

    /// Of grey bytes.
    #[cfg(test)]
    pub(crate) fn of_size(rows: u32, columns: u32) -> Self {
        Self {
            rows,
            columns,
            samples: 1,
            is_planar: false,
            bits_allocated: 8,
            bits_stored: 8,
            is_signed: false,
            padding: None,
            rescale: None,
            modality_lut: None,
            window: None,
            voi_lut: None,
            palette: None,
            photometric: "MONOCHROME2".to_owned(),
        }
    }

    /// Pixels of the frame.
    pub(crate) fn area(&self) -> usize {
        self.rows as usize * self.columns as usize
    }
}

/// Values by the paths of their elements, in little endian.
#[derive(Default)]
struct Found {
    values: HashMap<String, Vec<u8>>,
    is_float: bool,
}

impl Found {
    fn read(source: Source, frame: u64) -> Result<Self, Unreadable> {
        let big_endian = source.encoding().big_endian;
        let frame = format!("52009230/{frame}/");
        let (mut walk, mut found) = (Walk::new(source), Self::default());
        while let Some(event) = walk.next()? {
            match event {
                Event::Element(element) | Event::FragmentsStart(element)
                    if walk.depth() <= 1 && json::is_pixel_data(element.tag) =>
                {
                    found.is_float = element.tag != Tag(0x7fe0, 0x0010);
                    break;
                }
                Event::Element(element) if is_read(&element) => {
                    let path = walk.path(element.tag);
                    let within = path.strip_prefix(SHARED).or_else(|| path.strip_prefix(&frame));
                    if !is_place(within.unwrap_or(&path)) {
                        continue;
                    }
                    let mut value = walk.value()?;
                    if big_endian {
                        turn_round(&mut value, unit(element.vr));
                    }
                    found.values.insert(path, value);
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.values.get(path).map(Vec::as_slice)
    }

    /// Numbers of 16 bits.
    fn numbers(&self, path: &str) -> Vec<u16> {
        let (values, _) = self.bytes(path).unwrap_or_default().as_chunks::<2>();
        values.iter().map(|it| u16::from_le_bytes(*it)).collect()
    }

    fn text(&self, path: &str) -> String {
        let text = String::from_utf8_lossy(self.bytes(path).unwrap_or_default());
        text.trim_matches([' ', '\0']).to_owned()
    }

    /// The first of numbers that are text.
    fn decimal(&self, path: &str) -> Option<f64> {
        let text = self.text(path);
        let number: f64 = text.split('\\').next()?.trim().parse().ok()?;
        number.is_finite().then_some(number)
    }
}

fn is_read(element: &Element) -> bool {
    let Tag(group, number) = element.tag;
    group == 0x0028
        && element.length <= MAX_VALUE
        && READ.contains(&&*format!("{group:04X}{number:04X}"))
}

/// Whether an element is at the top, or in a first item that says how values are mapped.
fn is_place(path: &str) -> bool {
    match path.rsplit_once('/') {
        None => true,
        Some((sequence, _)) => {
            ["00283000/1", "00283010/1", "00289145/1", "00289132/1"].contains(&sequence)
        }
    }
}
