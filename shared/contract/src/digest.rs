//! The digest of an instance's attributes, by which a resend is told from a correction, and its versions.
//!
//! A digest has a part for each version, with a `.` between two: the first part is of the identity and of the
//! attributes that version 1 knew, the second of those that version 2 added, and so on. So a digest of version 1 has one
//! part, the number of parts is the version, and what two digests of different versions both know is compared by the
//! parts that both have: a release that adds an attribute makes no correction of an instance that is sent again.

use crate::attributes::{ATTRIBUTES, Attribute};
use std::sync::LazyLock;

/// What is between two parts.
pub const DELIMITER: &str = ".";

/// Which part of the digest each attribute is in.
#[derive(Debug)]
pub struct DigestParts {
    /// By ascending keywords; parts are counted from 0.
    parts: Vec<(&'static str, Option<usize>)>,
    count: usize,
}

/// Those of the table.
pub static PARTS: LazyLock<DigestParts> = LazyLock::new(|| DigestParts::of(ATTRIBUTES));

impl DigestParts {
    /// Those of a table.
    #[must_use]
    pub fn of(table: &'static [Attribute]) -> Self {
        let part = |attribute: &Attribute| attribute.digest_since.map(|version| version - 1);
        let mut parts: Vec<_> =
            table.iter().map(|attribute| (attribute.keyword, part(attribute))).collect();
        parts.sort_unstable();
        let count = parts.iter().filter_map(|(_, part)| *part).max().map_or(1, |last| last + 1);
        Self { parts, count }
    }

    /// How many parts a digest has, which is its version.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The part that an attribute is in; `None` of one that is in none.
    #[must_use]
    pub fn part(&self, keyword: &str) -> Option<usize> {
        let place = self.parts.binary_search_by(|(other, _)| (*other).cmp(keyword)).ok()?;
        self.parts[place].1
    }
}

/// Whether two digests are of the same attributes, as far as both know them.
#[must_use]
pub fn agree(one: &str, other: &str) -> bool {
    one.split(DELIMITER).zip(other.split(DELIMITER)).all(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many attributes each version of a release has.
    const RELEASED: [usize; 1] = [43];

    #[test]
    fn what_is_added_is_of_a_version_that_no_release_has() {
        for (version, expected) in (1..).zip(RELEASED) {
            let of_version = |attribute: &&Attribute| attribute.digest_since == Some(version);
            let count = ATTRIBUTES.iter().filter(of_version).count();
            assert_eq!(
                count,
                expected,
                "version {version} of the digest is released: a row that is added has \
                 `.in_digest_since({})`",
                RELEASED.len() + 1
            );
        }
        assert!(PARTS.count() <= RELEASED.len() + 1, "one version is enough for a release");
    }

    #[test]
    fn digests_are_compared_by_what_both_know() {
        for (one, other, same) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "a.c", true),
            ("b", "a.c", false),
            ("a.c", "a.c", true),
            ("a.c", "a.d", false),
            ("a.c", "b.c", false),
            ("", "a", false),
        ] {
            assert_eq!((agree(one, other), agree(other, one)), (same, same), "{one} {other}");
        }
    }

    #[test]
    fn each_attribute_is_in_the_part_of_its_version() {
        let mut table = ATTRIBUTES.to_vec();
        table.push(Attribute {
            keyword: "Laterality",
            tag: 0x0020_0060,
            ..ATTRIBUTES[1].in_digest_since(PARTS.count() + 1)
        });
        let parts = DigestParts::of(table.leak());
        let later = PARTS.count();
        assert_eq!(parts.count(), later + 1);
        assert_eq!((parts.part("Laterality"), parts.part("ImageType")), (Some(later), Some(0)));
        for none in ["SpecificCharacterSet", "SOPInstanceUID", "PatientAge"] {
            assert_eq!(parts.part(none), None, "{none}");
        }
    }
}
