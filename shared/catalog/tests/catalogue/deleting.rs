//! What a deletion takes along, and what stays.

use crate::feed::{Feed, instance, second};
use catalog::RegistrationOutcome;
use contract::uid::SeriesInstanceUid;

async fn a_deleted_series_leaves_a_trace_and_goes_on_with_the_next_revision(mut feed: Feed) {
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

async fn a_study_and_its_patient_go_with_their_last_series(mut feed: Feed) {
    feed.receive([instance("2.1", "3.1"), instance("2.2", "3.2")]).await;
    feed.delete("2.1").await;
    let statistics = feed.reader.statistics().await.unwrap();
    assert_eq!((statistics.patients, statistics.studies, statistics.receiving), (1, 1, 1));
    feed.delete("2.2").await;
    let statistics = feed.reader.statistics().await.unwrap();
    assert_eq!((statistics.patients, statistics.studies, statistics.receiving), (0, 0, 0));
}

on_both!(
    a_deleted_series_leaves_a_trace_and_goes_on_with_the_next_revision,
    a_study_and_its_patient_go_with_their_last_series,
);
