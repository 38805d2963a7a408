//! The outcome of an operation: Status (0000,0900), PS3.7 annex C, with those of storage, PS3.4 section B.2.3.

use std::fmt;

/// A Status: those that we send by name, all others by their code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The operation was performed. Of a C-STORE: the instance is safe.
    Success,
    /// Refused: the service does not have the operation.
    UnrecognizedOperation,
    /// Refused: out of resources. Trying again later can help.
    OutOfResources,
    /// Data set does not match SOP class.
    DataSetDoesNotMatch,
    /// Cannot understand.
    CannotUnderstand,
    /// Any other, by its code.
    Other(u16),
}

impl Status {
    /// The Status of this code.
    #[must_use]
    pub fn of(code: u16) -> Self {
        match code {
            0x0000 => Self::Success,
            0x0211 => Self::UnrecognizedOperation,
            0xa700 => Self::OutOfResources,
            0xa900 => Self::DataSetDoesNotMatch,
            0xc000 => Self::CannotUnderstand,
            other => Self::Other(other),
        }
    }

    /// The value of the element.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Success => 0x0000,
            Self::UnrecognizedOperation => 0x0211,
            Self::OutOfResources => 0xa700,
            Self::DataSetDoesNotMatch => 0xa900,
            Self::CannotUnderstand => 0xc000,
            Self::Other(code) => code,
        }
    }
}

impl Status {
    /// Whether a C-STORE with this Status has stored its instance: Success, or a warning (PS3.4 section B.2.3).
    #[must_use]
    pub fn is_stored(self) -> bool {
        self == Self::Success || self.is_warning()
    }

    /// Whether more is to come: a match of a C-FIND (PS3.4 section C.4.1.1.4).
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self.code(), 0xFF00 | 0xFF01)
    }

    /// Whether it is one of storage's warnings, 0xBxxx (PS3.4 section B.2.3).
    #[must_use]
    pub fn is_warning(self) -> bool {
        self.code() >> 12 == 0xB
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04X}", self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_stored_and_a_failure_is_not() {
        assert!(Status::Success.is_stored() && !Status::Success.is_warning());
        assert!(Status::of(0xB007).is_stored() && Status::of(0xB007).is_warning());
        assert!(!Status::OutOfResources.is_stored() && !Status::of(0x0110).is_stored());
    }

    #[test]
    fn every_code_is_kept() {
        for code in 0..=u16::MAX {
            assert_eq!(Status::of(code).code(), code);
        }
    }
}
