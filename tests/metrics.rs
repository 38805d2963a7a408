//! What is told at `/metrics`: what docs/metrics.md says and nothing else, in a form that Prometheus takes,
//! and what Prometheus and Grafana make of it.

use crate::harness::listening::Listening;
use crate::harness::pipeline::{Ends, address};
use crate::harness::prometheus::{Prometheus, observability, promtool};
use crate::harness::scu::{Proposal, Scu};
use crate::harness::tools::have;
use crate::harness::{Collimator, Services, eventually, series_to_store};
use collimator::synthetic::SyntheticStudy;
use dicom_dictionary_std::uids;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;

/// A metric: what kind it is, and its labels.
#[derive(Debug, Default, PartialEq, Eq)]
struct Metric {
    kind: String,
    labels: BTreeSet<String>,
}

/// The metrics of docs/metrics.md, by name, with the service that tells each.
fn documented() -> BTreeMap<String, (Metric, String)> {
    let mut documented = BTreeMap::new();
    for row in include_str!("../docs/metrics.md").lines() {
        let Some(row) = row.strip_prefix("| `") else { continue };
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [name, kind, labels, from, ..] = cells[..] else { continue };
        let labels = labels.split(',').map(|label| label.trim().trim_matches('`'));
        let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned).collect();
        let metric = Metric { kind: kind.to_owned(), labels };
        documented.insert(name.trim_matches('`').to_owned(), (metric, from.to_owned()));
    }
    documented
        .retain(|_, (metric, _)| ["counter", "gauge", "histogram"].contains(&metric.kind.as_str()));
    assert!(documented.len() > 20, "{documented:?}");
    documented
}

/// The metrics in the text format of Prometheus, by name.
fn exposed(text: &str) -> BTreeMap<String, Metric> {
    let mut exposed = BTreeMap::<String, Metric>::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap();
            exposed.insert(name.to_owned(), Metric { kind: kind.to_owned(), ..Metric::default() });
        } else if !line.starts_with('#') {
            let (name, labels) = match line.split_once('{') {
                Some((name, rest)) => (name, rest.rsplit_once('}').unwrap().0),
                None => (line.split_once(' ').unwrap().0, ""),
            };
            let metric = exposed.get_mut(of_sample(name)).unwrap_or_else(|| panic!("{line}"));
            // What stands between values, which are in quotation marks.
            let names = labels.split('"').step_by(2).map(|name| name.trim_matches([',', '=']));
            let names = names.filter(|name| !name.is_empty() && *name != "le");
            metric.labels.extend(names.map(str::to_owned));
        }
    }
    exposed
}

/// The metric that a sample is of.
fn of_sample(name: &str) -> &str {
    let parts = ["_bucket", "_sum", "_count"];
    parts.into_iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
}

/// Has a pipeline receive a study of two series, five instances in all.
async fn received_by(collimator: &Collimator) {
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).series("CT", 2).size(16, 16);
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    for (series, count) in study.series_instance_uids().iter().zip([3, 2]) {
        collimator.lists(series, count).await;
    }
}

/// Has it receive as many series as suggest a quiet period, and waits for that.
async fn learns_pauses(sender: &Ends, metrics: &str) {
    let folder = tempfile::tempdir().unwrap();
    let study = (0..20).fold(SyntheticStudy::new(), |study, _| study.series("MR", 2));
    sender.receives(study.size(16, 16).write_to(folder.path()).unwrap()).await;
    eventually("a quiet period that is suggested", async || {
        let text = reqwest::get(metrics).await.unwrap().text().await.unwrap();
        text.contains("collimator_suggested_quiet_period_seconds{").then_some(())
    })
    .await;
}

/// A webhooks file in `folder`, since of webhooks is told only where there are some.
fn webhooks_file(folder: &TempDir) -> String {
    let path = folder.path().join("webhooks.toml");
    let nobody = "[[webhook]]\nname = 'ai'\nurl = 'http://127.0.0.1:9'\n";
    std::fs::write(&path, format!("{nobody}secret = 'sixteen characters'\n")).unwrap();
    path.display().to_string()
}

/// A file of sources in `folder`, one of which is asked and asks for commitments, for the same reason.
fn sources_file(folder: &TempDir) -> String {
    let path = folder.path().join("sources.toml");
    let asked = "ask = { ae_title = 'PACS', host = '127.0.0.1', port = 9, fetch_missing = true }";
    std::fs::write(
        &path,
        format!("[[source]]\nae_title = 'PACS'\ncommitment = 'evidence'\n{asked}\n"),
    )
    .unwrap();
    path.display().to_string()
}

/// An instance store in `folder`, for the same reason.
fn store_url(folder: &TempDir) -> String {
    format!("file://{}", folder.path().join("store").display())
}

