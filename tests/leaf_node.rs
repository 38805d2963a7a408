//! Services at a leaf node of NATS (a server at another site): they use the JetStream of the hub, which has a domain.

use crate::harness::database::Database;
use crate::harness::eventually;
use crate::harness::pipeline::{Ends, Process, address, free_addr, service, test_settings, with};
use crate::harness::restricted::refusals;
use async_nats::jetstream;
use collimator::embedded_nats::Finder;
use collimator::send::{SendSettings, send};
use collimator::synthetic::SyntheticStudy;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;

/// A nats-server without JetStream, in whose only account the questions to JetStream go to the domain `hub`, as
/// docs/nats.md has it. Its user has permissions for the subjects that they are mapped to.
fn leaf_configuration(listen: SocketAddr, hub: SocketAddr) -> String {
    format!(
        r#"
server_name: leaf
listen: "{listen}"
accounts {{
    COLLIMATOR {{
        mappings {{ "$JS.API.>": "$JS.hub.API.>" }}
        users [ {{
            user: site, password: site
            permissions {{
                publish: ["dicom.>", "$JS.hub.API.>", "$JS.ACK.>", "$JS.FC.>", "$SRV.>"]
                subscribe: ["_INBOX_site.>", "$SRV.>"]
                allow_responses: true
            }}
        }} ]
    }}
}}
leafnodes {{ remotes [ {{ url: "nats://{hub}", account: COLLIMATOR }} ] }}
"#
    )
}

fn hub_configuration(listen: SocketAddr, leaves: SocketAddr, store: &Path) -> String {
    format!(
        "server_name: hub\nlisten: \"{listen}\"\nleafnodes {{ listen: \"{leaves}\" }}\n\
         jetstream {{ store_dir: \"{}\", domain: hub }}\n",
        store.display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn services_at_a_leaf_node_use_the_streams_of_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let program = Finder::new(None, folder.path()).find_or_fetch().await.unwrap();
    let (hub, leaves, leaf) = (free_addr(), free_addr(), free_addr());
    let configurations = [
        ("hub.conf", hub_configuration(hub, leaves, &folder.path().join("nats"))),
        ("leaf.conf", leaf_configuration(leaf, leaves)),
    ];
    let mut servers = configurations.map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Process::start_with(&program, &["-c", path.to_str().unwrap()], folder.path(), &[])
    });

    let database = Database::beside(folder.path());
    let mut at_hub = test_settings(folder.path());
    at_hub.push(("NATS_URL", format!("nats://{hub}")));
    at_hub.push(("DATABASE_URL", database.url.clone()));
    let password = folder.path().join("password");
    std::fs::write(&password, "site").unwrap();
    let at_leaf = with(
        at_hub.clone(),
        &[
            ("NATS_URL", &*format!("nats://{leaf}")),
            ("NATS_USER", "site"),
            ("NATS_PASSWORD_FILE", password.to_str().unwrap()),
            ("NATS_INBOX_PREFIX", "_INBOX_site"),
        ],
    );
    let start =
        async |name, settings| Process::start(&service(name).await, folder.path(), settings);
    // The first at the hub and the second at the leaf: both read the same streams.
    let mut indexer = start("indexer", &at_hub).await;
    indexer.indexes().await;
    let mut second = start("indexer", &at_leaf).await;
    let (mut ingest, mut api) = (start("ingest", &at_leaf).await, start("api", &at_leaf).await);
    let dicom = ingest.says("where it receives", |line| address(line, "ingest listens")).await;
    let addr = api.says("where it is", |line| address(line, "api listens")).await;
    let ends = Ends::new(dicom, format!("http://{addr}"), format!("nats://{hub}")).await;
    eventually("the API to be ready", async || ends.is_ready().await.then_some(())).await;

    let receives = async |name: &str| {
        let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
        ends.receives(study.write_to(&folder.path().join(name)).unwrap()).await;
        ends.lists(&study.series_instance_uids()[0], 3).await;
    };
    receives("first").await;
    second.stands_by().await;
    indexer.signal("TERM");
    second.indexes().await;
    receives("second").await;
    assert_eq!(ends.completions().await.len(), 2);
    // What is acknowledged at the leaf is acknowledged to the hub.
    eventually("all acknowledged", async || {
        let stream = jetstream::new(ends.nats.clone()).get_stream("INSTANCES").await.ok()?;
        let info = stream.consumer_info("indexer").await.ok()?;
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
    })
    .await;
    let health = reqwest::get(format!("{}/health", ends.api)).await.unwrap();
    let health: Value = health.json().await.unwrap();
    assert_eq!(health["Nodes"].as_array().unwrap().len(), 3, "{health}");
    assert!(
        health["Streams"].as_array().unwrap().iter().all(|it| it["Leader"] == "hub"),
        "{health}"
    );
    for service in [&ingest, &second, &api] {
        assert_eq!(refusals(service), [""; 0]);
    }
    // Nothing is stored at the leaf node: without the hub the sender is told.
    servers[0].kill();
    let study = SyntheticStudy::new().series("MR", 1).size(16, 16);
    let paths = study.write_to(&folder.path().join("third")).unwrap();
    let report = send(&SendSettings::new(dicom.to_string(), paths)).await;
    assert!(!report.is_ok_and(|report| report.is_complete()));
}
