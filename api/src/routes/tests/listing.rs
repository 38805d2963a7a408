//! Lists: what is found, page by page, and what is no search.

use super::*;
use std::collections::HashSet;
use std::path::Path;
use store::Objects;

/// A catalogue that fills up as a test says.
pub(super) struct Feed {
    pub(super) api: TestApi,
    sequence: u64,
}

impl Feed {
    pub(super) async fn new() -> Self {
        Self { api: api(true).await, sequence: 0 }
    }

    /// With the instance store in a folder.
    pub(super) async fn keeping(folder: &Path) -> Self {
        let objects = Some(Objects::in_folder(folder));
        let store = InstanceStore::new(objects, None);
        Self { api: api_with(true, Guard::default(), store).await, sequence: 0 }
    }

    /// Records an instance with these attributes, and leaves its series open.
    pub(super) async fn receive(&mut self, attributes: Value) {
        self.sequence += 1;
        let mut all = serde_json::json!({ "StudyInstanceUID": "1.1" });
        all.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        record(self.owner(), self.sequence, all).await;
    }

    pub(super) fn owner(&self) -> &CatalogWriter {
        self.api.owner.as_ref().unwrap()
    }

    /// Completes series in one decision: all at the same time.
    pub(super) async fn complete(&self, second: i64, series: &[&str]) {
        let at = Timestamp::from_second(second).unwrap();
        let completion = |uid: &&str| completion(uid, Reason::Quiet, at);
        let completions: Vec<_> = series.iter().map(completion).collect();
        self.owner().complete(&completions).await.unwrap();
    }

    async fn found(&self, path: &str) -> Vec<String> {
        uids(&json(&self.api.client, path).await)
    }

    /// A page, and the path of the next one.
    pub(super) async fn page(&self, path: &str) -> (Vec<String>, Option<String>) {
        let answer = self.api.client.get(path).send().await;
        answer.assert_status_is_ok();
        let link = answer.0.header(header::LINK).map(|link| {
            let path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
            path.to_owned()
        });
        let body = answer.0.into_body().into_bytes().await.unwrap();
        (uids(&serde_json::from_slice(&body).unwrap()), link)
    }

    /// Follows the links from a page to the end.
    async fn walk(&self, path: &str) -> Vec<String> {
        let mut all = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let (uids, link) = self.page(&path).await;
            all.extend(uids);
            next = link;
        }
        all
    }

    async fn refused(&self, path: &str, field: &str) {
        let answer = self.api.client.get(path).send().await;
        let status = answer.0.status();
        let problem = answer.0.into_body().into_string().await.unwrap();
        assert_eq!(status, 422, "{path}: {problem}");
        let problem: Value = serde_json::from_str(&problem).unwrap();
        assert_eq!(problem["errors"][0]["field"], field, "{path}: {problem}");
    }
}

