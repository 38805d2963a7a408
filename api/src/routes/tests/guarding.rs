//! Who may ask for what, at the routes themselves.

use super::*;
use crate::auth::tokens::create;
use clap::Parser as _;

/// An API with a token for each scope.
async fn with_tokens() -> (TestApi, HashMap<Scope, String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let make = |scope: Scope| (scope, create(&path, scope.as_str(), &[scope]).unwrap());
    let tokens = Scope::ALL.map(make).into();
    let settings = api_settings_of(&["--tokens-file", path.to_str().unwrap()]);
    (guarded(true, settings.guard().unwrap()).await, tokens)
}

pub(super) fn api_settings_of(arguments: &[&str]) -> crate::Settings {
    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        settings: crate::Settings,
    }
    Program::parse_from([&["api"], arguments].concat()).settings
}

#[tokio::test]
async fn each_route_needs_the_scope_of_what_it_does() {
    let (api, tokens) = with_tokens().await;
    let needed = |method: &Method, path: &str| match (method, path) {
        (&Method::GET, _) => Scope::Read,
        (_, "/store") => Scope::Write,
        (&Method::POST, path) if path.starts_with("/dicom-web/studies") => Scope::Store,
        _ => Scope::Admin,
    };
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/dashboard.js"),
        (Method::GET, "/dashboard/parts.js"),
        (Method::GET, "/series"),
        (Method::GET, "/series/1.2"),
        (Method::GET, "/series/1.2/instances"),
        (Method::GET, "/series/1.2/history"),
        (Method::GET, "/series/1.2/evidence"),
        (Method::GET, "/studies"),
        (Method::GET, "/stats"),
        (Method::GET, "/stats/activity"),
        (Method::GET, "/stats/associations"),
        (Method::GET, "/sources"),
        (Method::GET, "/events"),
        (Method::GET, "/webhooks"),
        (Method::GET, "/dicom-web/studies"),
        (Method::GET, "/docs"),
        (Method::GET, "/openapi.json"),
        (Method::GET, "/asyncapi"),
        (Method::GET, "/asyncapi.json"),
        (Method::GET, "/schemas/dicom.series.completed.json"),
        (Method::GET, "/metrics"),
        (Method::GET, "/nowhere"),
        (Method::GET, "/health/else"),
        (Method::POST, "/store"),
        (Method::POST, "/dicom-web/studies"),
        (Method::POST, "/dicom-web/studies/1.2"),
        (Method::POST, "/dicom-web/series"),
        (Method::PUT, "/dicom-web/studies"),
        (Method::POST, "/series/1.2/complete"),
        (Method::POST, "/sources/MR1/trust"),
        (Method::DELETE, "/series/1.2"),
        (Method::PUT, "/series"),
    ] {
        let ask = || api.client.request(method.clone(), path);
        let answer = ask().send().await;
        answer.assert_status(StatusCode::UNAUTHORIZED);
        answer.assert_content_type(problem::PROBLEM_JSON);
        let challenges = answer.0.headers().get_all(header::WWW_AUTHENTICATE);
        assert_eq!(challenges.iter().count(), 2);
        for (&scope, token) in &tokens {
            let bearer = format!("Bearer {token}");
            let status = ask().header(header::AUTHORIZATION, bearer).send().await.0.status();
            if scope == needed(&method, path) {
                assert!(![401, 403].contains(&status.as_u16()), "{method} {path} {scope} {status}");
            } else {
                assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path} {scope}");
            }
        }
        let wrong = ask().header(header::AUTHORIZATION, "Bearer collimator_0").send().await;
        wrong.assert_status(StatusCode::UNAUTHORIZED);
    }
    for path in ["/health/live", "/health/ready"] {
        api.client.get(path).send().await.assert_status_is_ok();
    }
}

