//! Settings that differ by sender: what is known of each calling AE title before it sends anything.

use anyhow::{Context as _, anyhow, bail, ensure};
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer};
use shared::event::{AttributeValue, InstanceStored};
use std::collections::HashMap;
use std::path::Path;

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
    fn keyword(self) -> &'static str {
        match self {
            Self::ImagesInAcquisition => "ImagesInAcquisition",
            Self::NumberOfTemporalPositions => "NumberOfTemporalPositions",
            Self::NumberOfSlices => "NumberOfSlices",
            Self::CardiacNumberOfImages => "CardiacNumberOfImages",
        }
    }
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
        product.flatten().filter(|expected| *expected > 0)
    }

    /// Reads a sources file, in which `all` holds where it is silent.
    ///
    /// # Errors
    /// When it can't be read, or says something that is not understood.
    pub fn read(path: &Path, all: Rules) -> anyhow::Result<Self> {
        let what = || format!("SOURCES_FILE {}", path.display());
        let text = std::fs::read_to_string(path).with_context(what)?;
        Self::parse(&text, all).with_context(what)
    }

    /// Reads the text of a sources file, in which `all` holds where it is silent.
    ///
    /// # Errors
    /// When it says something that is not understood: one line that says where.
    pub fn parse(text: &str, all: Rules) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            anyhow!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        let mut sources = Self::new(all);
        for entry in file.source {
            let ae_title = entry.ae_title.trim_matches(' ').to_owned();
            ensure!((1..=16).contains(&ae_title.len()), "ae_title {ae_title:?} is no AE title");
            let rules = entry.over(&sources.all)?;
            if sources.by_ae_title.insert(ae_title.clone(), rules).is_some() {
                bail!("ae_title {ae_title:?} is there twice");
            }
        }
        Ok(sources)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    source: Vec<Entry>,
}

/// One `[[source]]` of the file: what it does not say is as for all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    ae_title: String,
    #[serde(default, deserialize_with = "period")]
    quiet_period: Option<SignedDuration>,
    #[serde(default, deserialize_with = "period")]
    settle_period: Option<SignedDuration>,
    #[serde(default, deserialize_with = "period")]
    abort_grace: Option<SignedDuration>,
    #[serde(default, deserialize_with = "period")]
    max_open: Option<SignedDuration>,
    #[serde(default)]
    expected_from: Vec<Hint>,
    retrieve_url: Option<String>,
}

impl Entry {
    fn over(self, all: &Rules) -> anyhow::Result<Rules> {
        if let Some(url) = &self.retrieve_url {
            let is_web = url.starts_with("http://") || url.starts_with("https://");
            ensure!(
                is_web,
                "retrieve_url of {:?} must begin with http:// or https://",
                self.ae_title
            );
        }
        let retrieve_url = self.retrieve_url.map(|url| url.trim_end_matches('/').to_owned());
        Ok(Rules {
            quiet_period: self.quiet_period.unwrap_or(all.quiet_period),
            settle_period: self.settle_period.unwrap_or(all.settle_period),
            abort_grace: self.abort_grace.unwrap_or(all.abort_grace),
            max_open: self.max_open.unwrap_or(all.max_open),
            expected_from: self.expected_from,
            retrieve_url: retrieve_url.or_else(|| all.retrieve_url.clone()),
        })
    }
}

fn period<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SignedDuration>, D::Error> {
    let text = String::deserialize(from)?;
    let duration = shared::settings::duration(&text).map_err(serde::de::Error::custom)?;
    SignedDuration::try_from(duration).map(Some).map_err(serde::de::Error::custom)
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
        "#;
        let sources = Sources::parse(text, all()).unwrap();
        let expected = Rules {
            quiet_period: SignedDuration::from_secs(90),
            expected_from: vec![Hint::NumberOfSlices, Hint::NumberOfTemporalPositions],
            retrieve_url: Some("http://pacs:8042/dicom-web".to_owned()),
            ..all()
        };
        assert_eq!(sources.rules("MR 1"), &expected);
        assert_eq!(sources.rules("MR 2"), &all());
        assert_eq!(Sources::parse("", all()).unwrap(), Sources::new(all()));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_named() {
        for (text, named) in [
            ("[[source]]\nae_title = 'A'\nquiet_perod = '1s'", "quiet_perod"),
            ("[[source]]\nae_title = 'A'\nquiet_period = 1", "line 3: "),
            ("[[source]]\nae_title = 'A'\nquiet_period = '0s'", "longer than zero"),
            ("[[source]]\nquiet_period = '1s'", "ae_title"),
            ("[[source]]\nae_title = ''", "no AE title"),
            ("[[source]]\nae_title = 'A'\n[[source]]\nae_title = 'A '", "twice"),
            ("[[source]]\nae_title = 'A'\nexpected_from = ['Luck']", "Luck"),
            ("[[source]]\nae_title = 'A'\nretrieve_url = 'pacs'", "http://"),
            ("[[sources]]\nae_title = 'A'", "sources"),
        ] {
            let error = format!("{:#}", Sources::parse(text, all()).unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