fn uids(list: &Value) -> Vec<String> {
    let uid = |record: &Value| record["SeriesInstanceUID"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(uid).collect()
}

fn of_series(uid: &str) -> Value {
    serde_json::json!({ "SeriesInstanceUID": uid })
}

#[tokio::test]
async fn a_series_is_found_by_what_is_known_of_it() {
    let mut feed = Feed::new().await;
    for (uid, patient, name, modality, date, sender) in [
        ("2.1", "7", "Roe^Jane", "MR", "20260201", "MR1"),
        ("2.2", "7", "Roe^Jane", "SR", "20260215", "MR1"),
        ("2.3", "71", "roesch^Ida", "CT", "20260301", "CT1"),
        ("2.4", "O'Neil; drop table series", "100%_sure[1]", "CT", "", "CT1"),
    ] {
        feed.receive(serde_json::json!({
            "SeriesInstanceUID": uid, "PatientID": patient, "PatientName": name,
            "Modality": modality, "StudyDate": date, "CallingAETitle": sender,
            "StudyInstanceUID": format!("5.{uid}"), "AccessionNumber": format!("A{uid}"),
        }))
        .await;
    }
    feed.complete(10, &["2.1", "2.2"]).await;
    feed.complete(20, &["2.3", "2.4"]).await;
    register(feed.owner(), [store()]).await;
    for (query, expected) in [
        ("PatientID=7", &["2.1", "2.2", "1.2.3.4"][..]),
        ("PatientID=7*&Source=dicom", &["2.1", "2.2", "2.3"]),
        ("PatientID=7?", &["2.3"]),
        ("PatientName=roe*&Source=dicom", &["2.1", "2.2", "2.3"]),
        ("PatientName=ROE^JANE&Source=dicom", &["2.1", "2.2"]),
        ("PatientName=100%25_sure[1]", &["2.4"]),
        ("PatientName=100%25%25sure*", &[]),
        ("PatientName=____%25", &[]),
        ("PatientName=%25", &[]),
        ("PatientID=O'Neil;%20drop%20table%20series", &["2.4"]),
        ("PatientID='%20or%201=1--", &[]),
        ("PatientID=%27;drop%20table%20series;--", &[]),
        ("PatientID=[0-9]*", &[]),
        ("StudyInstanceUID=5.2.2", &["2.2"]),
        ("StudyInstanceUID=*", &[]),
        ("Modality=CT", &["2.3", "2.4"]),
        ("AccessionNumber=A2.3", &["2.3"]),
        ("StudyDate=20260215", &["2.2"]),
        ("StudyDate=20260201-20260215", &["2.1", "2.2"]),
        ("StudyDate=20260202-", &["2.2", "2.3"]),
        ("StudyDate=-20260214", &["2.1"]),
        ("CallingAETitle=CT1", &["2.3", "2.4"]),
        ("Source=api", &["1.2.3.4"]),
        ("CompletedAfter=1970-01-01T00:00:10Z&Source=dicom", &["2.3", "2.4"]),
        ("CompletedBefore=1970-01-01T01:00:11%2B01:00", &["2.1", "2.2"]),
        ("sort=-StudyDate&Source=dicom&limit=10", &["2.3", "2.2", "2.1", "2.4"]),
        ("sort=-FirstCompletedAt&Source=dicom", &["2.4", "2.3", "2.2", "2.1"]),
    ] {
        assert_eq!(feed.found(&format!("/series?{query}")).await, expected, "{query}");
    }
    assert_eq!(feed.found("/series").await.len(), 5, "nothing was dropped");
}

#[tokio::test]
async fn the_state_says_which_series_are_listed() {
    let mut feed = Feed::new().await;
    for uid in ["2.1", "2.2", "2.3"] {
        feed.receive(of_series(uid)).await;
    }
    feed.complete(10, &["2.2"]).await;
    feed.complete(11, &["2.1"]).await;
    feed.receive(of_series("2.1")).await;
    assert_eq!(feed.found("/series").await, ["2.2", "2.1"]);
    assert_eq!(feed.found("/series?State=complete").await, ["2.2", "2.1"]);
    assert_eq!(feed.found("/series?State=receiving").await, ["2.1", "2.3"]);
    assert_eq!(feed.found("/series?State=all").await, ["2.1", "2.2", "2.3"]);
    assert_eq!(
        feed.found("/series?State=all&sort=-CompletedAt&limit=9").await,
        ["2.3", "2.1", "2.2"]
    );
    let reopened = &json(&feed.api.client, "/series?State=receiving").await[0];
    assert_eq!(
        (&reopened["InstancesCount"], &reopened["InstancesReceived"]),
        (&1.into(), &2.into())
    );
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat_while_series_complete_reopen_and_tie() {
    let mut feed = Feed::new().await;
    let names: Vec<String> = (0..30).map(|number| format!("2.{number}")).collect();
    for uid in &names {
        feed.receive(of_series(uid)).await;
    }
    // Ties: ten of a decision, and decided in another order than they came.
    for (second, tied) in [(30, 0), (20, 1), (10, 2)] {
        let uids: Vec<&str> = names.iter().skip(tied * 10).take(10).map(String::as_str).collect();
        feed.complete(second, &uids).await;
    }
    let expected = feed.found("/series").await;
    assert_eq!(expected.len(), 30);
    for limit in [1, 7, 10, 30] {
        assert_eq!(feed.walk(&format!("/series?limit={limit}")).await, expected, "{limit}");
    }
    let mut backwards = feed.walk("/series?limit=7&sort=-FirstCompletedAt").await;
    backwards.reverse();
    assert_eq!(backwards, expected);
    assert_eq!(feed.walk("/series?limit=4&State=all").await, names);
    assert_eq!(feed.page("/series?limit=30").await.1, None, "there is no more");

    // A walk, and between its pages series are reopened, complete again and for the first time.
    let (mut seen, mut next) = feed.page("/series?limit=4").await;
    let mut round = 0;
    while let Some(path) = next {
        round += 1;
        let late = format!("9.{round}");
        feed.receive(of_series(&late)).await;
        feed.receive(of_series(&expected[round])).await;
        feed.receive(of_series(&expected[29])).await;
        feed.complete(100 + round as i64, &[&late, &expected[round]]).await;
        let (uids, link) = feed.page(&path).await;
        seen.extend(uids);
        // Those that complete meanwhile come last; there are as many rounds as pages of them.
        next = link.filter(|_| round < 12);
    }
    assert_eq!(seen[..30], expected);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len(), "{seen:?}");
    assert!(seen.contains(&"9.1".to_owned()));
}

#[tokio::test]
async fn what_is_listed_whole_is_the_same_as_its_pages_however_long() {
    let feed = Feed::new().await;
    let stored = |number| {
        serde_json::json!({
            "SeriesInstanceUID": format!("2.{number}"), "PatientID": "7", "PatientName": "Roe^Jane",
            "StudyInstanceUID": "1.2.3", "InstancesCount": number
        })
    };
    register(feed.owner(), (0..1203).map(stored)).await;
    let whole = feed.found("/series").await;
    let expected: Vec<_> = (0..1203).map(|number| format!("2.{number}")).collect();
    assert_eq!(whole, expected);
    assert_eq!(feed.walk("/series?limit=1000").await, expected);
    // The stream's own pages end with the list: nothing is after the last of them.
    assert_eq!(feed.found("/series?PatientName=Roe*&sort=-Arrival").await.len(), 1203);
    let counted = feed.api.client.get("/series?limit=1&count=true").send().await;
    counted.assert_header("X-Total-Count", "1203");
    let uncounted = feed.api.client.get("/series?limit=1").send().await;
    assert_eq!(uncounted.0.header("X-Total-Count"), None);
}

#[tokio::test]
async fn a_cursor_that_was_not_given_for_the_list_is_refused() {
    let mut feed = Feed::new().await;
    for uid in ["2.1", "2.2", "2.3"] {
        feed.receive(of_series(uid)).await;
    }
    feed.complete(10, &["2.1", "2.2", "2.3"]).await;
    let (_, next) = feed.page("/series?limit=1").await;
    let next = next.unwrap();
    let (_, cursor) = next.split_once("cursor=").unwrap();
    assert_eq!(feed.found(&format!("/series?cursor={cursor}")).await, ["2.2", "2.3"]);
    let changed = match cursor.strip_suffix('0') {
        Some(start) => format!("{start}1"),
        None => format!("{}0", &cursor[..cursor.len() - 1]),
    };
    for path in [
        format!("/series?limit=1&cursor={changed}"),
        format!("/series?limit=1&cursor={}", "0".repeat(cursor.len())),
        "/series?cursor=".to_owned(),
        "/series?cursor=1'--".to_owned(),
        format!("/series?Modality=MR&cursor={cursor}"),
        format!("/series?sort=-FirstCompletedAt&cursor={cursor}"),
        format!("/series/2.1/instances?cursor={cursor}"),
        format!("/studies?cursor={cursor}"),
    ] {
        feed.refused(&path, "cursor").await;
    }
}

#[tokio::test]
async fn a_wrong_parameter_is_422_with_its_name_and_not_its_value() {
    let feed = Feed::new().await;
    let long = format!("PatientID={}", "x".repeat(2000));
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("sort=PatientName", "sort"),
        // What is sorted anew for each page is not listed whole.
        ("sort=StudyDate", "limit"),
        ("State=all&sort=CompletedAt&Source=dicom", "limit"),
        ("State=all&CompletedAfter=2026-02-03T04:05:06Z", "limit"),
        ("fields=Modality,Roe", "fields"),
        ("fields=", "fields"),
        ("State=Roe", "State"),
        ("Source=Roe", "Source"),
        ("StudyDate=2026-02-03", "StudyDate"),
        ("StudyDate=-", "StudyDate"),
        ("CompletedAfter=Roe", "CompletedAfter"),
        ("CompletedAfter=2026-02-03", "CompletedAfter"),
        ("PatientID=", "PatientID"),
        ("count=1", "count"),
        ("StudyInstanceUID=%0A", "StudyInstanceUID"),
        ("patientid=7", "patientid"),
        ("limit=7&limit=8", "limit"),
        ("Roe%5EJane", "query"),
        (&long, "PatientID"),
    ] {
        feed.refused(&format!("/series?{query}"), field).await;
        let answer = feed.api.client.get(format!("/series?{query}")).send().await;
        let said = answer.0.into_body().into_string().await.unwrap();
        assert!(!said.contains("Roe"), "a patient in an error: {said}");
    }
    feed.refused("/studies?Sort=Arrival", "Sort").await;
    feed.refused("/sources?limit=1", "limit").await;
}

