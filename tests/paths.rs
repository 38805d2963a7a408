//! Files whose names have characters that mean something in a URL, to a shell or to an option parser.

use crate::harness::pipeline::{
    COLLIMATOR, Ends, Process, address, broker, service, test_settings, with,
};
use crate::harness::receiver::Receiver;
use catalog::CatalogSettings;
use collimator::synthetic::SyntheticStudy;
use std::fs;
use std::path::Path;

/// Each a folder of its own, and the last one all of them, one in the other.
const NAMES: [&str; 12] = [
    "a b",
    "a%20b",
    "100%",
    "%",
    "a?b",
    "?mode=memory",
    "#1",
    "Köln",
    "it's",
    "\"a\"",
    "-data",
    "a\nb",
];

fn all_in_one() -> String {
    NAMES.join("/")
}

/// What is in a folder, but for what processes printed.
fn entries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".log")).collect()
}

/// Starts a program in a folder, so that relative paths begin there.
fn start_in(folder: &Path, program: &Path, settings: &[(&'static str, String)]) -> Process {
    let arguments = ["-C", folder.to_str().unwrap(), program.to_str().unwrap()];
    Process::start_with(Path::new("env"), &arguments, folder, settings)
}

#[tokio::test]
async fn the_pipeline_keeps_its_data_where_data_dir_says() {
    for name in NAMES.into_iter().chain([all_in_one().as_str()]) {
        let folder = tempfile::tempdir().unwrap();
        let settings = with(test_settings(folder.path()), &[("DATA_DIR", name)]);
        let mut process = start_in(folder.path(), Path::new(COLLIMATOR), &settings);
        process.says("that it is ready", |line| line.contains("is ready;").then_some(())).await;
        let data = folder.path().join(name);
        for kept in ["catalog.db", "nats/jetstream", "nats/nats.conf"] {
            assert!(data.join(kept).exists(), "{name:?} has no {kept}: {}", process.printed());
        }
        assert_eq!(entries(folder.path()), [name.split('/').next().unwrap()], "{name:?}");
    }
}

#[tokio::test]
async fn the_services_find_their_files_and_the_catalogue_wherever_these_are() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(all_in_one());
    fs::create_dir_all(&folder).unwrap();
    let mut receiver = Receiver::start().await;
    let webhook = format!(
        "[[webhook]]\nname = 'ai'\nurl = '{}'\nsecret_file = '-secret?.txt'\n",
        receiver.url
    );
    let (webhooks, sources) = (folder.join("#hooks%20.toml"), folder.join("?sources.toml"));
    fs::write(&webhooks, webhook).unwrap();
    fs::write(folder.join("-secret?.txt"), "correct horse battery").unwrap();
    fs::write(&sources, "").unwrap();
    let catalog = folder.join("100%?#.db");
    let broker = broker(&folder.join("nats")).await;
    let settings = with(
        test_settings(&folder),
        &[
            ("NATS_URL", &broker.url().to_string()),
            ("DATABASE_URL", &CatalogSettings::at(&catalog).database_url),
            ("WEBHOOKS_FILE", webhooks.to_str().unwrap()),
            ("SOURCES_FILE", sources.to_str().unwrap()),
        ],
    );
    let start = async |name| Process::start(&service(name).await, root.path(), &settings);
    let mut indexer = start("indexer").await;
    indexer.indexes().await;
    let mut api = start("api").await;
    let addr = api.says("where it is", |line| address(line, "api listens")).await;
    api.says("that it serves", |line| line.contains("webhook is served").then_some(())).await;
    let mut ingest = start("ingest").await;
    let dicom = ingest.says("where it receives", |line| address(line, "ingest listens")).await;
    let ends = Ends::new(dicom, format!("http://{addr}"), broker.url().to_string()).await;

    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let sent = tempfile::tempdir().unwrap();
    ends.receives(study.write_to(sent.path()).unwrap()).await;
    let delivery = receiver.gets().await;
    assert_eq!(delivery.body["subject"], uid.as_str());
    delivery.gets_answer(204, "").await;
    assert!(catalog.is_file());
    assert_eq!(entries(root.path()), [NAMES[0]]);

    let (copy, rebuilt) = (folder.join("file:copy%20"), folder.join("?rebuilt#"));
    for arguments in [
        ["backup", copy.to_str().unwrap()].as_slice(),
        &["replay", "--into", rebuilt.to_str().unwrap()],
    ] {
        let program = service("indexer").await;
        let mut command = Process::start_with(&program, arguments, root.path(), &settings);
        assert_eq!(command.ended().await, Some(0), "{}", command.printed());
    }
    assert!(copy.is_file() && rebuilt.is_file());
}
