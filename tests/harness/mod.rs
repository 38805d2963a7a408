//! What tests do: start a pipeline of their own, send to it with real senders, and wait for what
//! must come of it.

pub mod balancer;
pub mod browser;
pub mod bucket;
pub mod cluster;
pub mod database;
pub mod failing_disk;
pub mod indexing;
pub mod issuer;
pub mod link;
pub mod listening;
pub mod node;
pub mod pipeline;
pub mod process;
pub mod prometheus;
pub mod python;
pub mod raw_http;
pub mod receiver;
pub mod repository;
pub mod restricted;
pub mod schemas;
pub mod scu;
pub mod small_disk;
pub mod store;
pub mod tls;
pub mod tools;

pub use pipeline::{Collimator, Services};

use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a test waits for something that must happen. Generous: machines are shared.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What `POST /store` takes: a series of a patient, with so many instances.
pub fn series_to_store(series: &str, study: &str, instances: u64) -> Value {
    json!({
        "SeriesInstanceUID": series, "PatientID": "7", "PatientName": "Roe^Jane",
        "StudyInstanceUID": study, "InstancesCount": instances,
    })
}

/// Waits until `look` finds what it looks for.
///
/// # Panics
/// When it is not there by the deadline.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "still waiting for {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
