//! Who gets through with a JSON Web Token, and who has made one that is not taken.

use super::guarding::api_settings_of;
use super::*;
use crate::auth::caller::Proof;
use crate::auth::tokens::create;
use fake_issuer::{ISSUER, Signer, base64url, claims, key_set};
use ring::hmac;
use serde_json::json;
use std::path::PathBuf;

/// An API that takes tokens of an issuer and our own.
struct Opened {
    api: TestApi,
    guard: Guard,
    signer: Signer,
    /// One of `TOKENS_FILE`.
    own: String,
    keys: PathBuf,
    tokens: PathBuf,
    _folder: tempfile::TempDir,
}

impl Opened {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (keys, tokens) = (folder.path().join("keys.json"), folder.path().join("tokens.toml"));
        let signer = Signer::es256("2026-11");
        std::fs::write(&keys, key_set(&[&signer, &Signer::eddsa("else")]).to_string()).unwrap();
        let own = create(&tokens, "viewer", &[Scope::Read]).unwrap();
        let (keys_file, tokens_file) = (keys.to_str().unwrap(), tokens.to_str().unwrap());
        let settings = api_settings_of(&[
            "--oidc-issuer",
            ISSUER,
            "--oidc-audience=collimator",
            "--oidc-jwks-file",
            keys_file,
            "--tokens-file",
            tokens_file,
        ]);
        let guard = settings.guard().unwrap();
        let api = guarded(true, guard.clone()).await;
        Self { api, guard, signer, own, keys, tokens, _folder: folder }
    }

    async fn asks(&self, method: Method, path: &str, token: &str) -> poem::test::TestResponse {
        let request = self.api.client.request(method, path);
        request.header(header::AUTHORIZATION, format!("Bearer {token}")).send().await
    }
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn signed_by_secret(secret: &[u8], header: &Value) -> String {
    let signed = format!("{}.{}", base64url(header.to_string()), base64url(claims().to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{signed}.{}", base64url(hmac::sign(&key, signed.as_bytes())))
}

#[tokio::test]
async fn a_forged_or_stale_token_is_refused_with_a_reason_and_nothing_else() {
    let opened = Opened::new().await;
    let (ours, stranger) = (&opened.signer, Signer::es256("2026-11"));
    let now = Timestamp::now().as_second();
    let good = ours.token(&claims());
    let parts: Vec<_> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("{good}") };
    let kid = json!("2026-11");
    let header_of = |alg: &str| json!({ "alg": alg, "kid": kid });
    let (unreadable, unsigned) = (
        "the token is no JSON Web Token that can be read here",
        "the token is not signed by a key of its issuer",
    );
    let incomplete = "the token needs exp, iss, aud and sub";
    let admin = base64url(with("scope", json!("collimator.admin")).to_string());
    for (name, token, said) in [
        ("expired", ours.token(&with("exp", json!(now - 31))), "the token has expired"),
        ("early", ours.token(&with("nbf", json!(now + 3600))), "the token is not valid yet"),
        (
            "issuer",
            ours.token(&with("iss", json!("https://evil.example"))),
            "the token is of another issuer",
        ),
        (
            "issuer/",
            ours.token(&with("iss", json!(format!("{ISSUER}/")))),
            "the token is of another issuer",
        ),
        (
            "audience",
            ours.token(&with("aud", json!("account"))),
            "the token is for another audience",
        ),
        (
            "audiences",
            ours.token(&with("aud", json!(["a", "collimator2"]))),
            "the token is for another audience",
        ),
        ("no exp", ours.token(&without("exp")), incomplete),
        ("exp in words", ours.token(&with("exp", json!("2099-01-01"))), incomplete),
        ("no iss", ours.token(&without("iss")), incomplete),
        ("no aud", ours.token(&without("aud")), incomplete),
        ("no sub", ours.token(&without("sub")), incomplete),
        ("empty sub", ours.token(&with("sub", json!(""))), unreadable),
        ("sub of two lines", ours.token(&with("sub", json!("a\nb"))), unreadable),
        ("long sub", ours.token(&with("sub", json!("a".repeat(256)))), unreadable),
        ("nbf in words", ours.token(&with("nbf", json!("now"))), unreadable),
        ("none", format!("{}.{payload}.", base64url(r#"{"alg":"none"}"#)), unreadable),
        ("None", format!("{}.{payload}.{signature}", base64url(r#"{"alg":"None"}"#)), unreadable),
        (
            "no alg",
            format!("{}.{payload}.{signature}", base64url(r#"{"kid":"2026-11"}"#)),
            unreadable,
        ),
        ("secret: key", signed_by_secret(ours.public(), &header_of("HS256")), unsigned),
        (
            "secret: jwk",
            signed_by_secret(ours.jwk().to_string().as_bytes(), &header_of("HS256")),
            unsigned,
        ),
        ("secret: nothing", signed_by_secret(b"", &header_of("HS256")), unsigned),
        ("secret as ES256", signed_by_secret(ours.public(), &header_of("ES256")), unsigned),
        ("another's key", stranger.token(&claims()), unsigned),
        ("unknown kid", Signer::es256("2020-01").token(&claims()), unsigned),
        ("kid of another kind", Signer::es256("else").token(&claims()), unsigned),
        ("no kid", stranger.token_with(&json!({ "alg": "ES256" }), &claims()), unsigned),
        (
            "kid as a path",
            stranger.token_with(&json!({ "alg": "ES256", "kid": "../../dev/null" }), &claims()),
            unsigned,
        ),
        (
            "own key in the header",
            stranger.token_with(
                &json!({ "alg": "ES256", "kid": kid, "jwk": stranger.jwk() }),
                &claims(),
            ),
            unsigned,
        ),
        (
            "key elsewhere",
            stranger
                .token_with(&json!({ "alg": "ES256", "jku": "http://127.0.0.1:1/" }), &claims()),
            unsigned,
        ),
        (
            "crit",
            ours.token_with(
                &json!({ "alg": "ES256", "kid": kid, "crit": ["b64"], "b64": false }),
                &claims(),
            ),
            unreadable,
        ),
        ("tampered", format!("{header}.{admin}.{signature}"), unsigned),
        ("no signature", format!("{header}.{payload}."), unsigned),
        ("signature of naughts", format!("{header}.{payload}.{}", base64url([0; 64])), unsigned),
        ("padded", format!("{header}.{payload}.{signature}=="), unreadable),
        ("no object", ours.token(&json!(["collimator"])), unreadable),
        ("huge", ours.token(&with("pad", json!("x".repeat(20_000)))), unreadable),
        ("nested", format!("{}.{payload}.{signature}", base64url("[".repeat(9000))), unreadable),
        ("dots", "..".to_owned(), unreadable),
        ("garbage", "a.b.c".to_owned(), unreadable),
        ("not UTF-8", format!("{}.{payload}.{signature}", base64url([0xff; 9])), unreadable),
        ("four parts", format!("{good}.{signature}"), "a token is needed: "),
        ("half", format!("{header}.{payload}"), "a token is needed: "),
        ("own, changed", format!("{}0", opened.own), "a token is needed: "),
    ] {
        let answer = opened.asks(Method::GET, "/series", &token).await;
        assert_eq!(answer.0.status(), StatusCode::UNAUTHORIZED, "{name}");
        answer.assert_content_type(problem::PROBLEM_JSON);
        let challenges = answer.0.headers().get_all(header::WWW_AUTHENTICATE);
        assert_eq!(challenges.iter().count(), 2, "{name}");
        let bearer = challenges.iter().next().unwrap().to_str().unwrap();
        let is_judged = !said.starts_with("a token");
        assert_eq!(bearer.contains("error=\"invalid_token\""), is_judged, "{name}");
        let body: Value = answer.json().await.value().deserialize();
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.starts_with(said), "{name}: {detail}");
        let known = ["type", "title", "status", "detail"];
        assert_eq!(
            body.as_object().unwrap().keys().filter(|key| !known.contains(&&***key)).count(),
            0
        );
    }
    // All of that was about the token and nothing else.
    opened.asks(Method::GET, "/series", &good).await.assert_status_is_ok();
}

#[tokio::test]
async fn a_good_token_gets_through_for_what_its_scopes_are() {
    let opened = Opened::new().await;
    let reader = opened.signer.token(&claims());
    let writer = opened.signer.token(&with("scope", json!("collimator.write")));
    let nothing = opened.signer.token(&without("scope"));
    for (token, method, path, expected) in [
        (&reader, Method::GET, "/series", 200),
        (&reader, Method::GET, "/metrics", 200),
        (&reader, Method::POST, "/store", 403),
        (&reader, Method::DELETE, "/series/1.2", 403),
        (&writer, Method::GET, "/series", 403),
        (&writer, Method::POST, "/store", 415),
        (&nothing, Method::GET, "/series", 403),
        // Ours beside it.
        (&opened.own, Method::GET, "/series", 200),
        (&opened.own, Method::POST, "/store", 403),
    ] {
        let answer = opened.asks(method.clone(), path, token).await;
        assert_eq!(answer.0.status(), expected, "{method} {path}");
        if expected == 403 {
            let body: Value = answer.json().await.value().deserialize();
            assert!(body["detail"].as_str().unwrap().starts_with("this token has not the scope `"));
        }
    }
    let basic =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("me:{reader}"));
    let answer =
        opened.api.client.get("/series").header(header::AUTHORIZATION, format!("Basic {basic}"));
    answer.send().await.assert_status_is_ok();
    opened.api.client.get("/series").send().await.assert_status(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_asks_is_the_subject_of_the_token_or_the_name_of_ours() {
    let opened = Opened::new().await;
    let asks = async |token: &str, method: Method| {
        let bearer = format!("Bearer {token}");
        let needed = Scope::of_undocumented(&method);
        let request = Request::builder().method(method).uri_str("/series");
        opened.guard.check(&request.header(header::AUTHORIZATION, bearer).finish(), needed).await
    };
    let theirs = opened.signer.token(&claims());
    for (token, name, proof) in
        [(&theirs, "f3b1", Proof::Jwt), (&opened.own, "viewer", Proof::Token)]
    {
        let caller = asks(token, Method::GET).await.unwrap();
        assert_eq!((caller.name.as_deref(), caller.proof), (Some(name), proof));
        assert_eq!(&*caller.scopes, [Scope::Read]);
        let refused = asks(token, Method::DELETE).await.unwrap_err();
        assert_eq!((refused.caller, refused.response.status().as_u16()), (caller, 403));
    }
    let refused = asks("a.b.c", Method::GET).await.unwrap_err();
    assert_eq!((refused.caller.name, refused.caller.proof), (None, Proof::Nothing));
}

#[tokio::test]
async fn files_are_read_again_and_a_bad_one_changes_nothing() {
    let opened = Opened::new().await;
    let status = async |token: &str| opened.asks(Method::GET, "/series", token).await.0.status();
    let (old, new) = (opened.signer.token(&claims()), Signer::eddsa("2026-12"));
    let another = create(&opened.tokens, "another", &[Scope::Read]).unwrap();
    std::fs::write(&opened.keys, key_set(&[&new]).to_string()).unwrap();
    let new = new.token(&claims());
    assert_eq!([status(&new).await, status(&another).await], [StatusCode::UNAUTHORIZED; 2]);
    opened.guard.reload();
    assert_eq!([status(&new).await, status(&another).await], [StatusCode::OK; 2]);
    assert_eq!(status(&old).await, StatusCode::UNAUTHORIZED);
    for bad in ["", "{}", "[[token]]"] {
        std::fs::write(&opened.keys, bad).unwrap();
        std::fs::write(&opened.tokens, bad).unwrap();
        opened.guard.reload();
        assert_eq!([status(&new).await, status(&another).await], [StatusCode::OK; 2], "{bad}");
    }
}
