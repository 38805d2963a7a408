//! What a request says of how it wants an image (PS3.18 section 8.3.5).

use super::header::{Function, Window};
use super::scale::Viewport;

/// The quality of JPEG, where none is asked for.
const QUALITY: u8 = 90;

/// The longest side of an image that is scaled.
const MAX_SIDE: u32 = 4096;

/// The sides of a thumbnail that no size is asked for.
const THUMBNAIL: u32 = 128;

/// What an image is encoded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Jpeg,
    Png,
}

impl Form {
    /// What is preferred, first.
    pub(crate) const ALL: [Self; 2] = [Self::Jpeg, Self::Png];

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }
}

/// How an image is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Parameters {
    pub(crate) form: Form,
    pub(crate) window: Option<Window>,
    pub(crate) quality: u8,
    pub(crate) viewport: Option<Viewport>,
}

impl Parameters {
    /// Of those of a request.
    ///
    /// # Errors
    /// What is wrong with them, without repeating them.
    pub(crate) fn of(
        given: &[(String, String)],
        form: Form,
        is_thumbnail: bool,
    ) -> Result<Self, String> {
        let side = THUMBNAIL;
        let viewport = is_thumbnail.then_some(Viewport { width: side, height: side, grows: false });
        let mut parameters = Self { form, window: None, quality: QUALITY, viewport };
        for (place, (name, value)) in given.iter().enumerate() {
            if given[..place].iter().any(|(before, _)| before == name) {
                return Err("a parameter is there twice".to_owned());
            }
            match &**name {
                "accept" => {}
                "viewport" => parameters.viewport = Some(viewport_of(value, is_thumbnail)?),
                "quality" if !is_thumbnail => {
                    let quality = value.parse().ok().filter(|it| (1..=100).contains(it));
                    parameters.quality = quality.ok_or("quality is a number from 1 to 100")?;
                }
                "window" if !is_thumbnail => parameters.window = Some(window_of(value)?),
                _ if is_thumbnail => {
                    return Err("a thumbnail has the parameters accept and viewport".to_owned());
                }
                _ => {
                    let known = "the parameters accept, quality, viewport and window; annotation, \
                                 iccprofile and others are not supported";
                    return Err(format!("a rendered resource has {known}"));
                }
            }
        }
        Ok(parameters)
    }

    /// All of it, for an entity tag.
    pub(crate) fn tag(&self) -> String {
        format!("{self:?}")
    }
}

fn viewport_of(text: &str, is_thumbnail: bool) -> Result<Viewport, String> {
    let sides: Option<Vec<u32>> = text.split(',').map(|it| it.trim().parse().ok()).collect();
    match sides.as_deref() {
        Some(&[width, height])
            if (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height) =>
        {
            Ok(Viewport { width, height, grows: !is_thumbnail })
        }
        _ => Err(format!(
            "viewport is width,height of 1 to {MAX_SIDE} pixels each; regions of an image are not supported"
        )),
    }
}

fn window_of(text: &str) -> Result<Window, String> {
    let wrong = "window is centre,width,function: two numbers, the second at least 1 (above 0 if the function \
                 is not linear), and linear, linear-exact or sigmoid";
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [centre, width, function] = parts[..] else { return Err(wrong.to_owned()) };
    let function = match function.to_ascii_lowercase().replace('_', "-").as_str() {
        "linear" => Function::Linear,
        "linear-exact" => Function::LinearExact,
        "sigmoid" => Function::Sigmoid,
        _ => return Err(wrong.to_owned()),
    };
    let number = |text: &str| text.parse::<f64>().ok().filter(|it| it.is_finite());
    match (number(centre), number(width)) {
        (Some(centre), Some(width))
            if width >= 1.0 || width > 0.0 && function != Function::Linear =>
        {
            Ok(Window { centre, width, function })
        }
        _ => Err(wrong.to_owned()),
    }
}
