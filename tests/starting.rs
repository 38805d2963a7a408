//! Starting and stopping: one clear line for what is wrong, nothing left behind.

use crate::harness::pipeline::{COLLIMATOR, Process, free_addr, test_settings, with};
use crate::harness::tls::Authority;
use crate::harness::{Collimator, DEADLINE, eventually};
use collimator::synthetic::SyntheticStudy;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

/// Runs `collimator` to its end with these settings on top of free ports.
fn run(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(COLLIMATOR)
        .args(arguments)
        .current_dir(folder)
        .envs(["DICOM_ADDR", "API_ADDR", "NATS_ADDR"].map(|key| (key, "127.0.0.1:0")))
        .env("LOG_FORMAT", "pretty")
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

/// The one line that it ended with.
fn complaint(output: &Output) -> String {
    assert_ne!(output.status.code(), Some(0), "it must fail");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for setting in ["DICOM_ADDR", "API_ADDR", "NATS_ADDR"] {
        let line = complaint(&run(folder.path(), &[(setting, &addr)], &[]));
        assert!(line.contains(&addr) && line.contains(setting), "{setting}: {line}");
    }
}

#[test]
fn a_data_folder_that_can_not_be_written_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let line = complaint(&run(folder.path(), &[("DATA_DIR", file.to_str().unwrap())], &[]));
    assert!(line.contains("a-file") && line.contains("DATA_DIR"), "{line}");
}

#[test]
fn beyond_loopback_without_tokens_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let line = complaint(&run(folder.path(), &[("API_ADDR", "0.0.0.0:0")], &[]));
    assert!(line.contains("TOKENS_FILE") && line.contains("INSECURE"), "{line}");
}

#[test]
fn no_nats_server_to_be_had_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    let nowhere = [("PATH", empty), ("HOME", empty), ("XDG_CACHE_HOME", empty)];
    let line = complaint(&run(folder.path(), &nowhere, &[]));
    assert!(line.contains("nats-server") && line.contains("NATS_URL"), "{line}");
    let line = complaint(&run(folder.path(), &[("NATS_SERVER", "/nowhere/nats-server")], &[]));
    assert!(line.contains("NATS_SERVER"), "{line}");
}

