//! Instances in the instance store: the catalogue says where each is, and tells other bytes from the same ones.

use crate::feed::{Feed, changed};
use completion::Effect;
use contract::event::InstanceStored;

on_both!(an_instance_is_where_its_latest_bytes_are);

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
