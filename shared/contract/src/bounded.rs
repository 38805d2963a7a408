//! Texts that a peer chose, cut to what an event has room for. A cut is marked in the text itself.

use std::borrow::Cow;

/// Stands where a text was cut, before the digest of the whole text.
pub const CUT: char = '…';

/// Hex digits of the digest.
const DIGITS: usize = 16;

/// Characters that the mark of a cut adds to a text.
pub const MARK: usize = 1 + DIGITS;

/// The text, if it has at most `most` characters; else its first `most` characters and the mark of a cut:
/// [`CUT`] and 16 hex digits of the BLAKE3 of the whole text. Two long texts stay two, and what changes
/// behind the cut changes the mark.
#[must_use]
pub fn bounded(text: &str, most: usize) -> Cow<'_, str> {
    // A text has no more characters than bytes.
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((end, _)) => {
            Cow::Owned(format!("{}{}", &text[..end], mark(&blake3::hash(text.as_bytes()))))
        }
    }
}

/// The mark of a cut: what comes before it is the beginning of what has this hash.
#[must_use]
pub fn mark(hash: &blake3::Hash) -> String {
    format!("{CUT}{}", &hash.to_hex()[..DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_stays_and_a_longer_one_is_marked() {
        assert_eq!(bounded("Müller", 6), "Müller");
        let cut = bounded("Müllers", 6);
        assert!(cut.starts_with("Müller…"), "{cut}");
        assert_eq!(cut.chars().count(), 6 + MARK);
    }

    #[test]
    fn two_long_texts_that_begin_alike_stay_two() {
        let long = |end| format!("{}{end}", "7".repeat(100));
        assert_ne!(bounded(&long("1"), 64), bounded(&long("2"), 64));
        assert_eq!(bounded(&long("1"), 64), bounded(&long("1"), 64));
    }
}
