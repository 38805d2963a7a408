//! What is said of an instance before its data set comes: by the command set of a C-STORE and its presentation context,
//! or by the File Meta Information of a DICOM file.

use crate::data_set::header::Encoding;

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Herald {
    /// A command set (PS3.7 section 9.3.1.1).
    Command,
    /// File Meta Information (PS3.10 section 7.1).
    FileMeta,
}

impl Herald {
    /// Its name in an Error Comment.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::FileMeta => "File Meta Information",
        }
    }

    /// What the UIDs of an instance are called there, those of its class and of itself.
    #[must_use]
    pub(crate) fn uid_names(self) -> [&'static str; 2] {
        match self {
            Self::Command => ["Affected SOP Class UID", "Affected SOP Instance UID"],
            Self::FileMeta => ["Media Storage SOP Class UID", "Media Storage SOP Instance UID"],
        }
    }
}

/// What is known of an instance before its data set comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announced<'a> {
    /// Who says it.
    pub herald: Herald,
    /// SOP Class UID, without padding; empty when absent.
    pub sop_class_uid: &'a str,
    /// SOP Instance UID, without padding; empty when absent.
    pub sop_instance_uid: &'a str,
    /// Its transfer syntax.
    pub transfer_syntax_uid: &'a str,
    /// How its elements are written.
    pub encoding: Encoding,
    /// The keyword of the SOP class that it is counted as.
    pub sop_class: &'static str,
}
