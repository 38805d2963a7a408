//! What is written to a catalogue and read from it, whatever database keeps it. The folder of each database has this one
//! as its module `sql`, so that it is compiled for each; what differs comes from there, by the same names.

// First, for their macros.
#[macro_use]
mod filings;
#[macro_use]
mod joins;

mod bookmark;
pub(crate) mod copying;
pub(crate) mod read;
mod write;

pub(crate) use write::losses;

/// What each database has of its own.
mod database {
    pub(super) use super::super::{
        CatalogReader, CatalogWriter, bookmark, copying, dialect, identities, patients, read,
        values, write,
    };
}