/// Whatever is free on the machine that runs the tests.
const NO_RESERVE: (&str, &str) = ("STORE_RESERVE", "0");

#[tokio::test]
async fn all_that_is_documented_is_told_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (webhooks_file(&folder), store_url(&folder));
    let sources = sources_file(&folder);
    let settings =
        [("WEBHOOKS_FILE", &*file), ("STORE_URL", &store), ("SOURCES_FILE", &sources), NO_RESERVE];
    let collimator = Collimator::start_with(&settings).await;
    received_by(&collimator).await;
    learns_pauses(&collimator, &format!("{}/metrics", collimator.api)).await;
    let text = collimator.metrics().await;
    let documented: BTreeMap<_, _> =
        documented().into_iter().map(|(name, (metric, _))| (name, metric)).collect();
    let exposed = exposed(&text);
    for (name, metric) in &documented {
        assert_eq!(exposed.get(name), Some(metric), "{name} is documented; told is {text}");
    }
    for name in exposed.keys() {
        assert!(documented.contains_key(name), "{name} is not in docs/metrics.md");
    }
    if have("promtool") {
        promtool(&["check", "metrics"], &text).await;
    }
}

#[tokio::test]
async fn each_service_tells_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = webhooks_file(&folder);
    let store = store_url(&folder);
    let sources = sources_file(&folder);
    let settings =
        [("WEBHOOKS_FILE", &*file), ("STORE_URL", &store), ("SOURCES_FILE", &sources), NO_RESERVE];
    let mut services = Services::start_with(&settings).await;
    let admin = |line: &str| address(line, "admin listens");
    let ingest = services.ingest.says("where its metrics are", admin).await;
    let indexer = services.indexer.says("where its metrics are", admin).await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 1).size(16, 16);
    services.receives(study.write_to(folder.path()).unwrap()).await;
    services.lists(&study.series_instance_uids()[0], 1).await;
    learns_pauses(&services, &format!("http://{indexer}/metrics")).await;
    let documented = documented();
    for (service, url) in [
        ("ingest", format!("http://{ingest}")),
        ("indexer", format!("http://{indexer}")),
        ("api", services.api.clone()),
    ] {
        let text = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
        let exposed: BTreeSet<_> = exposed(&text).into_keys().collect();
        let its_own = documented.iter().filter(|(_, (_, from))| from == service || from == "all");
        let mut its_own: BTreeSet<_> = its_own.map(|(name, _)| name.clone()).collect();
        if service == "api" && !exposed.contains("collimator_refusals_total") {
            // It has refused nothing so far.
            its_own.remove("collimator_refusals_total");
        }
        assert_eq!(exposed, its_own, "{service}");
    }
}

/// Writes down a series that did not come by DICOM.
async fn store(api: &str, series: &str) {
    let body = series_to_store(series, "1.2.3", 1);
    let stored = reqwest::Client::new().post(format!("{api}/store")).json(&body).send().await;
    assert_eq!(stored.unwrap().status(), 200);
}