#[test]
fn a_bad_setting_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    for (setting, value) in
        [("QUIET_PERIOD", "soon"), ("DICOM_ADDR", "here"), ("AE_TITLE", "SEVENTEEN_LETTERS")]
    {
        let output = run(folder.path(), &[(setting, value)], &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(value), "{said}");
    }
    let output = run(folder.path(), &[], &["--no-such-setting"]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(folder.path(), &[("RUST_LOG", "ingest=loud")], &[]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_empty_variable_is_one_clear_line() {
    let rows =
        include_str!("../docs/settings.md").lines().filter_map(|line| line.strip_prefix("| `"));
    let variables = rows.filter_map(|row| row.split_once("` |")).map(|(name, _)| name);
    let is_variable = |name: &&str| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let mut variables: Vec<_> = variables.filter(is_variable).collect();
    assert!(variables.len() > 50 && variables.contains(&"WEBHOOKS_FILE"), "{variables:?}");
    // Of other programs; and a scope may have nothing before it.
    let others = ["DATABASE_URL", "ADMIN_ADDR", "RUST_LOG", "OIDC_SCOPE_PREFIX"];
    variables.retain(|name| !others.contains(name) && !name.starts_with("STOW_"));
    let folder = tempfile::tempdir().unwrap();
    for name in variables {
        let output = run(folder.path(), &[(name, "")], &["check-config"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, format!("{name} is empty: give it a value, or do not set it\n"));
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
    let output = run(folder.path(), &[("OIDC_SCOPE_PREFIX", "")], &["check-config"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_bad_webhooks_file_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("webhooks.toml");
    let start = "[[webhook]]\nname = 'ai'\nurl = 'http://ai/'\nsecret = 'sixteen characters'\n";
    std::fs::write(&file, format!("{start}timout = '1s'")).unwrap();
    let settings = [("WEBHOOKS_FILE", file.to_str().unwrap())];
    let line = complaint(&run(folder.path(), &settings, &[]));
    assert!(line.contains("WEBHOOKS_FILE") && line.contains("line 5: "), "{line}");
    assert!(line.contains("timout") && !line.contains("sixteen"), "{line}");
}

#[test]
fn a_key_of_pseudonyms_that_is_missing_or_short_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "sixteen letters.").unwrap();
    let short = ("PSEUDONYM_KEY_FILE", file.to_str().unwrap());
    let keyed = ("PSEUDONYMISE", "keyed");
    let nowhere = ("PSEUDONYM_KEY_FILE", "/nowhere/key");
    for settings in [&[keyed][..], &[keyed, nowhere], &[keyed, short], &[short]] {
        let line = complaint(&run(folder.path(), settings, &[]));
        assert!(line.contains("PSEUDONYM_KEY_FILE") && !line.contains("sixteen"), "{line}");
    }
    let output = run(folder.path(), &[("PSEUDONYMISE", "rot13"), short], &[]);
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn an_interrupt_ends_everything_in_order() {
    let mut collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3);
    let paths = study.write_to(folder.path()).unwrap();
    collimator.receives(paths).await;
    let children = collimator.process.children();
    assert_eq!(children.len(), 1, "one nats-server");
    collimator.process.signal("INT");
    assert_eq!(collimator.process.ended().await, Some(0), "{}", collimator.process.printed());
    assert!(!is_alive(children[0]), "the nats-server is gone with it");
    let printed = collimator.process.printed();
    for chatter in ["async_nats", "poem::"] {
        assert!(!printed.contains(chatter), "{chatter}: {printed}");
    }
    // A busy machine may be warned of before.
    let (_, end) = printed.split_once("\"stopping\"").unwrap();
    assert!(!end.contains("WARN") && !end.contains("ERROR"), "{printed}");
}

#[tokio::test]
async fn a_nats_that_can_not_be_reached_is_one_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = format!("nats://{}", free_addr());
    let settings = with(test_settings(folder.path()), &[("NATS_URL", &nowhere)]);
    let mut process = Process::start(Path::new(COLLIMATOR), folder.path(), &settings);
    let names_it = |line: &str| (line.contains("WARN") && line.contains(&nowhere)).then_some(());
    process.says("which NATS it can't reach", names_it).await;
    process.signal("INT");
    assert_eq!(process.ended().await, Some(0), "{}", process.printed());
}

#[tokio::test]
async fn what_a_first_sender_gets_wrong_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter.txt"), "no instance").unwrap();
    let study = SyntheticStudy::new().series("MR", 1);
    study.write_to(&folder.path().join("good")).unwrap();
    let nobody = free_addr().to_string();
    let send = |paths: &str| run(folder.path(), &[], &["send", "--to", &nobody, paths]);
    for (sent, said) in [
        (send("letter.txt"), "letter.txt: cannot be sent: not a DICOM Part 10 file"),
        (send("nowhere"), "nowhere: cannot be sent: No such file"),
        (send("good"), &*format!("error: cannot connect to {nobody}")),
    ] {
        let lines = String::from_utf8_lossy(&sent.stderr).into_owned();
        assert!(lines.lines().count() == 1 && lines.contains(said), "{lines}");
        assert_eq!(sent.status.code(), Some(1));
    }

    // A receiver that takes the connection and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = silent.local_addr().unwrap().to_string();
    let good = folder.path().join("good");
    let arguments = ["send", "--to", &to, good.to_str().unwrap()];
    let mut process = Process::start_with(Path::new(COLLIMATOR), &arguments, folder.path(), &[]);
    let accepted = tokio::time::timeout(DEADLINE, silent.accept()).await.unwrap().unwrap();
    process.signal("INT");
    assert_eq!(process.ended().await, Some(1));
    let printed = process.printed();
    assert!(printed.lines().count() == 1 && printed.contains("error: interrupted"), "{printed}");
    drop(accepted);
}

#[tokio::test]
async fn the_nats_server_dies_with_its_parent_even_on_sigkill() {
    let mut collimator = Collimator::start().await;
    let children = collimator.process.children();
    assert_eq!(children.len(), 1, "one nats-server");
    collimator.process.kill();
    eventually("the nats-server's end", async || (!is_alive(children[0])).then_some(())).await;
}

#[tokio::test]
async fn data_is_there_after_a_kill_and_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let data_dir = data.path().to_str().unwrap().to_owned().leak() as &'static str;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 5);
    let paths = study.write_to(folder.path()).unwrap();
    // The kill may come before it is said that the association was released.
    let settings = [("DATA_DIR", data_dir), ("ABORT_GRACE", "1s")];
    let mut first = Collimator::start_with(&settings).await;
    first.receives(paths).await;
    first.process.kill();
    // Complete only now: what was acknowledged was on disk.
    let second = Collimator::start_with(&settings).await;
    second.lists(&study.series_instance_uids()[0], 5).await;
    assert_eq!(second.events("SERIES").await.len(), 1);
}

#[tokio::test]
async fn a_sources_file_that_is_not_understood_stops_the_start_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sources.toml");
    for (text, said) in [
        (
            "[[source]]\nae_title = 'MR1'\nquiet_perod = '1s'\n",
            "line 3: unknown field `quiet_perod`",
        ),
        ("[[source]\n", "line 1: "),
    ] {
        std::fs::write(&file, text).unwrap();
        let settings = [("SOURCES_FILE", file.to_str().unwrap())];
        let ended = run(folder.path(), &settings, &[]);
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("SOURCES_FILE") && stderr.contains(said), "{stderr}");
        assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    }
}