#[tokio::test]
async fn only_the_keys_that_are_asked_for_are_listed() {
    let mut feed = Feed::new().await;
    feed.receive(serde_json::json!({"SeriesInstanceUID": "2.1", "Modality": "MR"})).await;
    feed.complete(10, &["2.1"]).await;
    let answer =
        feed.api.client.get("/series?fields=State,SeriesInstanceUID,StudyDate").send().await;
    answer.assert_text(r#"[{"SeriesInstanceUID":"2.1","State":"complete"}]"#).await;
}

#[tokio::test]
async fn one_series_tells_all_that_is_known_and_whether_it_has_changed() {
    let mut feed = Feed::new().await;
    feed.receive(serde_json::json!({
        "SeriesInstanceUID": "2.1", "PatientID": "7", "PatientName": "Roe^Jane", "Modality": "MR",
        "StudyDate": "20260203", "ImagesInAcquisition": 2,
        "RequestAttributesSequence": [{"RequestedProcedureID": "RP-1"}],
    }))
    .await;
    let receiving = json(&feed.api.client, "/series/2.1").await;
    assert_eq!((&receiving["State"], &receiving["Revision"]), (&"receiving".into(), &0.into()));
    feed.complete(10, &["2.1"]).await;
    let expected = serde_json::json!({
        "SeriesInstanceUID": "2.1", "PatientID": "7", "PatientName": "Roe^Jane",
        "StudyInstanceUID": "1.1", "InstancesCount": 1, "Source": "dicom", "State": "complete",
        "Revision": 1, "InstancesReceived": 1, "Disagrees": false, "Partial": false,
        "StudyDate": "20260203", "Modality": "MR", "ImagesInAcquisition": 2,
        "RequestAttributesSequence": [{"RequestedProcedureID": "RP-1"}], "CallingAETitle": "MR1",
        "Reason": "quiet", "FirstReceivedAt": "2026-02-03T04:05:06Z",
        "LastReceivedAt": "2026-02-03T04:05:06Z", "LastActivityAt": "1970-01-01T00:00:01Z",
        "FirstCompletedAt": "1970-01-01T00:00:10Z", "CompletedAt": "1970-01-01T00:00:10Z",
        "InstancesSequence": 1,
    });
    let first = feed.api.client.get("/series/2.1").send().await;
    let tag = first.0.header(header::ETAG).unwrap().to_owned();
    first.assert_json(expected).await;

    let lines = feed.api.client.get("/series/2.1").header(header::IF_NONE_MATCH, "\"other\"");
    let on_the_second = lines.header(header::IF_NONE_MATCH, &tag).send().await;
    on_the_second.assert_status(StatusCode::NOT_MODIFIED);
    let known = feed.api.client.get("/series/2.1").header(header::IF_NONE_MATCH, &tag);
    let unchanged = known.send().await;
    unchanged.assert_status(StatusCode::NOT_MODIFIED);
    unchanged.assert_header(header::ETAG, &tag);
    feed.receive(of_series("2.1")).await;
    let changed =
        feed.api.client.get("/series/2.1").header(header::IF_NONE_MATCH, &tag).send().await;
    changed.assert_status_is_ok();
    for path in ["/series/2.9", "/series/2.9/instances", "/studies/2.9"] {
        feed.api.client.get(path).send().await.assert_status(StatusCode::NOT_FOUND);
    }
    feed.refused(&format!("/series/{}", "1".repeat(65)), "SeriesInstanceUID").await;
    feed.refused("/studies/%20", "StudyInstanceUID").await;
}

#[tokio::test]
async fn the_instances_of_a_series_are_listed_as_they_came() {
    let mut feed = Feed::new().await;
    for number in 0..5 {
        let mut event = of_series("2.1");
        event["InstanceNumber"] = number.to_string().into();
        event["Rows"] = 64.into();
        feed.receive(event).await;
        feed.receive(of_series("2.2")).await;
    }
    let path = "/series/2.1/instances";
    let listed = json(&feed.api.client, path).await;
    let sops = |list: &Value| -> Vec<String> {
        let of = |it: &Value| it["SOPInstanceUID"].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!(sops(&listed), ["3.1", "3.3", "3.5", "3.7", "3.9"]);
    assert_eq!((&listed[1]["InstanceNumber"], &listed[1]["Rows"]), (&"1".into(), &64.into()));
    let first = feed.api.client.get(format!("{path}?limit=2&count=true")).send().await;
    first.assert_header("X-Total-Count", "5");
    let link = first.0.header(header::LINK).unwrap();
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    assert_eq!(sops(&json(&feed.api.client, next).await), ["3.5", "3.7"]);
}

#[tokio::test]
async fn studies_are_what_their_series_come_to() {
    let mut feed = Feed::new().await;
    for (uid, study, modality) in
        [("2.1", "1.1", "MR"), ("2.2", "1.1", "SR"), ("2.3", "1.2", "CT"), ("2.4", "1.2", "CT")]
    {
        feed.receive(serde_json::json!({
            "SeriesInstanceUID": uid, "StudyInstanceUID": study, "Modality": modality,
            "PatientID": "7", "PatientName": "Roe^Jane",
        }))
        .await;
    }
    feed.complete(10, &["2.1", "2.2", "2.3"]).await;
    let of = |study: &Value| (study["State"].clone(), study["Revision"].clone());
    let before = json(&feed.api.client, "/studies/1.1").await;
    assert_eq!(of(&before), ("receiving".into(), 0.into()), "another series may begin");
    let decided_at = Timestamp::from_second(70).unwrap();
    let due = ["1.1", "1.2"].map(|study| StudyCompletion { study: study.to_owned(), decided_at });
    feed.api.owner.as_ref().unwrap().complete_studies(&due).await.unwrap();
    let studies = json(&feed.api.client, "/studies").await;
    let expected = serde_json::json!([
        {"StudyInstanceUID": "1.1", "PatientID": "7", "PatientName": "Roe^Jane",
         "ModalitiesInStudy": ["MR", "SR"], "State": "complete", "SeriesCount": 2,
         "SeriesReceiving": 0, "InstancesCount": 2, "CompletedAt": "1970-01-01T00:00:10Z",
         "Revision": 1, "StudyCompletedAt": "1970-01-01T00:01:10Z"},
        {"StudyInstanceUID": "1.2", "PatientID": "7", "PatientName": "Roe^Jane",
         "ModalitiesInStudy": ["CT"], "State": "receiving", "SeriesCount": 2,
         "SeriesReceiving": 1, "InstancesCount": 1, "CompletedAt": "1970-01-01T00:00:10Z",
         "Revision": 0},
    ]);
    assert_eq!(studies, expected);
    let found = json(&feed.api.client, "/studies?Modality=SR&limit=1&sort=-Arrival").await;
    assert_eq!(found, serde_json::json!([expected[0]]));
    assert_eq!(json(&feed.api.client, "/studies/1.2").await, expected[1]);
    let stats = json(&feed.api.client, "/stats").await;
    let expected = serde_json::json!({
        "Patients": 1, "Studies": 2, "SeriesComplete": 3, "SeriesReceiving": 1,
        "InstancesCount": 3, "SeriesByModality": {"CT": 1, "MR": 1, "SR": 1},
        "SeriesByReason": {"quiet": 3}, "Unannounced": 4,
        "LastCompletedAt": "1970-01-01T00:00:10Z",
    });
    assert_eq!(stats, expected);
}

#[tokio::test]
async fn what_was_completed_lately_is_counted_by_hour_and_sender() {
    let mut feed = Feed::new().await;
    let received = [("1.1", "MR1"), ("1.2", "MR1"), ("1.3", "CT1"), ("1.4", "CT1"), ("1.5", "CT1")];
    for (number, (series, sender)) in (1..).zip(received) {
        feed.sequence += 1;
        let instance = serde_json::json!({
            "StudyInstanceUID": "1", "SeriesInstanceUID": series, "SOPInstanceUID": format!("9.{number}"),
            "CallingAETitle": sender,
        });
        record(feed.owner(), feed.sequence, instance).await;
    }
    const DAY: i64 = 86_400;
    feed.complete(9 * DAY - 1, &["1.1"]).await; // before the day
    feed.complete(9 * DAY, &["1.2"]).await;
    feed.complete(9 * DAY + 3600, &["1.3"]).await;
    feed.complete(10 * DAY - 1, &["1.4"]).await;
    feed.complete(10 * DAY, &["1.5"]).await; // after it
    let activity = json(&feed.api.client, "/stats/activity?Until=1970-01-11T00:00:00Z").await;
    let hours = activity["Hours"].as_array().unwrap();
    assert_eq!(hours.len(), 24);
    assert_eq!(hours[0]["From"], "1970-01-10T00:00:00Z");
    assert_eq!(hours[23]["From"], "1970-01-10T23:00:00Z");
    let series: Vec<_> = hours.iter().map(|hour| hour["Series"].as_u64().unwrap()).collect();
    let with_any = [(0, 1), (1, 1), (23, 1)];
    for (hour, count) in series.iter().enumerate() {
        let expected = with_any.iter().find(|(of, _)| *of == hour).map_or(0, |(_, count)| *count);
        assert_eq!(*count, expected, "hour {hour} of {series:?}");
    }
    let senders = serde_json::json!([
        {"CallingAETitle": "CT1", "Series": 2, "Instances": 2},
        {"CallingAETitle": "MR1", "Series": 1, "Instances": 1},
    ]);
    assert_eq!(activity["Senders"], senders);
    // Another end is another count, and now has none of that day.
    let now = json(&feed.api.client, "/stats/activity").await;
    assert_eq!(now["Senders"], serde_json::json!([]));
    for odd in ["-009999-01-02T01:59:59Z", "9999-12-30T22:00:00Z"] {
        let path = format!("/stats/activity?Until={odd}");
        assert_eq!(json(&feed.api.client, &path).await["Hours"].as_array().unwrap().len(), 24);
    }
    feed.refused("/stats/activity?Until=yesterday", "Until").await;
}
