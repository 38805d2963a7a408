//! The catalogue on a real SQLite file: what is counted, what is complete, what is announced.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use catalog::{
    Attribute, Batch, Bookmark, CatalogError, CatalogReader, CatalogSettings, CatalogWriter,
    Details, Held, Inspected, Level, LevelSearch, Matching, Received, Recorded, Registration,
    RegistrationOutcome, SeriesSearch, StudySearch, inspect, keyword,
};
use completion::{
    Completion, Consequences, Deletion, Disproof, Effect, Lesson, OpenSeries, Share,
    StudyCompletion,
};
use contract::event::{
    DeletionReason, Ending, InstanceStored, Reason, RegistrationRequested, SeriesCompleted,
    SeriesDeleted,
};
use contract::uid::{SeriesInstanceUid, StudyInstanceUid};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use tempfile::TempDir;

/// A catalogue of its own, and the stream that feeds it.
struct Feed {
    catalog: CatalogWriter,
    reader: CatalogReader,
    sequence: u64,
    settings: CatalogSettings,
    hold_disagreeing: bool,
    _folder: TempDir,
}

impl Feed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/on/demand/catalog.db");
        let settings = CatalogSettings::at(&path);
        let catalog = CatalogWriter::own(&settings).await.unwrap();
        let reader = CatalogReader::open(&settings).unwrap();
        Self { catalog, reader, sequence: 0, settings, hold_disagreeing: false, _folder: folder }
    }

    /// Records one batch and gives what each of its instances was. What changes a series opens it,
    /// as with the completion rules.
    async fn receive(&mut self, events: impl IntoIterator<Item = InstanceStored>) -> Vec<Effect> {
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

    async fn complete(&self, series: &str) -> Option<SeriesCompleted> {
        let completion = Completion {
            series: SeriesInstanceUid::parse(series).unwrap(),
            reason: Reason::Quiet,
            opened_at: second(self.sequence),
            decided_at: second(self.sequence + 10),
            expected: Some(20),
            retrieve_from: Some("http://pacs/dicom-web".to_owned()),
            hold_disagreeing: self.hold_disagreeing,
            missing: 0,
        };
        self.catalog.complete(&[completion]).await.unwrap().pop()
    }

    /// An operator's request to delete a series.
    async fn delete(&mut self, series: &str) -> Vec<SeriesDeleted> {
        self.sequence += 1;
        let batch = Batch::new(bookmark(self.sequence));
        let series = SeriesInstanceUid::parse(series).unwrap();
        let (reason, decided_at) = (DeletionReason::Requested, second(self.sequence));
        let deletions = vec![Deletion { series, reason, decided_at }];
        let consequences = Consequences { deletions, ..Consequences::default() };
        self.catalog.record(&batch, |_| consequences).await.unwrap().deleted
    }

    /// A request to register a series of 12 instances. Gives what became of it.
    async fn register(&mut self, series: &str) -> RegistrationOutcome {
        self.register_as(series, |_| {}).await
    }

    async fn register_as(
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
    async fn listed(&self) -> Vec<(String, i64)> {
        let page = self.reader.series(&SeriesSearch::default(), None, 1000).await.unwrap();
        let records = page.records;
        records.into_iter().map(|r| (r.series_instance_uid, r.instances_count)).collect()
    }
}

/// Of a stream that was read up to this sequence.
fn bookmark(last_sequence: u64) -> Bookmark {
    Bookmark::new(second(0), last_sequence)
}

fn second(number: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number as i64)
}

fn instance(series: &str, sop: &str) -> InstanceStored {
    changed(series, sop, |_| {})
}

fn changed(series: &str, sop: &str, change: impl FnOnce(&mut serde_json::Value)) -> InstanceStored {
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

#[tokio::test]
async fn an_instance_is_counted_once_however_often_it_comes() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1"), instance("2.1", "3.2"), instance("2.1", "3.1")]).await;
    feed.receive([instance("2.1", "3.2")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.instances_count, completed.instances_added), (2, 2));
    assert_eq!(completed.instances_sequence, Some(4));
    assert_eq!(feed.listed().await, [("2.1".to_owned(), 2)]);
}

