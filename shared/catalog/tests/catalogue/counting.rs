//! What is counted: each instance once, in the series in which it came last.

use crate::feed::{Feed, changed, instance, second};
use completion::Effect;
use contract::uid::SeriesInstanceUid;
use serde_json::json;

async fn an_instance_is_counted_once_however_often_it_comes(mut feed: Feed) {
    feed.receive([instance("2.1", "3.1"), instance("2.1", "3.2"), instance("2.1", "3.1")]).await;
    feed.receive([instance("2.1", "3.2")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.instances_count, completed.instances_added), (2, 2));
    assert_eq!(completed.instances_sequence, Some(4));
    assert_eq!(feed.listed().await, [("2.1".to_owned(), 2)]);
}

async fn the_first_and_the_last_of_one_batch_are_told_apart(mut feed: Feed) {
    let received = |sop, at: &str| changed("2.1", sop, |e| e["ReceivedAt"] = json!(at));
    let (first, last) = ("2026-02-03T04:05:06Z", "2026-02-03T04:05:08Z");
    feed.receive([received("3.1", first), received("3.2", "2026-02-03T04:05:07Z")]).await;
    feed.receive([received("3.3", last)]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!(completed.first_received_at, Some(first.parse().unwrap()));
    assert_eq!(completed.last_received_at, Some(last.parse().unwrap()));
}

async fn a_resend_changes_nothing_and_reopens_nothing(mut feed: Feed) {
    assert_eq!(feed.receive([instance("2.1", "3.1")]).await, [Effect::Added]);
    feed.complete("2.1").await.unwrap();
    assert_eq!(feed.receive([instance("2.1", "3.1")]).await, [Effect::Resent]);
    assert_eq!(feed.catalog.open_series().await.unwrap(), []);
    assert_eq!(feed.complete("2.1").await, None);
}

async fn a_late_instance_reopens_its_series_and_brings_the_next_revision(mut feed: Feed) {
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

async fn a_corrected_instance_keeps_the_count_and_brings_a_revision(mut feed: Feed) {
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

async fn an_instance_that_moves_changes_both_series(mut feed: Feed) {
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

async fn an_instance_that_moves_twice_in_one_batch_ends_where_it_came_last(mut feed: Feed) {
    feed.receive([instance("2.1", "3.1"), instance("2.2", "3.1"), instance("2.1", "3.1")]).await;
    assert_eq!(feed.complete("2.1").await.unwrap().instances_count, 1);
    assert_eq!(feed.complete("2.2").await.unwrap().instances_count, 0);
}

async fn the_latest_instance_decides_on_its_study_and_series(mut feed: Feed) {
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

async fn two_patients_with_one_id_keep_their_names(mut feed: Feed) {
    let other = changed("2.2", "3.2", |e| {
        e["StudyInstanceUID"] = json!("2.25.9");
        e["PatientName"] = json!("Bloggs^Joe");
    });
    feed.receive([instance("2.1", "3.1"), other]).await;
    assert_eq!(feed.complete("2.1").await.unwrap().patient_name, "Roe^Jane");
    assert_eq!(feed.complete("2.2").await.unwrap().patient_name, "Bloggs^Joe");
}

async fn a_resend_is_compared_by_the_attributes_that_both_versions_of_its_digest_know(
    mut feed: Feed,
) {
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

async fn no_event_can_make_the_catalogue_fail(mut feed: Feed) {
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

on_both!(
    an_instance_is_counted_once_however_often_it_comes,
    the_first_and_the_last_of_one_batch_are_told_apart,
    a_resend_changes_nothing_and_reopens_nothing,
    a_late_instance_reopens_its_series_and_brings_the_next_revision,
    a_corrected_instance_keeps_the_count_and_brings_a_revision,
    an_instance_that_moves_changes_both_series,
    an_instance_that_moves_twice_in_one_batch_ends_where_it_came_last,
    the_latest_instance_decides_on_its_study_and_series,
    two_patients_with_one_id_keep_their_names,
    a_resend_is_compared_by_the_attributes_that_both_versions_of_its_digest_know,
    no_event_can_make_the_catalogue_fail,
);
