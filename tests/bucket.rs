//! The instance store in a bucket of S3: what is acknowledged is there, whole, and nothing else is.

use crate::harness::bucket::{Bucket, KEY_ID, SECRET};
use crate::harness::pipeline::{COLLIMATOR, Ends, Process, test_settings, with};
use crate::harness::scu::{Answer, Kind, Scu, written};
use crate::harness::tools::{dcmsend, have};
use crate::harness::{Collimator, eventually};
use crate::keeping::events;
use collimator::synthetic::SyntheticStudy;
use contract::event::{SeriesKept, StoredObject};
use dicom_dictionary_std::uids;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const MR: &str = uids::MR_IMAGE_STORAGE;

/// A study whose instances have 13 MiB each: two parts of 5 MiB and a rest.
fn large(count: u32) -> SyntheticStudy {
    SyntheticStudy::new().series("MR", count).size(2600, 2600)
}

/// The file of an object, which has to be as its event says.
fn read(bucket: &Bucket, object: &StoredObject) -> Vec<u8> {
    let file = fs::read(bucket.path(&object.key)).unwrap();
    assert_eq!(object.bytes, file.len() as u64);
    assert_eq!(object.blake3, blake3::hash(&file).to_hex().as_str());
    file
}

async fn kept(pipeline: &Ends, series: &str) -> SeriesKept {
    eventually(&format!("{series} to be kept"), async || {
        let events = pipeline.events("SERIES").await;
        let mut kept = events.iter().filter(|it| it.subject.starts_with("dicom.series.kept."));
        let read = |payload| serde_json::from_slice::<SeriesKept>(payload).unwrap();
        kept.find_map(|it| {
            Some(read(&it.payload)).filter(|it| it.series_instance_uid.as_str() == series)
        })
    })
    .await
}

/// Begins to send an instance, and leaves out its last part.
async fn begins(scu: &mut Scu, sop: &str, data_set: &[u8]) {
    let command = scu.store_command(MR, sop, true);
    scu.send(1, Kind::Command, &command, 1000).await;
    for piece in data_set.chunks(16_000) {
        scu.send_part(piece, false).await;
    }
}

fn is_out_of_resources(answer: &Answer) {
    assert_eq!(answer.status, 0xa700, "{answer:?}");
    assert!(answer.comment.contains("the instance store"), "{answer:?}");
}

#[tokio::test]
async fn what_dcmsend_sends_is_in_the_bucket_and_comes_back_by_wado_rs() {
    if !have("dcmsend") {
        return;
    }
    let bucket = Bucket::start().await;
    // A name that has to be escaped.
    let settings = [bucket.settings(), vec![("NODE_NAME", "ward 3/[::1]:104")]].concat();
    let collimator = Collimator::start_with(&settings).await;
    let folder = tempfile::tempdir().unwrap();
    let small = SyntheticStudy::new().series("MR", 3).size(16, 16);
    for (number, study) in [&small, &large(2)].into_iter().enumerate() {
        let to = folder.path().join(number.to_string());
        fs::create_dir(&to).unwrap();
        study.write_to(&to).unwrap();
    }
    dcmsend(collimator.dicom, &[folder.path()]).await;
    let events = events(&collimator).await;
    assert_eq!((events.len(), bucket.instances().len()), (5, 5));
    assert!(!bucket.has_parts());
    for event in &events {
        let object = event.object.as_ref().unwrap();
        let file = read(&bucket, object);
        // Behind the File Meta Information, whose length its first element says (PS3.10 section 7.1).
        let data_set = 144 + u32::from_le_bytes(file[140..144].try_into().unwrap()) as usize;
        assert_eq!(event.bytes, (file.len() - data_set) as u64);
        assert_eq!(event.sop_instance_uid.as_str(), sop_of(&bucket.path(&object.key)));
    }

    // The revision is a manifest that names them.
    let uid = small.series_instance_uids().remove(0);
    let kept = kept(&collimator, &uid).await;
    assert_eq!((kept.instances_kept, kept.instances_without_file), (3, 0));
    let manifest = fs::read(bucket.path(&kept.place).join("manifest.json")).unwrap();
    assert_eq!(kept.manifest_blake3, blake3::hash(&manifest).to_hex().as_str());
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    for instance in manifest["Instances"].as_array().unwrap() {
        let event =
            events.iter().find(|it| it.sop_instance_uid.as_str() == instance["SOPInstanceUID"]);
        let object = event.unwrap().object.as_ref().unwrap();
        assert_eq!(
            (&instance["Key"], &instance["File"]),
            (&object.key.as_str().into(), &Value::Null)
        );
        assert_eq!(instance["BLAKE3"], object.blake3);
    }

    for event in &events {
        let study = event.study_instance_uid.as_ref().unwrap();
        let series = format!(
            "{}/dicom-web/studies/{study}/series/{}",
            collimator.api, event.series_instance_uid
        );
        let instance = format!("{series}/instances/{}", event.sop_instance_uid);
        let file = read(&bucket, event.object.as_ref().unwrap());
        let get = |url: &str| reqwest::Client::new().get(url).header("Accept", "application/dicom");
        let answer = get(&instance).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.bytes().await.unwrap() == file, "{instance}");
        let end = format!("bytes={}-", file.len() - 300_000.min(file.len()));
        let answer = get(&instance).header("Range", end).send().await.unwrap();
        assert_eq!(answer.status(), 206);
        assert!(file.ends_with(&answer.bytes().await.unwrap()), "{instance}");
        let metadata = reqwest::get(format!("{series}/metadata")).await.unwrap();
        let metadata: Vec<Value> = metadata.json().await.unwrap();
        let has = |it: &Value| it["00080018"]["Value"][0] == event.sop_instance_uid.as_str();
        assert!(metadata.iter().any(has), "{metadata:?}");
    }

    // One that is gone is never served, nor one of another length.
    let object = events[0].object.as_ref().unwrap();
    let study = format!(
        "{}/dicom-web/studies/{}",
        collimator.api,
        events[0].study_instance_uid.as_ref().unwrap()
    );
    let instance = format!(
        "{study}/series/{}/instances/{}",
        events[0].series_instance_uid, events[0].sop_instance_uid
    );
    for damage in [true, false] {
        match damage {
            true => fs::write(bucket.path(&object.key), "of another length").unwrap(),
            false => fs::remove_file(bucket.path(&object.key)).unwrap(),
        }
        assert_eq!(reqwest::get(&instance).await.unwrap().status(), 500);
    }
}

