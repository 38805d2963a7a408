//! The specification of the API: that it is a valid one, that it tells readers what they need, and that the
//! API does what it says: schemathesis asks all that the specification allows and much that it does not,
//! and compares each answer with what is documented.

use crate::harness::{Collimator, python};
use collimator::synthetic::SyntheticStudy;
use serde_json::Value;
use std::path::Path;
use tokio::process::Command;

const SCHEMATHESIS: [&str; 1] = ["schemathesis==4.32.5"];

const VALIDATOR: [&str; 1] = ["openapi-spec-validator==0.9.0"];

#[tokio::test]
async fn what_is_served_is_valid_openapi() {
    let Some(packages) = python::packages("openapi-spec-validator", &VALIDATOR).await else {
        return;
    };
    let collimator = Collimator::start().await;
    let specification = reqwest::get(format!("{}/openapi.json", collimator.api)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openapi.json");
    std::fs::write(&path, specification.bytes().await.unwrap()).unwrap();
    let output = Command::new("python3")
        .env("PYTHONPATH", packages)
        .args(["-m", "openapi_spec_validator", "--validation-errors", "all"])
        .arg(path)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Whether there is a null anywhere in it.
fn has_null(example: &Value) -> bool {
    match example {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(entries) => entries.values().any(has_null),
        _ => false,
    }
}

/// The specification as it is committed, which a test of the API holds it to.
fn specification() -> Value {
    serde_json::from_str(include_str!("../api/openapi.json")).unwrap()
}

/// Each operation, with its method and path.
fn operations(specification: &Value) -> Vec<(String, &Value)> {
    let paths = specification["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    let all: Vec<_> = all.collect();
    assert!(all.len() > 10, "{all:?}");
    all
}

/// An array in an operation, or nothing.
fn each<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of[key].as_array().into_iter().flatten()
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// Whether there is an example of a schema, in it or where it refers to.
fn has_example(specification: &Value, schema: &Value) -> bool {
    let referred = schema["$ref"].as_str().and_then(|to| specification.pointer(&to[1..]));
    !referred.unwrap_or(schema)["example"].is_null()
}

#[test]
fn each_operation_and_parameter_is_described() {
    let specification = specification();
    for (named, operation) in operations(&specification) {
        for key in ["operationId", "summary", "description"] {
            assert!(is_text(&operation[key]), "{named} has no {key}");
        }
        assert_eq!(each(operation, "tags").count(), 1, "the tags of {named}");
        for parameter in each(operation, "parameters") {
            let name = &parameter["name"];
            assert!(is_text(&parameter["description"]), "{name} of {named} is not described");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(is_text(&response["description"]), "{status} of {named} is not described");
        }
    }
}

#[test]
fn no_example_has_a_null_which_no_schema_allows() {
    let specification = specification();
    assert!(!specification.to_string().contains("\"nullable\""));
    for (name, schema) in specification["components"]["schemas"].as_object().unwrap() {
        let example = schema.get("example");
        assert!(!example.is_some_and(has_null), "{name}: {example:?}");
    }
}

#[test]
fn each_parameter_and_answer_has_an_example() {
    let specification = specification();
    for (named, operation) in operations(&specification) {
        for parameter in each(operation, "parameters") {
            // Nobody can make up a cursor.
            let is_there = parameter["name"] == "cursor"
                || parameter["description"].as_str().unwrap().contains("or example `")
                || has_example(&specification, &parameter["schema"]);
            assert!(is_there, "{} of {named} has no example", parameter["name"]);
        }
        let responses = operation["responses"].as_object().unwrap().iter();
        let asked = operation.get("requestBody").map(|body| ("the body", body));
        let contents = responses.map(|(status, response)| (status.as_str(), response)).chain(asked);
        for (what, content) in contents {
            for (kind, content) in content["content"].as_object().into_iter().flatten() {
                let is_there = has_example(&specification, &content["schema"]);
                assert!(is_there, "{kind} of {what} of {named} has no example");
            }
        }
    }
}

#[tokio::test]
async fn schemathesis_finds_no_answer_that_the_specification_does_not_tell() {
    let Some(packages) = python::packages("schemathesis", &SCHEMATHESIS).await else { return };
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 3).series("CT", 2).size(16, 16);
    let uids = study.series_instance_uids();
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    collimator.lists(&uids[1], 2).await;

    let configuration = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis.toml");
    let output = Command::new("python3")
        .env("PYTHONPATH", packages)
        .current_dir(folder.path())
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(configuration)
        .args(["--no-color", "run", &format!("{}/openapi.json", collimator.api)])
        // It never ends; what it answers before that is tested where the events are.
        .args(["--exclude-path", "/events"])
        .args(["--checks", "all", "--workers", "1", "--generation-deterministic"])
        // A deletion is a request: the series is there until the indexer has come to it, and 410 then.
        .args(["--exclude-checks", "use_after_free"])
        .args(["--max-examples", "40", "--warnings", "off"])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for phase in ["Examples", "Coverage", "Fuzzing", "Stateful"] {
        assert!(said.contains(phase), "no phase {phase}");
    }
}
