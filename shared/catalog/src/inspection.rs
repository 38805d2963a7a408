//! What a catalogue is like, for somebody who wants to know and must change nothing.

use crate::losses::Loss;
use sqlx::migrate::Migrator;

/// What came of looking at a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspected {
    /// There is none yet.
    Absent,
    /// It can't be read without writing: it was left by a process that was killed, and belongs to another
    /// user.
    Unreadable,
    /// It was read.
    Seen(Inspection),
}

/// What a catalogue is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What SQLite finds wrong in it, up to ten of them; nothing in one that is whole.
    pub damage: Vec<String>,
    /// Version of its tables; `None` where there are none of ours.
    pub version: Option<i64>,
    /// The latest version that this program knows.
    pub known: i64,
    /// Whether its tables were made by other migrations than ours of the same number.
    pub is_other: bool,
    /// Whether it is being copied or rebuilt, or that was interrupted.
    pub is_unfinished: bool,
    /// Whether others can read while the indexer writes.
    pub is_readable_meanwhile: bool,
    /// What INSTANCES had lost before it was read, the latest first.
    pub losses: Vec<Loss>,
}

/// The migrations that a catalogue has, each with its version and checksum.
pub(crate) const APPLIED: &str = "select version, checksum from _sqlx_migrations where success";

impl Inspection {
    /// A whole one of which nothing is lost, by the migrations that it has.
    pub(crate) fn of(migrations: &Migrator, applied: &[(i64, Vec<u8>)]) -> Self {
        let is_other = |(version, checksum): &(i64, Vec<u8>)| {
            let ours = migrations.iter().find(|migration| migration.version == *version);
            ours.is_some_and(|ours| *ours.checksum != checksum[..])
        };
        Self {
            damage: Vec::new(),
            version: applied.iter().map(|(version, _)| *version).max(),
            known: migrations.iter().map(|migration| migration.version).max().unwrap_or(0),
            is_other: applied.iter().any(is_other),
            is_unfinished: false,
            is_readable_meanwhile: true,
            losses: Vec::new(),
        }
    }
}
