//! What the instance store has and the catalogue names no more: it is listed with the reason for it.

use crate::feed::{Feed, changed, second};
use crate::series_folders::{announces, fact, keeping, kept, named, stored, uid};
use catalog::{CatalogWriter, Restored, ToPurge, ToRemove};
use completion::Effect;
use contract::event::{InstanceStored, PurgeReason, SeriesPurged};
use std::collections::BTreeSet;

on_both!(
    the_file_of_a_resend_is_listed_and_that_of_the_row_stays,
    an_event_that_is_delivered_again_lists_nothing,
    the_file_before_a_correction_is_listed_once_no_revision_waits_for_it,
    a_file_that_a_row_names_again_stays,
    a_deleted_series_leaves_its_files_and_folders,
    a_folder_that_was_made_after_the_deletion_is_listed,
    without_a_remover_nothing_is_listed,
    no_key_outside_the_spool_is_listed,
    what_is_listed_later_is_not_removed_yet,
    what_was_not_announced_is_not_removed_yet,
    the_oldest_complete_series_is_purged_and_stays_in_the_catalogue,
    a_series_that_is_open_or_not_kept_yet_is_not_purged,
    a_purged_instance_that_is_sent_again_is_stored_again,
    what_the_record_says_is_purged_names_no_files,
    what_the_store_has_is_read_in_parts,
);

/// The catalogue of an indexer that keeps and removes.
fn removing(feed: Feed) -> Feed {
    let feed = keeping(feed);
    let catalog = feed.catalog.clone().listing_to_remove(true);
    Feed { catalog, ..feed }
}

fn key(name: &str) -> String {
    format!("spool/node/00/{name}.dcm")
}

/// The same instance with the same bytes as a file of another name.
fn resent(series: &str, sop: &str, bytes: &str, name: &str) -> InstanceStored {
    let mut event = stored(series, sop, bytes);
    event.object.as_mut().unwrap().key = key(name);
    event
}

/// All that is listed and may be removed.
async fn entries(feed: &Feed) -> Vec<ToRemove> {
    let Some(listed) = feed.catalog.listed_to_remove().await.unwrap() else { return Vec::new() };
    feed.catalog.to_remove(0, listed, 1000).await.unwrap()
}

async fn places(feed: &Feed) -> BTreeSet<String> {
    entries(feed).await.into_iter().map(|entry| entry.place).collect()
}

fn set<const N: usize>(places: [&str; N]) -> BTreeSet<String> {
    places.into_iter().map(str::to_owned).collect()
}

/// A series that is complete and kept.
async fn complete_and_kept(feed: &Feed, series: &str, revision: u32) {
    feed.complete(series).await.unwrap();
    announces(feed).await;
    assert!(feed.catalog.kept(&kept(series, revision)).await.unwrap());
    announces(feed).await;
}

async fn the_file_of_a_resend_is_listed_and_that_of_the_row_stays(feed: Feed) {
    let mut feed = removing(feed);
    // In one batch, and in another.
    feed.receive([stored("2.1", "3.1", "a"), resent("2.1", "3.1", "a", "b")]).await;
    feed.receive([resent("2.1", "3.1", "a", "c")]).await;
    let entries = entries(&feed).await;
    let told: Vec<_> = entries
        .iter()
        .map(|it| (it.place.as_str(), it.is_named, it.bytes, it.successor.clone()))
        .collect();
    let first = Some((key("a"), 4711));
    let (b, c) = (key("b"), key("c"));
    assert_eq!(told, [(b.as_str(), false, 4711, first.clone()), (c.as_str(), false, 4711, first)]);
    feed.catalog.removed(&[entries[0].id]).await.unwrap();
    assert_eq!(places(&feed).await, set([&c]));
    assert_eq!(feed.catalog.count_to_remove().await.unwrap(), 1);
}

async fn an_event_that_is_delivered_again_lists_nothing(feed: Feed) {
    let mut feed = removing(feed);
    feed.receive([stored("2.1", "3.1", "a"), stored("2.1", "3.1", "a")]).await;
    assert_eq!(feed.receive([stored("2.1", "3.1", "a")]).await, [Effect::Resent]);
    assert_eq!(feed.catalog.listed_to_remove().await.unwrap(), None);
}

