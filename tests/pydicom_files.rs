//! Every storable instance that pydicom ships, sent by pynetdicom: all character sets, transfer
//! syntaxes and oddities that somebody found worth keeping.

use crate::harness::python::{python, run};
use crate::harness::{Collimator, eventually};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Sends each file as its author wrote it and prints, for each, what became of it and what pydicom
/// makes of the patient's name.
const SEND: &str = r#"
import json, sys
import pydicom_files
host, port = sys.argv[1], int(sys.argv[2])
for path in pydicom_files.paths():
    row = {"file": path.name}
    try:
        ds = pydicom_files.instance(path)
        row["sop"] = str(ds.SOPInstanceUID)
    except Exception as error:
        row["unstorable"] = type(error).__name__ + ": " + str(error)[:80]
        print(json.dumps(row)); continue
    row["name"] = str(ds.get("PatientName", ""))
    row["series"] = str(ds.get("SeriesInstanceUID", ""))
    try:
        status = pydicom_files.send(host, port, ds)
        if status is None:
            row["unsent"] = "no association"
        else:
            row["status"] = status.Status if "Status" in status else None
            row["comment"] = str(status.get("ErrorComment", ""))
    except Exception as error:
        row["unsent"] = type(error).__name__ + ": " + str(error)[:80]
    print(json.dumps(row))
"#;

#[tokio::test]
async fn every_storable_file_of_pydicom_is_taken_and_its_name_is_what_pydicom_decodes() {
    let Some(packages) = python().await else { return };
    let collimator = Collimator::start().await;
    let (host, port) = (collimator.dicom.ip().to_string(), collimator.dicom.port().to_string());
    let printed = run(packages, SEND, &[&host, &port]).await;
    let rows: Vec<Value> = printed.lines().map(|l| serde_json::from_str(l).unwrap()).collect();

    let mut stored: HashMap<String, Vec<Value>> = HashMap::new();
    for event in collimator.stored().await {
        let payload: Value = serde_json::from_slice(&event.payload).unwrap();
        let sop = payload["SOPInstanceUID"].as_str().unwrap().to_owned();
        stored.entry(sop).or_default().push(payload);
    }
    let (mut taken, mut wrong) = (0, Vec::new());
    for row in &rows {
        if row["unstorable"].is_string() || row["unsent"].is_string() {
            println!("not sent: {row}");
            continue;
        }
        // An instance that names no series can't be counted in one, and is told so.
        if row["series"] == "" && row["status"] == 0xa900 {
            println!("refused: {row}");
            continue;
        }
        // It is cut off in an item, which so is longer than the sequence that it is in.
        if row["file"] == "rtplan_truncated.dcm" {
            assert_eq!(row["status"], 0xc000, "{row}");
            continue;
        }
        if row["status"] != 0 {
            wrong.push(format!("refused: {row}"));
            continue;
        }
        taken += 1;
        // Some files are the same instance in several forms: one of the events must be this one.
        let events = &stored[row["sop"].as_str().unwrap()];
        let named = |event: &Value| event["PatientName"].as_str().unwrap_or("") == row["name"];
        if !events.iter().any(named) {
            let names: Vec<_> = events.iter().map(|event| &event["PatientName"]).collect();
            wrong.push(format!("named {names:?}: {row}"));
        }
    }
    println!("{taken} of {} files stored", rows.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(taken > 100, "only {taken} files were sent");

    // The catalogue has each instance in the series that it came in last, under a name that a file
    // of that series has.
    let stored_rows: Vec<&Value> = rows.iter().filter(|row| row["status"] == 0).collect();
    let last_of_instance: HashMap<&str, &str> =
        stored_rows.iter().map(|row| (word(row, "sop"), word(row, "series"))).collect();
    let expected: HashSet<&str> = last_of_instance.values().copied().collect();
    let listed = eventually("all series to be complete", async || {
        let listed = collimator.series().await;
        (listed.len() == expected.len()).then_some(listed)
    })
    .await;
    for series in listed {
        let uid = word(&series, "SeriesInstanceUID");
        let instances = last_of_instance.values().filter(|series| **series == uid).count();
        assert_eq!(series["InstancesCount"], instances, "{uid}");
        let mut of_series = stored_rows.iter().filter(|row| word(row, "series") == uid);
        assert!(of_series.any(|row| row["name"] == series["PatientName"]), "{series}");
    }
}

fn word<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap()
}
