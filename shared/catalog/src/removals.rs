//! What is to be removed from the instance store, since nothing names it any more.

use contract::event::{DeletionReason, StoredObject};

/// Why a file is listed whose instance was sent again unchanged: the earlier file has the same bytes.
pub(crate) const RESENT: &str = "resent";

/// Why a file is listed whose instance was sent again with other bytes.
pub(crate) const CORRECTED: &str = "corrected";

/// Longest key that is removed, in bytes. Those of receivers are shorter, and an index entry has at most 2.7 KB.
const MAX_KEY: usize = 1024;

/// A file or a folder that is to be removed from the instance store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToRemove {
    /// Its place in the list.
    pub id: i64,
    /// Where it is, from the root of the store.
    pub place: String,
    /// Whether it is the folder of a revision.
    pub is_folder: bool,
    /// Whether something names it again: it stays.
    pub is_named: bool,
    /// Length of a file.
    pub bytes: u64,
    /// The file that its instance has instead, and the length of that: it has to be there first.
    pub successor: Option<(String, u64)>,
}

/// Up to where the list was filled at a moment, and announcements were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedUpTo {
    /// Place in the list of the last entry.
    pub last: i64,
    /// Id of the last announcement that waited.
    pub(crate) announcement: i64,
}

/// An instance whose file is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFile {
    /// SOP Instance UID.
    pub sop_instance_uid: String,
    /// The series that it is in.
    pub series_instance_uid: String,
    /// Its file.
    pub object: StoredObject,
}

/// The folder of a revision that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The series.
    pub series_instance_uid: String,
    /// The completion of the series that the folder has.
    pub revision: i64,
    /// Where it is, from the root of the store.
    pub place: String,
}

/// An entry as its row has it, and the file that its instance has now.
#[derive(sqlx::FromRow)]
pub(crate) struct ToRemoveRow {
    id: i64,
    place: String,
    folder: bool,
    is_named: bool,
    bytes: Option<i64>,
    reason: String,
    object_key: Option<String>,
    object_bytes: Option<i64>,
}

impl From<ToRemoveRow> for ToRemove {
    fn from(row: ToRemoveRow) -> Self {
        let is_replaced = [RESENT, CORRECTED].contains(&row.reason.as_str());
        let successor = row.object_key.zip(row.object_bytes).filter(|_| is_replaced);
        Self {
            id: row.id,
            place: row.place,
            is_folder: row.folder,
            is_named: row.is_named,
            bytes: row.bytes.unwrap_or(0).unsigned_abs(),
            successor: successor.map(|(key, bytes)| (key, bytes.unsigned_abs())),
        }
    }
}

/// Whether an object may be listed by this key. Whoever may publish events may write anything there.
pub(crate) fn is_removable(key: &str) -> bool {
    ["spool/", "objects/"].iter().any(|folder| key.starts_with(folder))
        && key.len() <= MAX_KEY
        && !key.contains(char::is_control)
}

/// Why what a deleted series had is listed.
pub(crate) fn of_deletion(reason: DeletionReason) -> &'static str {
    match reason {
        DeletionReason::Requested => "deleted",
        DeletionReason::Expired => "expired",
    }
}
