//! How far streams are in the catalogue.

/// Keeps how far INSTANCES has been read: when the stream was made, the last sequence, when the broker stored that event,
/// its message id, and how far the broker's clock had come.
pub(in crate::postgres) const KEEP_BOOKMARK: &str =
    "update bookmark set stream_created = $1, last_sequence = $2, last_at = $3,
         last_message_id = $4, latest_at = $5
     where shard = 0";

/// Keeps when SERIES was made, and the last sequence.
pub(in crate::postgres) const KEEP_SERIES_BOOKMARK: &str =
    "insert into series_bookmark values (0, $1, $2) on conflict (shard) do update
     set stream_created = excluded.stream_created, last_sequence = excluded.last_sequence";
