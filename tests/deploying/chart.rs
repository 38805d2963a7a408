//! The Helm chart: Helm lints and renders it, and what comes of it is what Kubernetes takes and the services understand.

use super::{assert_known, assert_setting, file};
use crate::harness::python;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Helm's own library, and the schemas of Kubernetes.
const PACKAGES: [&str; 2] = ["helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0"];

/// The oldest that the chart is for, and the newest whose schemas there are.
const KUBERNETES: [&str; 2] = ["1.27", "1.37"];

/// Lints a chart, renders it with each of the values, and prints the objects, or why there are none. An object that is not as
/// its schema has it is an error.
const SCRIPT: &str = r#"
import json, sys
import helm_python, kubernetes_validate, yaml

folder, versions, all_values = sys.argv[1], sys.argv[2].split(), json.loads(sys.argv[3])
lint = helm_python.lint(folder)
rendered = []
with helm_python.Chart.load(folder) as chart:
    for values in all_values:
        try:
            chart.validate_schema(values)
            texts = chart.render(values, name="pacs", namespace="imaging")
        except helm_python.HelmError as error:
            rendered.append({"error": str(error), "objects": [], "notes": ""})
            continue
        notes = texts.pop("collimator/templates/NOTES.txt")
        objects = [it for text in texts.values() for it in yaml.safe_load_all(text) if it]
        for it in objects:
            for version in versions:
                kubernetes_validate.validate(it, version, strict=True)
        rendered.append({"error": None, "objects": objects, "notes": notes})
print(json.dumps({"lint": lint, "rendered": rendered}))
"#;

#[derive(Debug, Deserialize)]
struct Outcome {
    lint: Value,
    rendered: Vec<Rendered>,
}

#[derive(Debug, Deserialize)]
struct Rendered {
    error: Option<String>,
    objects: Vec<Value>,
    notes: String,
}

impl Rendered {
    fn object(&self, kind: &str, name: &str) -> &Value {
        let is_it = |it: &&Value| it["kind"] == kind && it["metadata"]["name"] == name;
        self.objects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    /// The objects that make pods.
    fn workloads(&self) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(|it| it["spec"]["template"]["spec"]["containers"].is_array())
    }

    fn containers(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.workloads().flat_map(|workload| {
            let pod = &workload["spec"]["template"]["spec"];
            pod["containers"].as_array().unwrap().iter().map(move |container| (pod, container))
        })
    }

