//! Settings that differ by sender: what is known of each calling AE title before it sends anything.

use jiff::SignedDuration;
use shared::event::{AttributeValue, InstanceStored};
pub use shared::sources::{Hint, OnDisagreement};
use shared::sources::{Source, SourcesFile};
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
}

/// The rules for each sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    all: Rules,
    by_ae_title: HashMap<String, Rules>,
}

impl Sources {
    /// One set of rules for all.
    #[must_use]
    pub fn new(all: Rules) -> Self {
        Self { all, by_ae_title: HashMap::new() }
    }

    /// With rules of its own for a sender.
    #[must_use]
    pub fn with(mut self, ae_title: &str, rules: Rules) -> Self {
        self.by_ae_title.insert(ae_title.to_owned(), rules);
        self
    }

    /// What holds for a sender, by its calling AE title.
    #[must_use]
    pub fn rules(&self, ae_title: &str) -> &Rules {
        self.by_ae_title.get(ae_title).unwrap_or(&self.all)
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

    /// What a sources file says; `all` holds where it is silent.
    #[must_use]
    pub fn of(file: SourcesFile, all: Rules) -> Self {
        let mut sources = Self::new(all);
        for source in file.sources {
            let (ae_title, rules) = (source.ae_title.clone(), over(source, &sources.all));
            sources.by_ae_title.insert(ae_title, rules);
        }
        sources
    }

    /// Reads the text of a sources file, in which `all` holds where it is silent.
    ///
    /// # Errors
    /// When it says something that is not understood: one line that says where.
    pub fn parse(text: &str, all: Rules) -> anyhow::Result<Self> {
        Ok(Self::of(SourcesFile::parse(text)?, all))
    }
}

/// What a source says, and where it is silent what holds for all.
fn over(source: Source, all: &Rules) -> Rules {
    Rules {
        quiet_period: source.quiet_period.unwrap_or(all.quiet_period),
        settle_period: source.settle_period.unwrap_or(all.settle_period),
        abort_grace: source.abort_grace.unwrap_or(all.abort_grace),
        max_open: source.max_open.unwrap_or(all.max_open),
        expected_from: source.expected_from,
        retrieve_url: source.retrieve_url.or_else(|| all.retrieve_url.clone()),
        on_disagreement: source.on_disagreement,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Rules {
        Rules {
            quiet_period: SignedDuration::from_secs(10),
            settle_period: SignedDuration::from_secs(1),
            abort_grace: SignedDuration::from_secs(60),
            max_open: SignedDuration::from_hours(1),
            expected_from: Vec::new(),
            retrieve_url: None,
            on_disagreement: OnDisagreement::Announce,
        }
    }

    #[test]
    fn a_source_differs_where_it_says_so_and_all_others_do_not() {
        let text = r#"
            [[source]]
            ae_title = "MR 1"
            quiet_period = "1m 30s"
            expected_from = ["NumberOfSlices", "NumberOfTemporalPositions"]
            retrieve_url = "http://pacs:8042/dicom-web/"
            on_disagreement = "hold"
        "#;
        let sources = Sources::parse(text, all()).unwrap();
        let expected = Rules {
            quiet_period: SignedDuration::from_secs(90),
            expected_from: vec![Hint::NumberOfSlices, Hint::NumberOfTemporalPositions],
            retrieve_url: Some("http://pacs:8042/dicom-web".to_owned()),
            on_disagreement: OnDisagreement::Hold,
            ..all()
        };
        assert_eq!(sources.rules("MR 1"), &expected);
        assert_eq!(sources.rules("MR 2"), &all());
        assert_eq!(Sources::parse("", all()).unwrap(), Sources::new(all()));
    }
}
