//! A headless Chromium, driven by WebDriver (W3C), which is JSON over HTTP.

use super::pipeline::{Process, free_addr, signal};
use super::tools::have;
use super::{DEADLINE, eventually};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Nothing that asks the world outside.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// Whether the dashboard hears of events.
pub const LIVE: &str = "document.querySelector('#link').dataset.state === 'live'";

/// The script that returns what the rows of a table say.
pub fn rows(table: &str) -> String {
    format!("[...document.querySelectorAll('#{table} tbody tr')].map(r => r.innerText).join('|')")
}

/// A browser with one page.
pub struct Browser {
    driver: Process,
    session: String,
    client: Client,
    _folder: TempDir,
}

impl Browser {
    /// Starts one with a new profile; `None` where there is none (which is said).
    pub async fn start() -> Option<Self> {
        if !have("chromium") || !have("chromedriver") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = free_addr().port();
        let arguments = [format!("--port={port}")];
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let driver = Process::start_with(&found("chromedriver"), &arguments, folder.path(), &[]);
        let url = format!("http://127.0.0.1:{port}");
        let client = Client::builder().timeout(DEADLINE).build().unwrap();
        eventually("chromedriver", async || {
            client.get(format!("{url}/status")).send().await.ok().filter(|r| r.status() == 200)
        })
        .await;
        let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
        let flags: Vec<_> = FLAGS.into_iter().chain([profile.as_str()]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "binary": found("chromium"), "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let answer = client.post(format!("{url}/session")).json(&wanted).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}"));
        let session = format!("{url}/session/{id}");
        Some(Self { driver, session, client, _folder: folder })
    }

    /// Goes to a page.
    pub async fn open(&self, url: &str) {
        self.ask(Method::POST, "url", json!({ "url": url })).await;
    }

    /// Goes to the dashboard of an API, and waits until it hears of events.
    pub async fn watches(&self, api: &str) {
        self.open(&format!("{api}/")).await;
        self.waits_for(LIVE).await;
    }

    /// Makes its window as large.
    pub async fn resize(&self, width: u32, height: u32) {
        // Chromium has no window narrower than 500 pixels, but a device may be.
        let device = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", device).await;
    }

    /// Says that its user likes it dark.
    pub async fn prefers_dark(&self) {
        self.prefers("dark").await;
    }

    /// Says which colours its user likes: `dark` or `light`.
    pub async fn prefers(&self, scheme: &str) {
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", scheme).await;
    }

    /// Runs a script in the page and gives what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.ask(Method::POST, "execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until a script returns true.
    pub async fn waits_for(&self, what: &str) {
        let script = format!("return Boolean({what})");
        eventually(what, async || (self.run(&script).await == true).then_some(())).await;
    }

    /// Keeps what it shows as a picture in `target/screenshots`.
    pub async fn keeps(&self, name: &str) {
        let picture = self.ask(Method::GET, "screenshot", Value::Null).await;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let png = from_base64(picture.as_str().unwrap());
        assert!(png.starts_with(b"\x89PNG"));
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// What the page or the browser complained of since this was last asked.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.ask(Method::POST, "se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().unwrap().iter();
        let severe = lines.filter(|line| line["level"] == "SEVERE");
        severe.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        let command = json!({ "cmd": command, "params": parameters });
        self.ask(Method::POST, "goog/cdp/execute", command).await;
    }

    async fn ask(&self, method: Method, command: &str, body: Value) -> Value {
        let mut request = self.client.request(method, format!("{}/{command}", self.session));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let succeeded = answer.status().is_success();
        let answer: Value = answer.json().await.unwrap();
        assert!(succeeded, "{command}: {answer}");
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver is killed, and then can't end what it has started.
        for browser in self.driver.children() {
            signal(browser, "TERM");
        }
    }
}

fn found(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|p| p.join(program)).find(|p| p.is_file()).unwrap()
}

/// RFC 4648 section 4.
fn from_base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0u32, 0);
    for digit in text.bytes().filter(|b| *b != b'=') {
        let value = alphabet.iter().position(|known| *known == digit).expect("base64");
        held = held << 6 | value as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    bytes
}
