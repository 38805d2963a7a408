//! `NATS_CREDS_FILE`: services on a broker of an operator, which knows users by their JWTs.

use crate::harness::eventually;
use crate::harness::pipeline::{
    Ends, Process, address, free_addr, nats_server, service, test_settings,
};
use async_nats::ConnectOptions;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use collimator::synthetic::SyntheticStudy;
use nkeys::KeyPair;
use serde_json::{Value, json};
use shared::nats_user::NatsUser;
use std::net::SocketAddr;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// An account, whose users the broker lets in.
struct Account {
    key: KeyPair,
    folder: TempDir,
}

/// A JWT as NATS has it (its ADR-14): signed by `issuer`, about `subject`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, claims: &Value) -> String {
    let part = |part: Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string().as_bytes());
    let header = part(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let body = part(json!({
        "jti": uuid::Uuid::new_v4().to_string(), "iat": 1_700_000_000, "iss": issuer.public_key(),
        "sub": subject.public_key(), "name": name, "nats": claims,
    }));
    let signed = format!("{header}.{body}");
    let signature = BASE64_URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

impl Account {
    /// An operator with an account that stores as much as it likes, and a broker of that operator.
    async fn start() -> (Self, SocketAddr, Process) {
        let (operator, system, key) =
            (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1,
            "consumer": -1,
        });
        let none = json!({"subs": -1, "data": -1, "payload": -1, "conn": -1});
        let account = |key: &KeyPair, name: &str, limits: &Value| {
            let claims = json!({"type": "account", "version": 2, "limits": limits});
            format!("{}: {}", key.public_key(), jwt(&operator, key, name, &claims))
        };
        let claims = json!({"type": "operator", "version": 2});
        let configuration = format!(
            "include nats.conf\noperator: {}\nsystem_account: {}\nresolver: MEMORY\n\
             resolver_preload: {{\n{}\n{}\n}}\n",
            jwt(&operator, &operator, "hospital", &claims),
            system.public_key(),
            account(&system, "SYS", &none),
            account(&key, "COLLIMATOR", &limits),
        );
        let folder = tempfile::tempdir().unwrap();
        let project = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(project.join("nats.conf"), folder.path().join("nats.conf")).unwrap();
        let file = folder.path().join("nats-operator.conf");
        std::fs::write(&file, configuration).unwrap();
        let addr = free_addr();
        let broker = nats_server(&file, folder.path(), addr.port(), 0).await;
        eventually("the broker", async || TcpStream::connect(addr).await.ok()).await;
        (Self { key, folder }, addr, broker)
    }

    /// The `.creds` file of a new user, who gets answers on its own subjects only, and may be asked what it is.
    fn user(&self, name: &str) -> PathBuf {
        self.user_of(&self.key, name)
    }

    fn user_of(&self, issuer: &KeyPair, name: &str) -> PathBuf {
        let key = KeyPair::new_user();
        let inbox = format!("_INBOX_{name}.>");
        let claims = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
            "pub": {}, "sub": {"allow": [inbox, "$SRV.>"]},
        });
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(issuer, &key, name, &claims),
            key.seed().unwrap()
        );
        let file = self.folder.path().join(format!("{name}.creds"));
        std::fs::write(&file, text).unwrap();
        file
    }

    fn told(file: PathBuf, name: &str) -> NatsUser {
        let nats_inbox_prefix = Some(format!("_INBOX_{name}"));
        NatsUser { nats_creds_file: Some(file), nats_inbox_prefix, ..NatsUser::default() }
    }
}

#[tokio::test]
async fn the_whole_flow_works_with_a_file_of_credentials_for_each_service() {
    let (account, addr, _broker) = Account::start().await;
    let folder = account.folder.path();
    // Nobody is at the first of them: the credentials are for whichever is connected to.
    let nats_url = format!("nats://{},nats://{addr}", free_addr());
    let start = async |name: &str| {
        let mut settings = test_settings(folder);
        settings.extend([
            ("DATABASE_URL", format!("sqlite://{}", folder.join("catalog.db").display())),
            ("NATS_URL", nats_url.clone()),
            ("NATS_CREDS_FILE", account.user(name).display().to_string()),
            ("NATS_INBOX_PREFIX", format!("_INBOX_{name}")),
        ]);
        Process::start(&service(name).await, folder, &settings)
    };
    let mut indexer = start("indexer").await;
    indexer.indexes().await;
    let (mut ingest, mut api) = (start("ingest").await, start("api").await);
    let dicom = ingest.says("where it receives", |line| address(line, "ingest listens")).await;
    ingest.says("who it is", |line| line.contains("ingest starting").then_some(())).await;
    let api_addr = api.says("where it is", |line| address(line, "api listens")).await;
    let admin = Account::told(account.user("admin"), "admin");
    let options = admin.introduce(ConnectOptions::new()).unwrap();
    let nats = options.connect(addr.to_string()).await.unwrap();
    let ends =
        Ends { dicom, api: format!("http://{api_addr}"), nats, nats_url: format!("nats://{addr}") };

    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    ends.receives(study.write_to(&folder.join("study")).unwrap()).await;
    ends.lists(&uid, 3).await;
    for (name, service) in [("ingest", &ingest), ("indexer", &indexer), ("api", &api)] {
        let printed = service.printed();
        let credentials = std::fs::read_to_string(folder.join(format!("{name}.creds"))).unwrap();
        let secrets = credentials.lines().filter(|line| !line.is_empty() && !line.starts_with('-'));
        for secret in secrets {
            assert!(!printed.contains(secret), "a credential in the log of {name}");
        }
        assert!(!printed.to_lowercase().contains("permissions"), "{name}: {printed}");
    }
}

#[tokio::test]
async fn a_user_whose_account_the_operator_does_not_know_is_not_let_in() {
    let (account, addr, _broker) = Account::start().await;
    let connects = async |file: PathBuf, name: &str| {
        let options = Account::told(file, name).introduce(ConnectOptions::new()).unwrap();
        options.connect(addr.to_string()).await.map_err(|error| error.to_string())
    };
    let stranger = account.user_of(&KeyPair::new_account(), "stranger");
    let refused = connects(stranger, "stranger").await.unwrap_err();
    assert!(refused.contains("authorization violation"), "{refused}");
    connects(account.user("ingest"), "ingest").await.unwrap();
}
