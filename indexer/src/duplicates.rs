//! Announcements that the broker takes for ones that it has. It goes by the message id; what is stored
//! under that may be what another catalogue decided, or this one before it was put back.

use anyhow::Context as _;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use catalog::{Announcement, CatalogWriter};
use serde_json::Value;
use shared::election::outlast;
use shared::stream::SERIES;

/// Numbers an announcement anew, to wait again, if SERIES has another one under its id, at the sequence that
/// the broker names.
///
/// # Errors
/// When the broker does not answer, or the catalogue can't be written.
pub async fn renumber_unless_announced(
    jetstream: &Context,
    catalog: &CatalogWriter,
    announcement: &Announcement,
    sequence: u64,
) -> anyhow::Result<()> {
    let stream = jetstream.get_stream_no_info(SERIES).await.context("SERIES")?;
    let is_same = outlast(&jetstream.client(), || async {
        match stream.get_raw_message(sequence).await {
            Ok(stored) => Ok(is_same(&stored.payload, announcement.payload.as_bytes())),
            // Deleted since, so nobody gets it any more.
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("SERIES at {sequence}")),
        }
    })
    .await?;
    // Of a deletion the id says all that matters: of what, and up to where.
    if !is_same && catalog.renumber(announcement).await? {
        tracing::warn!(
            id = announcement.message_id,
            sequence,
            "SERIES has another completion of that number: announced with the next"
        );
    }
    Ok(())
}

/// Whether two events say the same, however they are spelt.
fn is_same(stored: &[u8], ours: &[u8]) -> bool {
    let value = |event| serde_json::from_slice::<Value>(event).ok();
    stored == ours || value(ours).is_some_and(|ours| value(stored) == Some(ours))
}
