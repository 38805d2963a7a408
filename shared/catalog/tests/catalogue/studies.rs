//! When studies are complete.

use crate::feed::{Feed, instance, second};
use completion::StudyCompletion;

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

on_both!(a_study_is_complete_once_none_of_its_series_is_receiving_and_only_with_news,);