#[test]
fn check_config_says_who_may_send_or_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sources.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let checked =
            run(folder.path(), &[("SOURCES_FILE", file.to_str().unwrap())], &["check-config"]);
        let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (checked.status.code(), said(checked.stdout), said(checked.stderr))
    };
    let (code, said, complaints) =
        check("[[allow]]\nae_title = 'MR1'\naddresses = ['10.1.2.0/24']\n");
    assert_eq!((code, &*complaints), (Some(0), ""));
    assert!(said.contains("\n  - who calls itself MR1 and calls from 10.1.2.0/24\n"), "{said}");
    let (code, said, _) = check("[[source]]\nae_title = 'MR1'\n");
    assert_eq!(code, Some(0));
    assert!(said.contains("Whoever reaches it may send.") && said.contains(": MR1."), "{said}");
    let (code, _, complaints) = check("[[allow]]\n\nadresses = ['10.1.2.0/24']\n");
    assert_eq!((code, complaints.lines().count()), (Some(1), 1), "{complaints}");
    assert!(complaints.contains("line 3: unknown field `adresses`"), "{complaints}");
    let hooks = folder.path().join("webhooks.toml");
    std::fs::write(&hooks, "[[webhok]]\n").unwrap();
    let checked =
        run(folder.path(), &[("WEBHOOKS_FILE", hooks.to_str().unwrap())], &["check-config"]);
    let complaints = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(1), "{complaints}");
    assert!(complaints.contains("webhooks.toml") && complaints.contains("webhok"), "{complaints}");
    assert!(!folder.path().join("data").exists(), "it only looks");
}

