//! Revisions that are to be folders of the instance store, and those that are.

use crate::feed::{Feed, bookmark, changed, second};
use catalog::{CatalogWriter, RevisionRecord, SeriesToKeep, WaitingRevision};
use contract::event::{
    InstanceStored, Reason, ReleaseRequested, SeriesCompleted, SeriesKept, StoredObject,
};
use contract::uid::SeriesInstanceUid;

on_both!(
    a_revision_is_listed_with_the_files_that_it_had,
    a_revision_waits_until_its_completion_is_announced,
    what_is_kept_is_announced_once_and_in_the_history,
    a_revision_that_is_held_back_waits_until_a_person_lets_it_go_out,
    a_deleted_series_is_not_kept_any_more,
    a_renumbered_completion_is_kept_by_its_new_number,
    without_a_keeper_nothing_is_listed,
    the_list_is_read_in_parts_from_the_oldest_on,
    what_the_record_says_is_kept_is_not_kept_again,
    a_series_of_which_instances_are_missing_from_the_catalogue_is_not_listed,
    of_a_rebuilt_series_the_latest_revision_alone_is_listed,
);

fn file(name: &str) -> StoredObject {
    StoredObject { key: format!("spool/node/00/{name}.dcm"), bytes: 4711, blake3: name.to_owned() }
}

/// An instance with a file of this name; empty: it is not kept.
pub(crate) fn stored(series: &str, sop: &str, name: &str) -> InstanceStored {
    let object = (!name.is_empty()).then(|| file(name));
    InstanceStored { object, ..changed(series, sop, |_| {}) }
}

pub(crate) fn uid(series: &str) -> SeriesInstanceUid {
    SeriesInstanceUid::parse(series).unwrap()
}

/// The catalogue of an indexer that keeps.
pub(crate) fn keeping(feed: Feed) -> Feed {
    let catalog = feed.catalog.clone().listing_to_keep(true);
    Feed { catalog, ..feed }
}

/// Has the broker take all that waits to be announced.
pub(crate) async fn announces(feed: &Feed) -> Vec<String> {
    let waiting = feed.catalog.waiting_announcements(100).await.unwrap();
    let ids: Vec<_> = waiting.iter().map(|announcement| announcement.id).collect();
    feed.catalog.announced(&ids).await.unwrap();
    waiting.into_iter().map(|announcement| announcement.message_id).collect()
}

async fn waiting(feed: &Feed) -> Vec<WaitingRevision> {
    feed.catalog.waiting_to_be_kept(None, 100).await.unwrap()
}

/// What waits, as `SeriesInstanceUID:Revision`.
pub(crate) async fn named(feed: &Feed) -> Vec<String> {
    let waiting = waiting(feed).await;
    waiting.iter().map(|it| format!("{}:{}", it.series_instance_uid, it.revision)).collect()
}

async fn listed(feed: &Feed, series: &str, revision: u32) -> SeriesToKeep {
    let waiting = waiting(feed).await;
    let one = waiting
        .iter()
        .find(|it| (it.series_instance_uid.as_str(), it.revision) == (series, revision));
    feed.catalog.series_to_keep(one.unwrap()).await.unwrap().unwrap()
}

/// The event of a revision that is kept.
pub(crate) fn kept(series: &str, revision: u32) -> SeriesKept {
    SeriesKept {
        retrieve_url: None,
        series_instance_uid: uid(series),
        revision,
        study_instance_uid: "2.25.1".to_owned(),
        modality: Some("MR".to_owned()),
        instances_kept: 1,
        instances_without_file: 0,
        bytes: 4711,
        place: format!("2.25.1/{series}/{revision}"),
        manifest_blake3: "0".repeat(64),
        kept_at: second(50),
    }
}

async fn history(feed: &Feed, series: &str) -> Vec<RevisionRecord> {
    feed.reader.history(&uid(series)).await.unwrap().unwrap()
}

