//! What is asked for by a name, a date or an id that is written as something else: SQL, header lines,
//! JSON, patterns, templates. Parameters come out of the served document, so that no new one is left out.

use super::{is_in_order, printed_beside_the_log};
use crate::harness::Collimator;
use crate::harness::pipeline::rows;
use crate::harness::raw_http::{RawAnswer, percent, request, say};
use catalog::{Attribute, Level, attributes_of};
use collimator::synthetic::SyntheticStudy;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tempfile::TempDir;

/// The patient that nobody who does not ask for her by name is to hear of.
const VICTIM: (&str, &str) = ("Roe^Jane", "ID17");

/// What is written instead of a value. What is text can be somebody's name, however odd.
fn texts() -> Vec<String> {
    let texts = [
        "'",
        "''",
        "\"",
        "`",
        "\\",
        "\\'",
        "') --",
        "' OR '1'='1",
        "' or 1=1 --",
        "\" OR \"\"=\"",
        "Roe^Jane' OR '1'='1",
        "Roe^Jane'--",
        "ID17'/**/or/**/'a'='a",
        "Roe^Jane' AND patient_name LIKE 'R%",
        "'; DROP TABLE series; --",
        "'; DELETE FROM instances WHERE '1'='1",
        "'; ATTACH DATABASE '/tmp/pwned.db' AS pwned; --",
        "' UNION SELECT name, sql, 1, 2, 3 FROM sqlite_schema --",
        "1) UNION SELECT * FROM patients --",
        "(select patient_name from patients limit 1)",
        "ID17; vacuum",
        "%",
        "_",
        "R%",
        "Roe^Jan_",
        "ID1_",
        "[R]oe^Jane",
        "[!x]D17",
        "[A-Z]*",
        "I[D]*",
        "roe^jane\\",
        "\u{ff32}oe^Jane",
        "Roe\u{2019}^Jane",
        "Roe^Jane\u{202e}",
        "\u{feff}Roe^Jane",
        "Roe^Jane\u{301}",
        "\u{130}D17",
        "\u{1f480}",
        "${jndi:ldap://127.0.0.1/pwned}",
        "{{7*7}}",
        "<script>pwned()</script>",
        "%s%s%n%x",
        "$(touch /tmp/pwned)",
        "{\"$ne\":null}",
        "\"],\"pwned\":[\"",
        "dicom.>",
        "INSTANCES:1'",
        "-1;",
        "1e999",
        "NaN",
        "null",
        "0099999999999999999999",
        "0x11",
    ];
    texts.map(str::to_owned).into()
}

/// What no text is: control characters, more than there may be, what is no UTF-8.
fn others() -> Vec<Vec<u8>> {
    [
        &b"Roe^Jane\0"[..],
        b"ID17\0' or 1=1",
        b"\0",
        b"x\r\nX-Pwned: pwned\r\n\r\n<pwned>",
        b"x\nX-Pwned: pwned",
        b"Roe^Jane\r",
        b"\x1b]0;pwned\x07\x1b[31m",
        b"\xff\xfe",
        b"\xc0\xa7 OR 1=1",
        b"\xed\xa0\x80",
        &b"'".repeat(500),
        &b"(".repeat(5000),
        &b"x".repeat(100_000),
    ]
    .map(<[u8]>::to_vec)
    .into()
}

/// All of them.
fn payloads() -> Vec<Vec<u8>> {
    texts().into_iter().map(String::into_bytes).chain(others()).collect()
}

/// Whether a value is what is asked for, or one of its values is one of those that are (PS3.4 section
/// C.2.2.2.2, PS3.5 section 6.4). A name has one value, in component groups.
fn fits(asked: &str, value: &str, is_name: bool) -> bool {
    let parts = |text: &str| -> Vec<String> {
        let parts = text.split('\\').map(|part| part.trim_matches(' ').to_owned());
        parts.filter(|part| !part.is_empty()).collect()
    };
    let whole = |text: &str| vec![text.trim_matches(' ').to_owned()];
    let all_asked = Some(parts(asked)).filter(|parts| !parts.is_empty());
    let all_asked = all_asked.unwrap_or_else(|| whole(asked));
    let of_value = match is_name {
        true => value.split('=').map(str::to_owned).collect(),
        false => parts(value),
    };
    let values = [of_value, whole(value)].concat();
    all_asked.iter().any(|asked| values.iter().any(|value| fits_one(asked, value, is_name)))
}

