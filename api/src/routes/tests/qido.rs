//! QIDO-RS: what is found at each level, and how it is told.

use super::listing::Feed;
use super::*;

async fn feed() -> Feed {
    let mut feed = Feed::new().await;
    for (study, series, modality, patient, date, time, request) in [
        ("1.1", "2.1", "MR", "Roe^Jane", "20260201", "101500", "R1"),
        ("1.1", "2.2", "SR", "Roe^Jane", "20260201", "101500", "R1"),
        ("1.2", "2.3", "CT", "Yamada^Tarou=山田^太郎", "20260315", "120000.5", "R2"),
    ] {
        for number in 0..2 {
            feed.receive(serde_json::json!({
                "StudyInstanceUID": study, "SeriesInstanceUID": series, "Modality": modality,
                "PatientName": patient, "PatientID": "7", "StudyDate": date, "StudyTime": time,
                "InstanceNumber": number.to_string(), "Rows": 64, "SeriesNumber": "3",
                "AccessionNumber": format!("A{study}"), "StationName": "MR1",
                "RequestAttributesSequence": [{"RequestedProcedureID": request}],
            }))
            .await;
        }
    }
    feed.complete(10, &["2.1", "2.2"]).await;
    feed
}

async fn found(feed: &Feed, path: &str, tag: &str) -> Vec<String> {
    let answer = feed.api.client.get(format!("/dicom-web{path}")).send().await;
    if answer.0.status() == StatusCode::NO_CONTENT {
        assert!(answer.0.into_body().is_empty());
        return Vec::new();
    }
    answer.assert_status_is_ok();
    answer.assert_content_type("application/dicom+json");
    let body = answer.0.into_body().into_bytes().await.unwrap();
    let results: Value = serde_json::from_slice(&body).unwrap();
    let value = |result: &Value| result[tag]["Value"][0].as_str().unwrap().to_owned();
    results.as_array().unwrap().iter().map(value).collect()
}

const STUDY: &str = "0020000D";
const SERIES: &str = "0020000E";
const INSTANCE: &str = "00080018";

#[tokio::test]
async fn each_level_is_searched_by_its_own_attributes_and_those_above() {
    let feed = feed().await;
    for (path, tag, expected) in [
        ("/studies", STUDY, &["1.2", "1.1"][..]),
        ("/studies?PatientName=roe*", STUDY, &["1.1"]),
        ("/studies?00100010=Yamada*", STUDY, &["1.2"]),
        ("/studies?StudyDate=20260301-", STUDY, &["1.2"]),
        ("/studies?StudyDate=20260201-20260228", STUDY, &["1.1"]),
        ("/studies?StudyTime=12-1230", STUDY, &["1.2"]),
        ("/studies?StudyTime=120000", STUDY, &["1.2"]),
        ("/studies?StudyTime=1015", STUDY, &["1.1"]),
        ("/studies?StudyTime=101500.000", STUDY, &["1.1"]),
        ("/studies?StudyTime=120000.000", STUDY, &[]),
        ("/studies?StudyTime=120000.5-", STUDY, &["1.2"]),
        ("/studies?StudyInstanceUID=1.1,1.2,1.3", STUDY, &["1.2", "1.1"]),
        ("/studies?StudyInstanceUID=1.1%5C1.3", STUDY, &["1.1"]),
        ("/studies?ModalitiesInStudy=SR", STUDY, &["1.1"]),
        ("/studies?Modality=SR", STUDY, &["1.1"]),
        ("/studies?AccessionNumber=A1.?", STUDY, &["1.2", "1.1"]),
        ("/studies?PatientID=", STUDY, &["1.2", "1.1"]),
        ("/studies?limit=1", STUDY, &["1.2"]),
        ("/studies?limit=1&offset=1", STUDY, &["1.1"]),
        ("/studies?offset=2", STUDY, &[]),
        ("/studies?PatientID='%20or%20''='", STUDY, &[]),
        ("/studies?PatientID=%25", STUDY, &[]),
        ("/studies/1.1/series", SERIES, &["2.2", "2.1"]),
        ("/studies/1.1/series?Modality=MR", SERIES, &["2.1"]),
        ("/studies/1.9/series", SERIES, &[]),
        ("/series?PatientName=Yamada*&Modality=CT", SERIES, &["2.3"]),
        ("/series?SeriesNumber=3", SERIES, &["2.3", "2.2", "2.1"]),
        ("/series?RequestAttributesSequence.RequestedProcedureID=R2", SERIES, &["2.3"]),
        ("/series?00400275.00401001=R?&StudyInstanceUID=1.1", SERIES, &["2.2", "2.1"]),
        ("/studies/1.1/series/2.1/instances", INSTANCE, &["3.1", "3.2"]),
        ("/studies/1.2/series/2.1/instances", INSTANCE, &[]),
        ("/studies/1.2/instances", INSTANCE, &["3.5", "3.6"]),
        ("/studies/1.1/instances?InstanceNumber=1", INSTANCE, &["3.2", "3.4"]),
        (
            "/instances?SOPInstanceUID=3.4,3.5&SOPClassUID=1.2.840.10008.5.1.4.1.1.4",
            INSTANCE,
            &["3.4", "3.5"],
        ),
    ] {
        assert_eq!(found(&feed, path, tag).await, expected, "{path}");
    }
}