async fn a_revision_is_listed_with_the_files_that_it_had(feed: Feed) {
    let mut feed = keeping(feed);
    feed.receive([stored("2.1", "3.2", "b"), stored("2.1", "3.1", "a"), stored("2.1", "3.3", "")])
        .await;
    feed.complete("2.1").await.unwrap();
    // Reopened before its turn.
    feed.receive([stored("2.1", "3.1", "c"), stored("2.1", "3.4", "d")]).await;
    announces(&feed).await;
    let expected = SeriesToKeep {
        study_instance_uid: "2.25.1".to_owned(),
        modality: Some("MR".to_owned()),
        reason: Reason::Quiet,
        completed_at: second(13),
        instances_without_file: 1,
        objects: vec![("3.1".to_owned(), file("a")), ("3.2".to_owned(), file("b"))],
    };
    assert_eq!(listed(&feed, "2.1", 1).await, expected);
    feed.complete("2.1").await.unwrap();
    announces(&feed).await;
    assert_eq!(named(&feed).await, ["2.1:1", "2.1:2"]);
    assert_eq!(listed(&feed, "2.1", 1).await, expected);
    let second = listed(&feed, "2.1", 2).await;
    let names: Vec<_> = second.objects.iter().map(|(_, object)| object.blake3.as_str()).collect();
    assert_eq!((names, second.instances_without_file), (vec!["c", "b", "d"], 1));
}

async fn a_revision_waits_until_its_completion_is_announced(feed: Feed) {
    let mut feed = keeping(feed);
    feed.receive([stored("2.1", "3.1", "a")]).await;
    feed.complete("2.1").await.unwrap();
    assert_eq!(named(&feed).await, [""; 0]);
    assert_eq!(feed.catalog.count_waiting_to_be_kept().await.unwrap(), 1);
    assert_eq!(announces(&feed).await, ["2.1:1"]);
    assert_eq!(named(&feed).await, ["2.1:1"]);
}

async fn what_is_kept_is_announced_once_and_in_the_history(feed: Feed) {
    let mut feed = keeping(feed);
    feed.receive([stored("2.1", "3.1", "a")]).await;
    feed.complete("2.1").await.unwrap();
    announces(&feed).await;
    assert!(feed.catalog.kept(&kept("2.1", 1)).await.unwrap());
    assert!(!feed.catalog.kept(&kept("2.1", 1)).await.unwrap(), "it does not wait any more");
    let waiting = feed.catalog.waiting_announcements(10).await.unwrap();
    let [announcement] = waiting.as_slice() else { panic!("{waiting:?}") };
    assert_eq!(announcement.message_id, "2.1:1:kept");
    assert_eq!(announcement.subject.to_string(), "dicom.series.kept.MR.2.1");
    let event: SeriesKept = serde_json::from_str(&announcement.payload).unwrap();
    assert_eq!(event, kept("2.1", 1));
    assert_eq!(named(&feed).await, [""; 0]);
    assert_eq!(feed.catalog.count_waiting_to_be_kept().await.unwrap(), 0);

    feed.receive([stored("2.1", "3.1", "b")]).await;
    feed.complete("2.1").await.unwrap();
    let history = history(&feed, "2.1").await;
    let told: Vec<_> = history.iter().map(|it| (it.kept_at(), it.kept_place.as_deref())).collect();
    assert_eq!(told, [(Some(second(50)), Some("2.25.1/2.1/1")), (None, None)]);
    let details = feed.reader.series_details(&uid("2.1")).await.unwrap().unwrap();
    assert_eq!((&details["Revision"], &details["KeptRevision"]), (&2.into(), &1.into()));
    assert_eq!(details["KeptPlace"], "2.25.1/2.1/1");
    assert_eq!(details["KeptAt"], 50_000_000_000_i64);
}

