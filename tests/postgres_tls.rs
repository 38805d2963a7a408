//! PostgreSQL over TLS: whose certificate is taken.

use crate::harness::database::Database;
use crate::harness::indexing::{Indexing, Published};
use crate::harness::pipeline::{Process, broker, service, test_settings};
use crate::harness::tls::Authority;
use crate::harness::tools::skip;
use std::path::Path;
use test_database::KillableServer;

/// The line with which an indexer ends that can't use a database.
async fn refusal(folder: &Path, nats: &str, url: &str) -> String {
    let mut settings = test_settings(folder);
    settings.push(("NATS_URL", nats.to_owned()));
    settings.push(("DATABASE_URL", url.to_owned()));
    let mut indexer = Process::start(&service("indexer").await, folder, &settings);
    assert_eq!(indexer.ended().await, Some(1), "{}", indexer.printed());
    let printed = indexer.printed();
    let errors: Vec<_> = printed.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{printed}");
    errors[0].to_owned()
}

#[tokio::test]
async fn a_server_is_used_that_has_a_certificate_of_our_authority_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, others) =
        (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "others"));
    let identity = ours.issue("database");
    let Some(server) = KillableServer::start_with_tls(&identity.certificate, &identity.key) else {
        skip("PostgreSQL is not installed");
        return;
    };
    let broker = broker(folder.path()).await;
    let nats = broker.url().to_string();
    // The certificate is of localhost.
    let url = |host: &str, ca: &Path| {
        let (port, ca) = (server.addr().port(), ca.display());
        format!(
            "postgres://collimator:secret@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={ca}"
        )
    };
    for (url, why) in [
        (url("localhost", &others.file), "UnknownIssuer"),
        (url("127.0.0.1", &ours.file), "not valid for name"),
        (url("localhost", &folder.path().join("missing.pem")), "No such file"),
    ] {
        let refusal = refusal(folder.path(), &nats, &url).await;
        assert!(refusal.contains(why) && !refusal.contains("secret"), "{why}: {refusal}");
    }

    let database = Database::at(url("localhost", &ours.file));
    let indexing = Indexing::start_on(database, &nats, &[("SETTLE_PERIOD", "200ms")]).await;
    let mut published = Published::new("2.25.8", "2.25.8");
    published.sends(&nats, 10).await;
    published.releases(&nats).await;
    indexing.completes_each_once(1, 10).await;
    let encrypted = "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid)
        where usename = 'collimator' and application_name = '' and client_addr is not null
            and pid <> pg_backend_pid()";
    let mut connection =
        <sqlx::PgConnection as sqlx::Connection>::connect(&server.url()).await.unwrap();
    let is_encrypted: Option<bool> =
        sqlx::query_scalar(encrypted).fetch_one(&mut connection).await.unwrap();
    assert_eq!(is_encrypted, Some(true));
}
