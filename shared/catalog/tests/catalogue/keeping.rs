//! What is kept from one start to the next.

use crate::feed::{Feed, bookmark, changed, instance, second};
use catalog::{Batch, CatalogWriter};
use completion::{Completion, Consequences, Disproof, Lesson, OpenSeries, Share};
use contract::event::{Ending, Reason};
use contract::uid::SeriesInstanceUid;
use serde_json::json;

async fn what_was_committed_is_there_after_a_restart(mut feed: Feed) {
    feed.receive([instance("2.1", "3.1"), instance("2.2", "3.2")]).await;
    feed.complete("2.2").await.unwrap();
    feed.catalog.close().await;
    let catalog = CatalogWriter::own(&feed.settings).await.unwrap();
    let open = catalog.open_series().await.unwrap();
    assert_eq!(open.iter().map(|(series, _)| series.as_str()).collect::<Vec<_>>(), ["2.1"]);
    assert_eq!(catalog.bookmark().await.unwrap(), Some(bookmark(2)));
    assert_eq!(catalog.waiting_announcements(10).await.unwrap().len(), 1);
}

async fn announcements_wait_in_order_until_the_broker_has_them(mut feed: Feed) {
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

async fn what_the_rules_know_of_an_open_series_is_kept_whole(mut feed: Feed) {
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

async fn a_completion_says_where_files_are_served_unless_its_sender_serves_them(mut feed: Feed) {
    let with_file = changed("2.1", "3.1", |event| {
        event["Object"] = json!({ "Key": "spool/node/00/a.dcm", "Bytes": 4711, "BLAKE3": "a" });
    });
    feed.receive([with_file, instance("2.2", "3.2")]).await;
    let completion = |series: &str, retrieve_from: Option<&str>| Completion {
        series: SeriesInstanceUid::parse(series).unwrap(),
        reason: Reason::Quiet,
        opened_at: second(2),
        decided_at: second(12),
        expected: None,
        retrieve_from: retrieve_from.map(str::to_owned),
        hold_disagreeing: false,
        at_source: None,
        listed: None,
        evidence: Vec::new(),
        absent: Vec::new(),
        fetched: Vec::new(),
        missing: 0,
    };
    let catalog = feed.catalog.clone().with_files_at(Some("https://here/dicom-web"));
    let decided = catalog.complete(&[completion("2.1", None), completion("2.2", None)]).await;
    let urls: Vec<_> = decided.unwrap().into_iter().map(|it| it.retrieve_url).collect();
    let here = "https://here/dicom-web/studies/2.25.1/series/2.1";
    assert_eq!(urls, [Some(here.to_owned()), None]);
    feed.receive([changed("2.1", "3.1", |event| {
        event["Object"] = json!({ "Key": "spool/node/00/b.dcm", "Bytes": 4711, "BLAKE3": "b" });
    })])
    .await;
    let decided = catalog.complete(&[completion("2.1", Some("http://pacs"))]).await.unwrap();
    let there = "http://pacs/studies/2.25.1/series/2.1";
    assert_eq!(decided[0].retrieve_url.as_deref(), Some(there));
}

async fn a_series_has_a_history_with_all_its_revisions(mut feed: Feed) {
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

async fn what_is_learned_of_a_sender_is_kept_until_it_is_trusted_again(mut feed: Feed) {
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

on_both!(
    what_was_committed_is_there_after_a_restart,
    announcements_wait_in_order_until_the_broker_has_them,
    what_the_rules_know_of_an_open_series_is_kept_whole,
    a_completion_says_where_files_are_served_unless_its_sender_serves_them,
    a_series_has_a_history_with_all_its_revisions,
    what_is_learned_of_a_sender_is_kept_until_it_is_trusted_again,
);
