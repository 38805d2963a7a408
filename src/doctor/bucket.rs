//! The bucket of STORE_URL, where there is one: whether an object can be written there and removed again.

use super::finding::Finding;
use crate::pipeline::PipelineSettings;
use std::time::Instant;
use store::{Spool, StoreUrl};

/// The check.
const CHECK: &str = "store";

/// Writes an object of a few bytes and removes it.
pub(super) async fn examine(settings: &PipelineSettings) -> Option<Finding> {
    let store = &settings.ingest.store;
    let StoreUrl::Bucket(bucket) = &store.store_url else { return None };
    let began = Instant::now();
    Some(match Spool::open(store, &settings.ingest.node_name()).await {
        Ok(_) => {
            let took = began.elapsed();
            Finding::ok(CHECK, format!("{bucket} took an object and removed it in {took:.2?}"))
        }
        Err(error) => Finding::trouble(
            CHECK,
            format!("{error:#}"),
            "see that AWS_ENDPOINT_URL, AWS_REGION, the bucket and the credentials are right, and that these may put, get and \
             delete objects",
        ),
    })
}