#[tokio::test]
async fn the_first_and_the_last_of_one_batch_are_told_apart() {
    let mut feed = Feed::new().await;
    let received = |sop, at: &str| changed("2.1", sop, |e| e["ReceivedAt"] = json!(at));
    let (first, last) = ("2026-02-03T04:05:06Z", "2026-02-03T04:05:08Z");
    feed.receive([received("3.1", first), received("3.2", "2026-02-03T04:05:07Z")]).await;
    feed.receive([received("3.3", last)]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!(completed.first_received_at, Some(first.parse().unwrap()));
    assert_eq!(completed.last_received_at, Some(last.parse().unwrap()));
}

#[tokio::test]
async fn a_resend_changes_nothing_and_reopens_nothing() {
    let mut feed = Feed::new().await;
    assert_eq!(feed.receive([instance("2.1", "3.1")]).await, [Effect::Added]);
    feed.complete("2.1").await.unwrap();
    assert_eq!(feed.receive([instance("2.1", "3.1")]).await, [Effect::Resent]);
    assert_eq!(feed.catalog.open_series().await.unwrap(), []);
    assert_eq!(feed.complete("2.1").await, None);
}

#[tokio::test]
async fn a_resend_is_compared_by_the_attributes_that_both_versions_of_its_digest_know() {
    let mut feed = Feed::new().await;
    let digest = |digest: &str| changed("2.1", "3.1", |e| e["Digest"] = json!(digest));
    assert_eq!(feed.receive([digest("d1")]).await, [Effect::Added]);
    feed.complete("2.1").await.unwrap();
    let resent = [Effect::Resent, Effect::Resent];
    assert_eq!(feed.receive([digest("d1.e1"), digest("d1.e2")]).await, resent);
    assert_eq!(feed.complete("2.1").await, None, "an upgrade reopens nothing");
    assert_eq!(feed.receive([digest("d2.e1")]).await, [Effect::Corrected]);
    assert_eq!(feed.complete("2.1").await.unwrap().revision, 2);
    // An earlier receiver between two later ones, in one batch or in several: its digest does not stand for what
    // it does not know.
    let resent = [Effect::Resent, Effect::Corrected];
    assert_eq!(feed.receive([digest("d2"), digest("d2.e3")]).await, resent);
    assert_eq!(feed.receive([digest("d2")]).await, [Effect::Resent]);
    assert_eq!(feed.receive([digest("d2.e4")]).await, [Effect::Corrected]);
    assert_eq!(feed.receive([digest("d3")]).await, [Effect::Corrected]);
}

#[tokio::test]
async fn a_late_instance_reopens_its_series_and_brings_the_next_revision() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1")]).await;
    feed.complete("2.1").await.unwrap();
    assert_eq!(feed.receive([instance("2.1", "3.2")]).await, [Effect::Added]);
    // Until it is complete again it is listed as it last was.
    assert_eq!(feed.listed().await, [("2.1".to_owned(), 1)]);
    assert_eq!(feed.catalog.open_series().await.unwrap()[0].1.last_activity, second(2));
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.revision, completed.instances_count), (2, 2));
    assert_eq!(completed.instances_added, 1);
    assert_eq!(feed.listed().await, [("2.1".to_owned(), 2)]);
}

#[tokio::test]
async fn a_corrected_instance_keeps_the_count_and_brings_a_revision() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1"), instance("2.1", "3.2")]).await;
    feed.complete("2.1").await.unwrap();
    let correction = changed("2.1", "3.1", |e| {
        e["Digest"] = json!("d1");
        e["PatientName"] = json!("Doe^Jane");
    });
    feed.receive([correction]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.revision, completed.instances_count), (2, 2));
    assert_eq!((completed.instances_added, completed.instances_corrected), (0, 1));
    assert_eq!(completed.patient_name, "Doe^Jane");
}

#[tokio::test]
async fn an_instance_that_moves_changes_both_series() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1"), instance("2.2", "3.2")]).await;
    feed.complete("2.1").await.unwrap();
    feed.complete("2.2").await.unwrap();
    let left = SeriesInstanceUid::parse("2.1").unwrap();
    assert_eq!(feed.receive([instance("2.2", "3.1")]).await, [Effect::MovedFrom(left)]);
    assert_eq!(feed.catalog.open_series().await.unwrap().len(), 2);
    assert_eq!(feed.complete("2.1").await.unwrap().instances_count, 0);
    let completed = feed.complete("2.2").await.unwrap();
    assert_eq!((completed.instances_count, completed.instances_added), (2, 1));
    // The emptied series has said so, and is listed no more.
    assert_eq!(feed.listed().await, [("2.2".to_owned(), 2)]);
}

#[tokio::test]
async fn an_instance_that_moves_twice_in_one_batch_ends_where_it_came_last() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1"), instance("2.2", "3.1"), instance("2.1", "3.1")]).await;
    assert_eq!(feed.complete("2.1").await.unwrap().instances_count, 1);
    assert_eq!(feed.complete("2.2").await.unwrap().instances_count, 0);
}