#[tokio::test]
async fn the_attributes_that_the_standard_asks_for_are_told_at_each_level() {
    let feed = feed().await;
    for (path, required) in [
        (
            "/studies",
            "00080020 00080030 00080050 00080056 00080061 00080090 00081190 00100010 00100020 \
             00100030 00100040 0020000D 00200010 00201206 00201208",
        ),
        (
            "/studies/1.1/series",
            "00080060 0008103E 00081190 0020000E 00200011 00201209 00400244 00400245 00400275",
        ),
        ("/series", "00080060 0020000D 0020000E 00100010 00201209"),
        (
            "/studies/1.1/series/2.1/instances",
            "00080016 00080018 00080056 00081190 00200013 00280008 00280010 00280011 00280100",
        ),
        ("/instances", "00080018 0020000E 0020000D 00100020"),
    ] {
        let results = json(&feed.api.client, &format!("/dicom-web{path}")).await;
        for tag in required.split_whitespace() {
            assert!(results[0][tag]["vr"].is_string(), "{path}: {tag} in {}", results[0]);
        }
    }
    let study = &json(&feed.api.client, "/dicom-web/studies?StudyInstanceUID=1.1").await[0];
    assert_eq!(study["00080061"], serde_json::json!({"vr": "CS", "Value": ["MR", "SR"]}));
    assert_eq!(study["00201206"], serde_json::json!({"vr": "IS", "Value": [2]}));
    assert_eq!(study["00201208"], serde_json::json!({"vr": "IS", "Value": [4]}));
    assert_eq!(study["00081030"], Value::Null, "it was not asked for");
    let path = "/dicom-web/series?Modality=MR&includefield=StationName,00081030&includefield=all";
    let series = &json(&feed.api.client, path).await[0];
    assert_eq!(series["00081010"], serde_json::json!({"vr": "SH", "Value": ["MR1"]}));
    assert_eq!(series["00081030"], serde_json::json!({"vr": "LO"}));
    assert_eq!(series["00200011"], serde_json::json!({"vr": "IS", "Value": [3]}));
}