async fn a_revision_that_is_held_back_waits_until_a_person_lets_it_go_out(feed: Feed) {
    let mut feed = keeping(feed);
    feed.hold_disagreeing = true;
    let other = InstanceStored {
        object: Some(file("b")),
        ..changed("2.1", "3.2", |event| event["PatientID"] = "8".into())
    };
    feed.receive([stored("2.1", "3.1", "a"), other]).await;
    let completed = feed.complete("2.1").await.unwrap();
    let waiting = feed.catalog.waiting_announcements(10).await.unwrap();
    assert!(waiting[0].held.is_some());
    announces(&feed).await;
    assert_eq!(named(&feed).await, [""; 0]);
    assert_eq!(feed.catalog.count_waiting_to_be_kept().await.unwrap(), 0);
    let release = ReleaseRequested {
        subject: waiting[0].subject.to_string(),
        message_id: waiting[0].message_id.clone(),
        decided_at: completed.completed_at,
        announcement: waiting[0].payload.clone(),
        ..request()
    };
    feed.release([release]).await;
    assert_eq!(named(&feed).await, [""; 0], "it is not announced yet");
    assert_eq!(announces(&feed).await, ["2.1:1"]);
    assert_eq!(named(&feed).await, ["2.1:1"]);
}

/// A request to announce what was held back.
fn request() -> ReleaseRequested {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../../contract/golden/release_requested.json"))
            .unwrap();
    serde_json::from_value(golden["payload"].clone()).unwrap()
}

async fn a_deleted_series_is_not_kept_any_more(feed: Feed) {
    let mut feed = keeping(feed);
    feed.receive([stored("2.1", "3.1", "a"), stored("2.2", "3.2", "b")]).await;
    feed.complete("2.1").await.unwrap();
    feed.complete("2.2").await.unwrap();
    announces(&feed).await;
    feed.delete("2.1").await;
    assert!(!feed.catalog.kept(&kept("2.1", 1)).await.unwrap());
    assert_eq!(named(&feed).await, ["2.2:1"]);
    assert_eq!(history(&feed, "2.1").await[0].kept_place, None);
    assert_eq!(announces(&feed).await.len(), 1, "the deletion alone");
}

async fn a_renumbered_completion_is_kept_by_its_new_number(feed: Feed) {
    let mut feed = keeping(feed);
    feed.receive([stored("2.1", "3.1", "a")]).await;
    feed.complete("2.1").await.unwrap();
    let waiting = feed.catalog.waiting_announcements(1).await.unwrap();
    assert!(feed.catalog.renumber(&waiting[0]).await.unwrap());
    assert_eq!(named(&feed).await, [""; 0]);
    assert_eq!(announces(&feed).await, ["2.1:2"]);
    assert_eq!(named(&feed).await, ["2.1:2"]);
}

async fn without_a_keeper_nothing_is_listed(mut feed: Feed) {
    feed.receive([stored("2.1", "3.1", "a")]).await;
    feed.complete("2.1").await.unwrap();
    let mut feed = keeping(feed);
    feed.receive([stored("2.2", "3.2", "")]).await;
    feed.complete("2.2").await.unwrap();
    announces(&feed).await;
    assert_eq!(named(&feed).await, [""; 0], "and none without a file");
    assert_eq!(feed.catalog.count_waiting_to_be_kept().await.unwrap(), 0);
}

async fn the_list_is_read_in_parts_from_the_oldest_on(feed: Feed) {
    let mut feed = keeping(feed);
    for number in [3, 1, 2] {
        let series = format!("2.{number}");
        feed.receive([stored(&series, &format!("3.{number}"), "a")]).await;
        feed.complete(&series).await.unwrap();
    }
    announces(&feed).await;
    assert_eq!(named(&feed).await, ["2.3:1", "2.1:1", "2.2:1"]);
    let first = feed.catalog.waiting_to_be_kept(None, 2).await.unwrap();
    let rest = feed.catalog.waiting_to_be_kept(first.last(), 2).await.unwrap();
    assert_eq!([first, rest.clone()].concat(), waiting(&feed).await);
    assert_eq!(feed.catalog.waiting_to_be_kept(rest.last(), 2).await.unwrap(), []);
}

