//! The data set of a file of the instance store, read element by element: what metadata, bulk data and frames are made of.
//! No value is read that nobody asked for, so memory does not depend on the size of an instance.
//!
//! All of it reads from a file and so is for blocking threads.

pub(crate) mod json;
pub(crate) mod pixel_data;
mod source;
pub(crate) mod values;
pub(crate) mod walk;

use std::io;

pub(crate) use source::{Encoding, Source};

/// A file can't be read as DICOM. The text has nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It can't be read at all, or is cut short.
    #[error("{0}")]
    Failed(#[from] io::Error),
    /// It is no DICOM file (PS3.10 section 7.1).
    #[error("it has no File Meta Information")]
    NoFile,
    /// It ends in the middle of an element.
    #[error("it ends in the middle of an element")]
    Truncated,
    /// Something that is no item is where one should be.
    #[error("a sequence has something that is no item")]
    NoItem,
    /// Sequences in sequences without end.
    #[error("sequences are nested more than {} deep", walk::MAX_DEPTH)]
    TooDeep,
}

#[cfg(test)]
mod tests;
