//! What keys and claims mean.

use super::*;
use fake_issuer::{ISSUER, Signer, claims, key_set};
use serde_json::json;
use std::path::Path;
use tempfile::TempDir;

fn settings(keys: &Path, more: &[&str]) -> OidcSettings {
    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        settings: OidcSettings,
    }
    let keys = keys.to_str().unwrap();
    let all =
        ["api", "--oidc-issuer", ISSUER, "--oidc-audience=collimator", "--oidc-jwks-file", keys];
    <Program as clap::Parser>::parse_from([&all, more].concat()).settings
}

fn oidc(keys: &Value, more: &[&str]) -> anyhow::Result<(Oidc, TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, keys.to_string()).unwrap();
    Ok((Oidc::new(&settings(&path, more))?.unwrap(), folder))
}

#[tokio::test]
async fn each_kind_of_key_verifies_by_its_own_algorithms_and_no_others() {
    let mut signers = vec![Signer::es256("a"), Signer::es384("b"), Signer::eddsa("c")];
    signers.extend(Signer::rsa("d"));
    for signer in &signers {
        let (oidc, _folder) = oidc(&key_set(&[signer]), &[]).unwrap();
        let (subject, scopes) = oidc.holder(&signer.token(&claims())).await.unwrap();
        assert_eq!((&*subject, &*scopes), ("f3b1", &[Scope::Read][..]), "{}", signer.algorithm);
        for other in ["ES256", "ES384", "EdDSA", "RS256", "PS256", "RS512"] {
            let header = json!({ "alg": other, "kid": signer.jwk()["kid"] });
            let judged = oidc.holder(&signer.token_with(&header, &claims())).await;
            if other != signer.algorithm {
                assert_eq!(
                    judged.unwrap_err(),
                    Untrusted::Signature,
                    "{other} {}",
                    signer.algorithm
                );
            }
        }
        // A key may say that it is for one of them only.
        let mut keys = key_set(&[signer]);
        keys["keys"][0]["alg"] = signer.algorithm.into();
        let (only, _folder) = self::oidc(&keys, &[]).unwrap();
        only.holder(&signer.token(&claims())).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_without_a_kid_is_of_the_only_key_that_fits() {
    let (one, other, another) = (Signer::es256("a"), Signer::eddsa("b"), Signer::es256("c"));
    let token = one.token_with(&json!({ "alg": "ES256" }), &claims());
    let (unambiguous, _folder) = oidc(&key_set(&[&other, &one]), &[]).unwrap();
    unambiguous.holder(&token).await.unwrap();
    let (ambiguous, _folder) = oidc(&key_set(&[&another, &one]), &[]).unwrap();
    assert_eq!(ambiguous.holder(&token).await.unwrap_err(), Untrusted::Signature);
}

#[tokio::test]
async fn keys_for_something_else_are_passed_over() {
    let signer = Signer::es256("a");
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("alg", json!("RSA-OAEP")),
        ("alg", json!("ES384")),
        ("crv", json!("secp256k1")),
        ("kty", json!("unheard of")),
        ("x", json!("%%%")),
    ] {
        let mut keys = key_set(&[&signer]);
        keys["keys"][0][name] = value;
        oidc(&keys, &[]).unwrap_err();
        // Beside a good one it does no harm.
        let good = Signer::eddsa("b");
        keys["keys"].as_array_mut().unwrap().push(good.jwk());
        let (both, _folder) = oidc(&keys, &[]).unwrap();
        both.holder(&good.token(&claims())).await.unwrap();
        assert_eq!(both.holder(&signer.token(&claims())).await.unwrap_err(), Untrusted::Signature);
    }
    let secret = json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256" }] });
    oidc(&secret, &[]).unwrap_err();
    let many: Vec<_> = (0..101).map(|_| signer.jwk()).collect();
    oidc(&json!({ "keys": many }), &[]).unwrap_err();
}

#[tokio::test]
async fn scopes_are_where_keycloak_and_entra_put_them() {
    let signer = Signer::es256("a");
    let all = &Scope::ALL[..];
    let app = ["--oidc-scope-claim=scp,roles"];
    let client = ["--oidc-scope-claim=resource_access.collimator.roles", "--oidc-scope-prefix="];
    let url = ["--oidc-scope-claim=https://example.org/scopes"];
    for (settings, has, expected) in [
        (
            &[][..],
            json!({ "scope": "openid collimator.admin profile collimator.write" }),
            &[Scope::Write, Scope::Admin][..],
        ),
        (&[], json!({ "scope": ["collimator.read"] }), &all[..1]),
        (&[], json!({ "scope": "collimator.store" }), &[Scope::Store]),
        (
            &[],
            json!({ "scope": "read write admin collimator.readx xcollimator.read Collimator.Read" }),
            &[],
        ),
        (&[], json!({ "scope": null }), &[]),
        (&[], json!({ "scope": { "collimator.read": true } }), &[]),
        (&[], json!({ "roles": ["collimator.read"] }), &[]),
        (&app, json!({ "scp": "collimator.read User.Read" }), &all[..1]),
        (
            &app,
            json!({ "roles": ["collimator.admin"], "scp": "collimator.read" }),
            &[Scope::Read, Scope::Admin],
        ),
        (
            &client,
            json!({ "resource_access": { "collimator": { "roles": ["write", 7] } } }),
            &all[1..2],
        ),
        (&client, json!({ "resource_access": { "account": { "roles": ["write"] } } }), &[]),
        (&url, json!({ "https://example.org/scopes": ["collimator.read"] }), &all[..1]),
    ] {
        let (oidc, _folder) = oidc(&key_set(&[&signer]), settings).unwrap();
        let mut claims = claims();
        claims["scope"].take();
        claims.as_object_mut().unwrap().extend(has.as_object().unwrap().clone());
        let (_subject, scopes) = oidc.holder(&signer.token(&claims)).await.unwrap();
        assert_eq!(&*scopes, expected, "{has}");
    }
}

#[test]
fn settings_that_do_not_go_together_are_named() {
    let nowhere = Path::new("/nowhere/keys.json");
    let base = OidcSettings { oidc_jwks_file: None, ..settings(nowhere, &[]) };
    let said = |settings: &OidcSettings| format!("{:#}", Oidc::new(settings).unwrap_err());
    assert!(Oidc::new(&base).unwrap().is_some(), "nothing is fetched at the start");
    let alone = OidcSettings { oidc_issuer: None, ..base.clone() };
    assert!(said(&alone).contains("OIDC_AUDIENCE is of no use without OIDC_ISSUER"));
    let to_anybody = OidcSettings { oidc_audience: None, ..base.clone() };
    assert!(said(&to_anybody).contains("OIDC_AUDIENCE"));
    let plain =
        OidcSettings { oidc_issuer: Some("http://login.example.org".into()), ..base.clone() };
    assert!(said(&plain).starts_with("OIDC_ISSUER: \"http://login"), "{}", said(&plain));
    let plain = OidcSettings { oidc_jwks_url: Some("http://login.example.org".into()), ..base };
    assert!(said(&plain).starts_with("OIDC_JWKS_URL: "));
    assert!(said(&settings(nowhere, &[])).starts_with("OIDC_JWKS_FILE: /nowhere/keys.json: "));
    assert!(said(&settings(nowhere, &["--oidc-jwks-url=https://a/"])).contains("one or none"));
}