/// The SOP Instance UID that a file has.
#[tokio::test]
async fn what_nothing_names_any_more_goes_from_the_bucket() {
    let bucket = Bucket::start().await;
    let settings = [bucket.settings(), vec![("STORE_REMOVE_AFTER", "100ms")]].concat();
    let collimator = Collimator::start_with(&settings).await;
    let study = SyntheticStudy::new().series("MR", 2).series("CT", 3).size(16, 16);
    let sent = tempfile::tempdir().unwrap();
    let paths = study.write_to(sent.path()).unwrap();
    collimator.receives(paths.clone()).await;
    let [deleted, other] = study.series_instance_uids().try_into().unwrap();
    let [deleted, other] = [kept(&collimator, &deleted).await, kept(&collimator, &other).await];
    // Of what was sent twice the first stays.
    let first: BTreeSet<_> = bucket.instances().into_iter().collect();
    collimator.receives(paths).await;
    collimator.tells("store_objects_removed_total", 5).await;
    assert_eq!(bucket.instances().into_iter().collect::<BTreeSet<_>>(), first);

    let path = format!("{}/series/{}", collimator.api, deleted.series_instance_uid);
    assert_eq!(reqwest::Client::new().delete(path).send().await.unwrap().status(), 202);
    let manifest = |it: &SeriesKept| bucket.path(&it.place).join("manifest.json").is_file();
    eventually("two objects and a manifest to go", async || {
        (bucket.instances().len() == 3 && !manifest(&deleted)).then_some(())
    })
    .await;
    assert!(manifest(&other));
    collimator.tells("store_objects_to_remove", 0).await;
    collimator.tells("store_remove_failures_total", 0).await;
}

fn sop_of(path: &Path) -> String {
    let file = dicom_object::open_file(path).unwrap();
    file.meta().media_storage_sop_instance_uid().to_owned()
}

#[tokio::test]
async fn nothing_stays_of_an_upload_that_was_refused_or_cut_off() {
    let bucket = Bucket::start().await;
    let collimator = Collimator::start_with(&bucket.settings()).await;
    let image = large(1).instances().unwrap().remove(0);
    let (sop, data_set) = written(&image);
    let mut scu = Scu::for_mr(collimator.dicom).await;
    let answer = scu.store(1, MR, &sop, &data_set[..data_set.len() - 2]).await;
    assert_eq!(answer.status, 0xc000, "{answer:?}");
    begins(&mut scu, &sop, &data_set[..11_000_000]).await;
    eventually("parts of an upload", async || bucket.has_parts().then_some(())).await;
    drop(scu);
    eventually("no parts", async || (!bucket.has_parts()).then_some(())).await;
    assert_eq!((bucket.instances().len(), events(&collimator).await.len()), (0, 0));
}

