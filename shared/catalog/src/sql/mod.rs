//! The statements that every database takes, and what is done with them. This folder is compiled once for each database:
//! it is the module `sql` in the folder of each, and what differs comes from there.

// First, for its macros.
#[macro_use]
mod filings;

mod bookmark;
pub(crate) mod read;
mod write;

pub(crate) use write::{deletions, losses, registrations, releases, senders};

/// What each database has of its own, by the same names.
mod database {
    pub(super) use super::super::{
        CatalogReader, CatalogWriter, bookmark, dialect, identities, patients, read, values, write,
    };
}
