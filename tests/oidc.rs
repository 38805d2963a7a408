//! Who may ask the HTTP API with a token of an OpenID Connect issuer, from outside.

use crate::harness::issuer::{AUDIENCE, Issuer};
use crate::harness::{Collimator, eventually};
use reqwest::{Client, StatusCode};
use serde_json::json;

async fn asks(collimator: &Collimator, path: &str, token: &str) -> StatusCode {
    let request = Client::new().get(format!("{}{path}", collimator.api)).bearer_auth(token);
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn tokens_of_an_issuer_are_taken_once_its_keys_are_there_and_by_its_new_key_too() {
    let mut issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.toml");
    let own = super::tokens::create(&file, "viewer", "read");
    let settings = [
        ("API_ADDR", "0.0.0.0:0"),
        ("TOKENS_FILE", file.to_str().unwrap()),
        ("OIDC_ISSUER", &issuer.url),
        ("OIDC_AUDIENCE", AUDIENCE),
    ];
    // It is ready though the issuer hangs: who sends instances or has our own token needs no issuer.
    let mut collimator = Collimator::start_with(&settings).await;
    let reader = issuer.token("dr-jane-roe", "openid collimator.read");
    assert_eq!(asks(&collimator, "/series", &own).await, StatusCode::OK);
    assert_eq!(asks(&collimator, "/series", &reader).await, StatusCode::SERVICE_UNAVAILABLE);
    let line = |text: &'static str| move |line: &str| line.contains(text).then_some(());
    collimator
        .process
        .says("why", line("the keys of OIDC_ISSUER can't be fetched: no answer"))
        .await;

    issuer.publishes();
    let gets = async |what: &str, token: &str, expected: StatusCode| {
        let status = async || (asks(&collimator, "/series", token).await == expected).then_some(());
        eventually(what, status).await;
    };
    gets("the keys", &reader, StatusCode::OK).await;
    let admin = issuer.token("dr-who", "collimator.read collimator.admin");
    let series = json!({
        "SeriesInstanceUID": "1.2.3", "PatientID": "7", "PatientName": "Roe^Jane",
        "StudyInstanceUID": "1.2", "InstancesCount": 3,
    });
    let stored = async |token: &str| {
        let store = Client::new().post(format!("{}/store", collimator.api)).json(&series);
        store.bearer_auth(token).send().await.unwrap().status()
    };
    assert_eq!(stored(&admin).await, StatusCode::FORBIDDEN);
    assert_eq!(stored(&issuer.token("dr-who", "collimator.write")).await, StatusCode::OK);

    issuer.changes_its_key();
    issuer.publishes();
    let renewed = issuer.token("dr-jane-roe", "collimator.read");
    gets("the new key", &renewed, StatusCode::OK).await;
    assert_eq!(asks(&collimator, "/series", &reader).await, StatusCode::UNAUTHORIZED);
    let printed = collimator.process.printed();
    assert!(!printed.contains("dr-jane-roe") && !printed.contains(&reader), "it is in the log");
}

#[tokio::test]
async fn files_of_tokens_and_keys_are_read_again_when_told_to_and_bad_ones_are_not_taken() {
    let mut issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (keys, tokens) = (folder.path().join("keys.json"), folder.path().join("tokens.toml"));
    std::fs::write(&keys, issuer.keys().to_string()).unwrap();
    let own = super::tokens::create(&tokens, "viewer", "read");
    let settings = [
        ("TOKENS_FILE", tokens.to_str().unwrap()),
        ("OIDC_ISSUER", &issuer.url),
        ("OIDC_AUDIENCE", AUDIENCE),
        ("OIDC_JWKS_FILE", keys.to_str().unwrap()),
    ];
    let mut collimator = Collimator::start_with(&settings).await;
    let old = issuer.token("dr-who", "collimator.read");
    assert_eq!(asks(&collimator, "/series", &old).await, StatusCode::OK);
    assert_eq!(asks(&collimator, "/series", &own).await, StatusCode::OK);

    issuer.changes_its_key();
    let new = issuer.token("dr-who", "collimator.read");
    std::fs::write(&keys, issuer.keys().to_string()).unwrap();
    std::fs::remove_file(&tokens).unwrap();
    let another = super::tokens::create(&tokens, "another", "read");
    collimator.process.signal("HUP");
    let line = |text: &'static str| move |line: &str| line.contains(text).then_some(());
    collimator.process.says("that it read keys", line("OIDC_JWKS_FILE was read again")).await;
    collimator.process.says("that it read tokens", line("TOKENS_FILE was read again")).await;
    for (token, expected) in [(&new, 200), (&another, 200), (&old, 401), (&own, 401)] {
        assert_eq!(asks(&collimator, "/series", token).await, expected);
    }

    std::fs::write(&keys, "{}").unwrap();
    std::fs::write(&tokens, "[[tokn]]").unwrap();
    collimator.process.signal("HUP");
    let kept = line("OIDC_JWKS_FILE stays as it was: ");
    collimator.process.says("that it did not take the keys", kept).await;
    let kept = line("TOKENS_FILE stays as it was: ");
    collimator.process.says("that it did not take the tokens", kept).await;
    assert_eq!(asks(&collimator, "/series", &new).await, StatusCode::OK);
    assert_eq!(asks(&collimator, "/series", &another).await, StatusCode::OK);
}
