//! Those who want what is not theirs: each test is an attack, on the process as it is run.

mod http;
mod injection;
mod logs;
mod secrets;
mod senders;
mod traversal;

use crate::harness::raw_http::RawAnswer;
use serde_json::Value;

/// The header lines that an answer may have. Any other one was put there by somebody else.
const OURS: [&str; 22] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "etag",
    "link",
    "referrer-policy",
    "retry-after",
    "transfer-encoding",
    "vary",
    "warning",
    "www-authenticate",
    "x-accel-buffering",
    "x-content-type-options",
    "x-total-count",
];

/// Nothing is broken, what is refused is a problem as it is documented, and all header lines are ours.
fn is_in_order(answer: &RawAnswer, asked: &str) {
    assert!(answer.status < 500, "{asked}: {answer:?}");
    for (name, value) in &answer.headers {
        assert!(OURS.contains(&name.as_str()), "{asked}: {name} in {answer:?}");
        assert!(!value.contains("pwned"), "{asked}: {name} in {answer:?}");
    }
    // What is no HTTP is answered before we hear of it, with nothing.
    if answer.status >= 400 && !answer.body.is_empty() {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{asked}");
        assert_eq!(answer.json()["status"], answer.status, "{asked}");
        assert!(!answer.text().contains("pwned"), "{asked}: {}", answer.text());
    }
}

/// What a process has printed that is no log line. Each that looks like one is JSON and whole.
fn printed_beside_the_log(printed: &str) -> Vec<String> {
    let (lines, others): (Vec<&str>, Vec<_>) =
        printed.lines().partition(|line| line.starts_with('{'));
    for line in lines {
        let read: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(read["level"].is_string() && read["target"].is_string(), "{line}");
    }
    others.into_iter().map(str::to_owned).collect()
}

/// Bytes as text in which each stands for itself, so that text and what is none can be looked through.
fn as_text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// None of these is in it.
fn holds_none(what: &str, bytes: &[u8], secrets: &[Vec<u8>]) {
    let text = as_text(bytes);
    for secret in secrets {
        if let Some(at) = text.find(&as_text(secret)) {
            let from = text.floor_char_boundary(at.saturating_sub(300));
            let to = text.ceil_char_boundary(at + secret.len() + 100);
            let secret = String::from_utf8_lossy(secret);
            panic!("{secret} is in {what}: {}", &text[from..to]);
        }
    }
}
