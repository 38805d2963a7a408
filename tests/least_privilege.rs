//! NATS with a user for each service: the whole flow works, and none may do more.

mod intruder;
mod subjects;

use crate::harness::pipeline::{
    COLLIMATOR, Ends, Process, address, free_addr, nats_conf, nats_server, service,
};
use crate::harness::receiver::Receiver;
use crate::harness::repository::{Repository, have_rsyslog};
use crate::harness::restricted::{RestrictedBroker, RestrictedServices, refusals};
use crate::harness::tls::Authority;
use crate::harness::{DEADLINE, eventually};
use async_nats::jetstream;
use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use collimator::synthetic::SyntheticStudy;
use futures_util::StreamExt;
use intruder::intruder;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use subjects::{EVENTS, MAY, may, subjects};
use tokio::time::timeout;

async fn connect(
    broker: &RestrictedBroker,
    options: ConnectOptions,
) -> Result<Client, ConnectErrorKind> {
    options.connect(broker.addr.to_string()).await.map_err(|error| error.kind())
}

/// The ends of a pipeline on it, seen with all rights.
async fn ends(broker: &RestrictedBroker, dicom: SocketAddr, api: String) -> Ends {
    let (nats, nats_url) = (broker.admin().await, format!("nats://{}", broker.addr));
    Ends { dicom, api, nats, nats_url }
}

#[tokio::test]
async fn each_service_does_all_of_its_work_as_its_own_user() {
    let broker = RestrictedBroker::start().await;
    // The streams are the indexer's to make: the receiver waits for it.
    let mut ingest = broker.service("ingest", &[]).await;
    let dicom = ingest.says("where it receives", |line| address(line, "ingest listens")).await;
    let waits = |line: &str| line.contains("the streams are not there yet").then_some(());
    ingest.says("that it waits for the streams", waits).await;
    let printed = ingest.printed();
    assert!(printed.contains("does not let this user make streams"), "{printed}");
    assert!(!printed.contains("INSTANCES_MAX_BYTES"), "a hint that leads nowhere");
    let mut indexer = broker.service("indexer", &[]).await;
    indexer.indexes().await;
    let mut api = broker.service("api", &[]).await;
    let api_addr = api.says("where it is", |line| address(line, "api listens")).await;
    let ends = ends(&broker, dicom, format!("http://{api_addr}")).await;

    let tap = intruder(&broker, "tap").await;
    let mut completions = tap.nats.subscribe("dicom.series.completed.>").await.unwrap();
    let mut everything = tap.nats.subscribe("dicom.>").await.unwrap();
    tap.nats.flush().await.unwrap();
    ingest.says("who it is", |line| line.contains("ingest starting").then_some(())).await;
    let mut events = eventually("the API to tell of events", async || {
        let answer = reqwest::get(format!("{}/events", ends.api)).await.unwrap();
        (answer.status() == 200).then_some(answer)
    })
    .await;

    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 4);
    ends.receives(study.write_to(folder.path()).unwrap()).await;
    let [uid] = study.series_instance_uids().try_into().unwrap();
    ends.lists(&uid, 4).await;
    // Each of them leaves its part of the audit trail; who listens to all the rest hears none of it.
    for subject in [
        "dicom.audit.ingest.activity",
        "dicom.audit.ingest.transferred",
        "dicom.audit.indexer.activity",
        "dicom.audit.api.query",
    ] {
        eventually(subject, async || {
            let trail = ends.events("AUDIT").await;
            trail.iter().any(|message| message.subject.as_str() == subject).then_some(())
        })
        .await;
    }
    tap.nats.flush().await.unwrap();
    while let Ok(event) = timeout(Duration::ZERO, everything.next()).await {
        let subject = event.unwrap().subject;
        assert!(!subject.starts_with("dicom.audit."), "{subject}");
    }
    let completed = timeout(DEADLINE, completions.next()).await.unwrap().unwrap();
    assert!(completed.subject.ends_with(&uid), "{}", completed.subject);
    let heard = async {
        let mut heard = String::new();
        while !heard.contains("event: series.completed") {
            heard.push_str(&String::from_utf8_lossy(&events.chunk().await.unwrap().unwrap()));
        }
    };
    timeout(DEADLINE, heard).await.expect("the completion at /events");

    // What operators ask for, and letters that can't be read, which only an admin can send.
    let client = reqwest::Client::new();
    let trust = client.post(format!("{}/sources/COLLIMATOR_SCU/trust", ends.api)).send();
    assert!(trust.await.unwrap().status().is_success());
    ends.nats.publish("dicom.instance.stored.00.MR.1.2", "no JSON".into()).await.unwrap();
    ends.nats.flush().await.unwrap();
    let letters = async || -> Option<u64> {
        let listed = client.get(format!("{}/dead-letters", ends.api)).send().await.unwrap();
        let listed: serde_json::Value = listed.json().await.unwrap();
        listed.get(0)?["Sequence"].as_u64()
    };
    let sequence = eventually("the dead letter", letters).await;
    let dropped = client.delete(format!("{}/dead-letters/{sequence}", ends.api)).send();
    assert!(dropped.await.unwrap().status().is_success());
    let deleted = client.delete(format!("{}/series/{uid}", ends.api)).send().await.unwrap();
    assert!(deleted.status().is_success(), "{}", deleted.status());
    eventually("the deletion", async || {
        ends.series().await.iter().all(|s| s["SeriesInstanceUID"] != json!(uid)).then_some(())
    })
    .await;

    // It starts again where it had read up to.
    assert_eq!(refusals(&indexer), [""; 0]);
    indexer.kill();
    let mut indexer = broker.service("indexer", &[]).await;
    indexer.indexes().await;

    // None has tried what it may not, but for the receiver that came before the streams.
    assert_eq!(refusals(&indexer), [""; 0]);
    assert_eq!(refusals(&api), [""; 0]);
    let of_ingest = refusals(&ingest);
    assert!(of_ingest.iter().all(|line| line.contains("STREAM.CREATE.")), "{of_ingest:?}");
    for (user, service) in [("ingest", &ingest), ("indexer", &indexer), ("api", &api)] {
        assert!(!service.printed().contains(&broker.password(user)), "the password in the log");
    }
}

