//! How far streams are in the catalogue.

/// Keeps how far INSTANCES has been read: when the stream was made, the last sequence, when the broker stored that event,
/// its message id, and how far the broker's clock had come.
pub(in crate::sqlite) const KEEP_BOOKMARK: &str =
    "insert into bookmark (id, stream_created, last_sequence, last_at, last_message_id, latest_at)
     values (1, $1, $2, $3, $4, $5)
     on conflict (id) do update
     set stream_created = excluded.stream_created, last_sequence = excluded.last_sequence,
         last_at = excluded.last_at, last_message_id = excluded.last_message_id,
         latest_at = excluded.latest_at";

/// Keeps when SERIES was made, and the last sequence.
pub(in crate::sqlite) const KEEP_SERIES_BOOKMARK: &str =
    "insert into series_bookmark values (1, $1, $2) on conflict (id) do update
     set stream_created = excluded.stream_created, last_sequence = excluded.last_sequence";
