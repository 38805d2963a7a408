//! How far streams are in the catalogue.

/// Keeps when SERIES was made, and the last sequence.
pub(in crate::postgres) const KEEP_SERIES_BOOKMARK: &str =
    "insert into series_bookmark values (0, $1, $2) on conflict (shard) do update
     set stream_created = excluded.stream_created, last_sequence = excluded.last_sequence";
