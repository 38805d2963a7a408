//! What the rules go by, which can differ by sender: by calling AE title, before it sends anything.

use contract::event::{AttributeValue, InstanceStored};
use jiff::SignedDuration;
use serde::Deserialize;
use std::collections::HashMap;

/// How it is decided that a series is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long a series must be without activity before it is complete.
    pub quiet_period: SignedDuration,
    /// The same, when there is evidence that nothing more will come.
    pub settle_period: SignedDuration,
    /// The same, after an abort.
    pub abort_grace: SignedDuration,
    /// How long a series may be open in all.
    pub max_open: SignedDuration,
    /// What tells how many instances a series has: their product. None is believed by default.
    pub expected_from: Vec<Hint>,
    /// Base of the DICOMweb service that has the sender's pixels.
    pub retrieve_url: Option<String>,
    /// What becomes of the completion of a series whose instances disagree.
    pub on_disagreement: OnDisagreement,
    /// How long a series waits at most for a source that has more instances of it; `None` where the source is not
    /// asked.
    pub ask_timeout: Option<SignedDuration>,
    /// How many instances that are missing are fetched from the source at most; `None` where nothing is.
    pub fetch_limit: Option<usize>,
    /// Whether it may list instances, its own and those of others.
    pub lists: bool,
}

/// What holds unless a setting says otherwise.
impl Default for Rules {
    fn default() -> Self {
        Self {
            quiet_period: SignedDuration::from_secs(10),
            settle_period: SignedDuration::from_secs(1),
            abort_grace: SignedDuration::from_secs(60),
            max_open: SignedDuration::from_hours(1),
            expected_from: Vec::new(),
            retrieve_url: None,
            on_disagreement: OnDisagreement::Announce,
            ask_timeout: None,
            fetch_limit: None,
            lists: false,
        }
    }
}

/// The rules for each sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Senders {
    all: Rules,
    by_ae_title: HashMap<String, Rules>,
    /// Whether any may list instances.
    lists: bool,
}

impl Senders {
    /// One set of rules for all.
    #[must_use]
    pub fn new(all: Rules) -> Self {
        let lists = all.lists;
        Self { all, by_ae_title: HashMap::new(), lists }
    }

    /// With rules of its own for a sender.
    #[must_use]
    pub fn with(mut self, ae_title: &str, rules: Rules) -> Self {
        self.lists |= rules.lists;
        self.by_ae_title.insert(ae_title.to_owned(), rules);
        self
    }

    /// What holds for a sender, by its calling AE title.
    #[must_use]
    pub fn rules(&self, ae_title: &str) -> &Rules {
        self.by_ae_title.get(ae_title).unwrap_or(&self.all)
    }

    /// Whether any source is asked how many instances it has.
    #[must_use]
    pub fn ask(&self) -> bool {
        self.by_ae_title.values().any(|rules| rules.ask_timeout.is_some())
    }

    /// Whether instances are fetched from any source.
    #[must_use]
    pub fn fetch(&self) -> bool {
        self.by_ae_title.values().any(|rules| rules.fetch_limit.is_some())
    }

    /// Whether it matters how many instances the series of a sender has.
    #[must_use]
    pub fn count(&self, ae_title: &str) -> bool {
        let rules = self.rules(ae_title);
        !rules.expected_from.is_empty() || rules.ask_timeout.is_some() || self.lists
    }

    /// How many instances the series of this one is to have, if its sender is trusted with it.
    #[must_use]
    pub fn expected(&self, event: &InstanceStored) -> Option<u64> {
        let hints = &self.rules(&event.calling_ae_title).expected_from;
        let numbers = hints.iter().map(|hint| match event.attributes.get(hint.keyword()) {
            Some(AttributeValue::Number(number)) => u64::try_from(*number).ok(),
            _ => None,
        });
        let product = numbers.into_iter().reduce(|a, b| a?.checked_mul(b?));
        // More than the catalogue can count is no number of instances.
        product.flatten().filter(|expected| *expected > 0 && i64::try_from(*expected).is_ok())
    }
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
