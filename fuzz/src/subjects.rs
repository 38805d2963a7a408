//! Subjects, and the tokens that are made of what a peer calls itself and its series.

use crate::Reader;
use contract::subject::{AssociationChange, Subject};
use contract::uid::{SeriesInstanceUid, is_legal_uid};

pub(crate) const READER: Reader = Reader { name: "subjects", seeds, check };

fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(subject) = text.parse::<Subject>() {
        assert_eq!(subject.to_string().parse::<Subject>().as_ref(), Ok(&subject), "{subject}");
    }
    is_publishable(&Subject::association(AssociationChange::Released, &text));
    is_publishable(&Subject::ingest_started(&text));
    is_publishable(&Subject::ingest_resumed(&text));
    is_publishable(&Subject::trust_requested(&text));
    is_publishable(&Subject::undelivered(&text));
    if let Ok(series) = SeriesInstanceUid::parse(&text) {
        assert!((1..=64).contains(&series.as_str().len()));
        is_publishable(&Subject::instance_stored(&text, &series));
        is_publishable(&Subject::series_completed(&text, &series));
        let subject = Subject::completion_requested(&series);
        is_publishable(&subject);
        if is_legal_uid(series.as_str()) {
            assert!(subject.to_string().ends_with(series.as_str()), "{subject} can be pasted");
        }
    }
}

/// NATS takes it as a subject to publish to, and we can read it.
fn is_publishable(subject: &Subject) {
    let text = subject.to_string();
    assert!(text.split('.').all(|token| !token.is_empty()), "{text}");
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    assert!(text.bytes().all(legal), "{text}");
    assert_eq!(text.parse::<Subject>().as_ref(), Ok(subject), "{text}");
}

fn seeds() -> Vec<Vec<u8>> {
    let series = SeriesInstanceUid::parse("1.2.840.113619.2.5").unwrap();
    let subjects = [
        Subject::instance_stored("MR", &series),
        Subject::instance_receiving("CT", &series),
        Subject::association(AssociationChange::Aborted, "MR 1"),
        Subject::ingest_started("node.example"),
        Subject::ingest_resumed("node.example"),
        Subject::clock("node.example"),
        Subject::registration_requested(&series),
        Subject::completion_requested(&series),
        Subject::deletion_requested(&series),
        Subject::series_deleted("CT", &series),
        Subject::series_kept("CT", &series),
        Subject::series_purged("CT", &series),
        Subject::study_completed("1.2.840.113619.2.4"),
        Subject::trust_requested("MR 1"),
        Subject::series_completed("", &series),
        Subject::dead("unreadable"),
        Subject::undelivered("lung-ai"),
    ];
    let texts = ["1.2.840.113619.2.5", "..1.*.>. ", "MR 1", "1.2.840\0"];
    let texts = texts.map(|text| text.as_bytes().to_vec());
    subjects.iter().map(|subject| subject.to_string().into_bytes()).chain(texts).collect()
}
