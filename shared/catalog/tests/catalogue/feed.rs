//! A catalogue of its own for each test, and the stream that feeds it.

use catalog::{
    Batch, Bookmark, CatalogReader, CatalogSettings, CatalogWriter, Received, Recorded,
    Registration, RegistrationOutcome, SeriesSearch,
};
use completion::{Completion, Consequences, Deletion, Effect, OpenSeries};
use contract::event::{
    DeletionReason, InstanceStored, Reason, RegistrationRequested, ReleaseRequested,
    SeriesCompleted, SeriesDeleted,
};
use contract::uid::{SeriesInstanceUid, StudyInstanceUid};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::HashMap;
use test_database::TestDatabase;

/// A catalogue of its own, and the stream that feeds it.
pub(crate) struct Feed {
    pub(crate) catalog: CatalogWriter,
    pub(crate) reader: CatalogReader,
    pub(crate) sequence: u64,
    pub(crate) settings: CatalogSettings,
    pub(crate) hold_disagreeing: bool,
    pub(crate) _database: TestDatabase,
}

impl Feed {
    /// On a database that is empty.
    pub(crate) async fn on(database: TestDatabase) -> Self {
        let settings = CatalogSettings { database_url: database.url().to_owned() };
        let catalog = CatalogWriter::own(&settings).await.unwrap();
        let reader = CatalogReader::open(&settings).unwrap();
        let (sequence, hold_disagreeing) = (0, false);
        Self { catalog, reader, sequence, settings, hold_disagreeing, _database: database }
    }

    /// Records one batch and gives what each of its instances was. What changes a series opens it,
    /// as with the completion rules.
    pub(crate) async fn receive(
        &mut self,
        events: impl IntoIterator<Item = InstanceStored>,
    ) -> Vec<Effect> {
        let instances: Vec<_> = events
            .into_iter()
            .map(|event| {
                self.sequence += 1;
                Received {
                    sequence: self.sequence,
                    at: second(self.sequence),
                    event: Box::new(event),
                }
            })
            .collect();
        let batch = Batch { instances, ..Batch::new(bookmark(self.sequence)) };
        let mut effects = Vec::new();
        let conclude = |recorded: &Recorded| {
            effects.clone_from(&recorded.effects);
            let mut changed = HashMap::new();
            for (instance, effect) in batch.instances.iter().zip(&recorded.effects) {
                let open = OpenSeries::new(instance.at, &instance.event.calling_ae_title);
                if let Effect::MovedFrom(left) = effect {
                    changed.insert(left.clone(), open.clone());
                }
                if *effect != Effect::Resent {
                    changed.insert(instance.event.series_instance_uid.clone(), open);
                }
            }
            Consequences { open: changed.into_iter().collect(), ..Consequences::default() }
        };
        self.catalog.record(&batch, conclude).await.unwrap();
        effects
    }

    pub(crate) async fn complete(&self, series: &str) -> Option<SeriesCompleted> {
        let completion = Completion {
            series: SeriesInstanceUid::parse(series).unwrap(),
            reason: Reason::Quiet,
            opened_at: second(self.sequence),
            decided_at: second(self.sequence + 10),
            expected: Some(20),
            retrieve_from: Some("http://pacs/dicom-web".to_owned()),
            hold_disagreeing: self.hold_disagreeing,
            at_source: None,
            listed: None,
            evidence: Vec::new(),
            absent: Vec::new(),
            fetched: Vec::new(),
            missing: 0,
        };
        self.catalog.complete(&[completion]).await.unwrap().pop()
    }

    /// An operator's request to delete a series.
    pub(crate) async fn delete(&mut self, series: &str) -> Vec<SeriesDeleted> {
        self.sequence += 1;
        let batch = Batch::new(bookmark(self.sequence));
        let series = SeriesInstanceUid::parse(series).unwrap();
        let (reason, decided_at) = (DeletionReason::Requested, second(self.sequence));
        let deletions = vec![Deletion { series, reason, decided_at }];
        let consequences = Consequences { deletions, ..Consequences::default() };
        self.catalog.record(&batch, |_| consequences).await.unwrap().deleted
    }

