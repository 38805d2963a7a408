//! Settings that differ by sender: what is known of each calling AE title before it sends anything.

use completion::{Rules, Sources};
use shared::sources::{Source, SourcesFile};

/// What a sources file says; `all` holds where it is silent.
pub(crate) fn sources_of(file: SourcesFile, all: &Rules) -> Sources {
    file.sources.into_iter().fold(Sources::new(all.clone()), |sources, source| {
        let ae_title = source.ae_title.clone();
        sources.with(&ae_title, over(source, all))
    })
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
    use completion::{Hint, OnDisagreement};
    use jiff::SignedDuration;

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
        let all = Rules::default();
        let sources = sources_of(SourcesFile::parse(text).unwrap(), &all);
        let expected = Rules {
            quiet_period: SignedDuration::from_secs(90),
            expected_from: vec![Hint::NumberOfSlices, Hint::NumberOfTemporalPositions],
            retrieve_url: Some("http://pacs:8042/dicom-web".to_owned()),
            on_disagreement: OnDisagreement::Hold,
            ..all.clone()
        };
        assert_eq!(sources.rules("MR 1"), &expected);
        assert_eq!(sources.rules("MR 2"), &all);
        assert_eq!(sources_of(SourcesFile::default(), &all), Sources::new(all));
    }
}