#[tokio::test]
async fn the_api_sends_the_audit_trail_on_as_its_own_user() {
    if !have_rsyslog() {
        return;
    }
    let broker = RestrictedBroker::start().await;
    let mut indexer = broker.service("indexer", &[]).await;
    indexer.indexes().await;
    let authority = Authority::new(broker.folder.path(), "hospital");
    let mut repository = Repository::new(&authority.issue("repository"), &authority, None);
    repository.comes().await;
    let addr = format!("localhost:{}", repository.addr.port());
    let ca = authority.file.to_str().unwrap();
    let settings = [("AUDIT_SYSLOG_ADDR", addr.as_str()), ("AUDIT_SYSLOG_CA", ca)];
    let mut api = broker.service("api", &settings).await;
    let addr = api.says("where it is", |line| address(line, "api listens")).await;
    let ends = ends(&broker, addr, format!("http://{addr}")).await;
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../shared/contract/golden/audit.json")).unwrap();
    let payload = golden["payload"].to_string();
    ends.nats.publish("dicom.audit.api.query", payload.into()).await.unwrap();
    repository.takes("a query", |taken| taken.xml.contains("41 equal events")).await;
    ends.tells("syslog_waiting_messages", 0).await;
    assert_eq!(refusals(&api), [""; 0]);
}

