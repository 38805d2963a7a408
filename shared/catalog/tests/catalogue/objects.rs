//! Instances in the instance store: the catalogue says where each is, and tells other bytes from the same ones.

use crate::feed::{Feed, changed};
use catalog::{
    ALL_KEPT, Details, KEPT, Level, LevelSearch, SOME_KEPT, StoredOrder, StoredSearch, keyword,
};
use completion::Effect;
use contract::event::InstanceStored;
use contract::uid::StudyInstanceUid;

on_both!(
    an_instance_is_where_its_latest_bytes_are,
    instances_are_retrieved_by_number_and_only_in_their_own_study,
);

/// An instance whose object has these last digits in its key and hash; empty: it is not kept.
fn kept(sop: &str, object: &str) -> InstanceStored {
    changed("2.25.7", sop, |event| {
        if !object.is_empty() {
            event["Object"] = serde_json::json!({
                "Key": format!("spool/node/00/{object}.dcm"), "Bytes": 4711, "BLAKE3": object,
            });
        }
    })
}

/// The row of an instance.
async fn row(feed: &Feed, sop: &str) -> serde_json::Value {
    let rows = feed.reader.rows().await.unwrap();
    let mut rows = rows.iter().filter_map(|row| {
        let row: serde_json::Value = serde_json::from_str(row.get(row.find('{')?..)?).ok()?;
        (row["sop_instance_uid"] == sop).then_some(row)
    });
    rows.next_back().unwrap_or_else(|| panic!("no row of {sop}"))
}

async fn an_instance_is_where_its_latest_bytes_are(mut feed: Feed) {
    let object = async |feed: &Feed, sop| {
        let row = row(feed, sop).await;
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        (text("object_key"), row["object_bytes"].as_i64(), text("object_blake3"))
    };
    let at = |name: &str| (format!("spool/node/00/{name}.dcm"), Some(4711), name.to_owned());
    let effects = feed.receive([kept("2.1", "a"), kept("2.2", "")]).await;
    assert_eq!(effects, [Effect::Added, Effect::Added]);
    assert_eq!(object(&feed, "2.1").await, at("a"));
    assert_eq!(object(&feed, "2.2").await, (String::new(), None, String::new()));
    feed.complete("2.25.7").await.unwrap();

    // The same bytes under another key, and then nothing kept: the row stays as it is.
    let mut resent = kept("2.1", "a");
    resent.object.as_mut().unwrap().key = "spool/node/00/again.dcm".to_owned();
    assert_eq!(feed.receive([resent, kept("2.1", "")]).await, [Effect::Resent, Effect::Resent]);
    assert_eq!(object(&feed, "2.1").await, at("a"));

    // Other bytes, twice in one batch, and the first ones of an instance that was not kept.
    let effects = feed.receive([kept("2.1", "b"), kept("2.1", "b"), kept("2.2", "c")]).await;
    assert_eq!(effects, [Effect::Corrected, Effect::Resent, Effect::Corrected]);
    assert_eq!((object(&feed, "2.1").await, object(&feed, "2.2").await), (at("b"), at("c")));
    let completed = feed.complete("2.25.7").await.unwrap();
    assert_eq!((completed.revision, completed.instances_corrected), (2, 2));

    // Other attributes that are not kept: the file is of the instance as it was.
    let other = changed("2.25.7", "2.1", |event| event["Digest"] = "d1".into());
    assert_eq!(feed.receive([other]).await, [Effect::Corrected]);
    assert_eq!(object(&feed, "2.1").await, (String::new(), None, String::new()));
}

async fn instances_are_retrieved_by_number_and_only_in_their_own_study(mut feed: Feed) {
    let of = |sop: &str, number: &str, study: &str, object: &str| {
        let mut event = kept(sop, object);
        let mut value = serde_json::to_value(&event).unwrap();
        value["InstanceNumber"] = number.into();
        value["StudyInstanceUID"] = study.into();
        event = serde_json::from_value(value).unwrap();
        event
    };
    feed.receive([
        of("3.1", "10", "1.1", "a"),
        of("3.2", " 2", "1.1", "b"),
        of("3.3", "no number", "1.1", "c"),
        of("3.4", "-1", "1.1", ""),
        of("3.5", "2", "1.1", "e"),
    ])
    .await;
    let found = async |feed: &Feed, study: &str| {
        let study = StudyInstanceUid::parse(study).unwrap();
        let mut found = Vec::new();
        for series in feed.reader.series_of_study(&study).await.unwrap() {
            let (study, instance, order) = (study.clone(), None, StoredOrder::Number);
            let search = StoredSearch { study, series, instance, order };
            found.extend(feed.reader.stored_instances(&search, None, 9).await.unwrap());
        }
        found.into_iter().map(|it| it.sop_instance_uid).collect::<Vec<_>>()
    };
    assert_eq!(found(&feed, "1.1").await, ["3.4", "3.2", "3.5", "3.1", "3.3"]);
    assert_eq!(found(&feed, "1.2").await, [""; 0]);
    // One of the series is of another study.
    feed.receive([of("3.6", "1", "1.2", "f")]).await;
    assert_eq!(found(&feed, "1.1").await, ["3.4", "3.2", "3.5", "3.1", "3.3"]);
    assert_eq!(found(&feed, "1.2").await, ["3.6"]);

    let kept_at = async |level, study: &str| {
        let search = LevelSearch {
            level,
            matching: vec![(
                keyword::StudyInstanceUID,
                catalog::Matching::Equals(study.to_owned()),
            )],
            requested: Vec::new(),
            attributes: vec![keyword::StudyInstanceUID],
            offset: 0,
            limit: 100,
            with_objects: true,
        };
        let (found, _) = feed.reader.search(&search).await.unwrap();
        found.iter().map(|it: &Details| it[KEPT].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(kept_at(Level::Series, "1.1").await, [SOME_KEPT]);
    assert_eq!(kept_at(Level::Series, "1.2").await, [ALL_KEPT]);
    assert_eq!(kept_at(Level::Instance, "1.1").await.iter().sum::<u64>(), 4 * ALL_KEPT);
}
