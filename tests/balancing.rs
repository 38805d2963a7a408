//! Several receivers behind one address: who sends, what a stop does, and that a series stays one.

use crate::harness::balancer::{Balancer, Check};
use crate::harness::pipeline::{Process, address, free_addr};
use crate::harness::scu::{Scu, conversation};
use crate::harness::tls::{Authority, tunnel};
use crate::harness::tools::have;
use crate::harness::{Collimator, Services, eventually};
use collimator::send::{SendSettings, send};
use collimator::synthetic::SyntheticStudy;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// PROXY, TCP over IPv4, from 192.0.2.7 port 4711 to 192.0.2.9 port 11112.
const FROM_192_0_2_7: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x09\x12\x67\x2b\x68";
/// LOCAL.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

async fn connect(to: SocketAddr, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse::<IpAddr>().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Says this and then asks for an association. Gives the type of the PDU that is answered, or nothing when the
/// connection is closed.
async fn asks(socket: &mut TcpStream, before: &[u8]) -> Option<u8> {
    let image = SyntheticStudy::new().series("MR", 1).instances().unwrap().remove(0);
    let request = [before, &conversation(&image)[0]].concat();
    let _ = socket.write_all(&request).await;
    let mut pdu = [0];
    socket.read_exact(&mut pdu).await.ok()?;
    Some(pdu[0])
}

const ACCEPTED: Option<u8> = Some(2);
const REJECTED: Option<u8> = Some(3);
const ABORTED: Option<u8> = Some(7);

#[tokio::test]
async fn a_sender_behind_a_balancer_is_known_by_its_own_address() {
    if !have("haproxy") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = folder.path().join("sources.toml");
    std::fs::write(&sources, "[[allow]]\naddresses = ['127.0.0.9']\n").unwrap();
    let settings =
        [("SOURCES_FILE", sources.to_str().unwrap()), ("PROXY_FROM", "192.0.2.0/24,127.0.0.1")];
    let mut collimator = Collimator::start_with(&settings).await;
    let receivers = [(collimator.dicom, Check::Connection)];
    let balancer = Balancer::start(folder.path(), &receivers).await;
    let mut known = connect(balancer.addr, "127.0.0.9").await;
    assert_eq!(asks(&mut known, b"").await, ACCEPTED);
    let mut unknown = connect(balancer.addr, "127.0.0.2").await;
    assert_eq!(asks(&mut unknown, b"").await, REJECTED);
    collimator.counts("association", "address", 1).await;
    let rejected = eventually("the rejection", async || {
        let events = collimator.events("INSTANCES").await;
        events.into_iter().find(|event| event.subject.starts_with("dicom.association.rejected"))
    })
    .await;
    let rejected: Value = serde_json::from_slice(&rejected.payload).unwrap();
    assert_eq!(rejected["PeerAddress"], "127.0.0.2");
    let alert = eventually("the audit message", async || {
        let trail = collimator.events("AUDIT").await;
        trail.into_iter().find(|event| event.subject.ends_with(".alert"))
    })
    .await;
    let alert = String::from_utf8_lossy(&alert.payload).into_owned();
    assert!(alert.contains("127.0.0.2") && !alert.contains("127.0.0.1\""), "{alert}");
    let from = |line: &str| line.contains("\"peer\":\"127.0.0.2\"").then_some(());
    collimator.process.says("who was rejected", from).await;
}

#[tokio::test]
async fn a_named_proxy_has_to_send_a_header_and_anybody_else_must_not() {
    let mut collimator = Collimator::start_with(&[("PROXY_FROM", "127.0.0.8/31")]).await;
    let to = collimator.dicom;
    assert_eq!(asks(&mut connect(to, "127.0.0.8").await, FROM_192_0_2_7).await, ACCEPTED);
    let version_1 = b"PROXY TCP4 192.0.2.7 192.0.2.9 4711 11112\r\n";
    assert_eq!(asks(&mut connect(to, "127.0.0.9").await, version_1).await, ACCEPTED);
    assert_eq!(asks(&mut connect(to, "127.0.0.8").await, LOCAL).await, ACCEPTED, "its own");
    assert_eq!(asks(&mut connect(to, "127.0.0.8").await, b"").await, None);
    collimator.counts("association", "proxy_header", 1).await;
    let warned = |line: &str| {
        let is_it = line.contains("WARN") && line.contains("no valid PROXY header");
        (is_it && line.contains("\"peer\":\"127.0.0.8\"")).then_some(())
    };
    collimator.process.says("which proxy sends no header", warned).await;
    assert_eq!(asks(&mut connect(to, "127.0.0.10").await, FROM_192_0_2_7).await, ABORTED);
    collimator.counts("association", "no_associate_request", 1).await;
    assert_eq!(asks(&mut connect(to, "127.0.0.10").await, b"").await, ACCEPTED);
}

#[tokio::test]
async fn health_checks_are_no_associations_and_no_reason_to_warn() {
    let folder = tempfile::tempdir().unwrap();
    let sources = folder.path().join("sources.toml");
    std::fs::write(&sources, "[[allow]]\naddresses = ['192.0.2.7']\n").unwrap();
    let settings = [("SOURCES_FILE", sources.to_str().unwrap()), ("PROXY_FROM", "127.0.0.8")];
    let collimator = Collimator::start_with(&settings).await;
    // More than an address may be refused before it is counted, each awaited to its end.
    for _ in 0..20 {
        drop(connect(collimator.dicom, "127.0.0.8").await);
        let mut check = connect(collimator.dicom, "127.0.0.8").await;
        check.write_all(LOCAL).await.unwrap();
        check.shutdown().await.unwrap();
        assert_eq!(check.read(&mut [0]).await.unwrap(), 0);
    }
    let mut sender = connect(collimator.dicom, "127.0.0.8").await;
    assert_eq!(asks(&mut sender, FROM_192_0_2_7).await, ACCEPTED);
    let metrics = collimator.metrics().await;
    assert!(!metrics.contains(r#"collimator_refusals_total{what="association""#), "{metrics}");
    let printed = collimator.process.printed();
    assert!(!printed.contains("\"WARN\""), "{printed}");
    // Of its own it may ask for one like anybody, and is not on the list.
    assert_eq!(asks(&mut connect(collimator.dicom, "127.0.0.8").await, LOCAL).await, REJECTED);
}

#[tokio::test]
async fn a_proxy_that_sends_nothing_holds_no_stop_up() {
    let settings = [("PROXY_FROM", "127.0.0.8"), ("ARTIM_TIMEOUT", "10m")];
    let mut collimator = Collimator::start_with(&settings).await;
    let _silent = connect(collimator.dicom, "127.0.0.8").await;
    let mut unused = connect(collimator.dicom, "127.0.0.8").await;
    unused.write_all(LOCAL).await.unwrap();
    // Connections are accepted in their order.
    let mut last = connect(collimator.dicom, "127.0.0.8").await;
    assert_eq!(asks(&mut last, FROM_192_0_2_7).await, ACCEPTED);
    collimator.process.signal("TERM");
    assert_eq!(collimator.process.ended().await, Some(0), "{}", collimator.process.printed());
}

#[tokio::test]
async fn tls_begins_behind_the_header() {
    if !have("haproxy") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ours");
    let receiver = authority.issue("receiver");
    let settings = [
        ("DICOM_TLS_ADDR", "127.0.0.1:0"),
        ("DICOM_TLS_CERT", receiver.certificate.to_str().unwrap()),
        ("DICOM_TLS_KEY", receiver.key.to_str().unwrap()),
        ("PROXY_FROM", "127.0.0.1"),
    ];
    let mut collimator = Collimator::start_with(&settings).await;
    let tls = collimator.tls().await;
    let balancer = Balancer::start(folder.path(), &[(tls, Check::Connection)]).await;
    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let paths = study.write_to(folder.path()).unwrap();
    let to = tunnel(balancer.addr, &authority.file, None).await;
    let report = send(&SendSettings::new(to.to_string(), paths)).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    collimator.lists(&study.series_instance_uids()[0], 2).await;
}

/// Where a receiver answers health checks, once it is ready.
async fn admin(receiver: &mut Process) -> SocketAddr {
    let admin = receiver.says("where its health is", |line| address(line, "admin listens")).await;
    eventually("the receiver to be ready", async || {
        let answer = reqwest::get(format!("http://{admin}/health/ready")).await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
    admin
}

/// Two receivers and a balancer in front of them.
struct Pair {
    other: Process,
    other_dicom: SocketAddr,
    balancer: Balancer,
    /// Dropped last, with the folder of what the others print.
    services: Services,
}

impl Pair {
    async fn start(more: &[(&'static str, &str)]) -> Self {
        let behind = [("PROXY_FROM", "127.0.0.1"), ("NODE_NAME", "one")];
        let mut services = Services::start_with(&[&behind, more].concat()).await;
        let (mut other, other_dicom) = services.another_ingest(&[("NODE_NAME", "two")]).await;
        let one = (services.dicom, Check::Readiness(admin(&mut services.ingest).await));
        let two = (other_dicom, Check::Readiness(admin(&mut other).await));
        let balancer = Balancer::start(services.folder(), &[one, two]).await;
        Self { services, other, other_dicom, balancer }
    }

    /// Sends over one association after another, each with its share, until all are stored. Returns how many
    /// associations failed.
    async fn sends(to: SocketAddr, name: &str, paths: Vec<PathBuf>) -> usize {
        let mut failed = 0;
        for paths in paths.chunks(5) {
            let mut settings = SendSettings::new(to.to_string(), paths.to_vec());
            settings.calling_ae = name.to_owned();
            eventually("an association that stores everything", async || {
                let is_complete = send(&settings).await.is_ok_and(|report| report.is_complete());
                failed += usize::from(!is_complete);
                is_complete.then_some(())
            })
            .await;
        }
        failed
    }

    /// Which receivers instances came through.
    async fn nodes(&self) -> BTreeSet<String> {
        let stored = self.services.stored().await;
        let node = |payload: &[u8]| {
            let event: Value = serde_json::from_slice(payload).unwrap();
            event["NodeName"].as_str().unwrap().to_owned()
        };
        stored.iter().map(|event| node(&event.payload)).collect()
    }
}

#[tokio::test]
async fn a_series_that_comes_through_two_receivers_of_which_one_dies_is_one() {
    if !have("haproxy") {
        return;
    }
    // Each longer than what a sender pauses before it tries again.
    let periods = [("QUIET_PERIOD", "8s"), ("SETTLE_PERIOD", "8s"), ("ABORT_GRACE", "8s")];
    let mut pair = Pair::start(&periods).await;
    let study = SyntheticStudy::new().series("MR", 60).series("CT", 60).size(16, 16);
    let paths = study.write_to(&pair.services.folder().join("study")).unwrap();
    // Four senders that share both series among them.
    let shares = (0..4).map(|sender| paths.iter().skip(sender).step_by(4).cloned().collect());
    let to = pair.balancer.addr;
    let sending = join_all(shares.map(|share| Pair::sends(to, "SENDER", share)));
    let dying = async {
        let some = "instances of both receivers";
        eventually(some, async || (pair.nodes().await.len() == 2).then_some(())).await;
        // For good.
        pair.other.signal("KILL");
    };
    tokio::join!(sending, dying);
    assert_eq!(pair.other.ended().await, None, "killed");
    for uid in study.series_instance_uids() {
        let series = pair.services.lists(&uid, 60).await;
        assert_eq!(series["Revision"], 1, "{series}");
    }
    let completions = pair.services.completions().await;
    let counts: Vec<_> =
        completions.iter().map(|done| (done.revision, done.instances_count)).collect();
    assert_eq!(counts, [(1, 60), (1, 60)]);
}

#[tokio::test]
async fn a_receiver_that_drains_is_taken_out_and_finishes_what_it_has() {
    if !have("haproxy") {
        return;
    }
    let mut pair = Pair::start(&[("DRAIN_TIMEOUT", "10m"), ("QUIET_PERIOD", "1h")]).await;
    let study = SyntheticStudy::new().series("MR", 4).size(16, 16);
    let images = study.instances().unwrap();
    let (mut first, mut second) =
        (Scu::for_mr(pair.balancer.addr).await, Scu::for_mr(pair.balancer.addr).await);
    first.stores(&images[0]).await;
    second.stores(&images[1]).await;
    assert_eq!(pair.nodes().await.len(), 2, "in turn");
    let ready = format!("http://{}/health/ready", admin(&mut pair.other).await);
    pair.other.signal("TERM");
    eventually("the receiver to drain", async || {
        let answer = reqwest::get(&ready).await.unwrap();
        (answer.status() == 503 && answer.text().await.unwrap().contains("draining")).then_some(())
    })
    .await;
    let refused = async || TcpStream::connect(pair.other_dicom).await.err();
    eventually("the port to be closed", refused).await;
    // New ones all go to the other receiver, at their first try.
    let more = SyntheticStudy::new().series("CT", 30).size(16, 16);
    let paths = more.write_to(&pair.services.folder().join("more")).unwrap();
    assert_eq!(Pair::sends(pair.balancer.addr, "SENDER", paths).await, 0);
    // Those that were open go on.
    first.stores(&images[2]).await;
    second.stores(&images[3]).await;
    first.release().await;
    second.release().await;
    assert_eq!(pair.other.ended().await, Some(0));
    let series = pair.services.lists(&study.series_instance_uids()[0], 4).await;
    assert_eq!(series["Reason"], "released", "{series}");
}

#[tokio::test]
async fn an_operator_closes_what_was_open_at_a_receiver_that_is_gone_for_good() {
    let settings = [("QUIET_PERIOD", "1h"), ("ABORT_GRACE", "200ms")];
    let services = Services::start_with(&settings).await;
    let (mut other, dicom) = services.another_ingest(&[("NODE_NAME", "ward 2")]).await;
    let study = SyntheticStudy::new().series("MR", 1).size(16, 16);
    let mut open = Scu::for_mr(dicom).await;
    open.stores(&study.instances().unwrap()[0]).await;
    other.kill();
    let gone = format!("{}/receivers/ward%202/gone", services.api);
    let answer = reqwest::Client::new().post(gone).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let series = services.lists(&study.series_instance_uids()[0], 1).await;
    assert_eq!((&series["Reason"], &series["Revision"]), (&"interrupted".into(), &1.into()));
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_in_time_is_gone_until_it_goes_on() {
    let settings =
        [("QUIET_PERIOD", "1h"), ("ABORT_GRACE", "200ms"), ("RECEIVER_GONE_AFTER", "2s")];
    let services = Services::start_with(&settings).await;
    let (other, dicom) = services.another_ingest(&[("NODE_NAME", "ward 2")]).await;
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let images = study.instances().unwrap();
    let mut open = Scu::for_mr(dicom).await;
    open.stores(&images[0]).await;
    eventually("the receivers to be known", async || {
        let health = reqwest::get(format!("{}/health", services.api)).await.ok()?;
        let health: Value = health.json().await.ok()?;
        let nodes = health["Nodes"].as_array()?.iter();
        (nodes.filter(|node| node["NodeName"].is_string()).count() == 2).then_some(())
    })
    .await;
    // The API goes by its own questions: with the second one it has the answers to the first.
    let mut questions = services.nats.subscribe("$SRV.PING.collimator-ingest").await.unwrap();
    services.nats.flush().await.unwrap();
    for _ in 0..2 {
        questions.next().await.unwrap();
    }
    other.signal("STOP");
    let series = services.lists(&uid, 1).await;
    assert_eq!((&series["Reason"], &series["Revision"]), (&"interrupted".into(), &1.into()));
    // It was only cut off: what it goes on to store reopens the series.
    other.signal("CONT");
    for image in &images[1..] {
        open.stores(image).await;
    }
    open.release().await;
    let series = services.lists(&uid, 3).await;
    assert_eq!((&series["Reason"], &series["Revision"]), (&"released".into(), &2.into()));
    let counts: Vec<_> = services.completions().await.iter().map(|it| it.instances_count).collect();
    assert_eq!(counts, [1, 3]);
}

#[tokio::test]
async fn two_receivers_on_one_host_are_told_apart_without_names() {
    let (one, two) = (free_addr().to_string(), free_addr().to_string());
    let settings = [("DICOM_ADDR", &*one), ("QUIET_PERIOD", "1h"), ("SETTLE_PERIOD", "200ms")];
    let mut services = Services::start_with(&settings).await;
    let (_other, dicom) = services.another_ingest(&[("DICOM_ADDR", &two)]).await;
    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let images = study.instances().unwrap();
    let mut open = Scu::for_mr(dicom).await;
    open.stores(&images[0]).await;
    services.ingest.kill();
    services.start_ingest().await;
    let mut released = Scu::for_mr(services.dicom).await;
    released.stores(&images[1]).await;
    released.release().await;
    // A mistaken start would have left only the one that is released, and it would be complete before this one.
    let fence = SyntheticStudy::new().series("CT", 1).size(16, 16);
    services.receives(fence.write_to(&services.folder().join("fence")).unwrap()).await;
    services.lists(&fence.series_instance_uids()[0], 1).await;
    assert_eq!(services.completions().await.len(), 1, "that of the fence");
    open.stores(&images[2]).await;
    open.release().await;
    let series = services.lists(&study.series_instance_uids()[0], 3).await;
    assert_eq!((&series["Reason"], &series["Revision"]), (&"released".into(), &1.into()));
}
