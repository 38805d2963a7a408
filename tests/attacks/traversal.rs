//! Paths that want to be other ones: files, or routes that somebody else may ask.

use super::is_in_order;
use crate::harness::Collimator;
use crate::harness::pipeline::COLLIMATOR;
use crate::harness::raw_http::{request, say};
use std::process::Command;

/// Ways to climb; `F` is what is climbed to.
const CLIMBS: [&str; 22] = [
    "/F",
    "//F",
    "/../../../../../../../../F",
    "/./../.././../../../F",
    "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/F",
    "/..%2f..%2f..%2f..%2f..%2f..%2fF",
    "/%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fF",
    "/..%252f..%252f..%252f..%252fF",
    "/%252e%252e/%252e%252e/%252e%252e/F",
    "/..%c0%af..%c0%af..%c0%afF",
    "/%c0%ae%c0%ae/%c0%ae%c0%ae/F",
    "/..%ef%bc%8f..%ef%bc%8fF",
    "/..\\..\\..\\..\\F",
    "/..%5c..%5c..%5c..%5cF",
    "/....//....//....//F",
    "/..;/..;/..;/F",
    "/..%00/F",
    "/F%00.html",
    "/%00/F",
    "/?/../../../F",
    "/#/../../F",
    "/~root/../F",
];

/// Where one begins to climb from.
const BASES: [&str; 9] = [
    "",
    "/docs",
    "/dashboard.js",
    "/dashboard.css",
    "/health/live",
    "/metrics",
    "/series",
    "/dicom-web/studies",
    "/sources",
];

#[tokio::test]
async fn no_path_leads_to_a_file() {
    let collimator = Collimator::start().await;
    // Files that are there, wherever one starts to climb.
    let files = ["etc/passwd", "proc/self/environ", "proc/self/cmdline", "data/catalog.db"];
    for file in files {
        for base in BASES {
            for climb in CLIMBS {
                let path = format!("{base}{}", climb.replace('F', file));
                let answer = say(&collimator.api, &request("GET", &path, &[], b"")).await;
                let answer = answer.unwrap_or_else(|| panic!("{path}: no answer"));
                is_in_order(&answer, &path);
                let text = answer.text();
                for inside in ["root:x:0:", "SQLite format", "DATA_DIR=", "debug/collimator"] {
                    assert!(!text.contains(inside), "{path}: {text}");
                }
                // What stands behind a question mark or a number sign is no path; an entry of a list
                // that is not there has an answer of its own.
                let is_page = path.contains(['?', '#']);
                let refused = [204, 400, 404, 405, 422].contains(&answer.status);
                assert!(refused || is_page, "{path}: {answer:?}");
            }
        }
    }
    for target in ["http://127.0.0.1/etc/passwd", "file:///etc/passwd", "*", "etc/passwd", "/ /x"] {
        let answer = say(&collimator.api, &request("GET", target, &[], b"")).await;
        let status = answer.map_or(400, |answer| answer.status);
        assert!([400, 403, 404].contains(&status), "{target}: {status}");
    }
}

#[tokio::test]
async fn no_other_way_to_write_a_path_gets_by_its_scope() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.toml");
    let made = Command::new(COLLIMATOR)
        .args(["token", "create", "viewer", "--scope", "read"])
        .env("TOKENS_FILE", &file)
        .output()
        .unwrap();
    let reader = String::from_utf8(made.stdout).unwrap();
    let reader = format!("Bearer {}", reader.trim());
    let settings = [("TOKENS_FILE", file.to_str().unwrap())];
    let collimator = Collimator::start_with(&settings).await;
    let status = async |method: &str, path: &str, token: Option<&str>| {
        let token = token.map(|token| ("Authorization", token.as_bytes()));
        let answer = say(&collimator.api, &request(method, path, token.as_slice(), b"")).await;
        answer.unwrap_or_else(|| panic!("{method} {path}: no answer")).status
    };
    // Health is for everybody; nothing else is, however it is written.
    assert_eq!(status("GET", "/health/live", None).await, 200);
    for path in [
        "/health/live/",
        "/health/live/../../series",
        "/health/live/..%2f..%2fseries",
        "/health/live%2f..%2f..%2fseries",
        "/health/ready/%2e%2e/%2e%2e/series",
        "/health/live;/series",
        "/health//live",
        "/HEALTH/LIVE",
        "/%68ealth/live",
        "/health/%6cive",
        "//health/live",
        "/series",
        "/series/",
        "/%73eries",
        "/SERIES",
        "//series",
        "/./series",
        "/series?path=/health/live",
        "/series#/health/live",
        "/series;/health/live",
        "http://127.0.0.1/series",
        "/metrics",
        "/docs",
        "/docs/",
        "/openapi.json",
        "/dashboard.js",
        "/events",
        "/nowhere",
    ] {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "PROPFIND", "get"] {
            assert_eq!(status(method, path, None).await, 401, "{method} {path}");
        }
    }
    // A reader changes nothing, under whatever name.
    for path in [
        "/store",
        "/store/",
        "/%73tore",
        "//store",
        "/STORE",
        "/store?_method=GET",
        "/series/1.2",
        "/series/1.2/complete",
        "/series/1.2/%63omplete",
        "/sources/MR1/trust",
        "/dead-letters/1/replay",
        "/dead-letters/1",
    ] {
        for method in ["POST", "DELETE", "PUT", "PATCH", "post", "CONNECT", "TRACE"] {
            assert_eq!(status(method, path, Some(&reader)).await, 403, "{method} {path}");
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            let status = status(method, path, Some(&reader)).await;
            assert!([404, 405].contains(&status), "{method} {path}: {status}");
        }
    }
    // What is no token of the file.
    for token in [
        "Bearer",
        "Bearer ",
        "Bearer null",
        "Bearer ' or '1'='1",
        "Basic Og==",
        "Basic",
        "Negotiate x",
        &reader.replace("Bearer", "Token"),
        &reader.replace("collimator_", "COLLIMATOR_"),
        &format!("{reader}, {reader}"),
        &reader[..reader.len() - 1],
    ] {
        assert_eq!(status("GET", "/series", Some(token)).await, 401, "{token}");
    }
    for path in [format!("/series?access_token={}", &reader[7..]), "/series?token=x".to_owned()] {
        assert_eq!(status("GET", &path, None).await, 401, "a token in a query is in logs");
    }
    assert_eq!(status("GET", "/series", Some(&reader)).await, 200);
}
