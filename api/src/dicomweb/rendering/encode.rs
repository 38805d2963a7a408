//! Images as the client takes them.

use super::{Form, NotRendered, Picture};

/// Encodes an image. `quality` is from 1 to 100, and for JPEG.
pub(super) fn encode(picture: &Picture, form: Form, quality: u8) -> Result<Vec<u8>, NotRendered> {
    let mut encoded = Vec::new();
    let Picture { width, height, channels, pixels } = picture;
    match form {
        Form::Png => {
            let mut encoder = png::Encoder::new(&mut encoded, *width, *height);
            encoder.set_color(if *channels == 1 {
                png::ColorType::Grayscale
            } else {
                png::ColorType::Rgb
            });
            encoder.set_compression(png::Compression::Fast);
            let mut writer = encoder.write_header().map_err(NotRendered::damaged)?;
            writer.write_image_data(pixels).map_err(NotRendered::damaged)?;
            writer.finish().map_err(NotRendered::damaged)?;
        }
        Form::Jpeg => {
            let colours = if *channels == 1 {
                jpeg_encoder::ColorType::Luma
            } else {
                jpeg_encoder::ColorType::Rgb
            };
            let side = |length: u32| u16::try_from(length).map_err(NotRendered::damaged);
            let encoder = jpeg_encoder::Encoder::new(&mut encoded, quality);
            encoder
                .encode(pixels, side(*width)?, side(*height)?, colours)
                .map_err(NotRendered::damaged)?;
        }
    }
    Ok(encoded)
}
