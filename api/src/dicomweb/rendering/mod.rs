//! Frames as images for people: decoded, brought to 8 bits as the data set says, scaled, and encoded as JPEG or PNG.
//!
//! All of it is bounded by what a frame may have ([`MAX_SAMPLES`], [`MAX_ENCODED`]) and works on bytes that were read
//! before: it is for blocking threads.

mod codestream;
mod decode;
mod display;
mod encode;
mod header;
mod jpeg;
mod jpeg_2000;
mod lookup;
mod parameters;
mod rle;
mod scale;

pub(crate) use decode::Coding;
pub(crate) use header::Header;
pub(crate) use parameters::{Form, Parameters};

/// Samples of a frame that is rendered (rows × columns × samples per pixel): 5,792² of one sample. A render of so many
/// has up to 0.6 GiB in memory, of JPEG 2000; of others a third.
pub(crate) const MAX_SAMPLES: u64 = 32 * 1024 * 1024;

/// Bytes of an encapsulated frame that is rendered.
pub(crate) const MAX_ENCODED: u64 = 64 * 1024 * 1024;

/// Why a frame can't be rendered. No text has anything of a patient.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRendered {
    /// It is larger than what is decoded.
    #[error(
        "a frame of {rows} rows and {columns} columns is too large to be rendered: {MAX_SAMPLES} samples at most"
    )]
    TooLarge { rows: u64, columns: u64 },
    /// Its encoded bytes are longer than what is decoded.
    #[error("a frame of {0} encoded bytes is too large to be rendered: {MAX_ENCODED} at most")]
    TooLong(u64),
    /// Nothing here decodes or shows it.
    #[error("{0}")]
    Unsupported(String),
    /// It says it can be decoded, and can't.
    #[error("its pixel data can't be decoded: {0}")]
    Damaged(String),
}

impl NotRendered {
    fn unsupported(why: impl Into<String>) -> Self {
        Self::Unsupported(why.into())
    }

    fn damaged(why: impl ToString) -> Self {
        Self::Damaged(why.to_string())
    }
}

/// Samples as they are stored, those of a pixel beside each other.
pub(crate) struct Samples {
    pub(crate) values: Values,
    /// Colours were brought to RGB by the decoder.
    pub(crate) is_rgb: bool,
}

/// The numbers of a frame.
pub(crate) enum Values {
    /// Of 8 bits or fewer, without a sign.
    Bytes(Vec<u8>),
    /// Of more, or with a sign.
    Words(Vec<i32>),
}

/// Pixels of 8 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Grey, or red, green and blue.
    pub(crate) channels: usize,
    pub(crate) pixels: Vec<u8>,
}

/// The image of a frame whose bytes are `frame`.
///
/// # Errors
/// When it can't be decoded, or is nothing that is shown.
pub(crate) fn render(
    header: &Header,
    transfer_syntax_uid: &str,
    frame: Vec<u8>,
    parameters: &Parameters,
) -> Result<Vec<u8>, NotRendered> {
    let samples = decode::decode(header, transfer_syntax_uid, frame)?;
    let picture = display::display(header, samples, parameters.window)?;
    let picture = scale::fit(picture, parameters.viewport);
    encode::encode(&picture, parameters.form, parameters.quality)
}
