//! What people and viewers search for, asked of all that can be searched: each finds the same.

use super::listing::Feed;
use super::*;
use std::collections::BTreeSet;

/// A study for each of these, called as it is, of one series with one instance.
async fn feed(of_each: &[(&str, Value)]) -> Feed {
    let mut feed = Feed::new().await;
    for (study, attributes) in of_each {
        let mut attributes = attributes.clone();
        attributes["StudyInstanceUID"] = format!("1.{study}").into();
        attributes["SeriesInstanceUID"] = format!("2.{study}").into();
        attributes["SOPInstanceUID"] = format!("3.{study}").into();
        feed.receive(attributes).await;
    }
    feed
}

/// The studies that an answer is about, by the last component of their UIDs.
async fn found(feed: &Feed, path: &str, key: &str) -> String {
    let answer = feed.api.client.get(path).send().await;
    if answer.0.status() == StatusCode::NO_CONTENT {
        return String::new();
    }
    answer.assert_status_is_ok();
    let body = answer.0.into_body().into_bytes().await.unwrap();
    let results: Value = serde_json::from_slice(&body).unwrap();
    let uid = |result: &Value| match &result[key] {
        Value::String(uid) => uid.clone(),
        element => element["Value"][0].as_str().unwrap().to_owned(),
    };
    let uids = results.as_array().unwrap().iter().map(uid);
    let names = uids.map(|uid| uid.split_once('.').unwrap().1.to_owned());
    let names: Vec<_> = names.collect::<BTreeSet<_>>().into_iter().collect();
    names.join(" ")
}

/// Asks QIDO-RS at each level that has the attribute, and our lists.
async fn assert_finds(feed: &Feed, query: &str, expected: &str) {
    for (path, key) in [
        ("/dicom-web/studies", "0020000D"),
        ("/dicom-web/series", "0020000E"),
        ("/dicom-web/instances", "00080018"),
        ("/studies", "StudyInstanceUID"),
        ("/series", "SeriesInstanceUID"),
    ] {
        let state = if path == "/series" { "&State=all" } else { "" };
        let path = format!("{path}?{query}{state}");
        assert_eq!(found(feed, &path, key).await, expected, "{path}");
    }
}

#[tokio::test]
async fn several_modalities_find_what_has_either() {
    let feed = feed(&[
        ("ct", serde_json::json!({ "Modality": "CT" })),
        ("mr", serde_json::json!({ "Modality": "MR" })),
        ("us", serde_json::json!({ "Modality": "US" })),
        ("pr", serde_json::json!({ "Modality": "MR\\PR" })),
        ("padded", serde_json::json!({ "Modality": " CT " })),
        ("none", serde_json::json!({})),
    ])
    .await;
    for (query, expected) in [
        ("Modality=CT%2CMR", "ct mr padded pr"),
        ("Modality=CT%5CUS", "ct padded us"),
        ("Modality=US&Modality=MR", "mr pr us"),
        ("Modality=PR", "pr"),
        ("Modality=C*", "ct padded"),
        ("Modality=US%20", "us"),
        ("Modality=ct", ""),
        ("Modality=MR%5CPR", "mr pr"),
    ] {
        assert_finds(&feed, query, expected).await;
    }
    let path = "/dicom-web/studies?ModalitiesInStudy=US&ModalitiesInStudy=CT%2CXA&limit=101";
    assert_eq!(found(&feed, path, "0020000D").await, "ct padded us");
}

#[tokio::test]
async fn a_name_is_found_as_it_is_written_by_others() {
    let feed = feed(&[
        ("roe", serde_json::json!({ "PatientName": "Roe^Jane^^^" })),
        ("roes", serde_json::json!({ "PatientName": "Roes^Jane" })),
        ("single", serde_json::json!({ "PatientName": "ROE" })),
        ("blank", serde_json::json!({ "PatientName": " Doe^Ben " })),
        ("yamada", serde_json::json!({ "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう" })),
        ("umlaut", serde_json::json!({ "PatientName": "MÜLLER^Zoë=" })),
        ("wild", serde_json::json!({ "PatientName": "100%_[x]^\"a\\b\"" })),
    ])
    .await;
    for (name, expected) in [
        ("Roe^Jane", "roe"),
        ("roe^jane^", "roe"),
        ("ROE^JANE^^^^", "roe"),
        ("Roe^*", "roe single"),
        ("Roe", "single"),
        ("Roe^", "single"),
        ("roe*", "roe roes single"),
        ("*^Jane", "roe roes"),
        ("Doe^Ben", "blank"),
        ("Yamada^Tarou", "yamada"),
        ("山田^太郎", "yamada"),
        ("山田*", "yamada"),
        ("やまだ^たろう^", "yamada"),
        ("=山田^太郎", "yamada"),
        ("=Yamada^Tarou", ""),
        ("yamada^tarou=山田^太郎=やまだ^たろう", "yamada"),
        ("*=山田^*", "yamada"),
        ("Yamada", ""),
        ("müller^zoË", "umlaut"),
        ("MÜL*", "umlaut"),
        ("Roes^Jane\\Doe^Ben", "blank roes"),
        ("100%_[x]*", "wild"),
        ("1__%*", ""),
    ] {
        let query: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        assert_finds(&feed, &format!("PatientName={query}"), expected).await;
    }
}