#[tokio::test]
async fn what_happens_is_counted() {
    let collimator = Collimator::start_with(&[("CHECK_CALLED_AE", "true")]).await;
    received_by(&collimator).await;
    for (sample, value) in [
        (r#"received_instances_total{sop_class="MRImageStorage",status="success"}"#, 3),
        (r#"received_instances_total{sop_class="CTImageStorage",status="success"}"#, 2),
        (r#"associations_total{outcome="released"}"#, 1),
        ("open_associations", 0),
        ("cstore_duration_seconds_count", 5),
        (r#"completions_total{reason="released"}"#, 2),
        ("series_duration_seconds_count", 2),
        ("open_series", 0),
        ("outbox_announcements", 0),
        ("unread_events", 0),
        (r#"ready{part="indexer"}"#, 1),
        (r#"refusals_total{what="message",cause="nats_silent"}"#, 0),
    ] {
        collimator.tells(sample, value).await;
    }

    let mut scu = Scu::for_class(collimator.dicom, uids::MR_IMAGE_STORAGE, EXPLICIT).await;
    collimator.tells("open_associations", 1).await;
    // An element without the value that it announces.
    let cut_short = b"\x08\x00\x05\x00CS\x0a\x00";
    let refused = scu.store(1, uids::MR_IMAGE_STORAGE, "2.25.1", cut_short).await;
    assert_eq!(refused.status, 0xc000);
    let sample = r#"received_bytes_total{sop_class="MRImageStorage",status="cannot_understand"}"#;
    collimator.tells(sample, 8).await;
    drop(scu);
    collimator.tells(r#"associations_total{outcome="aborted"}"#, 1).await;
    collimator.tells("open_associations", 0).await;

    let proposal = Proposal {
        contexts: &[(uids::MR_IMAGE_STORAGE, &[EXPLICIT])],
        max_pdu_length: 0,
        called_ae_title: "SOMEBODY",
    };
    assert!(Scu::associate(collimator.dicom, proposal).await.is_err());
    collimator.tells(r#"associations_total{outcome="rejected"}"#, 1).await;

    let unreadable = "dicom.instance.stored.00.MR.2.25.1";
    collimator.nats.publish(unreadable, "no JSON".into()).await.unwrap();
    collimator.tells(r#"refusals_total{what="event",cause="unreadable"}"#, 1).await;
    collimator.tells("dead_letters", 1).await;

    store(&collimator.api, "1.2.3.4").await;
    collimator.tells(r#"completions_total{reason="stored"}"#, 1).await;

    let listening = Listening::to(&collimator.api, "", None).await;
    assert!(listening.is_ok());
    collimator.tells("event_listeners", 1).await;
}

#[tokio::test]
async fn prometheus_scrapes_it_and_no_alert_is_raised() {
    let collimator = Collimator::start().await;
    let target = collimator.api.strip_prefix("http://").unwrap();
    let Some(prometheus) = Prometheus::start(target).await else { return };
    prometheus.finds("up", 1.0).await;
    received_by(&collimator).await;
    prometheus.finds("sum(collimator_received_instances_total)", 5.0).await;
    prometheus.finds("sum(collimator_completions_total)", 2.0).await;
    prometheus.finds("collimator_watermark_delay_seconds", 0.0).await;
    prometheus.finds("min(collimator_ready)", 1.0).await;
    prometheus.finds("count(process_resident_memory_bytes > 1e6)", 1.0).await;
    let rules = eventually("rules that were evaluated", async || {
        let rules = prometheus.rules().await;
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    })
    .await;
    assert!(rules.len() >= 10, "{rules:?}");
    for rule in rules {
        // One may be pending for a moment, as what is looked at every five seconds may be late.
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_ne!(rule["state"], "firing", "{rule}");
    }
}

/// All that the panels of the dashboard ask, with a time where Grafana puts one.
fn asked_by_the_dashboard() -> Vec<String> {
    let path = observability().join("grafana/dashboards/collimator.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let asked = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let asked: Vec<_> = asked.map(|asked| asked.replace("$__rate_interval", "5m")).collect();
    assert!(asked.len() > 20, "{asked:?}");
    asked
}

/// The metrics that are named in expressions.
fn named_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("collimator_") || word.starts_with("process_"));
    ours.map(|word| of_sample(word).to_owned()).collect()
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_what_is_documented() {
    let documented = documented();
    let alerts = std::fs::read_to_string(observability().join("alerts.yml")).unwrap();
    let asked = named_in(&(alerts + &asked_by_the_dashboard().join("\n")));
    for name in &asked {
        assert!(documented.contains_key(name), "{name} is not in docs/metrics.md");
    }
    // What nobody looks at need not be counted.
    let rest: Vec<_> = documented.keys().filter(|name| !asked.contains(*name)).collect();
    let read_when_in_doubt = [
        "collimator_batch_bytes",
        "collimator_heartbeats_total",
        // What is counted by files is shown.
        "collimator_store_bytes_removed_total",
        "process_start_time_seconds",
    ];
    assert_eq!(rest, read_when_in_doubt);
}

#[tokio::test]
async fn prometheus_understands_its_configuration_the_alerts_and_what_the_dashboard_asks() {
    if !have("promtool") {
        return;
    }
    promtool(&["check", "config", "prometheus.yml"], "").await;
    promtool(&["check", "rules", "alerts.yml"], "").await;
    promtool(&["test", "rules", "alerts_test.yml"], "").await;

    let asked = asked_by_the_dashboard().into_iter().enumerate();
    let rules = asked.map(|(n, expr)| json!({ "record": format!("dashboard:{n}"), "expr": expr }));
    let rules = json!({ "groups": [{ "name": "dashboard", "rules": rules.collect::<Vec<_>>() }] });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dashboard.yml");
    std::fs::write(&path, rules.to_string()).unwrap();
    promtool(&["check", "rules", path.to_str().unwrap()], "").await;
}

#[test]
fn each_alert_is_tested() {
    let alerts = std::fs::read_to_string(observability().join("alerts.yml")).unwrap();
    let tested = std::fs::read_to_string(observability().join("alerts_test.yml")).unwrap();
    let names = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let untested: Vec<_> =
        names.filter(|name| !tested.contains(&format!("alertname: {name}\n"))).collect();
    assert_eq!(untested, [""; 0]);
}