async fn the_file_before_a_correction_is_listed_once_no_revision_waits_for_it(feed: Feed) {
    let mut feed = removing(feed);
    feed.receive([stored("2.1", "3.1", "a"), stored("2.1", "3.2", "x")]).await;
    feed.complete("2.1").await.unwrap();
    announces(&feed).await;
    feed.receive([stored("2.1", "3.1", "b")]).await;
    assert_eq!(feed.catalog.count_to_remove().await.unwrap(), 1);
    assert_eq!(places(&feed).await, set([]), "revision 1 is no folder yet");
    assert!(feed.catalog.kept(&kept("2.1", 1)).await.unwrap());
    assert_eq!(places(&feed).await, set([&key("a")]));
    // Into another series, and with other attributes and no file.
    feed.receive([stored("2.2", "3.1", "c")]).await;
    feed.receive([changed("2.1", "3.2", |event| event["Digest"] = "d1".into())]).await;
    assert_eq!(places(&feed).await, set([&key("a"), &key("b"), &key("x")]));
    assert!(entries(&feed).await.iter().all(|it| !it.is_named));
}

async fn a_file_that_a_row_names_again_stays(feed: Feed) {
    let mut feed = removing(feed);
    feed.receive([stored("2.1", "3.1", "a"), stored("2.1", "3.1", "b")]).await;
    // A stream that was put back from a copy is read again.
    feed.receive([stored("2.1", "3.1", "a")]).await;
    let named: Vec<_> =
        entries(&feed).await.into_iter().map(|it| (it.place, it.is_named)).collect();
    assert_eq!(named, [(key("a"), true), (key("b"), false)]);
}

async fn a_deleted_series_leaves_its_files_and_folders(feed: Feed) {
    let mut feed = removing(feed);
    feed.receive([stored("2.1", "3.1", "a"), stored("2.2", "3.2", "b")]).await;
    complete_and_kept(&feed, "2.1", 1).await;
    feed.receive([stored("2.1", "3.3", "c")]).await;
    complete_and_kept(&feed, "2.1", 2).await;
    feed.delete("2.1").await;
    let (a, c) = (key("a"), key("c"));
    assert_eq!(places(&feed).await, set([&a, &c, "2.25.1/2.1/1", "2.25.1/2.1/2"]));
    let folders: Vec<_> = entries(&feed).await.into_iter().filter(|it| it.is_folder).collect();
    assert!(folders.len() == 2 && folders.iter().all(|it| !it.is_named));
    let history = feed.reader.history(&uid("2.1")).await.unwrap().unwrap();
    assert!(history.iter().all(|it| it.kept_place.is_none()));
    // It expires, as the other one.
    complete_and_kept(&feed, "2.2", 1).await;
    feed.catalog.expire(second(100), second(100)).await.unwrap();
    assert!(places(&feed).await.is_superset(&set([&key("b"), "2.25.1/2.2/1"])));
}

async fn a_folder_that_was_made_after_the_deletion_is_listed(feed: Feed) {
    let mut feed = removing(feed);
    feed.receive([stored("2.1", "3.1", "a")]).await;
    feed.complete("2.1").await.unwrap();
    announces(&feed).await;
    feed.delete("2.1").await;
    assert!(!feed.catalog.kept(&kept("2.1", 1)).await.unwrap());
    assert_eq!(places(&feed).await, set([&key("a"), "2.25.1/2.1/1"]));
}

async fn without_a_remover_nothing_is_listed(feed: Feed) {
    let mut feed = keeping(feed);
    feed.receive([stored("2.1", "3.1", "a"), resent("2.1", "3.1", "a", "b")]).await;
    feed.receive([stored("2.1", "3.1", "c")]).await;
    complete_and_kept(&feed, "2.1", 1).await;
    feed.delete("2.1").await;
    assert_eq!(feed.catalog.count_to_remove().await.unwrap(), 0);
}

async fn no_key_outside_the_spool_is_listed(feed: Feed) {
    let mut feed = removing(feed);
    for (sop, key) in [("3.1", "../a"), ("3.2", "/etc/a"), ("3.3", "")] {
        let mut event = stored("2.1", sop, "a");
        event.object.as_mut().unwrap().key = key.to_owned();
        feed.receive([event, resent("2.1", sop, "a", "b")]).await;
        let mut event = stored("2.1", sop, "c");
        event.object.as_mut().unwrap().key = format!("spool/{}", "a".repeat(5000));
        feed.receive([event]).await;
    }
    feed.delete("2.1").await;
    assert_eq!(places(&feed).await, set([&key("b")]));
}

async fn what_is_listed_later_is_not_removed_yet(feed: Feed) {
    let mut feed = removing(feed);
    feed.receive([stored("2.1", "3.1", "a"), resent("2.1", "3.1", "a", "b")]).await;
    let listed = feed.catalog.listed_to_remove().await.unwrap().unwrap();
    feed.receive([resent("2.1", "3.1", "a", "c")]).await;
    let of_then = feed.catalog.to_remove(0, listed, 1000).await.unwrap();
    assert_eq!(of_then.len(), 1);
    assert_eq!(feed.catalog.to_remove(of_then[0].id, listed, 1000).await.unwrap(), []);
    // An id is never given again.
    feed.catalog.removed(&[listed.last, listed.last + 1]).await.unwrap();
    feed.receive([resent("2.1", "3.1", "a", "d")]).await;
    assert_eq!(feed.catalog.to_remove(0, listed, 1000).await.unwrap(), []);
}