#[tokio::test]
async fn padding_is_no_part_of_a_text_and_each_of_its_values_is_one() {
    let feed = feed(&[
        ("plain", serde_json::json!({ "PatientID": "L7", "AccessionNumber": "A1" })),
        ("before", serde_json::json!({ "PatientID": "  L7", "AccessionNumber": " A1" })),
        ("behind", serde_json::json!({ "PatientID": "L7 ", "AccessionNumber": "A1  " })),
        ("two", serde_json::json!({ "PatientID": "X\\ L7", "AccessionNumber": "A1\\A2" })),
        ("other", serde_json::json!({ "PatientID": "l7", "AccessionNumber": "A10" })),
    ])
    .await;
    for (query, expected) in [
        ("PatientID=L7", "before behind plain two"),
        ("PatientID=%20L7%20", "before behind plain two"),
        ("PatientID=L*", "before behind plain two"),
        ("PatientID=*7", "before behind other plain two"),
        ("PatientID=L7%5Cl7", "before behind other plain two"),
        ("PatientID=l7&PatientID=X", "other two"),
        ("AccessionNumber=A1", "before behind plain two"),
        ("AccessionNumber=A2", "two"),
        ("AccessionNumber=A1?", "other"),
        ("AccessionNumber=A1,A2", ""),
    ] {
        assert_finds(&feed, query, expected).await;
    }
}

#[tokio::test]
async fn a_range_of_dates_finds_dates_however_they_are_written_and_nothing_else() {
    let feed = feed(&[
        ("dicom", serde_json::json!({ "StudyDate": "19931231", "StudyTime": "101500.5" })),
        ("nema", serde_json::json!({ "StudyDate": "1993.12.31", "StudyTime": "10:15:00" })),
        ("next", serde_json::json!({ "StudyDate": "1994.01.01", "StudyTime": "1016" })),
        ("words", serde_json::json!({ "StudyDate": "UNKNOWN", "StudyTime": "NOON" })),
        ("month", serde_json::json!({ "StudyDate": "199313", "StudyTime": "10-12" })),
        ("none", serde_json::json!({ "StudyDate": "19931399" })),
        ("zero", serde_json::json!({ "StudyDate": "00000000" })),
        ("absent", serde_json::json!({})),
    ])
    .await;
    for (query, expected) in [
        ("StudyDate=19931231", "dicom nema"),
        ("StudyDate=1993.12.31", "dicom nema"),
        ("StudyDate=19930101-19931231", "dicom nema"),
        ("StudyDate=1993.12.31-1994.12.31", "dicom nema next"),
        ("StudyDate=-19931231", "dicom nema"),
        ("StudyDate=19940101-", "next"),
        ("StudyDate=19931231&StudyDate=19940101-", "dicom nema next"),
        ("StudyDate=19930101-19931130", ""),
    ] {
        assert_finds(&feed, query, expected).await;
    }
    for (query, expected) in [
        ("StudyTime=1015", "dicom nema"),
        ("StudyTime=10:15:00", "dicom nema"),
        ("StudyTime=10:00-11:00", "dicom nema next"),
        ("StudyTime=00-", "dicom nema next"),
    ] {
        let path = format!("/dicom-web/studies?{query}");
        assert_eq!(found(&feed, &path, "0020000D").await, expected, "{path}");
    }
    let path = "/series?State=all&sort=-StudyDate&limit=3";
    let (uids, _) = feed.page(path).await;
    assert_eq!(uids, ["2.next", "2.none", "2.nema"]);
}

