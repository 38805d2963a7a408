//! Series that `POST /store` registers.

use crate::feed::{Feed, instance};
use catalog::{RegistrationOutcome, SeriesSearch};
use contract::event::{Reason, SeriesCompleted};
use contract::uid::SeriesInstanceUid;

async fn a_stored_series_is_complete_announced_and_stays_as_it_was(mut feed: Feed) {
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

async fn who_asks_for_what_came_later_misses_nothing_that_is_stored(mut feed: Feed) {
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

async fn a_series_that_is_arriving_already_exists_for_post_store(mut feed: Feed) {
    feed.receive([instance("2.1", "3.1")]).await;
    assert_eq!(feed.register("2.1").await, RegistrationOutcome::AlreadyExists);
    assert_eq!(feed.complete("2.1").await.unwrap().instances_count, 1);
}

async fn instances_that_arrive_for_a_claimed_series_are_counted(mut feed: Feed) {
    feed.register_as("2.1", |event| event.patient_id = "other".to_owned()).await;
    feed.receive([instance("2.1", "3.1")]).await;
    assert_eq!(feed.listed().await, [("2.1".to_owned(), 12)]);
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.revision, completed.instances_count), (2, 1));
    assert_eq!(completed.patient_id, "7");
}

on_both!(
    a_stored_series_is_complete_announced_and_stays_as_it_was,
    who_asks_for_what_came_later_misses_nothing_that_is_stored,
    a_series_that_is_arriving_already_exists_for_post_store,
    instances_that_arrive_for_a_claimed_series_are_counted,
);
