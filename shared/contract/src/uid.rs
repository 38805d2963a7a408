//! The UIDs that name studies, series and instances, as types that can't be mixed up.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest UID in characters (PS3.5 section 9.1, VR UI in section 6.2).
pub const MAX_UID_LENGTH: usize = 64;

/// Why a value can't name a study, a series or an instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UidError {
    /// Nothing is left once padding is taken off.
    #[error("is empty")]
    Empty,
    /// More than [`MAX_UID_LENGTH`] characters.
    #[error("is longer than {MAX_UID_LENGTH} characters")]
    TooLong,
    /// A control character, or one outside ASCII.
    #[error("has a character that does not print")]
    Unprintable,
}

impl UidError {
    /// In one word, for a counter.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Empty => "uid_empty",
            Self::TooLong => "uid_too_long",
            Self::Unprintable => "uid_unprintable",
        }
    }
}

/// Takes the padding off a UID as it came over the wire and checks what the pipeline relies on.
///
/// This is deliberately wider than PS3.5 section 9.1: bad anonymisers write UIDs that are none,
/// and an instance that names its series in 1 to 64 printable characters can be received and
/// counted all the same. [`is_legal_uid`] is the strict check, for what people type.
fn accept(raw: &str) -> Result<&str, UidError> {
    let value = raw.trim_matches([' ', '\0']);
    if value.is_empty() {
        return Err(UidError::Empty);
    }
    if value.len() > MAX_UID_LENGTH && value.chars().count() > MAX_UID_LENGTH {
        return Err(UidError::TooLong);
    }
    if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(UidError::Unprintable);
    }
    Ok(value)
}

/// Whether `value` is a UID to the letter of PS3.5 section 9.1: at most 64 characters, components
/// of digits parted by dots, none empty, none with a leading zero.
#[must_use]
pub fn is_legal_uid(value: &str) -> bool {
    value.len() <= MAX_UID_LENGTH
        && value.split('.').all(|component| {
            !component.is_empty()
                && component.bytes().all(|b| b.is_ascii_digit())
                && (component.len() == 1 || !component.starts_with('0'))
        })
}

macro_rules! uid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes a value from the wire: space and NUL padding goes, 1 to 64 printable
            /// characters stay.
            ///
            /// # Errors
            /// [`UidError`] when the value is empty, too long or does not print.
            pub fn parse(raw: &str) -> Result<Self, UidError> {
                accept(raw).map(|value| Self(value.to_owned()))
            }

            /// The UID's text, without padding.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = UidError;
            fn try_from(raw: String) -> Result<Self, UidError> {
                match accept(&raw)?.len() {
                    length if length == raw.len() => Ok(Self(raw)),
                    _ => Self::parse(&raw),
                }
            }
        }

        impl From<$name> for String {
            fn from(uid: $name) -> String {
                uid.0
            }
        }
    };
}

uid!(
    /// Study Instance UID (0020,000D).
    StudyInstanceUid
);
uid!(
    /// Series Instance UID (0020,000E).
    SeriesInstanceUid
);
uid!(
    /// SOP Instance UID (0008,0018).
    SopInstanceUid
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_no_part_of_a_uid() {
        let uid = SeriesInstanceUid::parse("1.2.840.10008\0").unwrap();
        assert_eq!(uid.as_str(), "1.2.840.10008");
        assert_eq!(SeriesInstanceUid::parse(" 1.2 ").unwrap().as_str(), "1.2");
    }

    #[test]
    fn a_printable_name_that_is_no_uid_is_taken_as_it_is() {
        for odd in ["ANON-17", "1..2", "01.2", "a b", "*", ">"] {
            assert_eq!(SeriesInstanceUid::parse(odd).unwrap().as_str(), odd);
            assert!(!is_legal_uid(odd), "{odd}");
        }
    }

    #[test]
    fn what_can_not_name_a_series_is_refused_with_a_reason() {
        assert_eq!(SeriesInstanceUid::parse("\0 "), Err(UidError::Empty));
        assert_eq!(SeriesInstanceUid::parse(&"1".repeat(65)), Err(UidError::TooLong));
        assert_eq!(SeriesInstanceUid::parse("1.2\n3"), Err(UidError::Unprintable));
        assert_eq!(SeriesInstanceUid::parse("1.é"), Err(UidError::Unprintable));
    }

    #[test]
    fn the_strict_check_knows_the_standards_examples() {
        for legal in ["0", "1.2.840.10008.1.2", "2.25.0", &"1".repeat(64)] {
            assert!(is_legal_uid(legal), "{legal}");
        }
        for illegal in ["", ".", "1.", ".1", "1..2", "1.02", "1.a", &"1".repeat(65)] {
            assert!(!is_legal_uid(illegal), "{illegal}");
        }
    }
}
