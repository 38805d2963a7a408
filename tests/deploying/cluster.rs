//! The cluster for compose: that its parts find one another, and that haproxy and nats-server take their files.

use super::{assert_known, assert_setting, file};
use crate::containers::{assert_hardened, has_an_exact_version, services_of, strings};
use crate::harness::eventually;
use crate::harness::pipeline::{Process, free_addr};
use crate::harness::tools::{have, path_of};
use async_nats::ConnectOptions;
use async_nats::jetstream::{self, stream};
use collimator::embedded_nats::Finder;
use serde_yaml::{Mapping, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const COMPOSE: &str = "deploy/cluster/docker-compose.yml";

fn read(name: &str) -> String {
    fs::read_to_string(file("cluster").join(name)).unwrap()
}

fn services() -> Vec<(String, Mapping)> {
    services_of(COMPOSE)
}

fn service(name: &str) -> Mapping {
    let found = services().into_iter().find(|(it, _)| it == name);
    found.unwrap_or_else(|| panic!("there is no {name}")).1
}

/// Its own services, with the service that each is one of.
fn ours() -> Vec<(String, String, Mapping)> {
    let ours = services().into_iter().filter(|(_, service)| service.contains_key("build"));
    ours.map(|(name, service)| (name.clone(), strings(service.get("command")).concat(), service))
        .collect()
}

fn text(service: &Mapping, setting: &str) -> String {
    service["environment"][setting].as_str().unwrap_or_else(|| panic!("{setting}")).to_owned()
}

fn duration(text: &str) -> Duration {
    humantime::parse_duration(text).unwrap()
}

#[test]
fn there_are_two_of_each_service_and_three_servers_and_all_are_hardened() {
    assert_hardened(&services(), "passwords", "haproxy");
    for kind in ["ingest", "indexer", "api"] {
        let count = ours().iter().filter(|(_, service, _)| service == kind).count();
        assert_eq!(count, 2, "{kind}");
    }
    for (name, service) in services() {
        if let Some(image) = service.get("image") {
            assert!(has_an_exact_version(image.as_str().unwrap()), "{name}: {image:?}");
        } else {
            assert_eq!(service["build"], "../..", "{name}");
        }
    }
    assert_eq!(service("nats-1")["image"], service("passwords")["image"]);
}

#[test]
fn each_setting_exists_and_any_other_can_be_given() {
    for (name, kind, service) in ours() {
        for setting in service["environment"].as_mapping().unwrap().keys() {
            let setting = setting.as_str().unwrap();
            assert_setting(&kind, setting, &name);
        }
        assert_eq!(service["env_file"], "collimator.env", "{name}");
        let config = format!("../../container/config/{kind}:/config:ro");
        assert!(strings(service.get("volumes")).contains(&config), "{name}");
    }
    for line in read("collimator.env").lines() {
        if let Some((setting, _)) = line.trim_start_matches('#').split_once('=') {
            assert_known(setting, "collimator.env");
        }
    }
}

#[test]
fn services_name_all_servers_and_keep_a_replica_on_each() {
    let servers: Vec<_> =
        services().into_iter().map(|(name, _)| name).filter(|it| it.starts_with("nats-")).collect();
    let servers: Vec<_> = servers.into_iter().filter(|name| name != "nats-box").collect();
    assert_eq!(servers, ["nats-1", "nats-2", "nats-3"]);
    let urls: Vec<_> = servers.iter().map(|name| format!("nats://{name}:4222")).collect();
    for (name, kind, service) in ours() {
        assert_eq!(text(&service, "NATS_URL"), urls.join(","), "{name}");
        // The API makes no streams.
        if kind != "api" {
            assert_eq!(text(&service, "STREAM_REPLICAS"), servers.len().to_string(), "{name}");
        }
    }
    for name in &servers {
        let command = strings(service(name).get("command"));
        assert!(command.windows(2).any(|pair| pair == ["-n", name]), "{command:?}");
        // Each has a store of its own.
        let store = format!("{name}:/data");
        assert!(strings(service(name).get("volumes")).contains(&store), "{name}");
    }
    let prepared = strings(service("passwords").get("entrypoint")).concat();
    assert!(prepared.contains(&format!("/passwords {}\n", servers.join(" "))), "{prepared}");
}

#[test]
fn receivers_have_names_of_their_own_and_trust_haproxy_alone() {
    let networks = service("haproxy");
    let address = networks["networks"]["front"]["ipv4_address"].as_str().unwrap();
    let file: Value = serde_yaml::from_str(&read("docker-compose.yml")).unwrap();
    let range = &file["networks"]["front"]["ipam"]["config"][0];
    let (start, own) = address.rsplit_once('.').unwrap();
    assert_eq!(range["subnet"], format!("{start}.0/24"));
    // haproxy starts last: nobody else has its address by then.
    assert_eq!(range["ip_range"], format!("{start}.128/25"));
    assert!(own.parse::<u8>().unwrap() < 128, "{address}");
    for (name, kind, service) in ours() {
        if kind == "ingest" {
            assert_eq!(text(&service, "NODE_NAME"), name);
            assert_eq!(text(&service, "PROXY_FROM"), address);
            let drain = duration(&text(&service, "DRAIN_TIMEOUT"));
            let limit = duration(service["stop_grace_period"].as_str().unwrap());
            assert!(limit > drain + Duration::from_secs(10), "{name}: {limit:?}");
        }
        // haproxy, which strangers reach, reaches neither NATS nor PostgreSQL.
        assert!(strings(service.get("networks")).contains(&"back".to_owned()), "{name}");
    }
    for name in ["nats-1", "nats-2", "nats-3", "postgres"] {
        assert_eq!(strings(service(name).get("networks")), ["back"], "{name}");
    }
}

#[test]
fn haproxy_leads_to_each_receiver_and_api_and_waits_longer_than_they_do() {
    let configuration = read("haproxy.cfg");
    let lines: Vec<Vec<&str>> =
        configuration.lines().map(|line| line.split_whitespace().collect()).collect();
    let servers: Vec<_> = lines
        .iter()
        .filter(|words| words.first() == Some(&"server"))
        .map(|words| (words[1].to_owned(), words[2].to_owned()))
        .collect();
    let ports = [("ingest", 11112), ("ingest", 8105), ("api", 8000)];
    let wanted = ports.into_iter().flat_map(|(kind, port)| {
        let of_kind = ours().into_iter().filter(move |(_, it, _)| it == kind);
        of_kind.map(move |(name, ..)| (name.clone(), format!("{name}:{port}")))
    });
    assert_eq!(servers, wanted.collect::<Vec<_>>());
    let limits = |side: &str| {
        let of_side = lines.iter().filter(|words| words.starts_with(&["timeout", side]));
        of_side.map(|words| duration(words[2])).collect::<Vec<_>>()
    };
    // IDLE_TIMEOUT of the receivers is 30 minutes, HTTP_IDLE_TIMEOUT of the API 60 s.
    let page = crate::containers::read("docs/settings.md");
    assert!(
        page.contains("`IDLE_TIMEOUT` | `30m`") && page.contains("`HTTP_IDLE_TIMEOUT` | `60s`")
    );
    for side in ["client", "server"] {
        let limits = limits(side);
        let [dicom, stow, http] = limits[..3] else { panic!("{side}: {limits:?}") };
        assert!(dicom > duration("30m") && http > duration("60s"), "{side}: {limits:?}");
        // A client of STOW-RS may take as long as a sender of DICOM.
        assert_eq!(stow, dicom);
    }
    assert!(configuration.contains("send-proxy-v2"));
}

#[test]
fn apis_pass_stow_on_by_haproxy_with_a_token_that_receivers_know() {
    for (name, kind, service) in ours() {
        let volumes = strings(service.get("volumes"));
        let store = if kind == "api" { "store:/store:ro" } else { "store:/store" };
        assert!(volumes.contains(&store.to_owned()), "{name}: {volumes:?}");
        let has_token = volumes.contains(&"stow-token:/stow:ro".to_owned());
        assert_eq!(has_token, kind != "indexer", "{name}");
        if has_token {
            assert_eq!(text(&service, "STOW_TOKEN_FILE"), "/stow/token", "{name}");
        }
        match &*kind {
            "ingest" => assert_eq!(text(&service, "STOW_ADDR"), "0.0.0.0:8105"),
            "api" => assert_eq!(text(&service, "STOW_URL"), "http://haproxy:8105"),
            _ => {}
        }
    }
    assert!(read("haproxy.cfg").contains("bind :8105\n"));
    let ports = strings(service("haproxy").get("ports"));
    assert!(!ports.iter().any(|it| it.ends_with(":8105")), "published: {ports:?}");

    let folder = tempfile::tempdir().unwrap();
    let token = || fs::read_to_string(folder.path().join("stow/token")).unwrap();
    let make = || Command::new(file("cluster/passwords")).arg(folder.path()).arg("nats-1").status();
    assert!(make().unwrap().success());
    let made = token();
    assert!(made.trim().len() >= 32);
    assert!(make().unwrap().success());
    assert_eq!(token(), made, "what is there stays");
}

#[test]
fn haproxy_takes_its_file() {
    if !have("haproxy") {
        return;
    }
    let checked = Command::new(path_of("haproxy"))
        .args(["-c", "-f"])
        .arg(file("cluster/haproxy.cfg"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}");
    // Names of containers mean nothing here.
    let warnings = said.lines().filter(|line| line.contains("[WARNING]"));
    let others: Vec<_> = warnings.filter(|line| !line.contains("could not resolve")).collect();
    assert_eq!(others, [""; 0]);
}

/// Three servers with the files of the cluster, each on an address of its own of this machine.
struct Servers {
    processes: Vec<Process>,
    urls: Vec<String>,
    folder: tempfile::TempDir,
}

impl Servers {
    async fn start() -> Self {
        let folder = crate::harness::restricted::project_files();
        let program = Finder::new(None, folder.path()).find_or_fetch().await.unwrap();
        let hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
        let made = Command::new(file("cluster/passwords"))
            .arg(folder.path().join("passwords"))
            .args(hosts)
            .status();
        assert!(made.unwrap().success());
        // Free on the first, and so most likely on the others.
        let (routes, client) = (free_addr().port(), free_addr().port());
        let written = folder.path().join("passwords/nats/routes.conf");
        let edited = fs::read_to_string(&written).unwrap().replace(":6222", &format!(":{routes}"));
        fs::write(&written, edited).unwrap();
        let mut servers = Self { processes: Vec::new(), urls: Vec::new(), folder };
        for (number, host) in hosts.iter().enumerate() {
            let name = format!("nats-{}", number + 1);
            let listen = format!("{host}:{routes}");
            let text = read("nats.conf").replace("0.0.0.0:6222", &listen);
            assert!(text.contains(&listen), "{text}");
            servers.start_one(&program, &name, host, client, &text);
        }
        servers
    }

    fn start_one(&mut self, program: &Path, name: &str, host: &str, port: u16, text: &str) {
        let configuration = self.folder.path().join(format!("{name}.conf"));
        fs::write(&configuration, text).unwrap();
        let port = port.to_string();
        let arguments =
            ["-c", configuration.to_str().unwrap(), "-n", name, "-a", host, "-p", &port];
        let arguments = [&arguments[..], &["-m", "0"]].concat();
        let store = format!("\"{}\"", self.folder.path().join(name).display());
        let environment = [("NATS_STORE_DIR", store)];
        self.processes.push(Process::start_with(
            program,
            &arguments,
            self.folder.path(),
            &environment,
        ));
        self.urls.push(format!("nats://{host}:{port}"));
    }

    fn password(&self, user: &str) -> String {
        let path: PathBuf = self.folder.path().join("passwords").join(user).join("password");
        fs::read_to_string(path).unwrap().trim().to_owned()
    }
}

#[tokio::test]
async fn three_servers_with_these_files_replicate_a_stream() {
    let servers = Servers::start().await;
    let info = eventually("a stream of three replicas", async || {
        let options =
            ConnectOptions::with_user_and_password("admin".to_owned(), servers.password("admin"));
        let client = options.connect(&servers.urls[..]).await.ok()?;
        let config = stream::Config {
            name: "TRIED".to_owned(),
            subjects: vec!["tried".to_owned()],
            num_replicas: 3,
            ..stream::Config::default()
        };
        let stream = jetstream::new(client).get_or_create_stream(config).await.ok()?;
        let cluster = stream.cached_info().cluster.clone()?;
        let current = cluster.replicas.iter().filter(|replica| replica.current).count();
        (cluster.leader.is_some() && current == 2).then_some(cluster)
    })
    .await;
    let mut names: Vec<_> = info.replicas.into_iter().map(|replica| replica.name).collect();
    names.extend(info.leader);
    names.sort();
    assert_eq!(names, ["nats-1", "nats-2", "nats-3"]);
    // Strangers are no members.
    let stranger = async_nats::connect(&servers.urls[..]).await;
    assert!(stranger.is_err());
}