async fn what_was_not_announced_is_not_removed_yet(feed: Feed) {
    let mut feed = removing(feed);
    feed.receive([stored("2.1", "3.1", "a")]).await;
    complete_and_kept(&feed, "2.1", 1).await;
    feed.delete("2.1").await;
    let listed = feed.catalog.listed_to_remove().await.unwrap().unwrap();
    assert!(!feed.catalog.has_announced(listed).await.unwrap());
    announces(&feed).await;
    assert!(feed.catalog.has_announced(listed).await.unwrap());
    // What waits since then is of no matter.
    feed.receive([stored("2.2", "3.2", "b")]).await;
    feed.complete("2.2").await.unwrap();
    assert!(feed.catalog.has_announced(listed).await.unwrap());
}

async fn the_oldest_complete_series_is_purged_and_stays_in_the_catalogue(feed: Feed) {
    let mut feed = removing(feed);
    for (series, sop, name) in [("2.1", "3.1", "a"), ("2.2", "3.2", "b"), ("2.3", "3.3", "c")] {
        feed.receive([stored(series, sop, name)]).await;
        complete_and_kept(&feed, series, 1).await;
    }
    assert_eq!(feed.catalog.store_bytes().await.unwrap(), 3 * 4711);
    // Complete at 11, 12 and 13.
    let purge = async |which| feed.catalog.purge(which, second(99)).await.unwrap();
    assert_eq!(purge(ToPurge::CompletedBefore(second(11))).await, []);
    let purged = purge(ToPurge::CompletedBefore(second(12))).await;
    let expected = SeriesPurged {
        series_instance_uid: uid("2.1"),
        revision: 1,
        reason: PurgeReason::Retention,
        study_instance_uid: "2.25.1".to_owned(),
        modality: Some("MR".to_owned()),
        instances_purged: 1,
        bytes: 4711,
        purged_at: second(99),
        instances_sequence: 3,
    };
    assert_eq!(purged, [expected]);
    assert_eq!(places(&feed).await, set([&key("a"), "2.25.1/2.1/1"]));
    assert_eq!(feed.catalog.store_bytes().await.unwrap(), 2 * 4711);
    assert_eq!(announces(&feed).await, ["2.1:1:purged"]);

    let purged = purge(ToPurge::Bytes(1)).await;
    assert_eq!(purged.len(), 1);
    assert_eq!(
        (purged[0].series_instance_uid.as_str(), purged[0].reason),
        ("2.2", PurgeReason::Space)
    );
    assert_eq!(feed.listed().await.len(), 3, "they stay in the catalogue");
    let history = feed.reader.history(&uid("2.2")).await.unwrap().unwrap();
    assert_eq!((history.len(), history[0].kept_place.as_deref()), (1, None));
    assert_eq!(purge(ToPurge::Bytes(u64::MAX)).await.len(), 1);
    assert_eq!(purge(ToPurge::Bytes(u64::MAX)).await, []);
    assert_eq!(feed.catalog.store_bytes().await.unwrap(), 0);
}

async fn a_series_that_is_open_or_not_kept_yet_is_not_purged(feed: Feed) {
    let mut feed = removing(feed);
    feed.receive([stored("2.1", "3.1", "a"), stored("2.2", "3.2", "b")]).await;
    complete_and_kept(&feed, "2.1", 1).await;
    feed.receive([stored("2.1", "3.3", "c")]).await;
    feed.complete("2.2").await.unwrap();
    announces(&feed).await;
    let all = ToPurge::Bytes(u64::MAX);
    assert_eq!(feed.catalog.purge(all, second(99)).await.unwrap(), []);
    assert!(feed.catalog.kept(&kept("2.2", 1)).await.unwrap());
    assert_eq!(feed.catalog.purge(all, second(99)).await.unwrap().len(), 1);
    assert_eq!(feed.catalog.purge(all, second(99)).await.unwrap(), []);
}

async fn a_purged_instance_that_is_sent_again_is_stored_again(feed: Feed) {
    let mut feed = removing(feed);
    feed.receive([stored("2.1", "3.1", "a")]).await;
    complete_and_kept(&feed, "2.1", 1).await;
    let purged = feed.catalog.purge(ToPurge::Bytes(1), second(99)).await.unwrap();
    assert_eq!(feed.receive([resent("2.1", "3.1", "a", "b")]).await, [Effect::Corrected]);
    complete_and_kept(&feed, "2.1", 2).await;
    assert_eq!(feed.catalog.store_bytes().await.unwrap(), 4711);
    // Read again at the next start.
    assert_eq!(feed.catalog.restore_purge(&purged[0]).await.unwrap(), Restored::Known);
    assert_eq!(feed.catalog.store_bytes().await.unwrap(), 4711);
    let history = feed.reader.history(&uid("2.1")).await.unwrap().unwrap();
    let places: Vec<_> = history.iter().map(|it| it.kept_place.as_deref()).collect();
    assert_eq!(places, [None, Some("2.25.1/2.1/2")]);
}

