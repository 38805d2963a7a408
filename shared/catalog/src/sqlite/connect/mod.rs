//! The file of the catalogue: opened, guarded, copied and looked at.

pub(in crate::sqlite) mod inspection;
pub(in crate::sqlite) mod lease;
pub(in crate::sqlite) mod location;
pub(in crate::sqlite) mod lock;
pub(in crate::sqlite) mod own_file;
pub(in crate::sqlite) mod pool;
pub(in crate::sqlite) mod reader;
pub(in crate::sqlite) mod rebuild;
pub(in crate::sqlite) mod restore;
pub(in crate::sqlite) mod wal_checkpoint;
pub(in crate::sqlite) mod writer;