#[tokio::test]
async fn what_is_not_supported_is_said_in_the_standards_way() {
    let feed = feed().await;
    let get = async |path: &str| feed.api.client.get(format!("/dicom-web{path}")).send().await.0;
    let fuzzy = get("/studies?fuzzymatching=true&PatientName=Roe*").await;
    assert_eq!(
        (fuzzy.status(), fuzzy.header("warning").unwrap()),
        (
            StatusCode::OK,
            "299 collimator: The fuzzymatching parameter is not supported. Only literal matching has \
         been performed."
        )
    );
    let ignored = get("/studies?PatientAge=030Y").await;
    assert!(ignored.header("warning").unwrap().starts_with("299 collimator: Attributes that are"));
    for path in ["/studies?limit=x", "/studies?patient=7", "/studies?StudyDate=today"] {
        let refused = get(path).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(refused.content_type(), Some(problem::PROBLEM_JSON));
    }
    let accepting = async |media_type: &str| {
        let request = feed.api.client.get("/dicom-web/studies").header(header::ACCEPT, media_type);
        request.send().await.0.status()
    };
    assert_eq!(accepting("application/json, text/plain").await, 200);
    assert_eq!(accepting("application/dicom+json; charset=utf-8").await, 200);
    assert_eq!(accepting("").await, 200);
    assert_eq!(accepting("multipart/related; type=\"application/dicom+xml\"").await, 406);
    assert_eq!(accepting("application/dicom+json;q=0, text/plain").await, 406);
    assert_eq!(
        get("/studies?accept=application/json").await.content_type(),
        Some("application/json")
    );
    assert_eq!(get("/studies?accept=text/plain").await.status(), 406);
    let head = feed.api.client.head("/dicom-web/studies").send().await;
    head.assert_status_is_ok();
    let twice = get("/studies?limit=7&limit=8").await;
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
    for (method, path, allowed) in [
        (Method::POST, "/dicom-web/series", "GET, HEAD"),
        (Method::PUT, "/dicom-web/studies", "GET, HEAD, POST"),
    ] {
        let refused = feed.api.client.request(method, path).body("x").send().await;
        refused.assert_status(StatusCode::METHOD_NOT_ALLOWED);
        refused.assert_header(header::ALLOW, allowed);
    }
    for path in ["/studies/1.1", "/studies/1.1/metadata"] {
        assert_eq!(get(path).await.status(), StatusCode::NOT_FOUND, "WADO-RS is not served");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_says_how_many_are_left() {
    let feed = Feed::new().await;
    let stored = |number| {
        serde_json::json!({
            "SeriesInstanceUID": format!("2.{number}"), "PatientID": "7", "PatientName": "Roe^Jane",
            "StudyInstanceUID": "1.2.3", "InstancesCount": 3
        })
    };
    register(feed.owner(), (0..1203).map(stored)).await;
    let cut = feed.api.client.get("/dicom-web/series").send().await;
    let left = "299 collimator: There are 203 additional results that can be requested";
    cut.assert_header(header::WARNING, left);
    let rest = feed.api.client.get("/dicom-web/series?offset=1000").send().await;
    assert_eq!(rest.0.header(header::WARNING), None);
    let body = rest.0.into_body().into_bytes().await.unwrap();
    let results: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(results.as_array().unwrap().len(), 203);
    assert_eq!(results[0]["00201209"]["Value"][0], 3, "what was claimed");
}

#[tokio::test]
async fn what_somebody_else_published_wrongly_hides_no_other_series() {
    let mut feed = feed().await;
    for (number, request) in [
        serde_json::json!("{ no JSON"),
        serde_json::json!(5),
        serde_json::json!(["R1", 7]),
        serde_json::json!({"RequestedProcedureID": "R1"}),
        serde_json::json!([{"RequestedProcedureID": 5}]),
    ]
    .into_iter()
    .enumerate()
    {
        feed.receive(serde_json::json!({
            "StudyInstanceUID": "1.3", "SeriesInstanceUID": format!("2.5.{number}"),
            "Modality": 7, "SeriesDescription": 7, "InstanceNumber": "x",
            "RequestAttributesSequence": request,
        }))
        .await;
        feed.api.client.get(format!("/series/2.5.{number}")).send().await.assert_status_is_ok();
    }
    assert_eq!(found(&feed, "/series?SeriesInstanceUID=2.1", SERIES).await, ["2.1"]);
    assert_eq!(found(&feed, "/series?StudyInstanceUID=1.3", SERIES).await.len(), 5);
    let path = "/series?RequestAttributesSequence.RequestedProcedureID=R2";
    assert_eq!(found(&feed, path, SERIES).await, ["2.3"]);
    feed.api.client.get("/series?State=all").send().await.assert_status_is_ok();
}