#[tokio::test]
async fn the_latest_instance_decides_on_its_study_and_series() {
    let mut feed = Feed::new().await;
    let says = |series, sop, text: &str| {
        let text = text.to_owned();
        changed(series, sop, move |e| {
            e["StudyDescription"] = json!(text);
            e["SeriesDescription"] = json!(text);
        })
    };
    feed.receive([says("2.1", "3.1", "a")]).await;
    feed.receive([says("2.2", "3.2", "b")]).await;
    // Its series says what it said before, but its study says something else by now.
    feed.receive([says("2.1", "3.3", "a")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!(completed.study_description.as_deref(), Some("a"));
    assert_eq!(completed.series_description.as_deref(), Some("a"));
    // What is as it was counts too where another instance of the batch changes it in between.
    feed.receive([says("2.2", "3.4", "b")]).await;
    feed.receive([says("2.1", "3.5", "c"), says("2.2", "3.6", "b")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!(completed.study_description.as_deref(), Some("b"));
    assert_eq!(completed.series_description.as_deref(), Some("c"));
    // And a series that is complete is open again, by an instance that says nothing new.
    feed.receive([says("2.1", "3.7", "c")]).await;
    assert_eq!(feed.complete("2.1").await.unwrap().revision, 3);
}

#[tokio::test]
async fn two_patients_with_one_id_keep_their_names() {
    let mut feed = Feed::new().await;
    let other = changed("2.2", "3.2", |e| {
        e["StudyInstanceUID"] = json!("2.25.9");
        e["PatientName"] = json!("Bloggs^Joe");
    });
    feed.receive([instance("2.1", "3.1"), other]).await;
    assert_eq!(feed.complete("2.1").await.unwrap().patient_name, "Roe^Jane");
    assert_eq!(feed.complete("2.2").await.unwrap().patient_name, "Bloggs^Joe");
}

#[tokio::test]
async fn no_event_can_make_the_catalogue_fail() {
    let mut feed = Feed::new().await;
    let odd = changed("2.1", "3.1", |e| {
        e["Rows"] = json!("many");
        e["PatientID"] = json!({"deep": ["x", null]});
        e["PatientName"] = json!(17);
        e["NumberOfFrames"] = json!(1e300);
        e["StudyDate"] = json!("\u{0}a");
        e["RequestAttributesSequence"] = json!("no list");
        e.as_object_mut().unwrap().remove("StudyInstanceUID");
        e["Bytes"] = json!(u64::MAX);
    });
    feed.receive([odd]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.instances_count, completed.study_instance_uid.as_str()), (1, ""));
    assert_eq!(feed.listed().await.len(), 1);
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1"), instance("2.2", "3.2")]).await;
    feed.complete("2.2").await.unwrap();
    feed.catalog.close().await;
    let catalog = CatalogWriter::own(&feed.settings).await.unwrap();
    let open = catalog.open_series().await.unwrap();
    assert_eq!(open.iter().map(|(series, _)| series.as_str()).collect::<Vec<_>>(), ["2.1"]);
    assert_eq!(catalog.bookmark().await.unwrap(), Some(bookmark(2)));
    assert_eq!(catalog.waiting_announcements(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn announcements_wait_in_order_until_the_broker_has_them() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1"), instance("2.2", "3.2")]).await;
    feed.complete("2.1").await.unwrap();
    feed.complete("2.2").await.unwrap();
    let waiting = feed.catalog.waiting_announcements(10).await.unwrap();
    let ids: Vec<_> = waiting.iter().map(|a| a.message_id.as_str()).collect();
    assert_eq!(ids, ["2.1:1", "2.2:1"]);
    assert_eq!(waiting[0].subject.to_string(), "dicom.series.completed.MR.2.1");
    feed.catalog.announced(&[waiting[0].id]).await.unwrap();
    assert_eq!(feed.catalog.waiting_announcements(10).await.unwrap(), waiting[1..]);
}

#[tokio::test]
async fn a_stored_series_is_complete_announced_and_stays_as_it_was() {
    let mut feed = Feed::new().await;
    let uid = SeriesInstanceUid::parse("2.25.5").unwrap();
    assert_eq!(feed.reader.registration(&uid, 1).await.unwrap(), None, "nobody has acted on it");
    assert_eq!(feed.register("2.25.5").await, RegistrationOutcome::Registered);
    let again = feed.register_as("2.25.5", |event| {
        event.instances_count = 99;
        event.patient_id = "8".to_owned();
    });
    assert_eq!(again.await, RegistrationOutcome::AlreadyExists);
    assert_eq!(feed.listed().await, [("2.25.5".to_owned(), 12)]);
    let waiting = feed.catalog.waiting_announcements(10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    let event: SeriesCompleted = serde_json::from_str(&waiting[0].payload).unwrap();
    assert_eq!((event.reason, event.instances_count), (Reason::Stored, 12));
    assert_eq!((event.patient_id.as_str(), event.instances_sequence), ("7", Some(1)));
}

#[tokio::test]
async fn who_asks_for_what_came_later_misses_nothing_that_is_stored() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    // By a clock that was set back, it was said before that.
    assert_eq!(feed.register("2.2").await, RegistrationOutcome::Registered);
    assert_eq!(feed.register("2.3").await, RegistrationOutcome::Registered);
    let later =
        SeriesSearch { completed_after: Some(completed.completed_at), ..SeriesSearch::default() };
    let page = feed.reader.series(&later, None, 1000).await.unwrap();
    let uids: Vec<_> = page.records.iter().map(|r| r.series_instance_uid.as_str()).collect();
    assert_eq!(uids, ["2.2", "2.3"]);
    assert!(page.records[0].completed_at() < page.records[1].completed_at());
}

#[tokio::test]
async fn a_series_that_is_arriving_already_exists_for_post_store() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1")]).await;
    assert_eq!(feed.register("2.1").await, RegistrationOutcome::AlreadyExists);
    assert_eq!(feed.complete("2.1").await.unwrap().instances_count, 1);
}

#[tokio::test]
async fn instances_that_arrive_for_a_claimed_series_are_counted() {
    let mut feed = Feed::new().await;
    feed.register_as("2.1", |event| event.patient_id = "other".to_owned()).await;
    feed.receive([instance("2.1", "3.1")]).await;
    assert_eq!(feed.listed().await, [("2.1".to_owned(), 12)]);
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.revision, completed.instances_count), (2, 1));
    assert_eq!(completed.patient_id, "7");
}

#[tokio::test]
async fn a_reader_waits_for_the_owner_to_make_the_catalogue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let settings = CatalogSettings::at(&path);
    let reader = CatalogReader::open(&settings).unwrap();
    assert!(reader.check().await.is_err());
    let _owner = CatalogWriter::own(&settings).await.unwrap();
    reader.check().await.unwrap();
    let page = reader.series(&SeriesSearch::default(), None, 1).await.unwrap();
    assert!(page.records.is_empty());
}

#[tokio::test]
async fn the_catalogue_and_its_copy_lie_where_it_was_said_whatever_the_path() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a b", "a%20b", "100%", "a?mode=ro", "#1", "Köln", "it's", "\"", "-x", "a\nb"] {
        let inside = folder.path().join(name);
        let (file, copy) = (inside.join("catalog.db"), inside.join("copy%3F.db"));
        let settings = CatalogSettings::at(&file);
        let _owner = CatalogWriter::own(&settings).await.unwrap();
        CatalogReader::open(&settings).unwrap().backup(&copy).await.unwrap();
        assert!(file.is_file() && copy.is_file(), "{name}");
        let inspected = inspect(&CatalogSettings::at(&copy)).await.unwrap();
        assert!(matches!(inspected, Inspected::Seen(_)), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 10, "one elsewhere");
    let name = std::ffi::OsStr::from_bytes(b"\xff.db");
    let refused = CatalogWriter::own(&CatalogSettings::at(&folder.path().join(name))).await;
    assert!(matches!(refused, Err(CatalogError::Settings(_))));
}