/// Whether one value is what is asked for, by the wild cards of DICOM (PS3.4 section C.2.2.2.4) and no
/// others. Letters of a name have no case.
fn fits_one(asked: &str, value: &str, is_name: bool) -> bool {
    let fold = |text: &str| match is_name {
        true => text.to_lowercase(),
        false => text.to_owned(),
    };
    fn fits(asked: &[char], value: &[char]) -> bool {
        match (asked, value) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=value.len()).any(|from| fits(rest, &value[from..])),
            (['?', rest @ ..], [_, value @ ..]) => fits(rest, value),
            ([first, rest @ ..], [is, value @ ..]) => first == is && fits(rest, value),
            _ => false,
        }
    }
    let chars = |text: &str| fold(text).chars().collect::<Vec<_>>();
    fits(&chars(asked), &chars(value))
}

/// An API with the victim's series of two instances, and one for each odd text whose name and id it is.
struct Target {
    collimator: Collimator,
    data: TempDir,
    uids: Vec<String>,
    names: Vec<String>,
}

impl Target {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().to_str().unwrap();
        // No study is announced while it is attacked, which takes minutes on a slow machine.
        let settings = [("DATA_DIR", folder), ("STUDY_QUIET_PERIOD", "1h")];
        let collimator = Collimator::start_with(&settings).await;
        let study = SyntheticStudy::new().patient(VICTIM.0, VICTIM.1).series("MR", 2).size(8, 8);
        let images = tempfile::tempdir().unwrap();
        collimator.receives(study.write_to(images.path()).unwrap()).await;
        let mut uids = study.series_instance_uids();
        collimator.lists(&uids[0], 2).await;
        let names = texts();
        for (number, name) in names.iter().enumerate() {
            let uid = format!("1.2.{number}");
            let series = json!({
                "SeriesInstanceUID": uid, "StudyInstanceUID": format!("1.3.{number}"),
                "PatientID": name, "PatientName": name, "InstancesCount": 1,
            });
            let body = serde_json::to_vec(&series).unwrap();
            let json = [("Content-Type", &b"application/json"[..])];
            let answer = say(&collimator.api, &request("POST", "/store", &json, &body)).await;
            assert_eq!(answer.unwrap().status, 200, "{name}");
            uids.push(uid);
        }
        Self { collimator, data, uids, names }
    }

    async fn asks(&self, method: &str, target: &str, headers: &[(&str, &[u8])]) -> RawAnswer {
        let asked = &target[..target.len().min(200)];
        let answer = say(&self.collimator.api, &request(method, target, headers, b"")).await;
        let answer = answer.unwrap_or_else(|| panic!("{asked}: no answer"));
        is_in_order(&answer, asked);
        answer
    }

    /// How many of the patients are asked for by an id or a name; the victim first.
    fn wanted(&self, keyword: &str, asked: &[u8]) -> [usize; 2] {
        let Ok(asked) = std::str::from_utf8(asked) else { return [0, 0] };
        let others = match keyword {
            "PatientID" => self.names.iter().filter(|name| fits(asked, name, false)).count(),
            "PatientName" => self.names.iter().filter(|name| fits(asked, name, true)).count(),
            _ => 0,
        };
        let victim = match keyword {
            "PatientID" => fits(asked, VICTIM.1, false),
            "PatientName" => fits(asked, VICTIM.0, true),
            _ => false,
        };
        [usize::from(victim), others]
    }

    /// All that the catalogue says, here and in its file, but for how far it has read: what is asked for may be an event.
    async fn all(&self) -> (String, Vec<String>) {
        let listed = reqwest::get(format!("{}/series?State=all", self.collimator.api)).await;
        let listed = listed.unwrap().text().await.unwrap();
        let mut rows = rows(&self.data.path().join("catalog.db")).await;
        rows.retain(|row| !row.starts_with("bookmark "));
        (listed, rows)
    }

    /// The served document.
    async fn document(&self) -> Value {
        let answer = reqwest::get(format!("{}/openapi.json", self.collimator.api)).await;
        answer.unwrap().json().await.unwrap()
    }
}

/// A parameter of the document, and an operation that takes it.
struct Taken {
    method: String,
    path: String,
    place: String,
    name: String,
    statuses: Vec<u16>,
}

fn parameters(document: &Value) -> Vec<Taken> {
    let mut taken = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let statuses = operation["responses"].as_object().unwrap().keys();
            let statuses: Vec<_> = statuses.map(|status| status.parse().unwrap()).collect();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let text = |key: &str| parameter[key].as_str().unwrap().to_owned();
                taken.push(Taken {
                    method: method.to_ascii_uppercase(),
                    path: path.clone(),
                    place: text("in"),
                    name: text("name"),
                    statuses: statuses.clone(),
                });
            }
        }
    }
    taken
}