async fn what_the_record_says_is_purged_names_no_files(feed: Feed) {
    let mut feed = keeping(feed);
    feed.receive([stored("2.1", "3.1", "a"), stored("2.1", "3.2", "b")]).await;
    feed.catalog.restore(&fact("2.1", 1, 2)).await.unwrap();
    feed.catalog.restore_kept(&kept("2.1", 1)).await.unwrap();
    // This came after it was decided.
    feed.receive([stored("2.1", "3.1", "c")]).await;
    let purged = SeriesPurged {
        series_instance_uid: uid("2.1"),
        revision: 1,
        reason: PurgeReason::Space,
        study_instance_uid: "2.25.1".to_owned(),
        modality: None,
        instances_purged: 2,
        bytes: 2 * 4711,
        purged_at: second(20),
        instances_sequence: 2,
    };
    assert!(!feed.catalog.has_purge(&purged).await.unwrap());
    assert_eq!(feed.catalog.restore_purge(&purged).await.unwrap(), Restored::Whole);
    assert!(feed.catalog.has_purge(&purged).await.unwrap());
    assert_eq!(feed.catalog.restore_purge(&purged).await.unwrap(), Restored::Known);
    assert_eq!(feed.catalog.store_bytes().await.unwrap(), 4711, "the one that came later");
    assert_eq!(feed.catalog.count_to_remove().await.unwrap(), 0);
    assert_eq!(announces(&feed).await, [""; 0]);
    assert_eq!(named(&feed).await, [""; 0]);
}

async fn what_the_store_has_is_read_in_parts(feed: Feed) {
    let mut feed = removing(feed);
    feed.receive([stored("2.1", "3.1", "a"), stored("2.2", "3.2", "b"), stored("2.3", "3.3", "")])
        .await;
    complete_and_kept(&feed, "2.1", 1).await;
    complete_and_kept(&feed, "2.2", 1).await;
    feed.receive([stored("2.1", "3.4", "d"), resent("2.2", "3.2", "b", "c")]).await;
    feed.complete("2.1").await.unwrap();
    let reader = &feed.reader;
    let first = reader.kept_files("", 1).await.unwrap();
    let rest = reader.kept_files(&first[0].sop_instance_uid, 10).await.unwrap();
    let keys: Vec<_> = first.iter().chain(&rest).map(|it| it.object.key.clone()).collect();
    assert_eq!(keys, [key("a"), key("b"), key("d")]);
    assert_eq!(reader.count_kept_files().await.unwrap(), 3);
    assert_eq!(reader.kept_file("3.1").await.unwrap().as_ref(), first.first());
    assert_eq!(reader.kept_file("3.3").await.unwrap(), None);
    let places = reader.kept_places(("", 0), 10).await.unwrap();
    let told: Vec<_> = places.iter().map(|it| it.place.as_str()).collect();
    assert_eq!(told, ["2.25.1/2.1/1", "2.25.1/2.2/1"]);
    assert_eq!(reader.kept_places(("2.1", 1), 10).await.unwrap(), places[1..]);
    assert_eq!(reader.kept_places_of("2.1").await.unwrap(), ["2.25.1/2.1/1"]);
    // One waits to be removed, one to be in a folder, and one is of nobody.
    let asked = [key("c"), key("d"), key("z")];
    let in_use: BTreeSet<_> = reader.places_in_use(&asked).await.unwrap().into_iter().collect();
    assert_eq!(in_use, set([&key("c"), &key("d")]));
}

/// An indexer that another one has followed.
#[tokio::test]
async fn a_remover_without_the_lease_takes_nothing_off_the_list() {
    for database in
        [Some(test_database::TestDatabase::sqlite()), test_database::TestDatabase::postgres()]
            .into_iter()
            .flatten()
    {
        let mut feed = removing(Feed::on(database).await);
        feed.receive([stored("2.1", "3.1", "a"), resent("2.1", "3.1", "a", "b")]).await;
        let ids: Vec<_> = entries(&feed).await.iter().map(|it| it.id).collect();
        let next = CatalogWriter::own(&feed.settings).await.unwrap();
        let refused = feed.catalog.removed(&ids).await.unwrap_err();
        assert!(matches!(refused, catalog::CatalogError::Superseded(_)), "{refused}");
        assert_eq!(next.count_to_remove().await.unwrap(), 1);
    }
}