#[tokio::test]
async fn beyond_loopback_nobody_is_answered_by_accident() {
    let addr = "--api-addr=0.0.0.0:0";
    let error = api_settings_of(&[addr]).guard().unwrap_err().to_string();
    for way in ["TOKENS_FILE", "OIDC_ISSUER", "INSECURE"] {
        assert!(error.contains(way), "{error}");
    }
    let oidc = ["--oidc-issuer=https://login.example.org", "--oidc-audience=collimator"];
    api_settings_of(&[&[addr], &oidc[..]].concat()).guard().unwrap();
    api_settings_of(&[addr, "--insecure"]).guard().unwrap();
    api_settings_of(&["--api-addr=[::1]:0"]).guard().unwrap();
    api_settings_of(&["--tokens-file=/nowhere/tokens.toml"]).guard().unwrap_err();
}

#[tokio::test]
async fn no_browser_does_more_with_an_answer_than_show_it() {
    let api = api(true).await;
    for path in ["/series", "/docs", "/", "/nowhere", "/openapi.json", "/health/live"] {
        let answer =
            api.client.get(path).header(header::ORIGIN, "https://evil.example").send().await;
        answer.assert_header("X-Content-Type-Options", "nosniff");
        answer.assert_header("Referrer-Policy", "no-referrer");
        let policy = answer.0.header(header::CONTENT_SECURITY_POLICY).unwrap().to_owned();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(answer.0.header("Access-Control-Allow-Origin"), None, "{path}");
    }
    let listed = api.client.get("/series").send().await;
    listed.assert_header(header::CACHE_CONTROL, "no-store");
}

#[tokio::test]
async fn a_page_of_another_origin_or_name_is_refused() {
    let api = api(true).await;
    let post = api.client.post("/store").body_json(&store()).header("Host", "127.0.0.1:8000");
    let refused = post.header("Origin", "https://evil.example").send().await;
    refused.assert_status(StatusCode::FORBIDDEN);
    refused.assert_content_type(problem::PROBLEM_JSON);
    let refused = api.client.get("/series").header("Host", "evil.example:8000").send().await;
    refused.assert_status(StatusCode::FORBIDDEN);
    api.client.get("/series").send().await.assert_text("[]").await;
}

#[tokio::test]
async fn a_page_of_an_origin_that_is_named_may_ask_and_no_other() {
    let settings =
        api_settings_of(&["--allowed-origins", "https://viewer.example,https://b.example"]);
    let api = guarded(true, settings.guard().unwrap()).await;
    let (named, other) = ("https://viewer.example", "https://viewer.example.org");
    let ask = |method: Method, origin| {
        let request = api.client.request(method, "/store").header("Host", "127.0.0.1:8000");
        request.header(header::ORIGIN, origin).header("Access-Control-Request-Method", "POST")
    };
    let answer = ask(Method::OPTIONS, named).send().await;
    answer.assert_status(StatusCode::NO_CONTENT);
    answer.assert_header("Access-Control-Allow-Origin", named);
    answer.assert_header("Vary", "Origin");
    let headers = answer.0.header("Access-Control-Allow-Headers").unwrap();
    assert!(headers.contains("Authorization"), "{headers}");
    register(api.owner.as_ref().unwrap(), [store()]).await;
    let answer = ask(Method::POST, named).body_json(&store()).send().await;
    answer.assert_status_is_ok();
    answer.assert_header("Access-Control-Allow-Origin", named);
    for method in [Method::OPTIONS, Method::POST] {
        let answer = ask(method, other).body_json(&store()).send().await;
        assert_eq!(answer.0.header("Access-Control-Allow-Origin"), None);
        assert!(answer.0.status().is_client_error());
    }
}

#[tokio::test]
async fn a_path_that_is_no_utf_8_is_400() {
    let api = api(true).await;
    for path in ["/series/%FF", "/studies/%C3", "/series/%FF/history"] {
        let answer = api.client.get(path).send().await;
        answer.assert_status(StatusCode::BAD_REQUEST);
        answer.assert_content_type(problem::PROBLEM_JSON);
    }
}
