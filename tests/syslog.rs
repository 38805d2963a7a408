//! Audit messages at an Audit Record Repository: a real rsyslog, by syslog over TLS.

use crate::harness::repository::{Repository, Taken, have_rsyslog, validate};
use crate::harness::tls::{Authority, Identity};
use crate::harness::{Collimator, eventually};
use async_nats::jetstream;
use audit_export::xml;
use contract::subject::Service;
use shared::audit::{
    Action, ActiveParticipant, AuditMessage, AuditSourceIdentification, EventId,
    EventIdentification, Outcome, ParticipantObjectIdentification, SopClass, code,
};
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

/// A certification authority with a certificate of the repository, in a folder.
struct Hospital {
    authority: Authority,
    repository: Identity,
    folder: TempDir,
}

impl Hospital {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "hospital");
        let repository = authority.issue("repository");
        Self { authority, repository, folder }
    }

    fn repository(&self) -> Repository {
        Repository::new(&self.repository, &self.authority, None)
    }

    /// A pipeline that sends to a repository of this hospital.
    async fn collimator(&self, to: SocketAddr, more: &[(&'static str, &str)]) -> Collimator {
        let (addr, ca) = (by_name(to), leaked(&self.authority.file));
        // Of its own accord it says nothing, so that what is said can be counted.
        let mut settings =
            vec![("AUDIT", "false"), ("AUDIT_SYSLOG_ADDR", addr.as_str()), ("AUDIT_SYSLOG_CA", ca)];
        settings.extend(more);
        Collimator::start_with(&settings).await
    }
}

/// The certificates of a test are of `localhost`.
fn by_name(addr: SocketAddr) -> String {
    format!("localhost:{}", addr.port())
}

fn leaked(path: &Path) -> &'static str {
    path.display().to_string().leak()
}

/// A message of the audit trail that is about `node`.
fn alert_of(node: &str) -> AuditMessage {
    AuditMessage {
        message_id: uuid::Uuid::new_v4().to_string(),
        event_identification: EventIdentification {
            event_id: EventId::SecurityAlert,
            event_action_code: Action::Execute,
            event_date_time: "2026-02-03T04:05:07.123456789Z".parse().unwrap(),
            event_outcome_indicator: Outcome::MinorFailure,
            event_type_code: vec![code::NODE_AUTHENTICATION],
            event_outcome_description: None,
        },
        active_participant: vec![ActiveParticipant::requestor("X").role(code::SOURCE)],
        audit_source_identification: AuditSourceIdentification::new(Service::Ingest, "radiology"),
        participant_object_identification: vec![ParticipantObjectIdentification::node(node)],
        repeated: None,
    }
}

/// Puts a message into the audit trail.
async fn has_happened(collimator: &Collimator, node: &str) {
    publish(collimator, serde_json::to_vec(&alert_of(node)).unwrap()).await;
}

async fn publish(collimator: &Collimator, payload: Vec<u8>) {
    let jetstream = jetstream::new(collimator.nats.clone());
    let stored = jetstream.publish("dicom.audit.ingest.alert", payload.into()).await.unwrap();
    stored.await.unwrap();
}

