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
    /// The same instance with other attributes, or with other bytes where they are kept.
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
    /// BLAKE3 hash of its object in the instance store, if it is kept.
    pub object: Option<String>,
}

impl Effect {
    /// What an instance is that is `now`, and was `before` if it was known.
    #[must_use]
    pub fn of(before: Option<Known>, now: &Known) -> Self {
        match before {
            None => Self::Added,
            Some(before) if before.series != now.series => Self::MovedFrom(before.series),
            Some(before) if !digest::agree(&before.digest, &now.digest) => Self::Corrected,
            // Other bytes under the same attributes, or the first that are kept. One that is not kept says nothing of them.
            Some(before) if now.object.is_some() && before.object != now.object => Self::Corrected,
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
            object: None,
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

    #[test]
    fn other_bytes_that_are_kept_are_a_correction() {
        let known = |object: Option<&str>| Known {
            series: SeriesInstanceUid::parse("2.1").unwrap(),
            digest: "a".to_owned(),
            object: object.map(str::to_owned),
        };
        for (before, now, effect) in [
            (Some("x"), Some("x"), Effect::Resent),
            (Some("x"), Some("y"), Effect::Corrected),
            // The store was turned on in between: the next revision has the instance.
            (None, Some("x"), Effect::Corrected),
            // It was turned off: what is kept stays.
            (Some("x"), None, Effect::Resent),
        ] {
            let is = Effect::of(Some(known(before)), &known(now));
            assert_eq!(is, effect, "{before:?} {now:?}");
        }
    }
}