#[test]
fn check_config_says_who_may_ask_or_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, "{}").unwrap();
    let (issuer, audience) =
        (("OIDC_ISSUER", "https://login.example.org"), ("OIDC_AUDIENCE", "collimator"));
    let file = ("OIDC_JWKS_FILE", keys.to_str().unwrap());
    let url = |url: &'static str| ("OIDC_JWKS_URL", url);
    for (settings, said) in [
        (vec![issuer], "OIDC_ISSUER needs OIDC_AUDIENCE as well"),
        (vec![audience], "OIDC_AUDIENCE is of no use without OIDC_ISSUER"),
        (vec![file], "OIDC_JWKS_FILE is of no use without OIDC_ISSUER"),
        (vec![issuer, audience, file], "keys.json: is no JSON Web Key Set"),
        (vec![issuer, audience, url("http://login.example.org/")], "must begin with https://"),
        (vec![("OIDC_ISSUER", "login.example.org"), audience], "OIDC_ISSUER: "),
        (vec![("TOKENS_FILE", file.1)], "TOKENS_FILE: "),
    ] {
        let checked = run(folder.path(), &settings, &["check-config"]);
        let complaints = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(
            (checked.status.code(), complaints.lines().count()),
            (Some(1), 1),
            "{complaints}"
        );
        assert!(complaints.contains(said), "{said}: {complaints}");
    }
    let key = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"AAAA"}]}"#;
    std::fs::write(&keys, key).unwrap();
    let checked = run(folder.path(), &[issuer, audience, file], &["check-config"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    let expected = "There a JSON Web Token of https://login.example.org for collimator is taken";
    assert!(said.contains(expected) && !said.contains("whoever reaches it may ask"), "{said}");
    let checked = run(folder.path(), &[], &["check-config"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.contains("There whoever reaches it may ask."), "{said}");
}

/// `check-config` and a start both end with one line that has this in it, and no key.
fn is_refused_before_and_at_the_start(folder: &Path, settings: &[(&str, &str)], said: &str) {
    for arguments in [&["check-config"][..], &[]] {
        let ended = run(folder, settings, arguments);
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{said}: {stderr}");
        assert_eq!(stderr.trim().lines().count(), 1, "{said}: {stderr}");
        assert!(stderr.contains(said) && !stderr.contains("PRIVATE"), "{said}: {stderr}");
    }
}

#[test]
fn a_nats_url_that_is_none_stops_every_program_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for url in [
        "http://127.0.0.1:4222",
        "nats://127.0.0.1:99999",
        "nats://a,,b",
        "not a server",
        "nats://256.1.1.1",
        "nats://a..b",
        "4222",
        "nats://:4222",
        "nats://a/path",
    ] {
        for arguments in [&["check-config"][..], &["doctor"], &[]] {
            let ended = run(folder.path(), &[("NATS_URL", url)], arguments);
            let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert_eq!(ended.status.code(), Some(2), "{url}: {stderr}");
            assert_eq!(stderr.trim().lines().count(), 1, "{url}: {stderr}");
            assert!(stderr.contains("--nats-url"), "{url}: {stderr}");
            assert!(stderr.contains("write it like `nats://HOST:4222`"), "{url}: {stderr}");
        }
    }
}

#[test]
fn a_url_of_another_setting_that_is_none_stops_the_start_with_one_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    for url in [
        "",
        "8222",
        "127.0.0.1:8222",
        "nats://a:8222",
        "http://:8222",
        "http://a:99999",
        "http://256.1.1.1",
        "http://a..b",
        "http://a b",
    ] {
        for (setting, flag) in
            [("NATS_MONITOR_URL", "--nats-monitor-url"), ("COLLIMATOR_API", "--api")]
        {
            let arguments: &[&[&str]] = match setting {
                "COLLIMATOR_API" => &[&["series", "list"]],
                _ => &[&["check-config"], &["doctor"], &[]],
            };
            for arguments in arguments {
                let ended = run(folder.path(), &[(setting, url)], arguments);
                let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
                assert_eq!(ended.status.code(), Some(2), "{setting}={url}: {stderr}");
                assert_eq!(stderr.trim().lines().count(), 1, "{setting}={url}: {stderr}");
                let named = if url.is_empty() { setting } else { flag };
                assert!(stderr.contains(named), "{setting}={url}: {stderr}");
            }
        }
    }
}