#[tokio::test]
async fn no_user_may_do_what_is_not_its_work() {
    const INSTANCE: &str = "dicom.instance.stored.00.MR.1.2";
    const COMPLETION: &str = "dicom.series.completed.MR.1.2";
    let broker = RestrictedBroker::start().await;
    let mut indexer = broker.service("indexer", &[]).await;
    indexer.indexes().await;
    let refused = [
        (
            "ingest",
            &[COMPLETION, "dicom.request.delete.1.2", "dicom.dead.x", "dicom.audit.api.query"][..],
        ),
        (
            "indexer",
            &[
                INSTANCE,
                "dicom.association.released.MR1",
                "dicom.request.delete.1.2",
                "dicom.audit.ingest.alert",
            ],
        ),
        (
            "api",
            &[
                INSTANCE,
                "dicom.association.released.MR1",
                "dicom.ingest.started.X",
                COMPLETION,
                "dicom.audit.ingest.transferred",
            ],
        ),
        (
            "tap",
            &[
                INSTANCE,
                COMPLETION,
                "dicom.request.delete.1.2",
                "dicom.audit.api.query",
                "_INBOX_api.x",
                "$JS.API.INFO",
            ],
        ),
    ];
    for (user, subjects) in refused {
        let mut intruder = intruder(&broker, user).await;
        for subject in subjects {
            intruder.may_not_publish(subject).await;
        }
        for stream in ["INSTANCES", "SERIES", "DEAD", "AUDIT"] {
            intruder.may_not_publish(&format!("$JS.API.STREAM.DELETE.{stream}")).await;
        }
        for request in
            ["CONSUMER.CREATE.AUDIT", "CONSUMER.MSG.NEXT.AUDIT.x", "STREAM.MSG.GET.AUDIT"]
        {
            intruder.may_not_publish(&format!("$JS.API.{request}")).await;
        }
        intruder.may_not_subscribe("dicom.audit.>").await;
        for inbox in ["_INBOX_indexer.>", "_INBOX_api.>", "_INBOX.>", ">"] {
            if !inbox.contains(user) {
                intruder.may_not_subscribe(inbox).await;
            }
        }
        if user != "tap" {
            intruder.may_not_subscribe("dicom.>").await;
        }
        if user != "indexer" {
            for request in ["STREAM.CREATE.X", "STREAM.UPDATE.INSTANCES", "STREAM.PURGE.INSTANCES"]
            {
                intruder.may_not_publish(&format!("$JS.API.{request}")).await;
            }
            for request in ["CREATE", "MSG.NEXT", "DELETE"] {
                let subject = format!("$JS.API.CONSUMER.{request}.INSTANCES.indexer");
                intruder.may_not_publish(&subject).await;
            }
            intruder.may_not_publish("$JS.ACK.INSTANCES.indexer.1.1.1.1.1").await;
        }
    }
    let admin = ends(&broker, broker.addr, String::new()).await;
    assert!(admin.events("INSTANCES").await.is_empty());
    assert!(admin.events("SERIES").await.is_empty() && admin.events("DEAD").await.is_empty());
}

/// Refusals that a client takes at one time: it drops what it has no room for.
const AT_ONCE: usize = 32;

#[tokio::test]
async fn each_user_may_publish_what_the_table_has_and_nothing_else() {
    let broker = RestrictedBroker::start().await;
    let mut indexer = broker.service("indexer", &[]).await;
    indexer.indexes().await;
    for (user, patterns) in MAY {
        let mut intruder = intruder(&broker, user).await;
        // No JSON, so that what is let through does nothing.
        let mut refused = BTreeSet::new();
        for some in subjects().into_iter().collect::<Vec<_>>().chunks(AT_ONCE) {
            for subject in some {
                intruder.nats.publish(subject.clone(), "?".into()).await.unwrap();
            }
            refused.extend(intruder.reaches_the_broker().await);
        }
        let is_wrong = |subject: &String| may(patterns, subject) == refused.contains(subject);
        let wrong: Vec<_> = subjects().into_iter().filter(is_wrong).collect();
        assert_eq!(wrong, [""; 0], "{user}: not as the table has it");
    }
}

