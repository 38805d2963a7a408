//! The examples do what they say.

use crate::harness::pipeline::Process;
use crate::harness::{Collimator, eventually, python};
use async_nats::jetstream;
use collimator::synthetic::SyntheticStudy;
use std::path::Path;

const NATS_PY: [&str; 1] = ["nats-py==2.16.0"];

/// A consumer in Python that runs.
struct Consumer {
    process: Process,
}

impl Consumer {
    async fn start(packages: &Path, collimator: &Collimator, folder: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/python/consumer.py");
        let environment = [
            ("PYTHONPATH", packages.display().to_string()),
            ("NATS_URL", collimator.nats_url.clone()),
            ("DONE_FILE", folder.join("done.db").display().to_string()),
        ];
        let arguments = [script.to_str().unwrap()];
        let program = Path::new("python3");
        let mut process = Process::start_with(program, &arguments, folder, &environment);
        process.says("that it listens", |line| (line == "listening").then_some(())).await;
        Self { process }
    }

    /// Waits until it has worked on a series.
    async fn has_handled(&mut self, uid: &str, revision: u32) {
        let line = format!("complete: {uid} revision {revision} instances 2 released");
        self.process.says("that it was handled", |said| (said == line).then_some(())).await;
    }

    /// How many series it has worked on.
    fn handled(&self) -> usize {
        self.process.printed().lines().filter(|line| line.starts_with("complete: ")).count()
    }
}

#[tokio::test]
async fn the_consumer_in_python_handles_each_completion_once_whatever_happens_to_it() {
    let Some(packages) = python::packages("nats-py", &NATS_PY).await else { return };
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let complete = async |name: &str| {
        let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
        let uid = study.series_instance_uids().remove(0);
        collimator.receives(study.write_to(&folder.path().join(name)).unwrap()).await;
        collimator.lists(&uid, 2).await;
        uid
    };
    let mut consumer = Consumer::start(&packages, &collimator, folder.path()).await;
    let first = complete("a").await;
    consumer.has_handled(&first, 1).await;
    // Killed before that it would do it again.
    acknowledged(&collimator).await;
    consumer.process.kill();

    // What is complete while it is away waits for it.
    let second = complete("b").await;
    let mut consumer = Consumer::start(&packages, &collimator, folder.path()).await;
    consumer.has_handled(&second, 1).await;
    acknowledged(&collimator).await;
    consumer.process.kill();

    // The broker has forgotten how far it came, so it is told of everything again.
    let series = jetstream::new(collimator.nats.clone()).get_stream("SERIES").await.unwrap();
    series.delete_consumer("example").await.unwrap();
    let third = complete("c").await;
    let mut consumer = Consumer::start(&packages, &collimator, folder.path()).await;
    consumer.has_handled(&third, 1).await;
    assert_eq!(consumer.handled(), 1, "{}", consumer.process.printed());
    acknowledged(&collimator).await;
}

/// Waits until the broker knows that all is done.
async fn acknowledged(collimator: &Collimator) {
    let series = jetstream::new(collimator.nats.clone()).get_stream("SERIES").await.unwrap();
    eventually("all to be acknowledged", async || {
        let info = series.consumer_info("example").await.ok()?;
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
    })
    .await;
}
