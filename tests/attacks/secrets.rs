//! Whoever reads what a process shows of itself finds no secret in it.

use super::holds_none;
use crate::harness::pipeline::{
    COLLIMATOR, Ends, Process, free_addr, nats_conf, nats_server, test_settings,
};
use crate::harness::raw_http::{request, say};
use crate::harness::scu::conversation;
use crate::harness::tls::Authority;
use crate::harness::{DEADLINE, eventually};
use async_nats::ConnectOptions;
use collimator::synthetic::SyntheticStudy;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const NATS_PASSWORD: &str = "pNatsPasswordOfNobodyElse";
const PASSCODE: &str = "PasscodeOfTheScannerMR1";
const PSEUDONYM_KEY: &str = "KeyOfAllPseudonymsOfTheHospital!";
const WEBHOOK_SECRET: &str = "SecretBetweenUsAndTheWebhook";
const WEBHOOK_KEY: &str = "KeyInTheQueryOfTheWebhook";

/// A machine with every secret that there can be, each in its file.
struct Machine {
    folder: TempDir,
    /// What may be nowhere: the secrets, and what is as good as one.
    secrets: Vec<Vec<u8>>,
    token: String,
    settings: Vec<(&'static str, String)>,
}

fn run(arguments: &[&str], settings: &[(&str, String)], input: &str) -> Output {
    let mut command = Command::new(COLLIMATOR)
        .args(arguments)
        .env_remove("NATS_URL")
        .envs(settings.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that reads nothing may have ended.
    let _ = command.stdin.take().unwrap().write_all(input.as_bytes());
    command.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let tokens = folder.path().join("tokens.toml").display().to_string();
        let settings = [("TOKENS_FILE", tokens.clone())];
        let made = run(&["token", "create", "viewer", "--scope", "read"], &settings, "");
        let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let hashed = run(&["hash-passcode"], &[], &format!("{PASSCODE}\n"));
        let hash = String::from_utf8(hashed.stdout).unwrap().trim().to_owned();
        let allow = format!(
            "[[allow]]\nae_title = 'TEST_SCU'\n\n\
             [[allow]]\nae_title = 'MR1'\nuser = 'scanner'\npasscode = '{hash}'\n"
        );
        let hook = format!(
            "[[webhook]]\nname = 'ai'\nurl = 'http://127.0.0.1:9/x?key={WEBHOOK_KEY}'\n\
             secret = '{WEBHOOK_SECRET}'\n"
        );
        let identity = Authority::new(folder.path(), "ca").issue("receiver");
        let key = std::fs::read_to_string(&identity.key).unwrap();
        let key = key.lines().find(|line| !line.starts_with('-')).unwrap().to_owned();
        let settings = vec![
            ("TOKENS_FILE", tokens),
            ("SOURCES_FILE", file("sources.toml", &allow)),
            ("WEBHOOKS_FILE", file("webhooks.toml", &hook)),
            ("PSEUDONYMISE", "keyed".to_owned()),
            ("PSEUDONYM_KEY_FILE", file("pseudonym.key", PSEUDONYM_KEY)),
            ("DICOM_TLS_ADDR", "127.0.0.1:0".to_owned()),
            ("DICOM_TLS_CERT", identity.certificate.display().to_string()),
            ("DICOM_TLS_KEY", identity.key.display().to_string()),
            ("RUST_LOG", "trace".to_owned()),
        ];
        let written = std::fs::read_to_string(folder.path().join("tokens.toml")).unwrap();
        let token_hash = written.split('"').rev().nth(1).unwrap().to_owned();
        assert_eq!(token_hash.len(), 64);
        let plain =
            [&token, NATS_PASSWORD, PASSCODE, PSEUDONYM_KEY, WEBHOOK_SECRET, WEBHOOK_KEY, &key];
        let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
        let listed =
            |text: &str| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned();
        let mut secrets = vec![hash, token_hash];
        for secret in plain {
            secrets.extend([secret.to_owned(), hex(secret), listed(secret)]);
        }
        let secrets = secrets.into_iter().map(String::into_bytes).collect();
        Self { folder, secrets, token, settings }
    }

    /// The settings with a broker of its own.
    fn settings(&self, broker: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
        [test_settings(self.folder.path()), self.settings.clone(), broker.to_vec()].concat()
    }

    /// No secret is in these bytes.
    fn none_in(&self, what: &str, bytes: &[u8]) {
        holds_none(what, bytes, &self.secrets);
    }

    /// What a process shows to whoever looks at it, and those that it has started.
    fn none_shown_by(&self, process: &Process) {
        for id in process.children().into_iter().chain([process.id()]) {
            for file in ["cmdline", "environ", "comm"] {
                // A child may have ended.
                let shown = std::fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
                self.none_in(&format!("/proc/{id}/{file}"), &shown);
            }
        }
    }

    /// What all commands say, with the settings of a pipeline.
    fn none_said_by_commands(&self, settings: &[(&'static str, String)]) {
        for arguments in [
            &["--help"][..],
            &["-h"],
            &["--version"],
            &["demo", "--help"],
            &["check-config", "--help"],
            &["doctor", "--help"],
            &["token", "create", "--help"],
            &["pseudonym", "--help"],
            &["series", "--help"],
            &["man"],
            &["completions", "bash"],
            &["check-config"],
            &["doctor"],
            &["doctor", "--json"],
            &["series", "list"],
            &["--no-such-flag"],
        ] {
            self.none_in(&format!("{arguments:?}"), text(&run(arguments, settings, "")).as_bytes());
        }
        let answered = run(&["pseudonym"], settings, "PID\n");
        assert!(answered.status.success(), "{}", text(&answered));
        self.none_in("pseudonym", text(&answered).as_bytes());
        // Files whose names are mixed up are not read out.
        let of = |setting: &str| {
            let found = settings.iter().find(|(name, _)| *name == setting);
            found.map(|(_, file)| file.clone()).unwrap()
        };
        for wrong in
            ["TOKENS_FILE", "SOURCES_FILE", "WEBHOOKS_FILE", "DICOM_TLS_CERT", "DICOM_TLS_KEY"]
        {
            for file in ["TOKENS_FILE", "WEBHOOKS_FILE", "PSEUDONYM_KEY_FILE", "DICOM_TLS_KEY"] {
                let mut mixed = settings.to_vec();
                mixed.push((wrong, of(file)));
                for command in ["check-config", "doctor"] {
                    let said = text(&run(&[command], &mixed, ""));
                    self.none_in(&format!("{command} with {file} as {wrong}"), said.as_bytes());
                }
            }
        }
    }

    /// Asks with what is a secret, and with what is nearly one, and looks at the answers.
    async fn none_answered(&self, api: &str) {
        let wrong = self.token.replace("collimator_", "collimator-");
        let basic = |password: &str| {
            let encoded = Command::new("sh")
                .args(["-c", &format!("printf %s ':{password}' | base64 -w0")])
                .output()
                .unwrap();
            format!("Basic {}", String::from_utf8(encoded.stdout).unwrap())
        };
        let (bearer, basic) = (format!("Bearer {}", self.token), basic(&self.token));
        for authorization in [&*bearer, &*basic, &format!("Bearer {wrong}"), ""] {
            for path in [
                "/health/live",
                "/health/ready",
                "/metrics",
                "/openapi.json",
                "/docs",
                "/",
                "/dashboard.js",
                "/webhooks",
                "/sources",
                "/stats",
                "/series",
                "/dead-letters",
                "/series/1.2",
                "/nowhere",
                "/events?Modality=x",
            ] {
                for method in ["GET", "POST", "OPTIONS", "DELETE"] {
                    let headers = [("Authorization", authorization.as_bytes())];
                    let answer = say(api, &request(method, path, &headers, b"")).await.unwrap();
                    let answered = format!("{answer:?} {}", answer.text());
                    self.none_in(&format!("the answer to {method} {path}"), answered.as_bytes());
                }
            }
        }
        let path = format!("/series?token={}", self.token);
        let answer = say(api, &request("GET", &path, &[], b"")).await.unwrap();
        self.none_in("the answer to a token in the query", answer.text().as_bytes());
    }

    /// Calls as the user with a passcode that is right, and with ones that are not.
    async fn calls(&self, dicom: SocketAddr) {
        let image = SyntheticStudy::new().series("MR", 1).size(8, 8).instances().unwrap().remove(0);
        for (passcode, answer) in [(PASSCODE, 2), (&PASSCODE[1..], 3), (WEBHOOK_SECRET, 3)] {
            let mut said = conversation(&image);
            said[0] = as_user(said[0].clone(), "scanner", passcode);
            let mut socket = TcpStream::connect(dicom).await.unwrap();
            socket.write_all(&said.concat()).await.unwrap();
            let mut answered = [0];
            let read = socket.read_exact(&mut answered);
            timeout(DEADLINE, read).await.unwrap().unwrap();
            assert_eq!(answered, [answer], "{passcode}");
        }
    }
}

/// An A-ASSOCIATE-RQ as MR1, of a user (PS3.7 section D.3.3.7.1).
fn as_user(mut request: Vec<u8>, user: &str, passcode: &str) -> Vec<u8> {
    request[26..42].copy_from_slice(b"MR1             ");
    let part = |text: &str| [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
    let identity = [&[2, 0][..], &part(user), &part(passcode)].concat();
    let item = [&[0x58, 0][..], &(identity.len() as u16).to_be_bytes(), &identity].concat();
    // The user information is the last item, and the PDU ends with it.
    let mut at = 74;
    while request[at] != 0x50 {
        at += 4 + usize::from(u16::from_be_bytes([request[at + 2], request[at + 3]]));
    }
    let length = u16::from_be_bytes([request[at + 2], request[at + 3]]) + item.len() as u16;
    request[at + 2..at + 4].copy_from_slice(&length.to_be_bytes());
    request.extend(item);
    let length = (request.len() - 6) as u32;
    request[2..6].copy_from_slice(&length.to_be_bytes());
    request
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

async fn started(
    settings: &[(&'static str, String)],
    folder: &Path,
) -> (Process, String, SocketAddr) {
    let mut process = Process::start(Path::new(COLLIMATOR), folder, settings);
    let word = |line: &str, start: &str, before: &str| {
        let rest = line.trim_start().strip_prefix(start)?.split_once(before)?.1;
        Some(rest.split_whitespace().next()?.to_owned())
    };
    let dicom = process.says("where it receives", |line| word(line, "DICOM", " on ")).await;
    let api = process.says("where its API is", |line| word(line, "API", "  ")).await;
    (process, api, dicom.parse().unwrap())
}

#[tokio::test]
async fn no_secret_is_in_what_a_process_shows_says_logs_answers_or_stores() {
    let machine = Machine::new();
    let folder = machine.folder.path();
    let study = SyntheticStudy::new().series("MR", 2).size(8, 8);
    let images = tempfile::tempdir().unwrap();
    study.write_to(images.path()).unwrap();

    // A broker with a user; its password in a file, or in the URL, where the environment has it anyway.
    let broker = tempfile::tempdir().unwrap();
    std::fs::copy(nats_conf(), broker.path().join("nats.conf")).unwrap();
    let users = format!(
        "include nats.conf\nauthorization {{ users: [ {{ user: collimator, password: {NATS_PASSWORD} }} ] }}\n"
    );
    std::fs::write(broker.path().join("users.conf"), users).unwrap();
    let addr = free_addr();
    let configuration = broker.path().join("users.conf");
    let server = nats_server(&configuration, broker.path(), addr.port(), 0).await;
    eventually("the broker", async || TcpStream::connect(addr).await.ok()).await;
    let password = folder.join("nats.password");
    std::fs::write(&password, format!("{NATS_PASSWORD}\n")).unwrap();
    let by_file = [
        ("NATS_URL", format!("nats://{addr}")),
        ("NATS_USER", "collimator".to_owned()),
        ("NATS_PASSWORD_FILE", password.display().to_string()),
    ];
    let mut by_url = by_file.clone();
    by_url[0].1 = format!("nats://collimator:{NATS_PASSWORD}@{addr}");
    let own = [];
    for (way, broker) in [("own", &own[..]), ("by_file", &by_file), ("by_url", &by_url)] {
        let data = folder.join(way);
        let mut settings = machine.settings(broker);
        settings.push(("DATA_DIR", data.display().to_string()));
        let (process, api, dicom) = started(&settings, folder).await;
        if way == "own" {
            assert!(!process.children().is_empty(), "its own nats-server");
        }
        if way != "by_url" {
            machine.none_shown_by(&process);
        }
        machine.calls(dicom).await;
        let sent =
            collimator::send::SendSettings::new(dicom.to_string(), vec![images.path().to_owned()]);
        let settings_of_sender =
            collimator::send::SendSettings { calling_ae: "TEST_SCU".into(), ..sent };
        assert!(collimator::send::send(&settings_of_sender).await.unwrap().is_complete());
        machine.none_answered(&api).await;
        machine.none_said_by_commands(&settings);
        let failed = async || process.printed().contains("webhook").then_some(());
        eventually("a webhook that fails", failed).await;
        machine.none_in("the log", process.printed().as_bytes());
        if way == "by_file" {
            let user = ("collimator".to_owned(), NATS_PASSWORD.to_owned());
            let options = ConnectOptions::with_user_and_password(user.0, user.1);
            let nats = options.connect(addr.to_string()).await.unwrap();
            let ends = Ends { dicom, api, nats, nats_url: addr.to_string() };
            for stream in ["INSTANCES", "SERIES", "DEAD"] {
                for event in ends.events(stream).await {
                    let headers = format!("{:?} {}", event.headers, event.subject);
                    machine.none_in(stream, headers.as_bytes());
                    machine.none_in(stream, &event.payload);
                }
            }
        }
        drop(process);
        for file in files(&data) {
            machine.none_in(&file.display().to_string(), &std::fs::read(&file).unwrap());
        }
    }
    machine.none_in("the log of nats-server", server.printed().as_bytes());
}
