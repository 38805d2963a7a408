//! NATS over TLS, as `nats-tls.conf` has it: the whole flow works, and nothing is said in plain text or to others.

use crate::harness::pipeline::{Process, address, free_addr};
use crate::harness::restricted::{RestrictedBroker, refusals};
use crate::harness::tls::{Authority, Identity};
use async_nats::{Client, ConnectOptions};
use collimator::synthetic::SyntheticStudy;
use shared::nats_user::NatsUser;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A broker with a certificate, and the CAs of both sides.
struct Secured {
    broker: RestrictedBroker,
    ours: Authority,
    clients: Authority,
    _folder: TempDir,
}

impl Secured {
    /// One that asks clients for certificates, or not.
    async fn start(asks: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ours = Authority::new(folder.path(), "ours");
        let Identity { certificate, key } = ours.issue("nats");
        let clients = Authority::new(folder.path(), "clients");
        let environment = [
            ("NATS_TLS_SERVER_CERT", certificate.to_str().unwrap()),
            ("NATS_TLS_SERVER_KEY", key.to_str().unwrap()),
            ("NATS_TLS_CLIENT_CA", clients.file.to_str().unwrap()),
        ];
        let edit = |text: &str| {
            if !asks {
                return text.to_owned();
            }
            assert!(text.contains("# ca_file:") && text.contains("# verify:"), "{text}");
            text.replace("# ca_file:", "ca_file:").replace("# verify:", "verify:")
        };
        let mut broker = RestrictedBroker::start_with("nats-tls.conf", &environment, edit).await;
        broker.settings = vec![
            ("NATS_URL", format!("tls://localhost:{}", broker.addr.port())),
            ("NATS_TLS_CA", ours.file.display().to_string()),
        ];
        Self { broker, ours, clients, _folder: folder }
    }

    /// Connects as the `admin`, as a service does.
    async fn connects(
        &self,
        ca: Option<&Path>,
        identity: Option<&Identity>,
    ) -> Result<Client, String> {
        let mut user: NatsUser = self.broker.user("admin");
        user.tls.nats_tls_ca = ca.map(Path::to_owned);
        user.tls.nats_tls_cert = identity.map(|identity| identity.certificate.clone());
        user.tls.nats_tls_key = identity.map(|identity| identity.key.clone());
        let options = user.introduce(ConnectOptions::new()).unwrap();
        let url = format!("tls://localhost:{}", self.broker.addr.port());
        options.connect(url).await.map_err(|error| error.to_string())
    }

    fn ca(&self) -> Option<&Path> {
        Some(&self.ours.file)
    }
}

/// What a client hears that goes on without TLS.
async fn answer_in_plain_text(broker: &RestrictedBroker) -> String {
    let mut socket = TcpStream::connect(broker.addr).await.unwrap();
    let connect = format!(
        "CONNECT {{\"verbose\":false,\"tls_required\":false,\"user\":\"admin\",\"pass\":\"{}\"}}\r\nPING\r\n",
        broker.password("admin")
    );
    socket.write_all(connect.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end of the connection may come as a reset, since the broker has not read all of it.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_whole_flow_works_over_tls_as_the_user_of_each_service_with_a_list_of_servers() {
    let mut secured = Secured::start(false).await;
    // Of which one is down.
    let (down, up) = (free_addr().port(), secured.broker.addr.port());
    secured.broker.settings[0].1 = format!("tls://localhost:{down},tls://localhost:{up}");
    let admin = secured.connects(secured.ca(), None).await.unwrap();
    let services = secured.broker.services(admin, &[]).await;
    let study = SyntheticStudy::new().series("MR", 4).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let folder = tempfile::tempdir().unwrap();
    services.ends.receives(study.write_to(folder.path()).unwrap()).await;
    services.ends.lists(&uid, 4).await;
    assert_eq!(services.ends.completions().await.len(), 1);
    for service in [&services.ingest, &services.indexer, &services.api] {
        assert_eq!(refusals(service), [""; 0]);
    }
}

#[tokio::test]
async fn nobody_speaks_to_a_broker_that_it_does_not_trust_or_in_plain_text() {
    let secured = Secured::start(false).await;
    // Its certificate is of no CA that this system knows, nor of another one that is named.
    for ca in [None, Some(secured.clients.file.as_path())] {
        let refused = secured.connects(ca, None).await.unwrap_err();
        assert!(refused.contains("UnknownIssuer"), "{refused}");
    }
    let answer = answer_in_plain_text(&secured.broker).await;
    assert!(answer.starts_with("INFO ") && !answer.contains("PONG"), "{answer}");
    secured.connects(secured.ca(), None).await.unwrap();
}

#[tokio::test]
async fn a_broker_that_asks_for_certificates_lets_nobody_in_without_a_good_one() {
    let secured = Secured::start(true).await;
    let good = secured.clients.issue("ingest");
    let foreign = Authority::new(secured.broker.folder.path(), "strangers").issue("stranger");
    let expired = secured.clients.issue_until("expired", 2020);
    for identity in [None, Some(&foreign), Some(&expired)] {
        let refused = secured.connects(secured.ca(), identity).await;
        assert!(refused.is_err(), "{:?}", identity.map(|identity| &identity.certificate));
    }
    secured.connects(secured.ca(), Some(&good)).await.unwrap();
    let paths = |path: &PathBuf| path.display().to_string();
    let (certificate, key) = (paths(&good.certificate), paths(&good.key));
    let mut indexer: Process = secured
        .broker
        .service("indexer", &[("NATS_TLS_CERT", &certificate), ("NATS_TLS_KEY", &key)])
        .await;
    indexer.indexes().await;
}

#[tokio::test]
async fn a_service_that_is_told_whom_to_trust_says_nothing_in_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new(folder.path(), "ours");
    let broker = RestrictedBroker::start().await;
    let ca = ours.file.display().to_string();
    let mut ingest = broker.service("ingest", &[("NATS_TLS_CA", &ca)]).await;
    ingest.says("where it receives", |line| address(line, "ingest listens")).await;
    let away = |line: &str| line.contains("NATS can't be reached").then_some(());
    ingest.says("that it has no broker", away).await;
    assert!(!ingest.printed().contains("the streams"), "it has spoken to it");
}

#[tokio::test]
async fn a_file_that_is_no_good_ends_the_start_with_one_line_that_names_it() {
    let broker = RestrictedBroker::start().await;
    let nowhere = broker.folder.path().join("nowhere").display().to_string();
    for setting in ["NATS_TLS_CA", "NATS_PASSWORD_FILE"] {
        for name in ["ingest", "indexer", "api"] {
            let mut service = broker.service(name, &[(setting, &nowhere)]).await;
            assert_eq!(service.ended().await, Some(1), "{name} {setting}");
            let printed = service.printed();
            let says = format!("{setting} {nowhere}");
            assert_eq!(printed.matches(&says).count(), 1, "{name}: {printed}");
        }
    }
}
