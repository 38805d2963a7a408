//! Images in another size: each pixel is the mean of those that it stands for, weighed by how near they are.

use super::Picture;

/// Scales an image to the largest that fits into so many columns and rows, and keeps its shape.
pub(super) fn fit(picture: Picture, viewport: Option<Viewport>) -> Picture {
    let Some(viewport) = viewport else { return picture };
    let (width, height) = viewport.fit(picture.width, picture.height);
    if (width, height) == (picture.width, picture.height) {
        return picture;
    }
    let Picture { width: columns, height: rows, channels, pixels } = picture;
    // First each row, then each column: a row of pixels is then what a pixel is before.
    let across = Axis { from: columns, to: width };
    let pixels: Vec<f32> = pixels.into_iter().map(f32::from).collect();
    let wide: Vec<f32> = pixels
        .chunks_exact(columns as usize * channels)
        .flat_map(|row| across.scaled(row, channels))
        .collect();
    drop(pixels);
    let high = Axis { from: rows, to: height }.scaled(&wide, width as usize * channels);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and 255"
    )]
    let pixels = high.into_iter().map(|it| it.round().clamp(0.0, 255.0) as u8).collect();
    Picture { width, height, channels, pixels }
}

/// Where an image has to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Viewport {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Whether an image that is smaller becomes larger.
    pub(crate) grows: bool,
}

impl Viewport {
    fn fit(self, columns: u32, rows: u32) -> (u32, u32) {
        if !self.grows && columns <= self.width && rows <= self.height {
            return (columns, rows);
        }
        let (width, height) = (f64::from(self.width), f64::from(self.height));
        let scale = (width / f64::from(columns)).min(height / f64::from(rows));
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is at most the viewport's"
        )]
        let scaled =
            |length: u32, most: u32| ((f64::from(length) * scale).round() as u32).clamp(1, most);
        (scaled(columns, self.width), scaled(rows, self.height))
    }
}

/// One direction, and how many pixels it has and gets.
struct Axis {
    from: u32,
    to: u32,
}

impl Axis {
    /// The pixels of one line, each of `size` numbers.
    fn scaled(&self, line: &[f32], size: usize) -> Vec<f32> {
        let mut scaled = vec![0.0; self.to as usize * size];
        let step = f64::from(self.from) / f64::from(self.to);
        let reach = step.max(1.0);
        for (place, into) in scaled.chunks_exact_mut(size).enumerate() {
            #[allow(clippy::cast_precision_loss, reason = "images have fewer pixels than that")]
            let centre = (place as f64 + 0.5) * step;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is on the line"
            )]
            let (first, end) = (
                (centre - reach + 0.5).max(0.0) as usize,
                ((centre + reach + 0.5) as usize).min(self.from as usize),
            );
            #[allow(clippy::cast_precision_loss, reason = "images have fewer pixels than that")]
            let weight =
                |place: usize| (1.0 - ((place as f64 + 0.5 - centre) / reach).abs()).max(0.0);
            let total: f64 = (first..end).map(weight).sum();
            for from in first..end {
                #[allow(clippy::cast_possible_truncation, reason = "it is between 0 and 1")]
                let weight = (weight(from) / total) as f32;
                let pixel = &line[from * size..(from + 1) * size];
                into.iter_mut().zip(pixel).for_each(|(into, it)| *into += it * weight);
            }
        }
        scaled
    }
}