#[tokio::test]
async fn no_parameter_of_the_documented_operations_is_more_than_a_value() {
    let target = Target::start().await;
    let before = target.all().await;
    let beside = printed_beside_the_log(&target.collimator.process.printed());
    let taken = parameters(&target.document().await);
    let places: BTreeSet<&str> = taken.iter().map(|taken| taken.place.as_str()).collect();
    assert_eq!(places.into_iter().collect::<Vec<_>>(), ["header", "path", "query"]);
    assert!(taken.len() > 40, "{} parameters", taken.len());
    for Taken { method, path, place, name, statuses } in &taken {
        for payload in payloads() {
            let asked = percent(&payload);
            let in_place = path.replace(&format!("{{{name}}}"), &asked);
            let known = in_place.replace("{SeriesInstanceUID}", &target.uids[0]);
            let (path, headers) = match place.as_str() {
                "path" => (in_place, None),
                "query" => (format!("{known}?{}={asked}", percent(name.as_bytes())), None),
                _ => (known.replace("{StudyInstanceUID}", "1.3.0"), Some(payload.clone())),
            };
            // A line's end ends a header whoever sends it.
            if headers.as_ref().is_some_and(|value| value.iter().any(|b| b"\r\n\0".contains(b))) {
                continue;
            }
            let headers = headers.as_ref().map(|value| (name.as_str(), value.as_slice()));
            let answer = target.asks(method, &path, headers.as_slice()).await;
            let context = format!("{method} {path}: {answer:?}");
            assert!(statuses.contains(&answer.status) || answer.body.is_empty(), "{context}");
            let is_endless = answer.header("content-type") == Some("text/event-stream");
            if place == "query" && answer.status == 200 && !is_endless {
                let listed = answer.json();
                let listed = listed.as_array().unwrap_or_else(|| panic!("{context}"));
                let wanted: usize = target.wanted(name, &payload).iter().sum();
                assert_eq!(listed.len(), wanted, "{context}");
            }
        }
    }
    // Names that are none of ours.
    for path in ["/series", "/studies", "/events", "/dead-letters", "/dicom-web/series"] {
        for payload in payloads() {
            let answer = target.asks("GET", &format!("{path}?{}=1", percent(&payload)), &[]).await;
            // By QIDO-RS what looks like an attribute is passed over, and said to be.
            let passed_over = answer.header("warning").is_some_and(|it| it.contains("ignored"));
            assert!(answer.status >= 400 || passed_over, "{path}: {answer:?}");
        }
    }
    assert_eq!(target.all().await, before);
    assert_eq!(printed_beside_the_log(&target.collimator.process.printed()), beside);
}

#[tokio::test]
async fn no_attribute_of_a_qido_search_is_more_than_a_value() {
    let target = Target::start().await;
    let before = target.all().await;
    let parameters = [
        "limit",
        "offset",
        "fuzzymatching",
        "emptyvaluematching",
        "includefield",
        "accept",
        "RequestAttributesSequence.RequestedProcedureID",
        "00400275.00400009",
    ];
    let levels =
        [(Level::Study, "studies"), (Level::Series, "series"), (Level::Instance, "instances")];
    for (level, resource) in levels {
        let above = levels.into_iter().filter(|(above, _)| *above <= level);
        let attributes: Vec<&Attribute> =
            above.flat_map(|(above, _)| attributes_of(above)).collect();
        let named = attributes.iter().enumerate().map(|(number, attribute)| match number % 3 {
            // They are one and the same.
            0 => (attribute.hex_tag(), attribute.keyword),
            _ => (attribute.keyword.to_owned(), attribute.keyword),
        });
        let others = ["PatientID", "PatientName"].into_iter().chain(parameters);
        for (name, keyword) in named.chain(others.map(|name| (name.to_owned(), name))) {
            for payload in payloads() {
                let path = format!("/dicom-web/{resource}?{name}={}", percent(&payload));
                let answer = target.asks("GET", &path, &[]).await;
                let passed_over = answer.header("warning").is_some_and(|it| it.contains("ignored"));
                if passed_over || answer.status >= 400 {
                    continue;
                }
                let found = answer.json().as_array().map_or(0, Vec::len);
                let [victim, others] = target.wanted(keyword, &payload);
                let wanted = match level {
                    Level::Instance => 2 * victim,
                    Level::Study | Level::Series => victim + others,
                };
                assert_eq!(found, wanted, "{path}: {answer:?}");
            }
        }
    }
    for payload in payloads() {
        let asked = percent(&payload);
        for path in [
            format!("/dicom-web/studies/{asked}/series"),
            format!("/dicom-web/studies/{asked}/instances"),
            format!("/dicom-web/studies/1.3.0/series/{asked}/instances"),
        ] {
            let answer = target.asks("GET", &path, &[]).await;
            assert_ne!(answer.status, 200, "{path}: {answer:?}");
        }
    }
    assert_eq!(target.all().await, before);
}

