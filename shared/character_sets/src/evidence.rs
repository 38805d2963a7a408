//! How little decoded text looks like what people write: the evidence by which one character set is taken
//! for another. Only text that is in doubt is looked at.

use encoding_rs::{EUC_KR, Encoding, GBK, SHIFT_JIS};
use std::ops::RangeInclusive;

/// Of a character that no text has: U+FFFD, a control character, one for private use.
pub(super) const NONE: u32 = 20;
/// Of a symbol beyond ASCII, such as `¼` where a letter is meant.
const SYMBOL: u32 = 10;
/// Of two letters side by side that no word has: of two scripts, or a capital behind a small letter.
const MIXED: u32 = 10;
/// Of a letter that hardly anybody uses.
const RARE: u32 = 4;

/// Penalties of all that is odd about a text; 0 of one that may well be meant.
pub(super) fn oddity(text: &str) -> u32 {
    let mut before = None;
    text.chars()
        .map(|character| {
            let letter = character.is_alphabetic().then(|| Script::of(character));
            let beside = before.zip(letter).map_or(0, |((other, script), this)| {
                let pair: [(char, Script); 2] = [(other, script), (character, this)];
                beside(pair)
            });
            before = letter.map(|script| (character, script));
            beside + alone(character, letter)
        })
        .sum()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Han,
    Kana,
    HalfWidthKana,
    Hangul,
    /// One with a block of its own: Greek, Cyrillic, Hebrew, Arabic, Thai.
    Other(u32),
}

impl Script {
    fn of(letter: char) -> Self {
        match letter {
            '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Self::Latin,
            '\u{3040}'..='\u{30ff}' => Self::Kana,
            '\u{ff61}'..='\u{ff9f}' => Self::HalfWidthKana,
            '\u{3005}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'.. => {
                Self::Han
            }
            '\u{ac00}'..='\u{d7a3}' | '\u{3131}'..='\u{318e}' => Self::Hangul,
            other => Self::Other(u32::from(other) >> 8),
        }
    }
}

fn alone(character: char, letter: Option<Script>) -> u32 {
    match (letter, character) {
        (_, '\t' | '\n' | '\r' | '\u{c}') => 0,
        (_, '\u{fffd}' | '\u{e000}'..='\u{f8ff}') => NONE,
        (_, control) if control.is_control() => NONE,
        (_, ascii) if ascii.is_ascii() => 0,
        (Some(Script::Latin), '\u{180}'..='\u{24f}') => RARE,
        (Some(Script::Han), _) => {
            let common = is_common(character, GBK, 0xb0..=0xd7)
                || is_common(character, SHIFT_JIS, 0x88..=0x98);
            if common { 0 } else { RARE }
        }
        (Some(Script::Hangul), _) if !is_common(character, EUC_KR, 0xa4..=0xc8) => RARE,
        (Some(Script::HalfWidthKana), _) => 1,
        (Some(_), _) => 0,
        // Marks that belong to letters, and the punctuation of East Asia.
        (None, '\u{300}'..='\u{36f}' | '\u{590}'..='\u{e7f}' | '\u{3000}'..='\u{303f}') => 0,
        (None, '\u{ff00}'..='\u{ff60}') => 0,
        (None, _) => SYMBOL,
    }
}

fn beside([(before, script), (after, next)]: [(char, Script); 2]) -> u32 {
    use Script::{HalfWidthKana, Han, Kana, Latin};
    match (script, next) {
        (Latin, Latin) if before.is_ascii() && after.is_ascii() => 0,
        (Latin, Latin) if before.is_lowercase() && after.is_uppercase() => MIXED,
        (one, same) if one == same => 0,
        (Han, Kana) | (Kana, Han) => 0,
        // `CT` stands beside words of any script.
        (Latin, Han | Kana | Script::Hangul) if !before.is_lowercase() => 0,
        (Han | Kana | Script::Hangul, Latin) if !after.is_lowercase() => 0,
        (Han, HalfWidthKana) | (HalfWidthKana, Han) => MIXED,
        (Latin, _) | (_, Latin) => MIXED,
        _ => RARE,
    }
}

/// Whether a character is among the common ones of a set, whose first bytes these are: GB 2312 and JIS
/// X 0208 have the characters of daily use in a first level.
fn is_common(character: char, set: &'static Encoding, first: RangeInclusive<u8>) -> bool {
    let mut buffer = [0; 4];
    let (bytes, _, unmappable) = set.encode(character.encode_utf8(&mut buffer));
    match *bytes {
        [a, b] => !unmappable && first.contains(&a) && (b >= 0xa1 || set == SHIFT_JIS),
        _ => false,
    }
}
