//! The HTTP API over TLS: who gets through and who does not, its own clients, and new certificates.

use crate::harness::browser::Browser;
use crate::harness::listening::Listening;
use crate::harness::pipeline::{COLLIMATOR, Process, address, service, test_settings};
use crate::harness::tls::{Authority, Identity, tunnel, tunnel_of};
use crate::harness::tools::have;
use crate::harness::{Collimator, DEADLINE, eventually, series_to_store};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::version::{TLS12, TLS13};

/// What there is to begin with: the API's certificate, and its CA.
struct Papers {
    ca: Authority,
    api: Identity,
    folder: TempDir,
}

impl Papers {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new(folder.path(), "ours");
        let api = ca.issue("api");
        Self { ca, api, folder }
    }

    fn settings(&self) -> [(&'static str, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("API_TLS_CERT", text(&self.api.certificate)), ("API_TLS_KEY", text(&self.api.key))]
    }

    /// The pipeline with an API that has this certificate, and where that is.
    async fn start(&self, more: &[(&'static str, &str)]) -> (Collimator, SocketAddr) {
        let own = self.settings();
        let own = own.iter().map(|(key, value)| (*key, value.as_str()));
        let settings: Vec<_> = own.chain(more.iter().copied()).collect();
        let collimator = Collimator::start_with(&settings).await;
        let addr = collimator.api.strip_prefix("https://").unwrap().parse().unwrap();
        (collimator, addr)
    }

    /// Puts a certificate of another CA in the place of the API's.
    fn renew(&self) -> Authority {
        let others = Authority::new(self.folder.path(), "others");
        let new = others.issue("new");
        std::fs::copy(&new.certificate, &self.api.certificate).unwrap();
        std::fs::copy(&new.key, &self.api.key).unwrap();
        others
    }
}

/// The way to an API for those who speak no TLS.
async fn plain(addr: SocketAddr, ca: &Path) -> String {
    format!("http://{}", tunnel(addr, ca, None).await)
}

/// A command of ours that asks an API over TLS, by the name that its certificate is for.
fn asks(addr: SocketAddr, arguments: &[&str], settings: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(COLLIMATOR);
    command.args(arguments).env("COLLIMATOR_API", format!("https://localhost:{}", addr.port()));
    command.envs(settings.iter().copied()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn a_series(number: u32) -> Value {
    series_to_store(&format!("1.2.{number}"), "1.2", 3)
}

async fn store(api: &str, number: u32) {
    let store = Client::new().post(format!("{api}/store")).json(&a_series(number));
    assert_eq!(store.send().await.unwrap().status(), StatusCode::OK);
}

fn line(text: &'static str) -> impl Fn(&str) -> Option<()> {
    move |line: &str| line.contains(text).then_some(())
}

#[tokio::test]
async fn who_trusts_the_ca_is_answered_over_tls_and_who_does_not_goes_away() {
    if !have("curl") {
        return;
    }
    let papers = Papers::new();
    let (_collimator, addr) = papers.start(&[]).await;
    let url = format!("https://localhost:{}/series", addr.port());
    let curl = |arguments: &[&str]| {
        let always = ["-sS", "-i", "--noproxy", "*", &url];
        Command::new("curl").args(always).args(arguments).output().unwrap()
    };
    let answer = curl(&["--cacert", papers.ca.file.to_str().unwrap()]);
    let text = String::from_utf8(answer.stdout.clone()).unwrap().to_ascii_lowercase();
    assert!(answer.status.success() && text.starts_with("http/1.1 200"), "{}", said(&answer));
    assert!(text.contains("strict-transport-security: max-age=") && text.ends_with("\r\n\r\n[]"));
    let foreign = Authority::new(papers.folder.path(), "foreign");
    for arguments in [&["--cacert", foreign.file.to_str().unwrap()][..], &[]] {
        let refused = curl(arguments);
        assert_eq!(refused.status.code(), Some(60), "{}", said(&refused));
    }
}

#[tokio::test]
async fn nothing_older_than_tls_1_2_is_spoken() {
    let papers = Papers::new();
    let (_collimator, addr) = papers.start(&[]).await;
    for version in [&TLS12, &TLS13] {
        let through = tunnel_of(&[version], addr, &papers.ca.file, None).await;
        let answer = reqwest::get(format!("http://{through}/series")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{version:?}");
    }
    // A ClientHello of TLS 1.1 with TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA (RFC 4346 section 7.4.1.2), which
    // lacks nothing but a later version: it has signature_algorithms.
    let extensions = [0, 8, 0, 13, 0, 4, 0, 2, 4, 3];
    let hello = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0xc0, 0x09, 1, 0], &extensions].concat();
    let message = [&[1, 0, 0, hello.len() as u8][..], &hello].concat();
    let record = [&[22, 3, 1, 0, message.len() as u8][..], &message].concat();
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(&record).await.unwrap();
    let mut alert = [0; 7];
    timeout(DEADLINE, socket.read_exact(&mut alert)).await.unwrap().unwrap();
    // Fatal: protocol_version.
    assert_eq!((alert[0], &alert[5..]), (21, &[2, 70][..]));
}

#[tokio::test]
async fn the_commands_that_ask_the_api_take_its_ca_and_nobody_elses() {
    let papers = Papers::new();
    let (_collimator, addr) = papers.start(&[]).await;
    store(&plain(addr, &papers.ca.file).await, 1).await;
    let ca = ("COLLIMATOR_CA", papers.ca.file.as_path());
    let list = ["series", "list"];
    let listed = asks(addr, &list, &[ca]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("1.2.1"), "{}", said(&listed));
    let foreign = Authority::new(papers.folder.path(), "foreign");
    let watch = ["series", "watch"];
    for (arguments, settings) in [(&list, &[][..]), (&watch, &[("COLLIMATOR_CA", &*foreign.file)])]
    {
        let refused = asks(addr, arguments, settings);
        let said = said(&refused);
        assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains("is not trusted") && said.contains("COLLIMATOR_CA"), "{said}");
    }
    for nothing in [Path::new("/nowhere/ca.pem"), &papers.api.key] {
        let unread = asks(addr, &list, &[("COLLIMATOR_CA", nothing)]);
        assert!(!unread.status.success() && said(&unread).contains("COLLIMATOR_CA"));
    }
}

#[tokio::test]
async fn a_health_check_knows_the_api_by_its_certificate() {
    let papers = Papers::new();
    let (collimator, addr) = papers.start(&[]).await;
    let ready = |certificate: Option<&Path>| {
        let mut command = Command::new(COLLIMATOR);
        command.args(["ready", "--api-addr", &addr.to_string()]);
        if let Some(certificate) = certificate {
            command.env("API_TLS_CERT", certificate);
        }
        command.output().unwrap()
    };
    let checked = ready(Some(&papers.api.certificate));
    assert_eq!((said(&checked), &checked.stdout[..]), (String::new(), &b"ready\n"[..]));
    assert!(!ready(None).status.success(), "in plain text");
    let doctor = |certificate: &Path| {
        let output = Command::new(COLLIMATOR)
            .args(["doctor", "--json", "--api-addr", &addr.to_string()])
            .args(["--nats-url", &collimator.nats_url])
            .args(["--dicom-addr", &collimator.dicom.to_string()])
            .env("DATA_DIR", papers.folder.path())
            .env("API_TLS_CERT", certificate)
            .env("API_TLS_KEY", &papers.api.key)
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap().iter();
        checks.filter(|found| found["check"] == "api").map(Value::to_string).collect::<String>()
    };
    let found = doctor(&papers.api.certificate);
    assert!(found.contains("all parts of it are ready"), "{found}");

    let other = papers.ca.issue("other");
    let checked = ready(Some(&other.certificate));
    assert!(!checked.status.success() && said(&checked).contains("certificate"));
    let found = doctor(&other.certificate);
    assert!(found.contains("another certificate") && found.contains("SIGHUP"), "{found}");
}

#[tokio::test]
async fn new_certificates_are_taken_while_events_are_told_and_bad_ones_are_not() {
    let papers = Papers::new();
    let (mut collimator, addr) = papers.start(&[]).await;
    let before = plain(addr, &papers.ca.file).await;
    let Ok(mut listening) = Listening::to(&before, "", None).await else { panic!("no events") };
    store(&before, 1).await;
    assert_eq!(listening.next_of("series.completed").await.data["SeriesInstanceUID"], "1.2.1");

    let others = papers.renew();
    collimator.process.signal("HUP");
    collimator.process.says("that it read them", line("read again: API_TLS_CERT")).await;
    let after = plain(addr, &others.file).await;
    store(&after, 2).await;
    assert_eq!(listening.next_of("series.completed").await.data["SeriesInstanceUID"], "1.2.2");
    // Who trusts the old one alone gets no new connection.
    let old = Client::new().get(format!("{}/series", plain(addr, &papers.ca.file).await));
    old.send().await.unwrap_err();

    std::fs::write(&papers.api.key, "no key").unwrap();
    collimator.process.signal("HUP");
    let complaint = line("certificates stay as they were: API_TLS_KEY");
    collimator.process.says("that it did not take them", complaint).await;
    store(&plain(addr, &others.file).await, 3).await;
    assert_eq!(listening.next_of("series.completed").await.data["SeriesInstanceUID"], "1.2.3");
}

#[tokio::test]
async fn the_api_as_a_service_takes_new_certificates_too() {
    let papers = Papers::new();
    let mut settings = test_settings(papers.folder.path());
    let catalog = papers.folder.path().join("catalog.db").display().to_string();
    settings.push(("DATABASE_URL", format!("sqlite://{catalog}")));
    settings.extend(papers.settings());
    let mut api = Process::start(&service("api").await, papers.folder.path(), &settings);
    let addr = api.says("where it is", |line| address(line, "api listens")).await;
    let is_live = async |ca: &Path| {
        let answer = reqwest::get(format!("{}/health/live", plain(addr, ca).await)).await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    };
    assert!(is_live(&papers.ca.file).await);
    let others = papers.renew();
    api.signal("HUP");
    api.says("that it read them", line("read again: API_TLS_CERT")).await;
    assert!(is_live(&others.file).await && !is_live(&papers.ca.file).await);
}

#[tokio::test]
async fn plain_http_on_the_port_for_https_is_told_so() {
    let papers = Papers::new();
    let (mut collimator, addr) = papers.start(&[]).await;
    let api = format!("http://{addr}");
    let answer = reqwest::get(format!("{api}/series")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let problem: Value = answer.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("this port speaks HTTPS"), "{problem}");
    let ours = Command::new(COLLIMATOR).args(["series", "list", "--api", &api]).output().unwrap();
    assert!(said(&ours).contains("this port speaks HTTPS"), "{}", said(&ours));
    collimator.process.says("why", line("no TLS on the port for it")).await;
}

#[tokio::test]
async fn a_hand_shake_that_is_not_ended_takes_a_place_and_gives_it_back() {
    let papers = Papers::new();
    let settings = [("MAX_HTTP_CONNECTIONS", "2"), ("HTTP_IDLE_TIMEOUT", "1s")];
    let (collimator, addr) = papers.start(&settings).await;
    let mut silent = Vec::new();
    for begins in [&b""[..], b"\x16\x03\x01"] {
        let mut socket = TcpStream::connect(addr).await.unwrap();
        socket.write_all(begins).await.unwrap();
        silent.push(socket);
    }
    let api = plain(addr, &papers.ca.file).await;
    let asked = timeout(DEADLINE, reqwest::get(format!("{api}/series"))).await;
    assert_eq!(asked.expect("a place").unwrap().status(), StatusCode::OK);
    let printed = collimator.process.printed();
    assert!(printed.contains("no TLS hand-shake within 1s"), "there was no place until then");
    for mut socket in silent {
        let ended = timeout(DEADLINE, socket.read(&mut [0])).await.expect("it is kept");
        assert!(!matches!(ended, Ok(1..)));
    }
}

#[tokio::test]
async fn a_page_that_came_in_plain_text_changes_nothing_over_tls() {
    let papers = Papers::new();
    let (_collimator, addr) = papers.start(&[]).await;
    let api = plain(addr, &papers.ca.file).await;
    for (origin, expected) in [
        ("https://localhost", StatusCode::OK),
        ("http://localhost", StatusCode::FORBIDDEN),
        ("https://evil.example", StatusCode::FORBIDDEN),
    ] {
        let store = Client::new().post(format!("{api}/store")).json(&a_series(1));
        let store = store.header("Host", "localhost").header("Origin", origin);
        assert_eq!(store.send().await.unwrap().status(), expected, "{origin}");
    }
}

#[tokio::test]
async fn the_dashboard_works_over_tls() {
    let Some(browser) = Browser::start().await else { return };
    let papers = Papers::new();
    let (collimator, _) = papers.start(&[]).await;
    browser.watches(&collimator.api).await;
    let store = format!(
        "fetch('/store', {{ method: 'POST', headers: {{ 'Content-Type': 'application/json' }}, \
         body: JSON.stringify({}) }}).then(answer => window.stored = answer.status)",
        a_series(1)
    );
    browser.run(&store).await;
    browser.waits_for("window.stored === 200").await;
    let completed = "document.querySelector('#completed tbody').innerText.includes('stored')";
    browser.waits_for(completed).await;
    browser.open(&format!("{}/docs", collimator.api)).await;
    browser.waits_for("document.querySelectorAll('.opblock').length > 0").await;
    let complaints = browser.complaints().await;
    // Swagger UI names no icon, so the browser looks for one.
    let bad: Vec<_> = complaints.iter().filter(|said| !said.contains("favicon.ico")).collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[tokio::test]
async fn tokens_in_plain_text_beyond_loopback_are_warned_of() {
    let papers = Papers::new();
    let tokens: PathBuf = papers.folder.path().join("tokens.toml");
    let create = ["token", "create", "viewer", "--scope", "read"];
    let created = Command::new(COLLIMATOR).args(create).env("TOKENS_FILE", &tokens).output();
    assert!(created.unwrap().status.success());
    let own = papers.settings();
    let tls = own.each_ref().map(|(key, value)| (*key, value.as_str()));
    for (more, warned) in [(&[][..], true), (&tls, false), (&[("INSECURE", "true")], false)] {
        let always = [("API_ADDR", "0.0.0.0:0"), ("TOKENS_FILE", tokens.to_str().unwrap())];
        let collimator = Collimator::start_with(&[&always, more].concat()).await;
        let printed = collimator.process.printed();
        assert_eq!(printed.contains("set API_TLS_CERT and API_TLS_KEY"), warned, "{more:?}");
    }
}

#[tokio::test]
async fn health_is_answered_beside_any_number_of_hand_shakes_that_never_end() {
    let papers = Papers::new();
    let (_collimator, addr) = papers.start(&[]).await;
    let mut stuck = Vec::new();
    for begun in [&b""[..], &[0x16, 3, 1, 1, 0][..]].repeat(150) {
        let mut socket = TcpStream::connect(addr).await.unwrap();
        socket.write_all(begun).await.unwrap();
        stuck.push(socket);
    }
    let api = plain(addr, &papers.ca.file).await;
    for path in ["live", "ready"] {
        let answer =
            eventually("health", async || reqwest::get(format!("{api}/health/{path}")).await.ok());
        assert_eq!(answer.await.status(), 200, "{path}");
    }
}
