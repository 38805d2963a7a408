//! Sources that are asked: their questions, what is known of them, and what is missing of what they have.

use crate::feed::{Feed, bookmark, instance, second};
use catalog::{Batch, CatalogWriter, Named, Recorded};
use completion::{
    AskedFor, AskedSource, Asking, Completion, Consequences, OpenSeries, Phase, Question,
};
use contract::event::{Reason, SourceAsked};
use contract::uid::SeriesInstanceUid;

fn series() -> SeriesInstanceUid {
    SeriesInstanceUid::parse("2.1").unwrap()
}

fn asked() -> (Question, Consequences) {
    let (series, id, source) = (series(), "7".to_owned(), "MR1".to_owned());
    let asking = Asking {
        question: id.clone(),
        phase: Phase::Held,
        since: second(7),
        until: second(9),
        holds: 1,
        count: Some(3),
        absent: vec!["3.9".to_owned()],
        fetched: vec!["3.9".to_owned()],
    };
    let open = OpenSeries { asking: Some(asking), ..OpenSeries::new(second(5), "MR1") };
    let known = AskedSource { failures: 2, answered_at: Some(second(6)), not_before: None };
    let kept = Consequences {
        open: vec![(series.clone(), open)],
        sources: vec![(source.clone(), known)],
        ..Consequences::default()
    };
    let asked_for = AskedFor::Count;
    (Question { series, id, source, asked_at: second(7), asked_for }, kept)
}

async fn a_question_is_kept_with_what_it_follows_from_and_waits_to_be_published(mut feed: Feed) {
    feed.receive([instance("2.1", "3.1")]).await;
    let (question, kept) = asked();
    assert_eq!(feed.catalog.decide(&[], &[question], &kept).await.unwrap(), []);
    feed.catalog.close().await;
    let catalog = CatalogWriter::own(&feed.settings).await.unwrap();
    assert_eq!(catalog.open_series().await.unwrap(), kept.open);
    assert_eq!(catalog.asked_sources().await.unwrap(), kept.sources);
    let waiting = catalog.waiting_announcements(10).await.unwrap();
    assert_eq!(waiting[0].subject.to_string(), "dicom.evidence.asked.MR1");
    let event: SourceAsked = serde_json::from_str(&waiting[0].payload).unwrap();
    assert_eq!((event.study_instance_uid.as_deref(), event.asked_at), (Some("2.25.1"), second(7)));
}

async fn what_a_source_has_and_is_not_here_is_named_in_the_completion(mut feed: Feed) {
    feed.receive([instance("2.1", "3.1"), instance("2.1", "3.2"), instance("2.2", "3.3")]).await;
    let uids = |uids: &[&str]| uids.iter().map(|uid| (*uid).to_owned()).collect::<Vec<_>>();
    // One of them is in another series.
    let named = uids(&["3.1", "3.3", "3.4", "3.2"]);
    let named = vec![Named { sequence: 9, series: series(), instances: named }];
    let batch = Batch { named, counted: vec![series()], ..Batch::new(bookmark(9)) };
    let mut absent = Vec::new();
    let conclude = |recorded: &Recorded| {
        absent.clone_from(&recorded.absent[&9]);
        assert_eq!(recorded.counts[&series()], 2);
        Consequences::default()
    };
    feed.catalog.record(&batch, conclude).await.unwrap();
    assert_eq!(absent, uids(&["3.3", "3.4"]));
    // One comes before the series is complete.
    feed.receive([instance("2.1", "3.4")]).await;
    let completion = Completion {
        series: series(),
        reason: Reason::Quiet,
        opened_at: second(1),
        decided_at: second(99),
        expected: None,
        at_source: Some(4),
        listed: None,
        evidence: Vec::new(),
        absent,
        fetched: vec!["3.3".to_owned(), "3.4".to_owned()],
        missing: 0,
        retrieve_from: None,
        hold_disagreeing: false,
    };
    let event = feed.catalog.complete(&[completion]).await.unwrap().remove(0);
    assert_eq!((event.instances_count, event.expected_count), (3, Some(4)));
    assert_eq!(event.missing_instances, uids(&["3.3"]));
    assert_eq!(event.fetched, 1, "as many as are here");
}

on_both!(
    a_question_is_kept_with_what_it_follows_from_and_waits_to_be_published,
    what_a_source_has_and_is_not_here_is_named_in_the_completion,
);
