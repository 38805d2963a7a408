//! WADO-RS: what is answered where only some instances are kept, or none, or a series was deleted.

use super::listing::Feed;
use super::*;

/// The start of a file (PS3.10 section 7.1), and a data set of one element in explicit VR little endian.
fn file(sop: &str) -> Vec<u8> {
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    file.extend_from_slice(&[2, 0, 0, 0, b'U', b'L', 4, 0, 0, 0, 0, 0]);
    file.extend_from_slice(&[8, 0, 0x18, 0, b'U', b'I', u8::try_from(sop.len()).unwrap(), 0]);
    file.extend_from_slice(sop.as_bytes());
    file
}

#[tokio::test]
async fn some_that_are_kept_are_206_none_are_404_and_a_deleted_series_is_410() {
    let folder = tempfile::tempdir().unwrap();
    let mut feed = Feed::keeping(folder.path()).await;
    for (series, number, is_kept) in
        [("2.1", 1, true), ("2.1", 2, false), ("2.1", 3, true), ("2.2", 4, false), ("2.3", 5, true)]
    {
        let sop = format!("3.1{number}00");
        let content = file(&sop);
        let key = format!("spool/node/00/{number}.dcm");
        let mut event = serde_json::json!({
            "StudyInstanceUID": "1.1", "SeriesInstanceUID": series, "SOPInstanceUID": sop,
            "InstanceNumber": number.to_string(),
        });
        if is_kept {
            std::fs::create_dir_all(folder.path().join("spool/node/00")).unwrap();
            std::fs::write(folder.path().join(&key), &content).unwrap();
            event["Object"] = serde_json::json!({
                "Key": key, "Bytes": content.len(), "BLAKE3": blake3::hash(&content).to_hex().as_str(),
            });
        }
        feed.receive(event).await;
    }
    let get = async |path: &str| feed.api.client.get(format!("/dicom-web{path}")).send().await;
    let some = get("/studies/1.1/series/2.1/metadata").await;
    some.assert_status(StatusCode::PARTIAL_CONTENT);
    some.assert_header(
        header::WARNING,
        "299 collimator: 1 instances have no file and are left out",
    );
    let read: Value =
        serde_json::from_str(&some.0.into_body().into_string().await.unwrap()).unwrap();
    assert_eq!(read.as_array().unwrap().len(), 2);
    let all = get("/studies/1.1").await;
    all.assert_status(StatusCode::PARTIAL_CONTENT);
    let message = all.0.into_body().into_vec().await.unwrap();
    let count = |what: &[u8]| message.windows(what.len()).filter(|it| *it == what).count();
    assert_eq!((count(b"DICM"), count(b"3.1200")), (3, 0));
    for path in ["/studies/1.1/series/2.2", "/studies/1.1/series/2.1/instances/3.1200"] {
        let none = get(path).await;
        none.assert_status(StatusCode::NOT_FOUND);
        let text = none.0.into_body().into_string().await.unwrap();
        assert!(text.contains("has no file"), "{text}");
    }
    get("/studies/1.1/series/2.3").await.assert_status_is_ok();
    get("/studies/1.9").await.assert_status(StatusCode::NOT_FOUND);

    // What is searched says the same.
    let found = get("/studies/1.1/series").await.0.into_body().into_string().await.unwrap();
    let found: Vec<Value> = serde_json::from_str(&found).unwrap();
    for series in found {
        let uid = series["0020000E"]["Value"][0].as_str().unwrap();
        let (availability, has_url) = match uid {
            "2.1" => ("UNAVAILABLE", true),
            "2.2" => ("UNAVAILABLE", false),
            _ => ("ONLINE", true),
        };
        assert_eq!(series["00080056"]["Value"][0], availability, "{uid}");
        assert_eq!(series["00081190"]["Value"].is_array(), has_url, "{uid}");
    }
    delete(feed.owner(), 9).await;
    let gone = get("/studies/1.1/series/2.1").await;
    gone.assert_status(StatusCode::GONE);
    gone.assert_content_type(problem::PROBLEM_JSON);
    get("/studies/1.1").await.assert_status(StatusCode::PARTIAL_CONTENT);
}