    fn kinds(&self, kind: &str) -> BTreeSet<String> {
        let of_kind = self.objects.iter().filter(|it| it["kind"] == kind);
        of_kind.map(|it| it["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }
}

fn chart() -> PathBuf {
    file("helm/collimator")
}

fn values(name: &str) -> Value {
    let path = chart().join("ci").join(name);
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What Helm makes of each of these values, with each object held against the schemas of these versions of Kubernetes;
/// `None` where Helm can't be had (which is said).
async fn render(all: &[Value], kubernetes: &[&str]) -> Option<Outcome> {
    let packages = python::packages("helm", &PACKAGES).await?;
    let (chart, all) = (chart(), json!(all).to_string());
    let arguments = [chart.to_str().unwrap(), &kubernetes.join(" "), &all];
    Some(serde_json::from_str(&python::run(&packages, SCRIPT, &arguments).await).unwrap())
}

/// The outcome of the values that are there for tests: the defaults, a cluster, SQLite.
async fn three() -> Option<[Rendered; 3]> {
    three_for(&[]).await
}

async fn three_for(kubernetes: &[&str]) -> Option<[Rendered; 3]> {
    let all = [json!({}), values("cluster-values.yaml"), values("sqlite-values.yaml")];
    let outcome = render(&all, kubernetes).await?;
    assert_eq!(outcome.lint["errors"], json!([]), "{:?}", outcome.lint);
    // 1 is advice: a chart might have an icon.
    let messages = outcome.lint["messages"].as_array().unwrap().iter();
    let severe: Vec<_> = messages.filter(|it| it["severity"].as_u64() > Some(1)).collect();
    assert!(severe.is_empty(), "{severe:?}");
    for it in &outcome.rendered {
        assert_eq!(it.error, None);
    }
    Some(outcome.rendered.try_into().unwrap())
}

fn text(it: &Value) -> &str {
    it.as_str().unwrap_or_else(|| panic!("{it}"))
}

#[tokio::test]
async fn helm_finds_no_fault_and_kubernetes_takes_each_object() {
    let Some(all) = three_for(&KUBERNETES).await else { return };
    for rendered in all {
        assert!(rendered.objects.len() > 5, "{:?}", rendered.objects);
    }
}

#[tokio::test]
async fn each_container_runs_a_service_with_settings_that_it_has_once_and_is_hardened() {
    let Some(all) = three().await else { return };
    for rendered in &all {
        for (pod, container) in rendered.containers() {
            let service = text(&container["name"]);
            assert_eq!(container["args"], json!([service]));
            let names: Vec<_> =
                container["env"].as_array().unwrap().iter().map(|it| text(&it["name"])).collect();
            for name in &names {
                assert_setting(service, name, "the chart");
            }
            let different: BTreeSet<_> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{service}: {names:?}");
            let mounted: BTreeSet<_> = container["volumeMounts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| text(&it["name"]))
                .collect();
            let volumes: BTreeSet<_> = pod["volumes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| text(&it["name"]))
                .chain(["data"])
                .collect();
            assert!(mounted.is_subset(&volumes), "{service}: {mounted:?}, {volumes:?}");
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{service}");
            assert_eq!(
                container["securityContext"]["allowPrivilegeEscalation"], false,
                "{service}"
            );
            assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{service}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{service}");
            for probe in ["livenessProbe", "readinessProbe"] {
                let port = &container[probe]["httpGet"]["port"];
                let ports = container["ports"].as_array().unwrap();
                assert!(ports.iter().any(|it| it["name"] == *port), "{service}: {port}");
            }
        }
        // Whoever selects pods finds some.
        let pods: Vec<_> =
            rendered.workloads().map(|it| &it["spec"]["template"]["metadata"]["labels"]).collect();
        let mut selectors = 0;
        for it in &rendered.objects {
            let selector = match text(&it["kind"]) {
                "Service" => &it["spec"]["selector"],
                "NetworkPolicy" => &it["spec"]["podSelector"]["matchLabels"],
                "PodDisruptionBudget" | "Deployment" | "StatefulSet" => {
                    &it["spec"]["selector"]["matchLabels"]
                }
                _ => continue,
            };
            assert!(pods.contains(&selector), "{}: {selector}", it["metadata"]["name"]);
            selectors += 1;
        }
        assert!(selectors > 5, "{selectors}");
    }
}

#[tokio::test]
async fn a_cluster_has_several_of_each_service_and_one_on_a_volume_has_one_pod() {
    let Some([_, cluster, sqlite]) = three().await else { return };
    let names = |all: &[&str]| {
        all.iter().map(|it| format!("pacs-collimator-{it}")).collect::<BTreeSet<_>>()
    };
    assert_eq!(cluster.kinds("Deployment"), names(&["indexer", "api"]));
    assert_eq!(cluster.kinds("StatefulSet"), names(&["ingest"]));
    assert_eq!(cluster.kinds("PodDisruptionBudget"), names(&["ingest", "indexer", "api"]));
    assert_eq!(cluster.kinds("NetworkPolicy"), names(&["ingest", "indexer", "api"]));
    assert_eq!(cluster.kinds("HorizontalPodAutoscaler"), names(&["ingest", "api"]));
    assert_eq!(cluster.object("Deployment", "pacs-collimator-indexer")["spec"]["replicas"], 2);
    // Who is scaled by Kubernetes has no number of its own, or each upgrade would set it back.
    let ingest = cluster.object("StatefulSet", "pacs-collimator-ingest");
    assert_eq!(ingest["spec"]["replicas"], Value::Null);
    // One service can be of another version during an upgrade.
    let image =
        |it: &Value| text(&it["spec"]["template"]["spec"]["containers"][0]["image"]).to_owned();
    assert!(image(ingest).ends_with(":0.0.9"));
    assert!(image(cluster.object("Deployment", "pacs-collimator-api")).ends_with(":0.1.0"));

    assert_eq!(sqlite.kinds("Deployment"), BTreeSet::new());
    assert_eq!(sqlite.kinds("StatefulSet"), names(&["ingest", "catalogue"]));
    let catalogue = sqlite.object("StatefulSet", "pacs-collimator-catalogue");
    assert_eq!(catalogue["spec"]["replicas"], 1);
    let services: Vec<_> = sqlite.containers().map(|(_, it)| text(&it["name"])).collect();
    assert_eq!(
        services.into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from(["api", "indexer", "ingest"])
    );
    assert!(sqlite.notes.contains("SQLite") && !cluster.notes.contains("SQLite"));
}

#[tokio::test]
async fn a_receiver_has_time_to_drain_and_its_service_keeps_the_senders_address() {
    let Some([default, cluster, _]) = three().await else { return };
    for rendered in [&default, &cluster] {
        let ingest = rendered.object("StatefulSet", "pacs-collimator-ingest");
        let pod = &ingest["spec"]["template"]["spec"];
        let environment = pod["containers"][0]["env"].as_array().unwrap();
        let drain = environment.iter().find(|it| it["name"] == "DRAIN_TIMEOUT").unwrap();
        let drain: u64 = text(&drain["value"]).trim_end_matches('s').parse().unwrap();
        // 5 s before SIGTERM, and SHUTDOWN_GRACE.
        assert!(pod["terminationGracePeriodSeconds"].as_u64() > Some(5 + drain + 10), "{pod}");
        let service = rendered.object("Service", "pacs-collimator-ingest");
        let proxies = environment.iter().any(|it| it["name"] == "PROXY_FROM");
        let policy = text(&service["spec"]["externalTrafficPolicy"]);
        assert_eq!(policy, if proxies { "Cluster" } else { "Local" });
    }
    assert!(default.notes.contains("The API does not start yet"), "{}", default.notes);
    assert!(!cluster.notes.contains("does not start"), "{}", cluster.notes);
}

#[tokio::test]
async fn each_service_sees_only_its_own_secret_of_nats() {
    let Some([_, cluster, sqlite]) = three().await else { return };
    for (rendered, ending) in [(cluster, ""), (sqlite, ".creds")] {
        let mut seen = 0;
        for (pod, container) in rendered.containers() {
            let service = text(&container["name"]);
            let volume = format!("{service}-nats");
            let volumes = pod["volumes"].as_array().unwrap();
            let secret = &volumes.iter().find(|it| it["name"] == volume).unwrap()["secret"];
            let key = format!("{service}{ending}");
            assert_eq!(secret["items"], json!([{ "key": key, "path": key }]));
            let mounts = container["volumeMounts"].as_array().unwrap();
            let of_nats = mounts.iter().filter(|it| it["mountPath"] == "/nats");
            assert_eq!(of_nats.map(|it| text(&it["name"])).collect::<Vec<_>>(), [volume]);
            seen += 1;
        }
        assert_eq!(seen, 3);
    }
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    container["env"].as_array().unwrap().iter().find(|it| it["name"] == name)
}

fn ports(rules: &Value) -> Vec<u64> {
    let rules = rules.as_array().unwrap().iter();
    rules
        .flat_map(|it| it["ports"].as_array().unwrap())
        .filter_map(|it| it["port"].as_u64())
        .collect()
}

#[tokio::test]
async fn all_services_have_the_instance_store_and_the_api_only_reads_it() {
    let Some([default, cluster, sqlite]) = three().await else { return };
    for (_, container) in default.containers() {
        assert_eq!(variable(container, "STORE_URL"), None);
    }
    for (_, container) in cluster.containers() {
        let value = |name| text(&variable(container, name).unwrap()["value"]);
        assert_eq!(value("STORE_URL"), "s3://series/kept");
        assert_eq!(value("AWS_ENDPOINT_URL"), "https://s3.example.org:9000");
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let secret = &variable(container, name).unwrap()["valueFrom"]["secretKeyRef"];
            assert_eq!(*secret, json!({ "name": "collimator-bucket", "key": name }));
        }
    }
    for service in ["ingest", "indexer"] {
        let policy = cluster.object("NetworkPolicy", &format!("pacs-collimator-{service}"));
        assert!(ports(&policy["spec"]["egress"]).contains(&9000), "{policy}");
    }
    for (pod, container) in sqlite.containers() {
        assert_eq!(text(&variable(container, "STORE_URL").unwrap()["value"]), "file:///store");
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|it| it["mountPath"] == "/store").unwrap();
        assert_eq!(mount["readOnly"] == true, container["name"] == "api", "{mount}");
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|it| it["name"] == mount["name"]).unwrap();
        assert_eq!(volume["persistentVolumeClaim"]["claimName"], "series");
    }
}

#[tokio::test]
async fn the_api_passes_stow_on_to_receivers_with_a_secret_of_both() {
    let Some([default, cluster, _]) = three().await else { return };
    for (_, container) in default.containers() {
        assert_eq!(variable(container, "STOW_TOKEN_FILE"), None);
    }
    for (pod, container) in cluster.containers() {
        let token = variable(container, "STOW_TOKEN_FILE");
        if container["name"] == "indexer" {
            assert_eq!(token, None);
            continue;
        }
        let folder = text(&token.unwrap()["value"]).trim_end_matches("/token");
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|it| it["mountPath"] == folder).unwrap();
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|it| it["name"] == mount["name"]).unwrap();
        assert_eq!(volume["secret"]["secretName"], "collimator-stow");
    }
    let api = cluster.object("Deployment", "pacs-collimator-api");
    let container = &api["spec"]["template"]["spec"]["containers"][0];
    let url = text(&variable(container, "STOW_URL").unwrap()["value"]);
    let (name, port) = url.trim_start_matches("http://").split_once(':').unwrap();
    let service = &cluster.object("Service", name)["spec"];
    assert_eq!(service["ports"][0]["port"], port.parse::<u64>().unwrap());
    let ingest = cluster.object("StatefulSet", "pacs-collimator-ingest");
    assert_eq!(service["selector"], ingest["spec"]["selector"]["matchLabels"]);
    // Nobody else reaches that port.
    let policy = cluster.object("NetworkPolicy", "pacs-collimator-ingest");
    let rules = policy["spec"]["ingress"].as_array().unwrap();
    let port: u64 = port.parse().unwrap();
    let rule = rules.iter().find(|it| it["ports"][0]["port"] == port).unwrap();
    let from = &rule["from"][0]["podSelector"]["matchLabels"];
    assert_eq!(*from, api["spec"]["selector"]["matchLabels"]);
    assert!(ports(&policy["spec"]["egress"]).contains(&104), "sources that are asked");
}

#[tokio::test]
async fn values_that_mean_nothing_are_refused() {
    let wrong = [
        json!({ "nat": {} }),
        json!({ "nats": { "url": "http://nats" } }),
        json!({ "settings": { "NATS_URL": "nats://other" } }),
        json!({ "ingest": { "settings": { "quiet": "1s" } } }),
        json!({ "store": { "url": "/store" } }),
        json!({ "store": { "url": "file:///store" } }),
        json!({ "store": { "url": "s3://series" } }),
        json!({ "ingest": { "settings": { "MAX_ASSOCIATIONS": 5 } } }),
        json!({ "ingest": { "service": { "externalTrafficPolicy": "local" } } }),
    ];
    let Some(outcome) = render(&wrong, &[]).await else { return };
    for (values, rendered) in wrong.iter().zip(outcome.rendered) {
        assert!(rendered.error.is_some(), "{values}");
    }
}

/// The schema refuses what the chart sets itself, by name, and examples in comments are settings.
#[test]
fn names_of_settings_in_the_chart_exist() {
    let read = |name: &str| std::fs::read_to_string(chart().join(name)).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let own = &schema["definitions"]["settings"]["propertyNames"]["not"]["enum"];
    let own = own.as_array().unwrap();
    assert!(own.len() > 10);
    for name in own {
        assert_known(text(name), "values.schema.json");
    }
    let mut examples = 0;
    for line in read("values.yaml").lines() {
        let Some((name, _)) = line.trim().strip_prefix("# ").and_then(|it| it.split_once(": "))
        else {
            continue;
        };
        if name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
            assert_known(name, "values.yaml");
            examples += 1;
        }
    }
    assert!(examples > 5, "{examples}");
}

#[test]
fn the_charts_version_is_that_of_the_programs() {
    let chart: serde_yaml::Value =
        serde_yaml::from_str(&std::fs::read_to_string(chart().join("Chart.yaml")).unwrap())
            .unwrap();
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}