    /// Requests to announce what was held back.
    pub(crate) async fn release(&mut self, requests: impl IntoIterator<Item = ReleaseRequested>) {
        self.sequence += 1;
        let releases = requests.into_iter().map(Box::new).collect();
        let batch = Batch { releases, ..Batch::new(bookmark(self.sequence)) };
        self.catalog.record(&batch, |_| Consequences::default()).await.unwrap();
    }

    /// A request to register a series of 12 instances. Gives what became of it.
    pub(crate) async fn register(&mut self, series: &str) -> RegistrationOutcome {
        self.register_as(series, |_| {}).await
    }

    pub(crate) async fn register_as(
        &mut self,
        series: &str,
        change: impl FnOnce(&mut RegistrationRequested),
    ) -> RegistrationOutcome {
        self.sequence += 1;
        let series = SeriesInstanceUid::parse(series).unwrap();
        let mut event = RegistrationRequested {
            series_instance_uid: series.clone(),
            study_instance_uid: StudyInstanceUid::parse("2.25.6").unwrap(),
            patient_id: "7".to_owned(),
            patient_name: "Roe^Jane".to_owned(),
            instances_count: 12,
            request_id: "7e6f35d8-5a0f-4c55-9d7e-6f1c0b2a9d10".to_owned(),
            requested_at: second(1),
        };
        change(&mut event);
        let (sequence, at) = (self.sequence, second(1));
        let registrations = vec![Registration { sequence, at, event: Box::new(event) }];
        let batch = Batch { registrations, ..Batch::new(bookmark(sequence)) };
        let committed =
            self.catalog.record(&batch, |_| Consequences::default()).await.unwrap().registered;
        let outcome = self.reader.registration(&series, sequence).await.unwrap().unwrap();
        assert_eq!(committed.len(), usize::from(outcome == RegistrationOutcome::Registered));
        outcome
    }

    /// UID and count of the series that are listed.
    pub(crate) async fn listed(&self) -> Vec<(String, i64)> {
        let page = self.reader.series(&SeriesSearch::default(), None, 1000).await.unwrap();
        let records = page.records;
        records.into_iter().map(|r| (r.series_instance_uid, r.instances_count)).collect()
    }
}

/// Of a stream that was read up to this sequence.
pub(crate) fn bookmark(last_sequence: u64) -> Bookmark {
    Bookmark::new(second(0), last_sequence)
}

pub(crate) fn second(number: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number as i64)
}

/// A text of this length that a database does not compress into the little that an index has room for.
pub(crate) fn unlike(length: usize) -> String {
    let mut digits = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut digits);
    digits.iter().map(|digit| char::from(b'0' + digit % 10)).collect()
}

pub(crate) fn instance(series: &str, sop: &str) -> InstanceStored {
    changed(series, sop, |_| {})
}

pub(crate) fn changed(
    series: &str,
    sop: &str,
    change: impl FnOnce(&mut serde_json::Value),
) -> InstanceStored {
    let mut event = json!({
        "SOPInstanceUID": sop, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4",
        "SeriesInstanceUID": series, "StudyInstanceUID": "2.25.1",
        "PatientID": "7", "PatientName": "Roe^Jane", "Modality": "MR", "Rows": 64,
        "TransferSyntaxUID": "1.2.840.10008.1.2.1", "Bytes": 100, "Digest": "d0",
        "CallingAETitle": "MR1", "CalledAETitle": "COLLIMATOR", "PeerAddress": "192.0.2.7",
        "AssociationID": "a", "Ordinal": 1, "ReceivedAt": "2026-02-03T04:05:06Z",
    });
    change(&mut event);
    serde_json::from_value(event).unwrap()
}