#[tokio::test]
async fn a_url_that_names_no_file_is_refused() {
    for url in ["postgres://x/y", "", "sqlite:", "sqlite://", "sqlite::memory:", "catalog.db"] {
        let settings = CatalogSettings { database_url: url.into() };
        assert!(
            matches!(CatalogWriter::own(&settings).await, Err(CatalogError::Settings(_))),
            "{url:?}"
        );
    }
}

#[tokio::test]
async fn what_the_rules_know_of_an_open_series_is_kept_whole() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1")]).await;
    let share = Share { node: "n".into(), last_ordinal: 7, stored: 5, makes_up: false };
    let open = OpenSeries {
        senders: ["MR1".to_owned()].into(),
        associations: [("a".to_owned(), share)].into(),
        last_closed: Some(Ending::Aborted),
        interrupted: true,
        tainted: true,
        expected: Some(20),
        counted: 3,
        requested: Some(second(9)),
        ..OpenSeries::new(second(5), "MR1")
    };
    let series = SeriesInstanceUid::parse("2.1").unwrap();
    let changed = vec![(series, open)];
    let batch = Batch::new(bookmark(2));
    let consequences = Consequences { open: changed.clone(), ..Consequences::default() };
    feed.catalog.record(&batch, |_| consequences).await.unwrap();
    assert_eq!(feed.catalog.open_series().await.unwrap(), changed);
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!(completed.expected_count, Some(20));
    let url = "http://pacs/dicom-web/studies/2.25.1/series/2.1";
    assert_eq!(completed.retrieve_url.as_deref(), Some(url));
    assert_eq!(feed.catalog.open_series().await.unwrap(), []);
}

#[tokio::test]
async fn a_series_has_a_history_with_all_its_revisions() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1"), instance("2.1", "3.2")]).await;
    let uid = SeriesInstanceUid::parse("2.1").unwrap();
    assert_eq!(feed.reader.history(&uid).await.unwrap(), Some(Vec::new()));
    feed.complete("2.1").await.unwrap();
    feed.receive([changed("2.1", "3.1", |e| e["Digest"] = json!("d1"))]).await;
    feed.complete("2.1").await.unwrap();
    let history = feed.reader.history(&uid).await.unwrap().unwrap();
    let told: Vec<_> = history
        .iter()
        .map(|r| (r.revision, r.instances_count, r.instances_added, r.instances_corrected))
        .collect();
    assert_eq!(told, [(1, 2, 2, 0), (2, 2, 0, 1)]);
    assert_eq!(history[1].decided_sequence, 3);
    let unknown = SeriesInstanceUid::parse("2.9").unwrap();
    assert_eq!(feed.reader.history(&unknown).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_learned_of_a_sender_is_kept_until_it_is_trusted_again() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1")]).await;
    let learn = async |sequence, lesson| {
        let batch = Batch::new(bookmark(sequence));
        let consequences = Consequences { lessons: vec![lesson], ..Consequences::default() };
        feed.catalog.record(&batch, |_| consequences).await.unwrap();
        (feed.reader.senders().await.unwrap(), feed.catalog.disproved().await.unwrap())
    };
    let disproof = |rule| {
        let (sender, series) = ("MR1".to_owned(), SeriesInstanceUid::parse("2.1").unwrap());
        Lesson::Disproved(Disproof { sender, rule, at: second(7), series })
    };
    let (senders, disproved) = learn(2, disproof(Reason::Released)).await;
    assert_eq!(senders[0].calling_ae_title, "MR1");
    assert_eq!(senders[0].released_disproved, Some((second(7), "2.1".to_owned())));
    assert_eq!(disproved, [("MR1".to_owned(), Reason::Released)]);
    let (_, disproved) = learn(3, disproof(Reason::Expected)).await;
    assert_eq!(disproved.len(), 2);
    let (senders, disproved) = learn(4, Lesson::Trusted { sender: "MR1".into() }).await;
    assert_eq!((senders[0].expected_disproved.clone(), disproved.len()), (None, 0));
}