/// The nodes that the alerts are about which the repository took, in order.
fn nodes(repository: &Repository) -> Vec<String> {
    let node = |taken: Taken| {
        let (_, rest) = taken.xml.split_once("ParticipantObjectID=\"node-")?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    repository.taken().into_iter().filter_map(node).collect()
}

/// Waits until the repository has taken the alerts about all of these nodes, and nothing else.
async fn takes_all(repository: &Repository, wanted: &[String]) {
    let all = || nodes(repository) == wanted;
    eventually(&format!("{wanted:?}"), async || all().then_some(())).await;
}

/// What the log says of messages that do not reach the repository.
async fn does_not_reach(collimator: &mut Collimator, why: &str) {
    let says = |line: &str| {
        (line.contains("audit messages do not reach the repository") && line.contains(why))
            .then_some(())
    };
    collimator.process.says(&format!("that nothing is sent: {why}"), says).await;
}

#[test]
fn whatever_is_in_an_audit_message_is_valid_xml_by_the_schema_of_the_standard() {
    let plain = alert_of("192.0.2.7");
    let hostile = "<a b=\"c\"> ]]> & 'd'\u{0}\u{1b}[0m\n\t\u{ffff} Ünïcödé 患者";
    let mut full = alert_of(hostile);
    full.repeated = Some(41);
    full.event_identification.event_outcome_description = Some(hostile.to_owned());
    full.active_participant[0] = ActiveParticipant {
        alternative_user_id: Some(hostile.to_owned()),
        user_name: Some(hostile.to_owned()),
        ..ActiveParticipant::other(hostile).role(code::DESTINATION).from_address("::1")
    };
    let objects = [
        ParticipantObjectIdentification {
            accession: vec![hostile.to_owned()],
            sop_class: vec![SopClass { uid: "1.2.840.1".to_owned(), number_of_instances: 17 }],
            ..ParticipantObjectIdentification::study("2.25.1")
        },
        ParticipantObjectIdentification::patient(hostile),
        ParticipantObjectIdentification::search("/series", hostile),
        ParticipantObjectIdentification::guarded_path(hostile).detail(hostile, hostile),
    ];
    full.participant_object_identification.extend(objects);
    for message in [plain, full] {
        let xml = xml::of(&message).unwrap();
        assert!(!xml.chars().any(char::is_control), "{xml:?}");
        validate(&xml);
    }
}

#[tokio::test]
async fn what_is_read_by_http_arrives_as_an_audit_message_of_the_standard() {
    if !have_rsyslog() {
        return;
    }
    let hospital = Hospital::new();
    let mut repository = hospital.repository();
    repository.comes().await;
    let collimator = hospital.collimator(repository.addr, &[("AUDIT", "true")]).await;
    let search = format!("{}/dicom-web/studies?PatientName=Yamada*", collimator.api);
    assert!(reqwest::get(search).await.unwrap().status().is_success());
    let query = repository.takes("a query", |taken| taken.xml.contains("\"110112\"")).await;
    for part in [
        "EventActionCode=\"E\"",
        "EventOutcomeIndicator=\"0\"",
        "ParticipantObjectID=\"/dicom-web/studies\"",
        "<ParticipantObjectQuery>",
        "NetworkAccessPointID=\"127.0.0.1\"",
    ] {
        assert!(query.xml.contains(part), "{part} in {}", query.xml);
    }
    let header: Vec<_> = query.header.split(' ').collect();
    let [pri, _time, _host, app, _process, kind, none, bom] = header[..] else {
        panic!("{header:?}");
    };
    assert_eq!(
        [pri, app, kind, none, bom],
        ["<85>1", "collimator", "DICOM+RFC3881", "-", "\u{feff}"]
    );
    assert!(
        reqwest::get(format!("{}/series/2.25.1", collimator.api)).await.unwrap().status() == 404
    );
    repository.takes("an access", |taken| taken.xml.contains("\"110103\"")).await;
    let started = repository.takes("a start", |taken| taken.xml.contains("\"110120\"")).await;
    assert!(started.xml.contains("\"110100\""), "{}", started.xml);
    for taken in repository.taken() {
        taken.is_valid();
    }
}

#[tokio::test]
async fn a_repository_that_was_away_gets_everything_once_it_is_back_and_in_order() {
    if !have_rsyslog() {
        return;
    }
    let hospital = Hospital::new();
    let mut repository = hospital.repository();
    let mut collimator = hospital.collimator(repository.addr, &[]).await;
    does_not_reach(&mut collimator, "refused").await;
    let names: Vec<_> = (0..40).map(|n| n.to_string()).collect();
    for name in &names[..20] {
        has_happened(&collimator, &format!("node-{name}")).await;
    }
    // One that nobody can read holds up nothing.
    publish(&collimator, b"no JSON".to_vec()).await;
    repository.comes().await;
    takes_all(&repository, &names[..20]).await;
    collimator.tells("syslog_messages_total{outcome=\"unreadable\"}", 1).await;
    let again = |line: &str| line.contains("reach the repository again").then_some(());
    collimator.process.says("that it takes messages again", again).await;
    assert!(collimator.is_ready().await);

    // What it has taken and been asked to keep is not sent twice.
    collimator.tells("syslog_messages_total{outcome=\"sent\"}", 20).await;
    repository.goes().await;
    for name in &names[20..] {
        has_happened(&collimator, &format!("node-{name}")).await;
    }
    collimator.tells("syslog_connected", 0).await;
    assert!(collimator.is_ready().await);
    repository.comes().await;
    takes_all(&repository, &names).await;
    collimator.tells("syslog_messages_total{outcome=\"sent\"}", 40).await;
    collimator.tells("syslog_waiting_messages", 0).await;
}

#[tokio::test]
async fn what_a_repository_has_not_read_when_it_dies_comes_again() {
    if !have_rsyslog() {
        return;
    }
    let hospital = Hospital::new();
    let mut repository = hospital.repository();
    repository.comes().await;
    let collimator = hospital.collimator(repository.addr, &[]).await;
    collimator.tells("syslog_connected", 1).await;
    repository.hangs();
    let names = ["1", "2", "3"].map(str::to_owned);
    for name in &names {
        has_happened(&collimator, &format!("node-{name}")).await;
    }
    let waits = "syslog_waiting_messages";
    eventually("all of them to be written", async || {
        let metrics = collimator.metrics().await;
        let waiting =
            metrics.lines().find_map(|line| line.strip_prefix("collimator_")?.strip_prefix(waits));
        (waiting?.trim().parse::<u64>().unwrap() >= 3).then_some(())
    })
    .await;
    repository.dies();
    repository.comes().await;
    takes_all(&repository, &names).await;
}

#[tokio::test]
async fn a_repository_with_a_foreign_certificate_gets_nothing_and_the_log_says_so() {
    if !have_rsyslog() {
        return;
    }
    let hospital = Hospital::new();
    let elsewhere = Authority::new(hospital.folder.path(), "elsewhere");
    let mut repository = Repository::new(&elsewhere.issue("foreign"), &elsewhere, None);
    repository.comes().await;
    let mut collimator = hospital.collimator(repository.addr, &[]).await;
    has_happened(&collimator, "node-1").await;
    does_not_reach(&mut collimator, "UnknownIssuer").await;

    // Of the right authority, and of another name.
    let mut named = hospital.repository();
    named.comes().await;
    let settings = [("AUDIT_SYSLOG_ADDR", leaked(Path::new(&named.addr.to_string())))];
    let mut other = hospital.collimator(named.addr, &settings).await;
    has_happened(&other, "node-1").await;
    does_not_reach(&mut other, "not valid for name").await;
    for (collimator, repository) in [(&collimator, &repository), (&other, &named)] {
        collimator.tells("syslog_waiting_messages", 1).await;
        collimator.tells("syslog_connected", 0).await;
        assert!(repository.taken().is_empty());
    }
}

#[tokio::test]
async fn a_repository_that_wants_a_certificate_is_shown_ours() {
    if !have_rsyslog() {
        return;
    }
    let hospital = Hospital::new();
    let clients = Authority::new(hospital.folder.path(), "clients");
    let ours = clients.issue("collimator");
    let (foreign, authority) = (hospital.authority.issue("other"), &hospital.authority);
    let mut repository = Repository::new(&hospital.repository, authority, Some(&clients));
    repository.comes().await;
    for nobody in [None, Some(&foreign)] {
        let settings = nobody.map(shown).into_iter().flatten().collect::<Vec<_>>();
        let mut stranger = hospital.collimator(repository.addr, &settings).await;
        has_happened(&stranger, "node-stranger").await;
        does_not_reach(&mut stranger, "").await;
        stranger.tells("syslog_messages_total{outcome=\"sent\"}", 0).await;
    }
    let collimator = hospital.collimator(repository.addr, &shown(&ours)).await;
    has_happened(&collimator, "node-1").await;
    takes_all(&repository, &["1".to_owned()]).await;
}

/// The settings by which a certificate is shown to the repository.
fn shown(identity: &Identity) -> [(&'static str, &'static str); 2] {
    let (certificate, key) = (leaked(&identity.certificate), leaked(&identity.key));
    [("AUDIT_SYSLOG_CERT", certificate), ("AUDIT_SYSLOG_KEY", key)]
}

#[tokio::test]
async fn a_killed_pipeline_loses_no_audit_message() {
    if !have_rsyslog() {
        return;
    }
    let hospital = Hospital::new();
    let mut repository = hospital.repository();
    repository.comes().await;
    let data = leaked(&hospital.folder.path().join("data"));
    let settings = [("DATA_DIR", data)];
    let mut first = hospital.collimator(repository.addr, &settings).await;
    for name in ["1", "2"] {
        has_happened(&first, &format!("node-{name}")).await;
    }
    repository.takes("the first", |taken| taken.xml.contains("node-2")).await;
    // These were written and are held; those that come are not written at all.
    repository.goes().await;
    for name in ["3", "4"] {
        has_happened(&first, &format!("node-{name}")).await;
    }
    first.process.kill();
    repository.comes().await;
    let second = hospital.collimator(repository.addr, &settings).await;
    has_happened(&second, "node-5").await;
    repository.takes("the last", |taken| taken.xml.contains("node-5")).await;
    let taken = nodes(&repository);
    let mut once = taken.clone();
    once.dedup();
    // The first two may have come twice, and none overtook another.
    let ends = [["1", "2", "3", "4", "5"].as_slice(), &["1", "2", "1", "2", "3", "4", "5"]];
    assert!(
        ends.contains(&once.iter().map(String::as_str).collect::<Vec<_>>().as_slice()),
        "{taken:?}"
    );
}

#[tokio::test]
async fn after_a_stop_in_order_nothing_comes_twice() {
    if !have_rsyslog() {
        return;
    }
    let hospital = Hospital::new();
    let mut repository = hospital.repository();
    repository.comes().await;
    let settings = [("DATA_DIR", leaked(&hospital.folder.path().join("data")))];
    let mut first = hospital.collimator(repository.addr, &settings).await;
    // The connection has lasted when the first counts as sent; the second is held still.
    has_happened(&first, "node-1").await;
    first.tells("syslog_messages_total{outcome=\"sent\"}", 1).await;
    has_happened(&first, "node-2").await;
    takes_all(&repository, &["1", "2"].map(str::to_owned)).await;
    first.process.signal("TERM");
    assert_eq!(first.process.ended().await, Some(0));

    let second = hospital.collimator(repository.addr, &settings).await;
    has_happened(&second, "node-3").await;
    takes_all(&repository, &["1", "2", "3"].map(str::to_owned)).await;
}
