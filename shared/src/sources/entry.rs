//! `[[source]]`: what differs for one sender, by its calling AE title.

use crate::web_url::base_url;
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// One `[[source]]` of the file: what it does not say is as for all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its calling AE title, without padding.
    #[serde(deserialize_with = "ae_title")]
    pub ae_title: String,
    /// How long a series of it must be without activity before it is complete.
    #[serde(default, deserialize_with = "period")]
    pub quiet_period: Option<SignedDuration>,
    /// The same, when there is evidence that nothing more will come.
    #[serde(default, deserialize_with = "period")]
    pub settle_period: Option<SignedDuration>,
    /// The same, after an abort.
    #[serde(default, deserialize_with = "period")]
    pub abort_grace: Option<SignedDuration>,
    /// How long a series may be open in all.
    #[serde(default, deserialize_with = "period")]
    pub max_open: Option<SignedDuration>,
    /// What tells how many instances a series has: their product. None is believed by default.
    #[serde(default)]
    pub expected_from: Vec<Hint>,
    /// Base of the DICOMweb service that has its pixels, without a slash at the end.
    #[serde(default, deserialize_with = "url")]
    pub retrieve_url: Option<String>,
    /// What becomes of the completion of a series whose instances disagree on their patient or study.
    #[serde(default)]
    pub on_disagreement: OnDisagreement,
}

/// What becomes of the completion of a series whose instances disagree on their patient or study.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDisagreement {
    /// It is announced, and says so.
    #[default]
    Announce,
    /// It is a dead letter, for a person to replay or drop.
    Hold,
}

/// An attribute that tells something of how many instances there are. Each of them counts something
/// else than instances in a series on some machine, so it has to be known that this one does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum Hint {
    /// Images in Acquisition (0020,1002).
    ImagesInAcquisition,
    /// Number of Temporal Positions (0020,0105).
    NumberOfTemporalPositions,
    /// Number of Slices (0054,0081).
    NumberOfSlices,
    /// Cardiac Number of Images (0018,1090).
    CardiacNumberOfImages,
}

impl Hint {
    /// What the attribute is called in events.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::ImagesInAcquisition => "ImagesInAcquisition",
            Self::NumberOfTemporalPositions => "NumberOfTemporalPositions",
            Self::NumberOfSlices => "NumberOfSlices",
            Self::CardiacNumberOfImages => "CardiacNumberOfImages",
        }
    }
}

/// An AE title as a sender may call itself, which is more than the standard lets it.
pub(super) fn ae_title<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let title = text.trim_matches(' ');
    match (1..=16).contains(&title.chars().count()) {
        true => Ok(title.to_owned()),
        false => Err(D::Error::custom("must be 1 to 16 characters, not all of them spaces")),
    }
}

fn period<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SignedDuration>, D::Error> {
    let text = String::deserialize(from)?;
    let duration = crate::settings::duration(&text).map_err(D::Error::custom)?;
    SignedDuration::try_from(duration).map(Some).map_err(D::Error::custom)
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let url = String::deserialize(from)?;
    base_url(&url).map_err(D::Error::custom)?;
    Ok(Some(url.trim_end_matches('/').to_owned()))
}
