//! Settings that differ by sender: what is known of each calling AE title before it sends anything.

use completion::{Rules, Senders};
use jiff::SignedDuration;
use shared::senders::{SenderEntry, SendersFile};

/// What the senders file says; `all` holds where it is silent.
pub(crate) fn senders_of(file: SendersFile, all: &Rules, ask_timeout: SignedDuration) -> Senders {
    file.senders.into_iter().fold(Senders::new(all.clone()), |senders, sender| {
        let ae_title = sender.ae_title.clone();
        senders.with(&ae_title, over(sender, all, ask_timeout))
    })
}

/// What the entry of a sender says, and where it is silent what holds for all.
fn over(sender: SenderEntry, all: &Rules, ask_timeout: SignedDuration) -> Rules {
    let lists = sender.lists().next().is_some();
    Rules {
        quiet_period: sender.quiet_period.unwrap_or(all.quiet_period),
        settle_period: sender.settle_period.unwrap_or(all.settle_period),
        abort_grace: sender.abort_grace.unwrap_or(all.abort_grace),
        max_open: sender.max_open.unwrap_or(all.max_open),
        expected_from: sender.expected_from,
        retrieve_url: sender.retrieve_url.or_else(|| all.retrieve_url.clone()),
        on_disagreement: sender.on_disagreement,
        ask_timeout: sender.ask.as_ref().map(|_| ask_timeout),
        fetch_limit: sender.ask.and_then(|ask| ask.fetch_limit),
        lists,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use completion::{Hint, OnDisagreement};

    #[test]
    fn a_sender_differs_where_it_says_so_and_all_others_do_not() {
        let text = r#"
            [[source]]
            ae_title = "MR 1"
            quiet_period = "1m 30s"
            expected_from = ["NumberOfSlices", "NumberOfTemporalPositions"]
            retrieve_url = "http://pacs:8042/dicom-web/"
            on_disagreement = "hold"
            commitment = "evidence"
            ask = { ae_title = "PACS", host = "pacs.example", port = 104 }
        "#;
        let all = Rules::default();
        let two_minutes = SignedDuration::from_mins(2);
        let senders = senders_of(SendersFile::parse(text).unwrap(), &all, two_minutes);
        let expected = Rules {
            quiet_period: SignedDuration::from_secs(90),
            expected_from: vec![Hint::NumberOfSlices, Hint::NumberOfTemporalPositions],
            retrieve_url: Some("http://pacs:8042/dicom-web".to_owned()),
            on_disagreement: OnDisagreement::Hold,
            ask_timeout: Some(SignedDuration::from_mins(2)),
            lists: true,
            ..all.clone()
        };
        assert_eq!(senders.rules("MR 1"), &expected);
        assert_eq!(senders.rules("MR 2"), &all);
        assert_eq!(senders_of(SendersFile::default(), &all, two_minutes), Senders::new(all));
    }
}
