//! The API against its own specification: schemathesis asks all that the specification allows and
//! much that it does not, and compares each answer with what is documented.

use crate::harness::{Collimator, python};
use collimator::synthetic::SyntheticStudy;
use std::path::Path;
use tokio::process::Command;

const SCHEMATHESIS: [&str; 1] = ["schemathesis==4.32.5"];

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
    for phase in ["Coverage", "Fuzzing", "Stateful"] {
        assert!(said.contains(phase), "no phase {phase}");
    }
}
