//! What an instance changes, by what is known of it already.

use contract::digest;
use contract::uid::SeriesInstanceUid;

/// What an event of an instance changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A new instance.
    Added,
    /// The same again: nothing changes.
    Resent,
    /// The same instance with other attributes.
    Corrected,
    /// It was in this other series until now.
    MovedFrom(SeriesInstanceUid),
}

/// What the catalogue knows of an instance that an event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The series that it is in.
    pub series: SeriesInstanceUid,
    /// Of its attributes; see [`contract::digest`].
    pub digest: String,
}

impl Effect {
    /// What an instance is that is `now`, and was `before` if it was known.
    #[must_use]
    pub fn of(before: Option<Known>, now: &Known) -> Self {
        match before {
            None => Self::Added,
            Some(before) if before.series != now.series => Self::MovedFrom(before.series),
            Some(before) if !digest::agree(&before.digest, &now.digest) => Self::Corrected,
            Some(_) => Self::Resent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resend_after_an_upgrade_that_adds_an_attribute_is_no_correction() {
        let known = |digest: &str| Known {
            series: SeriesInstanceUid::parse("2.1").unwrap(),
            digest: digest.to_owned(),
        };
        for (before, now, effect) in [
            ("a", "a.c", Effect::Resent),
            ("a", "b.c", Effect::Corrected),
            ("a.c", "a.d", Effect::Corrected),
            // A receiver of the earlier version, beside a later one or after a downgrade.
            ("a.c", "a", Effect::Resent),
            ("a.c", "b", Effect::Corrected),
        ] {
            assert_eq!(Effect::of(Some(known(before)), &known(now)), effect, "{before} {now}");
        }
    }
}