/// A completion as the record has it.
pub(crate) fn fact(series: &str, revision: u32, instances: u64) -> SeriesCompleted {
    let fact = serde_json::json!({
        "SeriesInstanceUID": series, "Revision": revision, "Reason": "quiet", "Source": "dicom",
        "InstancesCount": instances, "StudyInstanceUID": "2.25.1", "PatientID": "7",
        "PatientName": "Roe^Jane", "CompletedAt": second(20), "InstancesAdded": 0,
        "InstancesCorrected": 0, "InstancesSequence": 1, "Modality": "MR",
    });
    serde_json::from_value(fact).unwrap()
}

async fn what_the_record_says_is_kept_is_not_kept_again(feed: Feed) {
    use catalog::Restored::{Known, Whole};
    let mut feed = keeping(feed);
    feed.receive([stored("2.1", "3.1", "a"), stored("2.2", "3.2", "b")]).await;
    for series in ["2.1", "2.2"] {
        assert_eq!(feed.catalog.restore(&fact(series, 1, 1)).await.unwrap(), Whole);
    }
    assert_eq!(named(&feed).await, ["2.1:1", "2.2:1"], "all that led up to them is there");
    assert_eq!(feed.catalog.restore_kept(&kept("2.1", 1)).await.unwrap(), Whole);
    assert_eq!(feed.catalog.restore_kept(&kept("2.1", 1)).await.unwrap(), Known);
    assert_eq!(feed.catalog.restore_kept(&kept("2.9", 1)).await.unwrap(), Known);
    assert_eq!(named(&feed).await, ["2.2:1"]);
    assert_eq!(history(&feed, "2.1").await[0].kept_place.as_deref(), Some("2.25.1/2.1/1"));
    assert_eq!(announces(&feed).await, [""; 0]);
}

async fn a_series_of_which_instances_are_missing_from_the_catalogue_is_not_listed(feed: Feed) {
    let mut feed = keeping(feed);
    feed.receive([stored("2.1", "3.1", "a")]).await;
    let restored = feed.catalog.restore(&fact("2.1", 1, 5)).await.unwrap();
    assert_eq!(restored, catalog::Restored::Partial);
    feed.receive([stored("2.1", "3.2", "b")]).await;
    feed.complete("2.1").await.unwrap();
    announces(&feed).await;
    assert_eq!(named(&feed).await, [""; 0]);
}

async fn of_a_rebuilt_series_the_latest_revision_alone_is_listed(feed: Feed) {
    let mut feed = keeping(feed);
    for (number, name) in [(1, "a"), (2, "b")] {
        feed.receive([stored("2.1", "3.1", name)]).await;
        let restored = feed.catalog.restore(&fact("2.1", number, 1)).await.unwrap();
        assert_eq!(restored, catalog::Restored::Whole);
    }
    assert_eq!(named(&feed).await, ["2.1:1", "2.1:2"]);
    feed.catalog.forget_earlier_to_keep().await.unwrap();
    assert_eq!(named(&feed).await, ["2.1:2"]);
}

/// An indexer that another one has followed.
#[tokio::test]
async fn a_keeper_without_the_lease_writes_nothing() {
    for database in
        [Some(test_database::TestDatabase::sqlite()), test_database::TestDatabase::postgres()]
            .into_iter()
            .flatten()
    {
        let mut feed = keeping(Feed::on(database).await);
        feed.receive([stored("2.1", "3.1", "a")]).await;
        feed.complete("2.1").await.unwrap();
        announces(&feed).await;
        let next = CatalogWriter::own(&feed.settings).await.unwrap();
        let refused = feed.catalog.kept(&kept("2.1", 1)).await.unwrap_err();
        assert!(matches!(refused, catalog::CatalogError::Superseded(_)), "{refused}");
        assert_eq!(next.waiting_announcements(10).await.unwrap(), []);
        assert_eq!(next.count_waiting_to_be_kept().await.unwrap(), 1);
        assert_eq!(next.bookmark().await.unwrap(), Some(bookmark(1)));
    }
}
