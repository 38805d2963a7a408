//! `[[source]]`: what differs for one sender, by its calling AE title.

use super::{Ask, ReportTo};
use crate::web_url::base_url;
use completion::{Hint, OnDisagreement};
use contract::event::ListKind;
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// One `[[source]]` of the file: what it does not say is as for all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SenderEntry {
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
    /// Where it is asked how many instances it has of a series; absent: it is not.
    #[serde(default)]
    pub ask: Option<Ask>,
    /// Whether its instances are kept in the instance store, where there is one.
    #[serde(default = "kept")]
    pub keep: bool,
    /// What its requests for storage commitment are taken for.
    #[serde(default)]
    pub commitment: Lists,
    /// What its notifications of the availability of instances are taken for.
    #[serde(default)]
    pub availability: Lists,
    /// What its performed procedure steps are taken for.
    #[serde(default)]
    pub performed_steps: Lists,
    /// Where it takes the reports of storage commitment, once its association is closed; absent: nowhere.
    #[serde(default)]
    pub report_to: Option<ReportTo>,
}

/// What the lists of instances are taken for that a source gives by one service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lists {
    /// Nothing: the presentation context of the service is refused.
    #[default]
    Off,
    /// Evidence of which instances there are. No more is promised: no instance is committed to.
    Evidence,
}

impl SenderEntry {
    /// By which services it may list instances.
    pub fn lists(&self) -> impl Iterator<Item = ListKind> {
        let services = [
            (ListKind::Commitment, self.commitment),
            (ListKind::Mpps, self.performed_steps),
            (ListKind::Ian, self.availability),
        ];
        services.into_iter().filter(|(_, lists)| *lists == Lists::Evidence).map(|(kind, _)| kind)
    }
}

fn kept() -> bool {
    true
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