#[tokio::test]
async fn nobody_else_changes_the_consumer_of_the_indexer_by_any_form_of_a_request() {
    let broker = RestrictedBroker::start().await;
    let mut indexer = broker.service("indexer", &[]).await;
    indexer.indexes().await;
    let admin = broker.admin().await;
    let consumer = async || {
        let stream = jetstream::new(admin.clone()).get_stream("INSTANCES").await.unwrap();
        let info = stream.consumer_info("indexer").await.expect("the consumer is gone");
        (info.created, info.config)
    };
    let before = consumer().await;
    let named = |name: &str| {
        json!({"stream_name": "INSTANCES", "config": {name: "indexer", "ack_policy": "all",
            "deliver_policy": "all", "filter_subject": "dicom.nothing"}})
    };
    let mut both = named("durable_name");
    both["config"]["name"] = json!("indexer");
    let until = json!({"pause_until": "2099-01-01T00:00:00Z"});
    for user in ["ingest", "api", "tap"] {
        let mut intruder = intruder(&broker, user).await;
        for body in [named("name"), named("durable_name"), both.clone(), until.clone(), json!({})] {
            for request in [
                "CONSUMER.CREATE.INSTANCES",
                "CONSUMER.CREATE.INSTANCES.indexer",
                "CONSUMER.CREATE.INSTANCES.indexer.dicom.nothing",
                "CONSUMER.CREATE.INSTANCES.other",
                "CONSUMER.CREATE.INSTANCES.other.dicom.nothing",
                "CONSUMER.CREATE.SERIES.other",
                "CONSUMER.DURABLE.CREATE.INSTANCES.indexer",
                "CONSUMER.DURABLE.CREATE.INSTANCES.other",
                "CONSUMER.DURABLE.CREATE.SERIES.indexer",
                "CONSUMER.PAUSE.INSTANCES.indexer",
                "CONSUMER.RESET.INSTANCES.indexer",
                "CONSUMER.DELETE.INSTANCES.indexer",
            ] {
                for action in ["", "create", "update"] {
                    let mut body = body.clone();
                    body["action"] = json!(action);
                    let subject = format!("$JS.API.{request}");
                    intruder.nats.publish(subject, body.to_string().into()).await.unwrap();
                }
            }
            intruder.reaches_the_broker().await;
        }
    }
    assert_eq!(consumer().await, before);
    // And it goes on reading.
    admin.publish("dicom.instance.stored.00.MR.1.2", "no JSON".into()).await.unwrap();
    indexer.says("what it read", |line| line.contains("dead letter").then_some(())).await;
}

#[tokio::test]
async fn no_answer_to_the_receiver_is_stored_and_none_to_others_is_taken_for_an_event() {
    const INSTANCE: &str = "dicom.instance.stored.00.MR.1.2";
    let broker = RestrictedBroker::start().await;
    let mut indexer = broker.service("indexer", &[]).await;
    indexer.indexes().await;
    let mut api = broker.service("api", &[]).await;
    let addr = api.says("where it is", |line| address(line, "api listens")).await;
    let ends = ends(&broker, addr, format!("http://{addr}")).await;
    let answers = async |user: &'static str, subjects: &[&str]| {
        let mut intruder = intruder(&broker, user).await;
        for subject in subjects {
            for reply in EVENTS {
                let (subject, reply) = ((*subject).to_owned(), (*reply).to_owned());
                intruder.nats.publish_with_reply(subject, reply, "{}".into()).await.unwrap();
            }
        }
        intruder.reaches_the_broker().await;
    };
    answers("ingest", &[INSTANCE, "dicom.ingest.started.X", "$JS.API.STREAM.INFO.INSTANCES"]).await;
    let stored = async |stream: &str| {
        let events = ends.events(stream).await;
        events.iter().map(|event| event.subject.to_string()).collect::<Vec<_>>()
    };
    let own = |subject: &String| [INSTANCE, "dicom.ingest.started.X"].contains(&subject.as_str());
    let instances = eventually("what it may publish to be stored", async || {
        let instances = stored("INSTANCES").await;
        (instances.len() >= 2 * EVENTS.len()).then_some(instances)
    })
    .await;
    assert_eq!(instances.len(), 2 * EVENTS.len(), "{instances:?}");
    assert!(instances.iter().all(own), "{instances:?}");
    assert_eq!(stored("SERIES").await, [""; 0]);
    let by_ingest = |subject: &&String| subject.starts_with("dicom.audit.ingest.");
    assert_eq!(stored("AUDIT").await.iter().filter(by_ingest).count(), 0);

    let mut heard = eventually("the API to tell of events", async || {
        let answer = reqwest::get(format!("{}/events", ends.api)).await.unwrap();
        (answer.status() == 200).then_some(answer)
    })
    .await;
    // NATS stores answers to those who share the account of the streams. None of them says anything.
    answers("indexer", &["dicom.series.completed.MR.1.2", "$JS.API.STREAM.INFO.SERIES"]).await;
    answers("api", &["dicom.request.delete.1.2", "$JS.API.STREAM.INFO.SERIES"]).await;
    eventually("the indexer to have read all of it", async || {
        let stream = jetstream::new(ends.nats.clone()).get_stream("INSTANCES").await.ok()?;
        let info = stream.consumer_info("indexer").await.ok()?;
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
    })
    .await;
    assert_eq!(ends.series().await, [Value::Null; 0]);
    let letters = stored("DEAD").await;
    // Nor does anybody hear of them who listens; what is an event comes after them.
    let opened = json!({"AssociationID": "7", "CallingAETitle": "GENUINE", "CalledAETitle": "B",
        "PeerAddress": "192.0.2.7", "NodeName": "n", "OpenedAt": "2026-02-03T04:05:06Z"});
    let subject = "dicom.association.opened.GENUINE";
    ends.nats.publish(subject, opened.to_string().into()).await.unwrap();
    let mut said = String::new();
    while !said.contains("GENUINE") {
        let chunk = timeout(DEADLINE, heard.chunk()).await.unwrap().unwrap().unwrap();
        said.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert_eq!(said.matches("event: ").count(), 1, "{said}");
    let unreadable = letters.iter().filter(|subject| *subject == "dicom.dead.unreadable").count();
    assert!(unreadable >= instances.len(), "{letters:?}");
}

