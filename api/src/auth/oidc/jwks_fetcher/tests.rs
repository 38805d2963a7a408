//! Keys of a real server that changes them, hangs and talks nonsense.

use super::*;
use fake_issuer::{Server, Signer, key_set};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

const QUICK: Duration = Duration::from_millis(50);
const NEVER: Duration = Duration::from_secs(3600);

/// Longest wait for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);

fn fetching(
    published: JwksLocation,
    pace: Pace,
) -> (Arc<JwksFetcher>, tokio_util::sync::DropGuard) {
    let fetching = Arc::new(JwksFetcher { pace, ..JwksFetcher::new(published).unwrap() });
    let stop = CancellationToken::new();
    let (running, stopped) = (fetching.clone(), stop.clone());
    tokio::spawn(async move { running.run(&stopped).await });
    (fetching, stop.drop_guard())
}

async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !look().await {
        assert!(began.elapsed() < DEADLINE, "still waiting: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn keys_are_where_the_issuer_says_and_only_if_it_is_the_issuer() {
    let server = Server::start().await;
    server.serves("/keys", key_set(&[&Signer::eddsa("a")]));
    let configuration = |issuer: &str, keys: &str| json!({ "issuer": issuer, "jwks_uri": keys });
    let keys = format!("{}/keys", server.url);
    for (said, is_good) in [
        (configuration(&server.url, &keys), true),
        (configuration("https://login.example.org", &keys), false),
        (configuration(&server.url, "http://login.example.org/keys"), false),
        (configuration(&server.url, "file:///etc/passwd"), false),
        (json!({ "issuer": server.url }), false),
    ] {
        server.serves(CONFIGURATION, &said);
        let published = JwksLocation::by(&server.url).unwrap();
        let (fetching, _stop) = fetching(published, PACE);
        assert_eq!(fetching.keys_with(Some("a")).await.is_some(), is_good, "{said}");
    }
}

#[tokio::test]
async fn a_key_that_a_token_names_is_fetched_and_one_that_is_gone_is_not_known_any_more() {
    let server = Server::start().await;
    let (first, second) = (Signer::eddsa("first"), Signer::es256("second"));
    server.serves("/", key_set(&[&first]));
    let pace = Pace { rest: QUICK, every: NEVER, ..PACE };
    let (fetching, _stop) = fetching(JwksLocation::at(&server.url).unwrap(), pace);
    assert!(fetching.keys_with(Some("first")).await.unwrap().have("first"));
    server.serves("/", key_set(&[&second]));
    let found = async || fetching.keys_with(Some("second")).await.unwrap().have("second");
    eventually("the new key", found).await;
    assert!(!fetching.keys_with(None).await.unwrap().have("first"));
}

#[tokio::test]
async fn unknown_keys_cause_no_more_than_one_fetch_in_a_while() {
    let server = Server::start().await;
    server.serves("/", key_set(&[&Signer::eddsa("a")]));
    let pace = Pace { rest: NEVER, ..PACE };
    let (fetching, _stop) = fetching(JwksLocation::at(&server.url).unwrap(), pace);
    for number in 0..100 {
        let unknown = format!("unknown {number}");
        assert!(!fetching.keys_with(Some(&unknown)).await.unwrap().have(&unknown));
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn old_keys_stay_when_the_issuer_hangs_or_talks_nonsense() {
    let server = Server::start().await;
    let key = Signer::eddsa("a");
    server.serves("/", key_set(&[&key]));
    let pace = Pace { limit: Duration::from_secs(1), rest: QUICK, every: QUICK, retry: QUICK };
    let (fetching, _stop) = fetching(JwksLocation::at(&server.url).unwrap(), pace);
    assert!(fetching.keys_with(Some("a")).await.is_some());
    let too_long = json!({ "keys": [key.jwk()], "more": "x".repeat(MAX_LENGTH) });
    for nonsense in [json!({ "keys": [] }), json!("keys"), too_long] {
        server.serves("/", &nonsense);
        let before = server.asked();
        // Two more: the first may have been on its way.
        eventually("it is asked", async || server.asked() > before + 2).await;
        assert!(fetching.keys_with(Some("a")).await.unwrap().have("a"));
    }
    server.hangs(true);
    let before = server.asked();
    eventually("it is asked", async || server.asked() > before + 1).await;
    assert!(fetching.keys_with(Some("a")).await.unwrap().have("a"));
    // Who asks for another key is not held up for longer than a fetch may take.
    let waited = timeout(DEADLINE, fetching.keys_with(Some("b"))).await.expect("it waits for ever");
    assert!(!waited.unwrap().have("b"));
}

#[tokio::test]
async fn without_any_keys_nobody_waits_for_ever_and_they_come_when_the_issuer_does() {
    let server = Server::start().await;
    server.hangs(true);
    server.serves("/", key_set(&[&Signer::eddsa("a")]));
    let pace = Pace { limit: Duration::from_millis(500), rest: QUICK, every: NEVER, retry: NEVER };
    let (fetching, _stop) = fetching(JwksLocation::at(&server.url).unwrap(), pace);
    let waited = timeout(DEADLINE, fetching.keys_with(Some("a"))).await;
    assert!(waited.expect("it waits for ever").is_none());
    server.hangs(false);
    eventually("keys", async || fetching.keys_with(Some("a")).await.is_some()).await;
}

#[test]
fn keys_come_over_https_or_from_this_machine() {
    for good in [
        "https://login.example.org/keys",
        "http://127.0.0.1:80/",
        "http://[::1]/",
        "http://localhost:8/",
    ] {
        web(good).unwrap();
    }
    for bad in [
        "http://login.example.org/keys",
        "http://127.0.0.1.example.org/",
        "http://localhost.example.org/",
        "https://user:secret@login.example.org/",
        "file:///etc/passwd",
        "https://",
        "login.example.org",
        "/keys",
        "",
    ] {
        web(bad).unwrap_err();
    }
}
