//! How far streams are in the catalogue.

/// Keeps when SERIES was made, and the last sequence.
pub(in crate::sqlite) const KEEP_SERIES_BOOKMARK: &str =
    "insert into series_bookmark values (1, $1, $2) on conflict (id) do update
     set stream_created = excluded.stream_created, last_sequence = excluded.last_sequence";