#[tokio::test]
async fn a_deleted_series_leaves_a_trace_and_goes_on_with_the_next_revision() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1"), instance("2.1", "3.2")]).await;
    feed.complete("2.1").await.unwrap();
    feed.receive([instance("2.1", "3.3")]).await;
    let deleted = feed.delete("2.1").await;
    assert_eq!((deleted[0].revision, deleted[0].instances_count), (1, 3));
    assert_eq!(deleted[0].instances_sequence, 4);
    assert_eq!(feed.complete("2.1").await, None, "it is not open any more");
    assert_eq!(feed.delete("2.1").await, [], "there is nothing left to delete");

    let uid = SeriesInstanceUid::parse("2.1").unwrap();
    assert_eq!(feed.reader.series_details(&uid).await.unwrap(), None);
    assert_eq!(feed.reader.deleted_at(&uid).await.unwrap(), Some(second(4)));
    let statistics = feed.reader.statistics().await.unwrap();
    assert_eq!((statistics.patients, statistics.studies, statistics.complete), (0, 0, 0));
    let names: Vec<_> =
        feed.reader.rows().await.unwrap().into_iter().filter(|row| row.contains("Roe")).collect();
    assert!(names.is_empty(), "{names:?}");

    let again = feed.register_as("2.1", |event| event.instances_count = 9).await;
    assert_eq!(again, RegistrationOutcome::Registered);
    assert_eq!(feed.listed().await, [("2.1".to_owned(), 9)]);
    feed.delete("2.1").await;
    feed.receive([instance("2.1", "3.1")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.revision, completed.instances_added), (3, 1));
    assert_eq!(feed.listed().await, [("2.1".to_owned(), 1)]);

    let history = feed.reader.history(&uid).await.unwrap().unwrap();
    let told: Vec<_> = history
        .iter()
        .map(|record| (record.revision, record.is_deletion, record.instances_count))
        .collect();
    assert_eq!(told, [(1, false, 2), (1, true, 3), (2, false, 9), (2, true, 9), (3, false, 1)]);
}

#[tokio::test]
async fn a_study_is_complete_once_none_of_its_series_is_receiving_and_only_with_news() {
    let mut feed = Feed::new().await;
    let due = [StudyCompletion { study: "2.25.1".to_owned(), decided_at: second(100) }];
    feed.receive([instance("2.1", "3.1"), instance("2.2", "3.2"), instance("2.2", "3.3")]).await;
    feed.complete("2.1").await.unwrap();
    let waits = feed.catalog.complete_studies(&due).await.unwrap();
    assert_eq!((waits.complete.len(), waits.waiting.as_slice()), (0, &["2.25.1".to_owned()][..]));
    feed.complete("2.2").await.unwrap();
    let open = feed.catalog.open_studies().await.unwrap();
    assert_eq!(open, [("2.25.1".to_owned(), Some(second(13)))]);

    let decided = feed.catalog.complete_studies(&due).await.unwrap();
    let study = &decided.complete[0];
    assert_eq!((study.revision, study.number_of_study_related_instances), (1, 3));
    let series: Vec<_> =
        study.series.iter().map(|s| (s.series_instance_uid.as_str(), s.revision)).collect();
    assert_eq!(series, [("2.1", 1), ("2.2", 1)]);
    assert_eq!(study.instances_sequence, 3);
    assert_eq!(feed.catalog.complete_studies(&due).await.unwrap(), Default::default(), "no news");

    feed.receive([instance("2.1", "3.4")]).await;
    feed.complete("2.1").await.unwrap();
    let decided = feed.catalog.complete_studies(&due).await.unwrap();
    assert_eq!(decided.complete[0].revision, 2);
    assert_eq!(decided.complete[0].series[0].revision, 2);

    // What is deleted is in no study, and its study in nobody's way.
    feed.receive([instance("2.2", "3.5")]).await;
    feed.complete("2.2").await.unwrap();
    feed.delete("2.1").await;
    feed.delete("2.2").await;
    assert_eq!(feed.catalog.open_studies().await.unwrap(), []);
    assert_eq!(feed.catalog.complete_studies(&due).await.unwrap(), Default::default());
}