#[tokio::test]
async fn a_store_of_a_server_without_users_is_moved_to_their_account_once() {
    let folder = tempfile::tempdir().unwrap();
    let addr = free_addr();
    let mut before = nats_server(&nats_conf(), folder.path(), addr.port(), 0).await;
    let nats =
        eventually("the broker", async || async_nats::connect(addr.to_string()).await.ok()).await;
    let config = jetstream::stream::Config {
        name: "INSTANCES".to_owned(),
        subjects: vec!["dicom.instance.>".to_owned()],
        ..Default::default()
    };
    let jetstream = jetstream::new(nats);
    jetstream.create_stream(config).await.unwrap();
    let stored = jetstream.publish("dicom.instance.stored.00.MR.1.2", "{}".into()).await.unwrap();
    stored.await.unwrap();
    before.signal("TERM");
    before.ended().await;

    let store = folder.path().join("nats");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("container/nats-account");
    let moves = || std::process::Command::new(&script).arg(&store).status().unwrap().success();
    assert!(moves() && moves(), "a second time does nothing");
    let broker = RestrictedBroker::start_in(folder, "nats-users.conf", &[], str::to_owned).await;
    let admin = ends(&broker, broker.addr, String::new()).await;
    assert_eq!(admin.events("INSTANCES").await.len(), 1);

    std::fs::create_dir_all(store.join("jetstream/$G/streams/INSTANCES")).unwrap();
    assert!(!moves(), "it mixes the streams of two accounts");
}

#[tokio::test]
async fn nobody_is_let_in_without_a_password_of_its_own() {
    let broker = RestrictedBroker::start().await;
    let user = |user: &str, password: String| {
        ConnectOptions::with_user_and_password(user.to_owned(), password)
    };
    let strangers = [
        ConnectOptions::new(),
        user("ingest", "wrong".to_owned()),
        user("api", broker.password("ingest")),
        user("stranger", broker.password("admin")),
    ];
    for options in strangers {
        let refused = connect(&broker, options).await.unwrap_err();
        assert_eq!(refused, ConnectErrorKind::AuthorizationViolation);
    }
    let printed = broker.process.printed();
    for user in ["ingest", "indexer", "api", "tap", "admin"] {
        assert!(!printed.contains(&broker.password(user)), "a password in the broker's log");
    }
}

