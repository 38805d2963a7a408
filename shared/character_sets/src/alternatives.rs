//! The character set that text is in where the declared one did not do: another one that is named beside
//! it or UTF-8, if that reads better, and for bytes that none of them has, a guess.

use super::evidence::{NONE, oddity};
use super::{
    CharacterSets, ESCAPE, Sets, TextKind, UPPER, Upper, named_encoding, registration_number, tidy,
};
use encoding_rs::{EUC_KR, Encoding, GB18030, SHIFT_JIS, UTF_8, WINDOWS_1252};

/// By how much another set has to read better than the declared one.
const MARGIN: u32 = 6;

/// What a character costs that is guessed: less than one that is lost, and more than one that is known.
const GUESSED: u32 = 3;

/// Another character set than the declared one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternative {
    sets: Sets,
    /// As the Encoding Standard calls it, which is mostly as IANA does.
    pub name: &'static str,
}

/// A value in doubt.
pub type Doubtful<'a> = (TextKind, &'a [u8]);

impl CharacterSets<'_> {
    /// The set in which values that are in doubt read best together; `None` if that is the declared one.
    #[must_use]
    pub fn alternative(&self, values: &[Doubtful<'_>]) -> Option<Alternative> {
        let read = |sets: Sets| -> u32 {
            values.iter().map(|(kind, raw)| oddity(&sets.decode(*kind, raw).text)).sum()
        };
        let declared = read(self.sets);
        let mut candidates: Vec<_> = self.terms().flat_map(candidates).collect();
        if values.iter().any(|(_, raw)| std::str::from_utf8(raw).is_ok()) {
            candidates.push(Alternative::whole(UTF_8));
        }
        let named = candidates.into_iter().map(|candidate| (read(candidate.sets), candidate));
        let best = named.min_by_key(|(oddity, _)| *oddity);
        if let Some((oddity, best)) = best.filter(|(oddity, _)| *oddity + MARGIN <= declared)
            && oddity < NONE
        {
            return Some(best);
        }
        // Bytes after an escape sequence are of the set that it names.
        if declared < NONE || values.iter().any(|(_, raw)| raw.contains(&ESCAPE)) {
            return best.filter(|(oddity, _)| oddity + MARGIN <= declared).map(|(_, best)| best);
        }
        let guess = Alternative::whole(WINDOWS_1252);
        let beyond_ascii =
            |(_, raw): &Doubtful<'_>| raw.iter().filter(|byte| !byte.is_ascii()).count();
        let guessed: usize = values.iter().map(beyond_ascii).sum();
        let guessed = read(guess.sets) + GUESSED * u32::try_from(guessed).unwrap_or(u32::MAX / 4);
        let best = best.filter(|(oddity, _)| *oddity <= guessed).unwrap_or((guessed, guess));
        (best.0 + MARGIN <= declared).then_some(best.1)
    }

    fn terms(&self) -> impl Iterator<Item = String> {
        let text = String::from_utf8_lossy(self.declared).to_ascii_uppercase();
        let terms: Vec<_> = text.split('\\').map(|term| tidy(term.to_owned())).collect();
        terms.into_iter()
    }
}

impl Alternative {
    fn whole(encoding: &'static Encoding) -> Self {
        Self { sets: Sets::Whole(encoding), name: encoding.name() }
    }

    /// The text of a value that is in doubt.
    #[must_use]
    pub fn decode(&self, kind: TextKind, raw: &[u8]) -> String {
        self.sets.decode(kind, raw).text
    }
}

/// What a term may stand for, apart from what it says: its letters without the escape sequence that should
/// precede them, or the encoding of whole files that its language is mostly written in.
fn candidates(term: String) -> Vec<Alternative> {
    let extended = |upper, encoding: &'static Encoding| Alternative {
        sets: Sets::Extended(upper),
        name: encoding.name(),
    };
    let number = registration_number(&term);
    if let Some(13 | 87 | 159) = number {
        return vec![Alternative::whole(SHIFT_JIS)];
    }
    if number == Some(192) {
        return vec![Alternative::whole(UTF_8)];
    }
    let known = UPPER.iter().find(|(known, ..)| Some(*known) == number);
    match known.map(|(_, upper, _)| *upper) {
        Some(upper @ Upper::Double(set)) if set == EUC_KR => {
            vec![extended(upper, set), Alternative::whole(set)]
        }
        Some(upper @ Upper::Double(set)) => vec![extended(upper, set), Alternative::whole(GB18030)],
        Some(upper @ Upper::Single(set)) => vec![extended(upper, set)],
        Some(Upper::Nothing) => Vec::new(),
        None => named_encoding(&term).map(Alternative::whole).into_iter().collect(),
    }
}

impl Sets {
    /// Without the escape sequences of sets in G1, where this one allows none.
    pub(super) fn without_escapes(raw: &[u8]) -> Vec<u8> {
        let mut rest = raw;
        let mut without = Vec::with_capacity(raw.len());
        while let Some((byte, after)) = rest.split_first() {
            let code = UPPER.iter().map(|(.., code)| *code).chain([b"(B".as_slice(), b"(J"]);
            let after_code =
                code.filter(|_| *byte == ESCAPE).find_map(|code| after.strip_prefix(code));
            rest = after_code.unwrap_or_else(|| {
                without.push(*byte);
                after
            });
        }
        without
    }

    /// Whether bytes beyond ASCII that this set has may all the same be of another one.
    pub(super) fn may_be_another(self, declared: &[u8], raw: &[u8]) -> bool {
        let several = || declared.contains(&b'\\') && !raw.contains(&ESCAPE);
        self != Self::Guess
            && self != Self::Whole(UTF_8)
            && (several() || std::str::from_utf8(raw).is_ok())
    }
}

#[cfg(test)]
pub(super) fn read(charset: &str, raw: &[u8]) -> (String, Option<&'static str>) {
    let sets = CharacterSets::parse(charset.as_bytes());
    let super::Decoded { text, is_doubtful } = sets.decode(TextKind::PersonName, raw);
    let values = [(TextKind::PersonName, raw)];
    match sets.alternative(&values).filter(|_| is_doubtful) {
        Some(other) => (other.decode(TextKind::PersonName, raw), Some(other.name)),
        None => (text, None),
    }
}