#[tokio::test]
async fn a_study_and_its_patient_go_with_their_last_series() {
    let mut feed = Feed::new().await;
    feed.receive([instance("2.1", "3.1"), instance("2.2", "3.2")]).await;
    feed.delete("2.1").await;
    let statistics = feed.reader.statistics().await.unwrap();
    assert_eq!((statistics.patients, statistics.studies, statistics.receiving), (1, 1, 1));
    feed.delete("2.2").await;
    let statistics = feed.reader.statistics().await.unwrap();
    assert_eq!((statistics.patients, statistics.studies, statistics.receiving), (0, 0, 0));
}

#[tokio::test]
async fn a_catalogue_of_the_first_version_is_brought_up_with_all_that_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let migrations = folder.path().join("migrations");
    std::fs::create_dir(&migrations).unwrap();
    let first = "0001_catalogue.sql";
    let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sqlite/migrations");
    std::fs::copy(ours.join(first), migrations.join(first)).unwrap();
    let path = folder.path().join("catalog.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::migrate::Migrator::new(migrations).await.unwrap().run(&pool).await.unwrap();
    sqlx::raw_sql(
        "insert into bookmark values (1, 0, 9);
         insert into patients values (1, '7', '', 'Roe^Jane', '', '');
         insert into studies (study_instance_uid, patient) values ('2.25.1', 1);
         insert into series (series_instance_uid, study_instance_uid, patient, calling_ae_title,
             source, state, last_activity_at, revision, reason, instances_count,
             first_completed_at, completed_at, completed_sequence)
         values ('2.1', '2.25.1', 1, 'MR1', 'dicom', 'complete', 1000000000, 2, 'quiet', 5,
                 11000000000, 12000000000, 6),
                ('2.2', '2.25.1', 1, 'MR2', 'dicom', 'receiving', 2000000000, 0, null, 0,
                 null, null, 0);",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;

    let settings = CatalogSettings::at(&path);
    let catalog = CatalogWriter::own(&settings).await.unwrap();
    let open = catalog.open_series().await.unwrap();
    let series = SeriesInstanceUid::parse("2.2").unwrap();
    assert_eq!(open, [(series, OpenSeries::new(second(2), "MR2"))]);
    let series = SeriesInstanceUid::parse("2.1").unwrap();
    let reader = CatalogReader::open(&settings).unwrap();
    let history = reader.history(&series).await.unwrap().unwrap();
    assert_eq!((history.len(), history[0].revision, history[0].instances_count), (1, 2, 5));
    let senders = reader.senders().await.unwrap();
    let names: Vec<_> = senders.iter().map(|sender| sender.calling_ae_title.as_str()).collect();
    assert_eq!(names, ["MR1", "MR2"]);
}

#[cfg(feature = "synthetic")]
#[tokio::test]
async fn a_filled_catalogue_lists_every_series_once() {
    let feed = Feed::new().await;
    feed.catalog.fill(1_001).await.unwrap();
    let page = feed.reader.series(&SeriesSearch::default(), None, 2000).await.unwrap();
    let listed = page.records;
    let uids: std::collections::HashSet<_> =
        listed.iter().map(|series| series.series_instance_uid.as_str()).collect();
    assert_eq!((listed.len(), uids.len()), (1_001, 1_001));
    assert!(listed.is_sorted_by_key(|series| series.completed_at()));
}

/// An instance of one of two patients, in a study of theirs.
fn of_patient(series: &str, sop: &str, study: &str, id: &str, name: &str) -> InstanceStored {
    let [study, id, name] = [study, id, name].map(str::to_owned);
    changed(series, sop, move |e| {
        e["StudyInstanceUID"] = json!(study);
        e["PatientID"] = json!(id);
        e["PatientName"] = json!(name);
    })
}

/// The SOP Instance UIDs that QIDO-RS finds by the value of an attribute, with their patients.
async fn instances_by(feed: &Feed, by: (&str, &str)) -> Vec<(String, String)> {
    let matching = vec![(Attribute::find(by.0).unwrap(), Matching::Equals(by.1.to_owned()))];
    let attributes = vec![keyword::SOPInstanceUID, keyword::PatientID];
    let search = LevelSearch {
        level: Level::Instance,
        matching,
        requested: Vec::new(),
        attributes,
        offset: 0,
        limit: 100,
    };
    let (found, _) = feed.reader.search(&search).await.unwrap();
    assert_eq!(feed.reader.count_found(&search).await.unwrap(), found.len() as u64);
    let text = |details: &Details, key: &str| details[key].as_str().unwrap_or_default().to_owned();
    found.iter().map(|it| (text(it, "SOPInstanceUID"), text(it, "PatientID"))).collect()
}

#[tokio::test]
async fn no_instance_of_one_patient_is_told_as_anothers() {
    let mut feed = Feed::new().await;
    let anna = |sop| of_patient("2.1", sop, "1.1", "A", "Roe^Anna");
    let ben = |sop| of_patient("2.1", sop, "1.2", "B", "Doe^Ben");
    feed.receive([anna("3.1"), anna("3.2")]).await;
    assert_eq!(feed.complete("2.1").await.unwrap().disagrees, []);
    feed.receive([ben("3.3"), anna("3.4"), ben("3.5"), ben("3.6")]).await;
    feed.receive([anna("3.7"), ben("3.8")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.patient_id.as_str(), completed.instances_count), ("B", 8));
    let told = json!([
        {"Keyword": "StudyInstanceUID",
            "Values": [{"Value": "1.1", "Instances": 4}, {"Value": "1.2", "Instances": 4}]},
        {"Keyword": "PatientID",
            "Values": [{"Value": "A", "Instances": 4}, {"Value": "B", "Instances": 4}]},
        {"Keyword": "PatientName",
            "Values": [{"Value": "Doe^Ben", "Instances": 4}, {"Value": "Roe^Anna", "Instances": 4}]},
    ]);
    assert_eq!(serde_json::to_value(&completed.disagrees).unwrap(), told);
    let of = |patient: &str, sops: [&str; 4]| {
        sops.map(|sop| (sop.to_owned(), patient.to_owned())).to_vec()
    };
    for by in [("PatientID", "A"), ("StudyInstanceUID", "1.1"), ("PatientName", "roe^anna")] {
        assert_eq!(instances_by(&feed, by).await, of("A", ["3.1", "3.2", "3.4", "3.7"]), "{by:?}");
    }
    for by in [("PatientID", "B"), ("StudyInstanceUID", "1.2")] {
        assert_eq!(instances_by(&feed, by).await, of("B", ["3.3", "3.5", "3.6", "3.8"]), "{by:?}");
    }
    // The series is one, and found by either.
    for patient in ["A", "B"] {
        let matching = vec![(keyword::PatientID, Matching::Equals(patient.to_owned()))];
        let search = SeriesSearch { matching, ..SeriesSearch::default() };
        let page = feed.reader.series(&search, None, 10).await.unwrap();
        assert_eq!(page.records.len(), 1, "{patient}");
        assert_eq!(page.records[0].disagreements(), completed.disagrees);
        assert_eq!(feed.reader.count_series(&search).await.unwrap(), 1);
    }
    assert_eq!(feed.listed().await, [("2.1".to_owned(), 8)]);
}

#[tokio::test]
async fn both_studies_of_a_series_stay_and_are_complete_with_what_is_theirs() {
    let mut feed = Feed::new().await;
    feed.receive([of_patient("2.1", "3.1", "1.1", "A", "Roe^Anna")]).await;
    feed.receive([of_patient("2.1", "3.2", "1.2", "B", "Doe^Ben")]).await;
    feed.receive([of_patient("2.1", "3.3", "1.2", "B", "Doe^Ben")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!(completed.studies().collect::<Vec<_>>(), ["1.2", "1.1"]);
    let studies = feed.reader.studies(&StudySearch::default(), None, 10).await.unwrap().records;
    let told: Vec<_> = studies
        .iter()
        .map(|it| (it.study_instance_uid.as_str(), it.patient_id.as_str(), it.instances_count))
        .collect();
    assert_eq!(told, [("1.1", "A", 1), ("1.2", "B", 2)]);
    assert_eq!(studies[0].disagreements(), completed.disagrees);
    let due = ["1.1", "1.2"]
        .map(|study| StudyCompletion { study: study.to_owned(), decided_at: second(100) });
    let decided = feed.catalog.complete_studies(&due).await.unwrap().complete;
    let told: Vec<_> = decided
        .iter()
        .map(|it| (it.patient_id.as_str(), it.number_of_study_related_instances, it.series.len()))
        .collect();
    assert_eq!(told, [("A", 1, 1), ("B", 2, 1)]);
    assert_eq!(decided[0].disagrees, completed.disagrees);
}

#[tokio::test]
async fn a_series_whose_instances_are_all_corrected_disagrees_no_more() {
    let mut feed = Feed::new().await;
    let wrong = |sop| of_patient("2.1", sop, "1.1", "A", "Roe^Anna");
    feed.receive([wrong("3.1"), wrong("3.2")]).await;
    feed.complete("2.1").await.unwrap();
    let right = |sop: &'static str| {
        let mut event = of_patient("2.1", sop, "1.2", "B", "Doe^Ben");
        event.digest = "d1".to_owned();
        event
    };
    feed.receive([right("3.1")]).await;
    let halfway = feed.complete("2.1").await.unwrap();
    assert_eq!(halfway.disagrees[0].keyword, "StudyInstanceUID");
    feed.receive([right("3.2")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.instances_corrected, completed.disagrees), (1, Vec::new()));
    assert_eq!(instances_by(&feed, ("PatientID", "A")).await, []);
    assert_eq!(instances_by(&feed, ("PatientID", "B")).await.len(), 2);
    let studies = feed.reader.studies(&StudySearch::default(), None, 10).await.unwrap().records;
    assert_eq!(studies.len(), 1, "nothing is left of the other");
}

#[tokio::test]
async fn a_study_of_two_patients_is_found_by_either() {
    let mut feed = Feed::new().await;
    feed.receive([of_patient("2.1", "3.1", "1.1", "A", "Roe^Anna")]).await;
    feed.receive([of_patient("2.2", "3.2", "1.1", "B", "Doe^Ben")]).await;
    for series in ["2.1", "2.2"] {
        assert_eq!(feed.complete(series).await.unwrap().disagrees, [], "each is of one");
    }
    for patient in ["A", "B"] {
        let matching = vec![(keyword::PatientID, Matching::Equals(patient.to_owned()))];
        let search = StudySearch { matching: matching.clone(), ..StudySearch::default() };
        let found = feed.reader.studies(&search, None, 10).await.unwrap().records;
        assert_eq!(found.len(), 1, "{patient}");
        assert_eq!(found[0].disagreements()[0].keyword, "PatientID");
        assert_eq!(feed.reader.count_studies(&search).await.unwrap(), 1);
        let attributes = vec![keyword::PatientID, keyword::NumberOfStudyRelatedInstances];
        let search = LevelSearch {
            level: Level::Study,
            matching,
            requested: Vec::new(),
            attributes,
            offset: 0,
            limit: 10,
        };
        let (found, _) = feed.reader.search(&search).await.unwrap();
        let told = json!({"PatientID": patient, "NumberOfStudyRelatedInstances": 1});
        assert_eq!(found.into_iter().map(serde_json::Value::Object).collect::<Vec<_>>(), [told]);
    }
}

#[tokio::test]
async fn a_deletion_takes_all_that_a_disagreeing_series_named_and_names_no_patient() {
    let mut feed = Feed::new().await;
    feed.receive([of_patient("2.1", "3.1", "1.1", "A", "Roe^Anna")]).await;
    feed.receive([of_patient("2.1", "3.2", "1.2", "B", "Doe^Ben")]).await;
    let deleted = feed.delete("2.1").await;
    let keywords: Vec<_> = deleted[0].disagrees.iter().map(|it| it.keyword.as_str()).collect();
    assert_eq!(keywords, ["StudyInstanceUID"]);
    let rows = feed.reader.rows().await.unwrap();
    for table in ["studies ", "series ", "instances ", "identities "] {
        assert!(!rows.iter().any(|row| row.starts_with(table)), "{rows:?}");
    }
    assert_eq!(feed.reader.statistics().await.unwrap().patients, 0);
}

#[tokio::test]
async fn what_is_held_back_is_announced_once_a_person_says_so() {
    let mut feed = Feed::new().await;
    feed.hold_disagreeing = true;
    feed.receive([of_patient("2.2", "3.9", "1.1", "A", "Roe^Anna")]).await;
    feed.complete("2.2").await.unwrap();
    feed.receive([of_patient("2.1", "3.1", "1.1", "A", "Roe^Anna")]).await;
    feed.receive([of_patient("2.1", "3.2", "1.1", "B", "Doe^Ben")]).await;
    feed.complete("2.1").await.unwrap();
    let waiting = feed.catalog.waiting_announcements(10).await.unwrap();
    let [announced, held] = waiting.as_slice() else { panic!("{waiting:?}") };
    assert_eq!(announced.held, None);
    assert_eq!(held.held.as_deref(), Some("instances disagree on PatientID, PatientName"));
    feed.catalog.announced(&[held.id]).await.unwrap();
    let (subject, message_id) = (&held.subject, held.message_id.as_str());
    let again = Held { subject, message_id, time: held.time, payload: &held.payload };
    let uid = SeriesInstanceUid::parse("2.1").unwrap();
    let is_held =
        async || feed.reader.series_details(&uid).await.unwrap().unwrap().contains_key("Held");
    assert!(is_held().await);
    feed.reader.release(&again).await.unwrap();
    feed.reader.release(&again).await.unwrap();
    assert!(!is_held().await);
    let waiting = feed.catalog.waiting_announcements(10).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].held.as_deref()), (1, None));
    assert_eq!(waiting[0].message_id, "2.1:1");
}

#[tokio::test]
async fn an_instance_that_leaves_a_disagreeing_series_takes_its_patient_along() {
    let mut feed = Feed::new().await;
    feed.receive([of_patient("2.1", "3.1", "1.1", "A", "Roe^Anna")]).await;
    feed.receive([of_patient("2.1", "3.2", "1.2", "B", "Doe^Ben")]).await;
    feed.receive([of_patient("2.2", "3.2", "1.3", "C", "Poe^Cid")]).await;
    assert_eq!(feed.complete("2.1").await.unwrap().disagrees, []);
    assert_eq!(feed.complete("2.2").await.unwrap().disagrees, []);
    for (patient, sop) in [("A", "3.1"), ("C", "3.2")] {
        let found = instances_by(&feed, ("PatientID", patient)).await;
        assert_eq!(found, [(sop.to_owned(), patient.to_owned())]);
    }
    assert_eq!(instances_by(&feed, ("PatientID", "B")).await, []);
}
