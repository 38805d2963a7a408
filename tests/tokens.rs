//! Who may ask the HTTP API, from outside.

use crate::harness::browser::Browser;
use crate::harness::issuer::{AUDIENCE, Issuer};
use crate::harness::pipeline::COLLIMATOR;
use crate::harness::{Collimator, series_to_store};
use reqwest::{Client, StatusCode};
use std::path::Path;
use std::process::Command;

/// Makes a token as an operator does.
pub(crate) fn create(file: &Path, name: &str, scopes: &str) -> String {
    let made = Command::new(COLLIMATOR)
        .args(["token", "create", name, "--scope", scopes])
        .env("TOKENS_FILE", file)
        .output()
        .unwrap();
    let token = String::from_utf8(made.stdout).unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    token.strip_suffix('\n').unwrap().to_owned()
}

#[tokio::test]
async fn a_token_that_was_made_opens_what_its_scope_is_for_and_is_in_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.toml");
    let (reader, writer) = (create(&file, "viewer", "read"), create(&file, "ward 3", "read,write"));
    let settings = [("TOKENS_FILE", file.to_str().unwrap())];
    let collimator = Collimator::start_with(&settings).await;
    let client = Client::new();
    let status = async |token: Option<&str>, path: &str| {
        let request = client.get(format!("{}{path}", collimator.api));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap().status()
    };
    for path in ["/series", "/events", "/docs", "/", "/metrics", "/dicom-web/studies"] {
        assert_eq!(status(None, path).await, StatusCode::UNAUTHORIZED, "{path}");
        assert!(status(Some(&reader), path).await.is_success(), "{path}");
    }
    assert!(status(None, "/health/ready").await.is_success());

    let series = series_to_store("1.2.3", "1.2", 3);
    let store = || client.post(format!("{}/store", collimator.api)).json(&series);
    let stored = async |token: &str| store().bearer_auth(token).send().await.unwrap().status();
    assert_eq!(stored(&reader).await, StatusCode::FORBIDDEN);
    assert_eq!(stored(&writer).await, StatusCode::OK);
    let trust = client.post(format!("{}/sources/MR1/trust", collimator.api));
    let trusted = trust.bearer_auth(&writer).send().await.unwrap().status();
    assert_eq!(trusted, StatusCode::FORBIDDEN);
    let printed = collimator.process.printed();
    assert!(!printed.contains(&reader) && !printed.contains(&writer), "a token in the log");
}

#[tokio::test]
async fn the_dashboard_and_its_events_work_with_a_token_as_the_password() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.toml");
    let token = create(&file, "dashboard", "read");
    let settings = [("TOKENS_FILE", file.to_str().unwrap())];
    let collimator = Collimator::start_with(&settings).await;
    let addr = collimator.api.strip_prefix("http://").unwrap();
    // What a browser asks its user for, said beforehand.
    browser.open(&format!("http://me:{token}@{addr}/")).await;
    browser.watches(&collimator.api).await;
    browser.open(&format!("http://{addr}/docs")).await;
    browser.waits_for("document.querySelector('button.authorize') !== null").await;
}

#[tokio::test]
async fn swagger_ui_asks_with_the_token_that_its_authorize_dialog_was_given() {
    let Some(browser) = Browser::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let (file, keys) = (folder.path().join("tokens.toml"), folder.path().join("keys.json"));
    let (page, reader) = (create(&file, "page", "read,write"), create(&file, "reader", "read"));
    let issuer = Issuer::start().await;
    std::fs::write(&keys, issuer.keys().to_string()).unwrap();
    let settings = [
        ("TOKENS_FILE", file.to_str().unwrap()),
        ("OIDC_ISSUER", &issuer.url),
        ("OIDC_AUDIENCE", AUDIENCE),
        ("OIDC_JWKS_FILE", keys.to_str().unwrap()),
    ];
    let collimator = Collimator::start_with(&settings).await;
    let uid = "1.2.840.10008.99.7";
    let series = series_to_store(uid, "1.2", 3);
    let store = Client::new().post(format!("{}/store", collimator.api)).json(&series);
    assert_eq!(store.bearer_auth(&page).send().await.unwrap().status(), StatusCode::OK);

    browser.resize(1200, 1200).await;
    let addr = collimator.api.strip_prefix("http://").unwrap();
    // The page itself needs one, which a browser asks its user for.
    browser.open(&format!("http://me:{page}@{addr}/docs")).await;
    let click = async |selector: &str| {
        let found = format!("document.querySelector('{selector}')");
        browser.waits_for(&found).await;
        browser.run(&format!("{found}.click()")).await;
    };
    for (scheme, token) in [("token", reader), ("jwt", issuer.token("dr-who", "collimator.read"))] {
        browser.open(&format!("http://{addr}/docs")).await;
        click(".scheme-container button.authorize").await;
        let of_scheme = format!(
            "[...document.querySelectorAll('.dialog-ux .auth-container')]\
             .find(it => it.innerText.startsWith('{scheme}'))"
        );
        let input = format!("{of_scheme}?.querySelector('input')");
        browser.waits_for(&input).await;
        // React hears of what is typed by the event, and has put its own setter before the element's.
        let value = "Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')";
        browser.run(&format!("{value}.set.call({input}, '{token}')")).await;
        let event = "new Event('input', { bubbles: true })";
        browser.run(&format!("{input}.dispatchEvent({event})")).await;
        browser.run(&format!("{of_scheme}.querySelector('button.authorize').click()")).await;
        browser.waits_for(&format!("{of_scheme}?.innerText.includes('Logout')")).await;
        browser.keeps(&format!("swagger-authorize-{scheme}")).await;
        click(".dialog-ux button.btn-done").await;

        let of = "#operations-Series-listSeries";
        for button in [".opblock-summary-control", ".try-out__btn", ".execute"] {
            click(&format!("{of} {button}")).await;
        }
        let answer = format!("document.querySelector('{of} .live-responses-table')?.innerText");
        browser.waits_for(&format!("{answer}?.includes('{uid}')")).await;
        // It is that token that it asked with, not the page's.
        let curl = format!("document.querySelector('{of} .curl-command').innerText");
        let bearer = format!("{curl}.includes('Authorization: Bearer {token}')");
        browser.waits_for(&bearer).await;
        let responses = format!("document.querySelector('{of} .responses-wrapper')");
        browser.run(&format!("{responses}.scrollIntoView()")).await;
        browser.keeps(&format!("swagger-authorized-{scheme}")).await;
    }
}
