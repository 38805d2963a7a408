//! Prometheus and its promtool, from Debian's package `prometheus`.

use super::pipeline::{Process, free_addr};
use super::tools::have;
use super::{DEADLINE, eventually};
use reqwest::{Client, Url};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// What comes with the project for Prometheus and Grafana.
pub fn observability() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("observability")
}

/// Has promtool look at something, and gives what it says of it.
///
/// # Panics
/// When it finds anything wrong.
pub async fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(observability())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have seen enough before the end.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

/// A Prometheus that scrapes each second, with the rules that come with the project.
pub struct Prometheus {
    url: String,
    client: Client,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target`; `None` where there is none (which is said).
    pub async fn start(target: &str) -> Option<Self> {
        if !have("prometheus") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        // JSON is YAML.
        let configuration = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [observability().join("alerts.yml")],
            "scrape_configs": [
                { "job_name": "collimator", "static_configs": [{ "targets": [target] }] },
            ],
        });
        let path = folder.path().join("prometheus.yml");
        std::fs::write(&path, configuration.to_string()).unwrap();
        let addr = free_addr();
        let arguments = [
            format!("--config.file={}", path.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={addr}"),
        ];
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let program = Path::new("prometheus");
        let _process = Process::start_with(program, &arguments, folder.path(), &[]);
        let client = Client::builder().timeout(DEADLINE).build().unwrap();
        let url = format!("http://{addr}");
        eventually("Prometheus", async || {
            client.get(format!("{url}/-/ready")).send().await.ok().filter(|r| r.status() == 200)
        })
        .await;
        Some(Self { url, client, _process, _folder: folder })
    }

    /// What an expression comes to: its labels and value for each series.
    pub async fn ask(&self, expression: &str) -> Vec<(Value, f64)> {
        let url = format!("{}/api/v1/query", self.url);
        let url = Url::parse_with_params(&url, [("query", expression)]).unwrap();
        let answer = self.get(url).await;
        let series = answer["data"]["result"].as_array().unwrap().iter();
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        series.map(|series| (series["metric"].clone(), value(series))).collect()
    }

    /// Waits until an expression is that number.
    pub async fn finds(&self, expression: &str, wanted: f64) {
        eventually(&format!("{expression} to be {wanted}"), async || {
            let found = self.ask(expression).await;
            (found.len() == 1 && found[0].1 == wanted).then_some(())
        })
        .await;
    }

    /// Its rules, each with how its last evaluation went.
    pub async fn rules(&self) -> Vec<Value> {
        let answer = self.get(Url::parse(&format!("{}/api/v1/rules", self.url)).unwrap()).await;
        let groups = answer["data"]["groups"].as_array().unwrap().iter();
        groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    async fn get(&self, url: Url) -> Value {
        let answer: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        answer
    }
}