#[tokio::test]
async fn all_that_operators_ask_for_works_with_the_users_of_the_services() {
    let broker = RestrictedBroker::start().await;
    let mut receiver = Receiver::start().await;
    let webhooks = broker.folder.path().join("webhooks.toml");
    let webhook = format!(
        "[[webhook]]\nname = 'ai'\nurl = '{}'\nsecret = 'correct horse battery'\nattempts = 1\n",
        receiver.url
    );
    std::fs::write(&webhooks, webhook).unwrap();
    // So that nothing is complete before it is asked for.
    let settings = [
        ("QUIET_PERIOD", "1h"),
        ("SETTLE_PERIOD", "1h"),
        ("WEBHOOKS_FILE", webhooks.to_str().unwrap()),
    ];
    let services = broker.services(broker.admin().await, &settings).await;
    let RestrictedServices { ingest, indexer, api, ends } = &services;
    let client = reqwest::Client::new();
    let asks = async |method, path: &str| {
        client.request(method, format!("{}{path}", ends.api)).send().await.unwrap()
    };

    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    ends.receives(study.write_to(&broker.folder.path().join("study")).unwrap()).await;
    eventually("a completion that is asked for", async || {
        let asked = asks(Method::POST, &format!("/series/{uid}/complete")).await;
        asked.status().is_success().then_some(())
    })
    .await;
    assert_eq!(ends.lists(&uid, 3).await["Reason"], "requested");

    // A webhook's receiver that fails, the letter of it, and a second try.
    receiver.gets().await.gets_answer(500, "").await;
    let letter = async |reason: &str| {
        eventually(reason, async || {
            let listed: Vec<Value> = asks(Method::GET, "/dead-letters").await.json().await.ok()?;
            listed.iter().find(|letter| letter["Reason"] == reason)?["Sequence"].as_u64()
        })
        .await
    };
    let sequence = letter("webhook.ai").await;
    let path = format!("/dead-letters/{sequence}/replay");
    let takes = async { receiver.gets().await.gets_answer(204, "").await };
    let (replayed, ()) = tokio::join!(asks(Method::POST, &path), takes);
    assert_eq!(replayed.status(), 204, "{}", replayed.text().await.unwrap());

    // A letter of INSTANCES would be a new event, which is not the API's to publish; that is said.
    ends.nats.publish("dicom.instance.stored.00.MR.1.2", "no JSON".into()).await.unwrap();
    let sequence = letter("unreadable").await;
    let replayed = asks(Method::POST, &format!("/dead-letters/{sequence}/replay")).await;
    assert_eq!(replayed.status(), 503);
    let said = replayed.text().await.unwrap();
    assert!(said.contains("that NATS lets this user do it"), "{said}");
    let only_that = |line: &String| line.contains("dicom.instance.stored.00.MR.1.2");
    assert!(!refusals(api).is_empty(), "the log does not say which right is missing");

    let stats: Value = asks(Method::GET, "/stats").await.json().await.unwrap();
    assert_eq!(stats["NotIndexed"], 0, "{stats}");
    assert_eq!(asks(Method::GET, "/stats/associations").await.status(), 200);
    for path in ["/sources/COLLIMATOR_SCU/trust", "/dead-letters", "/webhooks", "/sources"] {
        let method = if path.ends_with("trust") { Method::POST } else { Method::GET };
        let answer = asks(method, path).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    }
    let deleted = asks(Method::DELETE, &format!("/series/{uid}")).await;
    assert!(deleted.status().is_success(), "{}", deleted.text().await.unwrap());

    // The catalogue made again, by the one who may read all that it is made of.
    let rebuilt = broker.folder.path().join("rebuilt.db");
    let arguments = ["replay", "--into", rebuilt.to_str().unwrap()];
    let program = service("indexer").await;
    for user in ["indexer", "admin"] {
        let settings = broker.settings(user);
        let mut replay = Process::start_with(&program, &arguments, broker.folder.path(), &settings);
        assert_eq!(replay.ended().await, Some(0), "{user}: {}", replay.printed());
        assert_eq!(refusals(&replay), [""; 0], "{user}");
        std::fs::remove_file(&rebuilt).unwrap();
    }

    // The doctor looks with the user of a service; `ingest` may not see how far the indexer is.
    for user in ["ingest", "indexer", "api", "admin"] {
        let mut settings = broker.settings(user);
        settings.push(("INSECURE", "true".to_owned()));
        let arguments = ["doctor", "--json"];
        let mut doctor =
            Process::start_with(Path::new(COLLIMATOR), &arguments, broker.folder.path(), &settings);
        doctor.ended().await;
        let printed = doctor.printed();
        // Among the lines of the log, of which each is JSON too.
        let report = &printed[printed.find("{\n").unwrap()..];
        let report = serde_json::Deserializer::from_str(report).into_iter::<Value>().next();
        let report = report.unwrap().unwrap();
        for check in ["nats", "streams", "indexer", "clock"] {
            let checks = report["checks"].as_array().unwrap();
            let found = checks.iter().find(|found| found["check"] == check);
            let expected = if (user, check) == ("ingest", "indexer") { "warning" } else { "ok" };
            assert_eq!(found.unwrap()["verdict"], expected, "{user}: {report}");
        }
    }
    assert_eq!(refusals(ingest), [""; 0]);
    assert_eq!(refusals(indexer), [""; 0]);
    assert!(refusals(api).iter().all(only_that), "{:?}", refusals(api));
}