#[tokio::test]
async fn no_header_and_no_link_of_an_answer_has_a_line_of_the_asker() {
    let target = Target::start().await;
    let before = target.all().await;
    let beside = printed_beside_the_log(&target.collimator.process.printed());
    let names = [
        "Host",
        "Origin",
        "Authorization",
        "Accept",
        "Cookie",
        "Referer",
        "User-Agent",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "Access-Control-Request-Method",
        "Range",
        "If-Match",
        "Content-Type",
        "Traceparent",
    ];
    for name in names {
        for payload in payloads() {
            let is_one_line = !payload.iter().any(|byte| b"\r\n\0".contains(byte));
            for (method, path) in [("GET", "/series"), ("OPTIONS", "/store"), ("POST", "/store")] {
                if is_one_line {
                    target.asks(method, path, &[(name, &payload)]).await;
                }
            }
        }
    }
    // What changes something, in the clothes of what does not.
    let uid = &target.uids[0];
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let path = format!("/series/{uid}?_method=DELETE");
        target.asks("GET", &path, &[(name, b"DELETE")]).await;
        target.asks("GET", &format!("/series/{uid}"), &[(name, b"DELETE")]).await;
    }
    // The link to the next page repeats what was asked.
    for query in ["PatientID=*%0a", "PatientName=*%0A&PatientID=*", "sort=Arrival%0a"] {
        let answer = target.asks("GET", &format!("/series?limit=1&count=true&{query}"), &[]).await;
        let link = answer.header("link").unwrap_or_else(|| panic!("{query}: {answer:?}"));
        assert!(link.ends_with(">; rel=\"next\"") && link.matches('<').count() == 1, "{link}");
    }
    assert_eq!(target.all().await, before);
    assert_eq!(printed_beside_the_log(&target.collimator.process.printed()), beside);
}

#[tokio::test]
async fn no_field_of_a_stored_series_is_more_than_a_value() {
    let target = Target::start().await;
    let before = target.all().await;
    let good = json!({
        "SeriesInstanceUID": "1.2.999", "StudyInstanceUID": "1.3.999", "PatientID": "p",
        "PatientName": "n", "InstancesCount": 1,
    });
    let json = [("Content-Type", &b"application/json"[..])];
    let store = async |body: Vec<u8>| {
        let answer = say(&target.collimator.api, &request("POST", "/store", &json, &body)).await;
        let answer = answer.unwrap();
        is_in_order(&answer, &String::from_utf8_lossy(&body[..body.len().min(300)]));
        answer.status
    };
    for field in good.as_object().unwrap().keys() {
        for payload in payloads() {
            let text = String::from_utf8_lossy(&payload);
            let mut series = good.clone();
            series[field] = json!(text);
            // Where the text may be anybody's name, the UID of the series may not be one.
            if field.starts_with("Patient") {
                series["SeriesInstanceUID"] = json!("1.2.999'");
            }
            assert!([413, 422].contains(&store(serde_json::to_vec(&series).unwrap()).await));
            // As it is, between quotation marks: whatever becomes of it, it has a UID that is known.
            let known = format!(r#"{{"SeriesInstanceUID":"1.2.0","{field}":""#).into_bytes();
            let body = [&known[..], &payload, b"\"}"].concat();
            assert!([413, 422].contains(&store(body).await), "{field}: {text}");
        }
    }
    let deep = [b"{\"PatientID\":".to_vec(), b"[".repeat(60_000)].concat();
    assert_eq!(store(deep).await, 422);
    for number in ["1e999", "-0", "1.5", "4294967296", "NaN", "01", "true"] {
        let body = good.to_string().replace(":1,", &format!(":{number},"));
        assert_ne!(body, good.to_string());
        assert_eq!(store(body.into_bytes()).await, 422, "{number}");
    }
    assert_eq!(target.all().await, before);
}
