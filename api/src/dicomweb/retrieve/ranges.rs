//! A range of bytes of one file (RFC 9110 section 14).

use std::ops::Range;

/// What a `Range` asks for of so many bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// All of it: what is no range of bytes, or several, is passed over (section 14.2).
    Whole,
    /// These.
    Part(Range<u64>),
    /// None that there are.
    Beyond,
}

/// Understands the value of a `Range`.
pub(crate) fn asked(range: Option<&str>, length: u64) -> Asked {
    let Some((first, last)) = range.and_then(parse) else { return Asked::Whole };
    match (first, last) {
        (Some(first), last) if first < length => {
            let end = last.map_or(length, |last| last.saturating_add(1).min(length));
            Asked::Part(first..end)
        }
        (None, Some(suffix)) if suffix > 0 && length > 0 => {
            Asked::Part(length.saturating_sub(suffix)..length)
        }
        _ => Asked::Beyond,
    }
}

/// The first and the last byte of a range.
fn parse(range: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|it| it.is_ascii_digit()) => digits.parse().ok().map(Some),
        _ => None,
    };
    let (first, last) = (number(first)?, number(last)?);
    let is_one = match (first, last) {
        (Some(first), Some(last)) => first <= last,
        (first, last) => first.or(last).is_some(),
    };
    is_one.then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_bytes_from_the_start_or_the_end() {
        for (range, expected) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=5-", Asked::Part(5..10)),
            ("bytes=5-99", Asked::Part(5..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-30", Asked::Part(0..10)),
            ("bytes=10-", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
            ("bytes=7-5", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("items=0-1", Asked::Whole),
            ("bytes=99999999999999999999999-", Asked::Whole),
        ] {
            assert_eq!(asked(Some(range), 10), expected, "{range}");
        }
        assert_eq!(asked(None, 10), Asked::Whole);
    }
}
