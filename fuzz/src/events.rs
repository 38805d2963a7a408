//! Events: a line with the subject, and then the payload.

use crate::Reader;
use contract::event::InstanceStored;
use indexer::reading::{Reading, read};
use serde_json::Value;

pub(crate) const READER: Reader = Reader { name: "events", seeds, check };

/// The events of which somebody else may have written some.
const GOLDEN: [&str; 11] = [
    include_str!("../../shared/contract/golden/association_aborted.json"),
    include_str!("../../shared/contract/golden/association_opened.json"),
    include_str!("../../shared/contract/golden/association_released.json"),
    include_str!("../../shared/contract/golden/completion_requested.json"),
    include_str!("../../shared/contract/golden/ingest_resumed.json"),
    include_str!("../../shared/contract/golden/ingest_started.json"),
    include_str!("../../shared/contract/golden/instance_receiving.json"),
    include_str!("../../shared/contract/golden/instance_stored.json"),
    include_str!("../../shared/contract/golden/registration_requested.json"),
    include_str!("../../shared/contract/golden/series_completed.json"),
    include_str!("../../shared/contract/golden/trust_requested.json"),
];

fn check(input: &[u8]) {
    let (subject, payload) = parts(input);
    match read(&subject, payload) {
        Reading::Stored(event) => {
            let again = serde_json::to_vec(&event).unwrap();
            let again: InstanceStored = serde_json::from_slice(&again).unwrap();
            assert_eq!(again, *event, "written and read again");
        }
        Reading::Dead { error, .. } => assert!(error.len() < 100, "{error}"),
        _ => {}
    }
}

fn parts(input: &[u8]) -> (String, &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (subject, payload) = input.split_at(end);
    (String::from_utf8_lossy(subject).into_owned(), payload)
}

fn seeds() -> Vec<Vec<u8>> {
    let seed = |golden: &str| {
        let golden: Value = serde_json::from_str(golden).unwrap();
        let subject = golden["subject"].as_str().unwrap();
        let seed = format!("{subject}\n{}", golden["payload"]).into_bytes();
        let (subject, payload) = parts(&seed);
        assert!(!matches!(read(&subject, payload), Reading::Dead { .. }), "{subject}");
        seed
    };
    GOLDEN.map(seed).to_vec()
}