#[tokio::test]
async fn a_number_is_found_however_it_is_written_and_is_no_other() {
    let feed = feed(&[
        ("three", serde_json::json!({ "InstanceNumber": "3", "Rows": 3 })),
        ("padded", serde_json::json!({ "InstanceNumber": " 3 " })),
        ("plus", serde_json::json!({ "InstanceNumber": "+3" })),
        ("zeros", serde_json::json!({ "InstanceNumber": "0003" })),
        ("thirty", serde_json::json!({ "InstanceNumber": "30", "Rows": 30 })),
        ("minus", serde_json::json!({ "InstanceNumber": "-3" })),
        ("half", serde_json::json!({ "InstanceNumber": "3.5" })),
        ("unit", serde_json::json!({ "InstanceNumber": "3 mm" })),
        ("power", serde_json::json!({ "InstanceNumber": "3e0" })),
        ("nought", serde_json::json!({ "InstanceNumber": "-00" })),
        ("word", serde_json::json!({ "InstanceNumber": "x" })),
        ("huge", serde_json::json!({ "InstanceNumber": "99999999999999999999" })),
        ("huger", serde_json::json!({ "InstanceNumber": "99999999999999999998" })),
        ("largest", serde_json::json!({ "InstanceNumber": "9223372036854775807" })),
    ])
    .await;
    for (query, expected) in [
        ("InstanceNumber=3", "padded plus three zeros"),
        ("InstanceNumber=%2B03", "padded plus three zeros"),
        ("InstanceNumber=-3", "minus"),
        ("InstanceNumber=0", "nought"),
        ("InstanceNumber=30%5C-3", "minus thirty"),
        ("InstanceNumber=99999999999999999999", "huge"),
        ("InstanceNumber=9223372036854775807", "largest"),
        ("Rows=3", "three"),
    ] {
        let path = format!("/dicom-web/instances?{query}");
        assert_eq!(found(&feed, &path, "00080018").await, expected, "{path}");
    }
}

#[tokio::test]
async fn each_patient_of_a_series_is_found_with_what_is_theirs() {
    let mut feed = Feed::new().await;
    for (study, patient, name) in [("1.a", "A", "Roe^Anna"), ("1.b", "B", "Doe^Ben")] {
        feed.receive(serde_json::json!({
            "SeriesInstanceUID": "2.1", "StudyInstanceUID": study, "PatientID": patient,
            "PatientName": name, "Modality": "MR",
        }))
        .await;
    }
    feed.complete(10, &["2.1"]).await;
    for (patient, study, sop) in [("A", "1.a", "3.1"), ("B", "1.b", "3.2")] {
        for (path, tag, expected) in [
            (format!("/studies?PatientID={patient}"), "0020000D", study),
            (
                format!("/studies?StudyInstanceUID={study}&ModalitiesInStudy=MR"),
                "00100020",
                patient,
            ),
            (format!("/series?PatientID={patient}"), "0020000D", study),
            (format!("/studies/{study}/series"), "0020000E", "2.1"),
            (format!("/studies/{study}/series/2.1/instances"), "00080018", sop),
            (format!("/studies/{study}/instances"), "00080018", sop),
        ] {
            let results = json(&feed.api.client, &format!("/dicom-web{path}")).await;
            let results = results.as_array().unwrap();
            assert_eq!(
                (results.len(), &results[0][tag]["Value"][0]),
                (1, &expected.into()),
                "{path}"
            );
        }
        let path = format!("/dicom-web/studies?StudyInstanceUID={study}");
        let found = &json(&feed.api.client, &path).await[0];
        assert_eq!(
            (&found["00201206"]["Value"][0], &found["00201208"]["Value"][0]),
            (&1.into(), &1.into())
        );
        let path = format!("/dicom-web/studies/{study}/series");
        assert_eq!(json(&feed.api.client, &path).await[0]["00201209"]["Value"][0], 1);
        let listed = json(&feed.api.client, &format!("/series?PatientID={patient}")).await;
        assert_eq!(listed[0]["Disagrees"][1]["Keyword"], "PatientID");
        let listed = json(&feed.api.client, &format!("/studies?PatientID={patient}")).await;
        assert_eq!(
            listed[0]["Disagrees"][1]["Values"][1],
            serde_json::json!({"Value": "B", "Instances": 1})
        );
    }
    let details = json(&feed.api.client, "/series/2.1").await;
    assert_eq!((&details["Disagrees"], &details["PatientID"]), (&true.into(), &"B".into()));
    assert_eq!(details["Disagreements"][0]["Keyword"], "StudyInstanceUID");
}