#[test]
fn what_is_wrong_with_tls_is_one_clear_line_before_and_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let papers = Authority::new(folder.path(), "ca");
    let (one, other) = (papers.issue("one"), papers.issue("other"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (certificate, key, ca) = (path(&one.certificate), path(&one.key), path(&papers.file));
    let allow = folder.path().join("sources.toml");
    std::fs::write(&allow, "[[allow]]\ncertificate = 'CN=MR1'\n").unwrap();
    let (allow, addr) = (path(&allow), ("DICOM_TLS_ADDR", "127.0.0.1:0"));
    let (cert, with_key) = (("DICOM_TLS_CERT", &*certificate), ("DICOM_TLS_KEY", &*key));
    for (settings, said) in [
        (vec![addr], "DICOM_TLS_ADDR needs DICOM_TLS_CERT as well"),
        (vec![addr, cert], "DICOM_TLS_ADDR needs DICOM_TLS_KEY as well"),
        (vec![cert], " is of no use without DICOM_TLS_ADDR"),
        (vec![addr, cert, ("DICOM_TLS_KEY", "nowhere.key")], "DICOM_TLS_KEY nowhere.key: "),
        (vec![addr, cert, ("DICOM_TLS_KEY", &*certificate)], "DICOM_TLS_KEY "),
        (vec![addr, ("DICOM_TLS_CERT", &*key), with_key], "holds no certificate in PEM"),
        (vec![addr, cert, ("DICOM_TLS_KEY", &path(&other.key))], "with DICOM_TLS_KEY: "),
        (vec![addr, cert, with_key, ("DICOM_TLS_CLIENT_CA", &*key)], "DICOM_TLS_CLIENT_CA "),
        (vec![("DICOM_ADDR", "none")], "there is no port for DICOM"),
        (vec![("SOURCES_FILE", &*allow)], "set DICOM_TLS_CLIENT_CA"),
    ] {
        is_refused_before_and_at_the_start(folder.path(), &settings, said);
    }
    let good = [addr, cert, with_key, ("DICOM_TLS_CLIENT_CA", &*ca), ("DICOM_ADDR", "none")];
    let checked = run(folder.path(), &good, &["check-config"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        checked.status.success() && said.starts_with("DICOM over TLS on 127.0.0.1:0"),
        "{said}"
    );
    assert!(said.contains("each sender needs a certificate of a CA in "), "{said}");
}

#[test]
fn what_is_wrong_with_https_is_one_clear_line_before_and_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let papers = Authority::new(folder.path(), "ca");
    let (one, other) = (papers.issue("one"), papers.issue("other"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (certificate, key) = (path(&one.certificate), path(&one.key));
    let (cert, with_key) = (("API_TLS_CERT", &*certificate), ("API_TLS_KEY", &*key));
    for (settings, said) in [
        (vec![cert], "API_TLS_CERT needs API_TLS_KEY as well"),
        (vec![with_key], "API_TLS_KEY needs API_TLS_CERT as well"),
        (vec![with_key, ("API_TLS_CERT", "nowhere.crt")], "API_TLS_CERT nowhere.crt: "),
        (vec![cert, ("API_TLS_KEY", &*certificate)], "API_TLS_KEY "),
        (vec![with_key, ("API_TLS_CERT", &*key)], "holds no certificate in PEM"),
        (vec![cert, ("API_TLS_KEY", &path(&other.key))], "with API_TLS_KEY: "),
    ] {
        is_refused_before_and_at_the_start(folder.path(), &settings, said);
    }
    let checked = run(folder.path(), &[cert, with_key], &["check-config"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && said.contains("over TLS"), "{said}");
}

#[tokio::test]
async fn the_demo_sends_itself_two_series() {
    let folder = tempfile::tempdir().unwrap();
    let free = "127.0.0.1:0".to_owned();
    let settings = [
        ("DATA_DIR", folder.path().join("data").display().to_string()),
        ("DICOM_ADDR", free.clone()),
        ("API_ADDR", free.clone()),
        ("NATS_ADDR", free),
        ("QUIET_PERIOD", "1s".to_owned()),
    ];
    let mut demo = Process::start_with(Path::new(COLLIMATOR), &["demo"], folder.path(), &settings);
    let url = demo
        .says("where the series are", |line| {
            Some(line.split_once("both series are at ")?.1.trim().to_owned())
        })
        .await;
    eventually("both series of the demo", async || {
        let series: Vec<serde_json::Value> = reqwest::get(&url).await.ok()?.json().await.ok()?;
        let mut counts: Vec<_> = series.iter().map(|s| s["InstancesCount"].as_u64()).collect();
        counts.sort();
        (counts == [Some(8), Some(17)]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn send_lists_what_was_refused_and_fails() {
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let good = SyntheticStudy::new().series("MR", 2);
    good.write_to(&folder.path().join("good")).unwrap();
    let bad = SyntheticStudy::new().series("MR", 1).extra(|data_set| {
        data_set.remove_element(dicom_core::Tag(0x0020, 0x000e));
    });
    bad.write_to(&folder.path().join("bad")).unwrap();
    std::fs::write(folder.path().join("readme.txt"), "no instance").unwrap();
    let to = collimator.dicom.to_string();
    let sent = run(folder.path(), &[], &["send", "--to", &to, "."]);
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert_eq!(sent.status.code(), Some(1), "{said}");
    assert!(said.contains("A900") && said.contains("SeriesInstanceUID is empty"), "{said}");
    let summary = String::from_utf8_lossy(&sent.stdout).into_owned();
    assert!(summary.contains("sent 2 of 3 instances"), "{summary}");
}

fn is_alive(id: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{id}/stat")) {
        // A zombie is dead: its parent has only not looked yet.
        Ok(stat) => !stat.contains(") Z "),
        Err(_) => false,
    }
}
