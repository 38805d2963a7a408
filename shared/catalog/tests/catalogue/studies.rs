//! When studies are complete.

use crate::feed::{Feed, instance, second, unlike};
use catalog::Restored;
use completion::StudyCompletion;
use contract::event::StudyCompleted;
use serde_json::json;

async fn a_study_is_complete_once_none_of_its_series_is_receiving_and_only_with_news(
    mut feed: Feed,
) {
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

async fn a_study_of_the_record_is_taken_whatever_its_uid_is(feed: Feed) {
    for study in ["1.1\0".to_owned(), unlike(100_000)] {
        let fact = json!({
            "SeriesInstanceUID": format!("2.{}", study.len()), "Revision": 1, "Reason": "stored",
            "Source": "api", "InstancesCount": 3, "StudyInstanceUID": study, "PatientID": "7",
            "PatientName": "Roe^Jane", "CompletedAt": second(1), "InstancesAdded": 0,
            "InstancesCorrected": 0, "Disagrees": [],
        });
        let fact = serde_json::from_value(fact).unwrap();
        assert_eq!(feed.catalog.restore(&fact).await.unwrap(), Restored::Whole);
        let [(open, _)] = &feed.catalog.open_studies().await.unwrap()[..] else {
            panic!("{fact:?}")
        };
        feed.catalog.move_open_studies(&[(open.clone(), second(2))]).await.unwrap();
        let due = [StudyCompletion { study: open.clone(), decided_at: second(100) }];
        let decided = feed.catalog.complete_studies(&due).await.unwrap();
        let [of_study] = decided.complete.as_slice() else { panic!("{decided:?}") };
        assert_eq!(of_study.series[0].series_instance_uid, fact.series_instance_uid);
        assert_eq!(feed.catalog.open_studies().await.unwrap(), []);
        // As the record has it, which is where the text came from.
        let of_study = StudyCompleted { study_instance_uid: study, ..of_study.clone() };
        assert!(feed.catalog.has_study_completion(&of_study).await.unwrap());
        assert_eq!(feed.catalog.restore_study(&of_study).await.unwrap(), Restored::Known);
        let later = StudyCompleted { revision: 2, ..of_study };
        assert_eq!(feed.catalog.restore_study(&later).await.unwrap(), Restored::Whole);
    }
}

on_both!(
    a_study_of_the_record_is_taken_whatever_its_uid_is,
    a_study_is_complete_once_none_of_its_series_is_receiving_and_only_with_news,
);