#[tokio::test]
async fn while_the_bucket_is_gone_senders_are_refused_and_nothing_acknowledged_is_lost() {
    let mut bucket = Bucket::start().await;
    let collimator = Collimator::start_with(&bucket.settings()).await;
    let images = large(3).instances().unwrap();
    let mut scu = Scu::for_mr(collimator.dicom).await;
    scu.stores(&images[0]).await;

    // Killed when some parts of the second are there.
    let (sop, data_set) = written(&images[1]);
    let (first, rest) = data_set.split_at(11_000_000);
    begins(&mut scu, &sop, first).await;
    eventually("parts of an upload", async || bucket.has_parts().then_some(())).await;
    bucket.kill();
    scu.send(1, Kind::DataSet, rest, 16_000).await;
    is_out_of_resources(&scu.answer().await);
    // The association goes on, and the next one is refused at once.
    let (sop, data_set) = written(&images[2]);
    is_out_of_resources(&scu.store(1, MR, &sop, &data_set).await);
    let ready = reqwest::get(format!("{}/health/ready", collimator.api)).await.unwrap();
    assert_eq!(ready.status(), 503);
    let said = ready.text().await.unwrap();
    assert!(said.contains("store") && !said.contains(SECRET) && !said.contains(KEY_ID), "{said}");

    bucket.serve().await;
    eventually("the receiver to be ready", async || collimator.is_ready().await.then_some(()))
        .await;
    scu.stores(&images[2]).await;
    let events = events(&collimator).await;
    assert_eq!(events.len(), 2);
    for event in &events {
        read(&bucket, event.object.as_ref().unwrap());
    }
    // What was left of the second is removed once that can be done.
    eventually("no parts", async || (!bucket.has_parts()).then_some(())).await;
    assert_eq!(bucket.instances().len(), 2);
    collimator.lists(events[0].series_instance_uid.as_str(), 2).await;
}

#[tokio::test]
async fn wrong_settings_are_one_line_without_secrets_and_the_doctor_tries_them() {
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().unwrap();
    let says = async |arguments: &[&str], more: &[(&'static str, &str)]| {
        let settings = with(with(test_settings(folder.path()), &bucket.settings()), more);
        let program = Path::new(COLLIMATOR);
        let mut process = Process::start_with(program, arguments, folder.path(), &settings);
        let code = process.ended().await;
        let said = process.printed();
        assert!(!said.contains(SECRET) && !said.contains(KEY_ID), "{said}");
        (code, said)
    };
    for (more, wanted) in [
        (("AWS_SECRET_ACCESS_KEY", "another"), "does not belong to AWS_ACCESS_KEY_ID (403"),
        (
            ("AWS_ACCESS_KEY_ID", "somebody"),
            "s3://dicom/ward can't be used: the instance store fails: permission denied",
        ),
        (("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), "STORE_URL: s3://dicom/ward can't be used"),
        (("STORE_URL", "s3://Ward_3"), "a bucket is called by 3 to 63 small letters"),
        (("AWS_ENDPOINT_URL", "127.0.0.1:9000"), "AWS_ENDPOINT_URL"),
        (("AWS_REGION", "eu central"), "AWS_REGION is no region"),
    ] {
        let (code, said) = says(&[], &[more]).await;
        assert!(code.is_some_and(|code| code != 0), "{said}");
        let lines: Vec<_> = said.lines().filter(|line| line.contains(wanted)).collect();
        assert_eq!(lines.len(), 1, "{wanted}: {said}");
    }
    let (_, said) = says(&["doctor"], &[]).await;
    assert!(said.contains("s3://dicom/ward took an object and removed it"), "{said}");
    assert_eq!(bucket.instances().len(), 0);
    let (code, said) = says(&["doctor"], &[("AWS_SECRET_ACCESS_KEY", "another")]).await;
    assert!(said.contains("does not belong to AWS_ACCESS_KEY_ID"), "{said}");
    assert_eq!(code, Some(1));
    let (_, said) = says(&["check-config"], &[]).await;
    assert!(said.contains("Instances are kept in s3://dicom/ward."), "{said}");
}
