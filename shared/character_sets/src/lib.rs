//! Text of a data set as UTF-8, whatever character sets it declares (PS3.3 section C.12.1.1.2,
//! PS3.5 section 6.1): single-byte sets, ISO 2022 code extensions, UTF-8, GB18030 and GBK.
//!
//! Nothing here fails. What can't be decoded becomes U+FFFD, and the text is at most three times
//! as long in bytes as what it was made of.

use encoding_rs::{
    EUC_JP, EUC_KR, Encoding, GBK, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6,
    ISO_8859_7, ISO_8859_8, ISO_8859_15, SHIFT_JIS, UTF_8, WINDOWS_874, WINDOWS_1252, WINDOWS_1254,
};

pub mod alternatives;
mod evidence;

const ESCAPE: u8 = 0x1b;

/// Which delimiters an attribute's text has: at each of them the code extensions in force end
/// (PS3.5 section 6.1.2.5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// PN: `^` and `=` part its components and groups, `\` its values.
    PersonName,
    /// LO, SH, UC: `\` parts values.
    Short,
    /// LT, ST, UT: one value, in which `\` is a character like any other.
    Long,
}

/// The character sets that Specific Character Set (0008,0005) names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CharacterSets<'a> {
    sets: Sets,
    /// The value as it was declared.
    declared: &'a [u8],
}

/// The text of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// In the character sets that were declared.
    pub text: String,
    /// Whether it has to be seen if another one does better: see [`alternatives`].
    pub is_doubtful: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Sets {
    /// None, or none that is known: ASCII, and for other bytes a guess.
    #[default]
    Guess,
    /// One that needs no code extensions and allows none.
    Whole(&'static Encoding),
    /// Code extensions: this one is in force at the start and after each delimiter.
    Extended(Upper),
}

/// What bytes below 0x80 stand for: the code element in G0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lower {
    /// ISO IR 6. The romaji of ISO IR 14 are taken for it too: they differ in the yen sign and
    /// the overline, and in file systems and names those two are meant as `\` and `~`.
    Ascii,
    /// ISO IR 87, two bytes a character.
    Kanji,
    /// ISO IR 159, two bytes a character.
    SupplementaryKanji,
}

/// What bytes from 0x80 stand for: the code element in G1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upper {
    Nothing,
    /// One byte a character.
    Single(&'static Encoding),
    /// ISO IR 149 or 58: two bytes a character.
    Double(&'static Encoding),
}

/// The code elements by their ISO registration number (PS3.3 tables C.12-2 to C.12-4), and the
/// escape sequence that puts them into G1.
///
/// For ISO IR 100 and 148 the Windows code pages stand in: they agree from 0xA0 on, and what some
/// writers put below comes out as they meant it.
const UPPER: [(u16, Upper, &[u8]); 14] = [
    (13, Upper::Single(SHIFT_JIS), b")I"),
    (58, Upper::Double(GBK), b"$)A"),
    (100, Upper::Single(WINDOWS_1252), b"-A"),
    (101, Upper::Single(ISO_8859_2), b"-B"),
    (109, Upper::Single(ISO_8859_3), b"-C"),
    (110, Upper::Single(ISO_8859_4), b"-D"),
    (126, Upper::Single(ISO_8859_7), b"-F"),
    (127, Upper::Single(ISO_8859_6), b"-G"),
    (138, Upper::Single(ISO_8859_8), b"-H"),
    (144, Upper::Single(ISO_8859_5), b"-L"),
    (148, Upper::Single(WINDOWS_1254), b"-M"),
    (149, Upper::Double(EUC_KR), b"$)C"),
    (166, Upper::Single(WINDOWS_874), b"-T"),
    (203, Upper::Single(ISO_8859_15), b"-b"),
];

/// The escape sequences that put a code element into G0. The last is the edition of 1978 of the
/// same kanji.
const LOWER: [(Lower, &[u8]); 5] = [
    (Lower::Ascii, b"(B"),
    (Lower::Ascii, b"(J"),
    (Lower::Kanji, b"$B"),
    (Lower::SupplementaryKanji, b"$(D"),
    (Lower::Kanji, b"$@"),
];

/// Parts of ISO 8859 by the registration number of their upper half, for senders that name those.
const ISO_8859: [(u16, u16); 11] = [
    (1, 100),
    (2, 101),
    (3, 109),
    (4, 110),
    (5, 144),
    (6, 127),
    (7, 126),
    (8, 138),
    (9, 148),
    (11, 166),
    (15, 203),
];

impl<'a> CharacterSets<'a> {
    /// Reads the value of Specific Character Set (0008,0005). Padding, case, and the misspellings
    /// that are met with (`ISO-IR 100`, `ISO IR100`, `iso8859-1`, `utf-8`, `GB2312`) don't matter.
    #[must_use]
    pub fn parse(declared: &'a [u8]) -> Self {
        let text = String::from_utf8_lossy(declared).to_ascii_uppercase();
        let mut terms = text.split('\\').map(|term| term.trim_matches([' ', '\0']));
        let first = terms.next().unwrap_or_default();
        let extended = terms.next().is_some() || first.contains("2022");
        let sets = match registration_number(first) {
            Some(192) => Sets::Whole(UTF_8),
            // The kanji sets are in force only after their escape sequence.
            Some(6 | 87 | 159) if extended => Sets::Extended(Upper::Nothing),
            Some(number) => UPPER
                .iter()
                .find(|(known, ..)| *known == number)
                .map_or(Sets::Guess, |(_, upper, _)| Sets::Extended(*upper)),
            None => match named_encoding(first) {
                Some(encoding) => Sets::Whole(encoding),
                None if extended => Sets::Extended(Upper::Nothing),
                None => Sets::Guess,
            },
        };
        Self { sets, declared }
    }

    /// The text of one attribute, all of its values with their `\`. Padding at the end is gone,
    /// and NULs are.
    #[must_use]
    pub fn decode(&self, kind: TextKind, raw: &[u8]) -> Decoded {
        let plain = raw.iter().all(|byte| byte.is_ascii() && *byte != ESCAPE);
        if plain {
            let text = tidy(String::from_utf8_lossy(raw).into_owned());
            return Decoded { text, is_doubtful: false };
        }
        let mut decoded = self.sets.decode(kind, raw);
        decoded.is_doubtful |= self.sets.may_be_another(self.declared, raw);
        decoded
    }
}

impl Sets {
    fn decode(self, kind: TextKind, raw: &[u8]) -> Decoded {
        let (text, is_doubtful) = match self {
            Self::Guess if raw.contains(&ESCAPE) => {
                (decode_extended(kind, Upper::Nothing, raw), false)
            }
            Self::Guess => (guess(raw), false),
            Self::Whole(encoding) => {
                let without = raw.contains(&ESCAPE).then(|| Self::without_escapes(raw));
                let raw = without.as_deref().unwrap_or(raw);
                let (text, failed) = encoding.decode_without_bom_handling(raw);
                (text.into_owned(), failed && !(encoding == UTF_8 && is_cut_short(raw)))
            }
            Self::Extended(initial) => {
                let text = decode_extended(kind, initial, raw);
                let failed = text.contains(char::REPLACEMENT_CHARACTER);
                (text, failed)
            }
        };
        Decoded { text: tidy(text), is_doubtful }
    }
}

/// Without NULs, and without padding at the end.
fn tidy(mut text: String) -> String {
    text.retain(|character| character != '\0');
    text.truncate(text.trim_end_matches(' ').len());
    text
}

/// Whether UTF-8 ends in the middle of a character and has no other fault: whoever wrote it counted bytes.
fn is_cut_short(raw: &[u8]) -> bool {
    let end = raw.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
    std::str::from_utf8(&raw[..end]).is_err_and(|error| error.error_len().is_none())
}

/// The encoding that a term names which is none of DICOM's, in capital letters: by a name of the Encoding
/// Standard, such as `GB2312`, `SJIS` and `EUC-KR`, or by a code page of Windows.
fn named_encoding(term: &str) -> Option<&'static Encoding> {
    let letters: String = term.chars().filter(char::is_ascii_alphanumeric).collect();
    let digits = letters.trim_start_matches(|character: char| !character.is_ascii_digit());
    let label = match (letters.as_str(), digits) {
        (gb, _) if gb.contains("GB18030") || gb.contains("GBK") || gb.contains("GB2312") => {
            "gb18030"
        }
        (page, "936" | "932" | "949" | "950") if !page.contains("ISO") => match digits {
            "936" => "gb18030",
            "932" => "shift_jis",
            "949" => "euc-kr",
            _ => "big5",
        },
        _ => term,
    };
    let encoding = Encoding::for_label(label.as_bytes())?;
    // One of those that PS3.5 knows as a set with escape sequences, or that has no ASCII, is none.
    let fits = encoding.is_ascii_compatible() && encoding != encoding_rs::REPLACEMENT;
    fits.then_some(encoding)
}

/// The number in terms such as `ISO_IR 100`, `ISO 2022 IR 100` and `ISO 8859-1`.
fn registration_number(term: &str) -> Option<u16> {
    let digits = term.len() - term.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let number = term[term.len() - digits..].parse().ok();
    let letters: String = term.chars().filter(char::is_ascii_alphanumeric).collect();
    match letters.as_str() {
        "UTF8" => Some(192),
        name if name.starts_with("ISO8859") || name.starts_with("LATIN") => {
            let part = number.map(|number: u16| number % 8859);
            ISO_8859.iter().find(|(known, _)| Some(*known) == part).map(|(_, number)| *number)
        }
        name if name.contains("IR") && !name.contains("GB") => number,
        _ => None,
    }
}

/// Bytes that no character set was declared for. UTF-8 is told from others by its form; anything
/// else is most likely the Western European code page.
fn guess(raw: &[u8]) -> String {
    match std::str::from_utf8(raw) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(raw).0.into_owned(),
    }
}

/// Text with code extensions (PS3.5 section 6.1.2.5).
fn decode_extended(kind: TextKind, initial: Upper, mut raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len() * 2);
    let (mut lower, mut upper) = (Lower::Ascii, initial);
    while let Some((&byte, after)) = raw.split_first() {
        if byte == ESCAPE {
            if let Some((element, rest)) = begins_with(after, &LOWER.map(|(l, code)| (l, code))) {
                (lower, raw) = (element, rest);
            } else if let Some((element, rest)) = begins_with(after, &UPPER.map(|(_, u, c)| (u, c)))
            {
                (upper, raw) = (element, rest);
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
                raw = after;
            }
            continue;
        }
        let is_graphic = (0x21..=0x7e).contains(&byte);
        let length = match (byte, lower, upper) {
            // Within a two-byte set these are halves of characters, not delimiters.
            (_, Lower::Kanji | Lower::SupplementaryKanji, _) if is_graphic => 2,
            (0x80.., _, Upper::Double(_)) => 2,
            _ => 1,
        };
        if length == 1 && is_delimiter(kind, byte) {
            (lower, upper) = (Lower::Ascii, initial);
        }
        let Some((character, rest)) = raw.split_at_checked(length) else {
            text.push(char::REPLACEMENT_CHARACTER);
            break;
        };
        raw = match push_character(&mut text, character, lower, upper) {
            true => rest,
            // Only the first byte is at fault: the second may begin something sound.
            false => after,
        };
    }
    text
}

fn begins_with<'a, T: Copy>(bytes: &'a [u8], codes: &[(T, &[u8])]) -> Option<(T, &'a [u8])> {
    codes.iter().find_map(|(element, code)| Some((*element, bytes.strip_prefix(*code)?)))
}

fn is_delimiter(kind: TextKind, byte: u8) -> bool {
    match byte {
        b'\t' | b'\n' | 0x0c | b'\r' => true,
        b'\\' => kind != TextKind::Long,
        b'^' | b'=' => kind == TextKind::PersonName,
        _ => false,
    }
}

/// Appends one character of one or two bytes; `false` when it is none, and U+FFFD stands for it.
fn push_character(text: &mut String, character: &[u8], lower: Lower, upper: Upper) -> bool {
    let decoded = match (character, lower, upper) {
        // The two-byte sets are EUC's, which has them in its upper half.
        ([a, b], Lower::Kanji, _) => decode_with(EUC_JP, &[a | 0x80, b | 0x80]),
        ([a, b], Lower::SupplementaryKanji, _) => decode_with(EUC_JP, &[0x8f, a | 0x80, b | 0x80]),
        ([_, b], _, Upper::Double(encoding)) if *b >= 0x80 => decode_with(encoding, character),
        ([byte], _, Upper::Single(encoding)) if *byte >= 0x80 => decode_with(encoding, character),
        ([byte], _, _) if byte.is_ascii() => Some(char::from(*byte).to_string()),
        _ => None,
    };
    match decoded {
        Some(decoded) => text.push_str(&decoded),
        None => text.push(char::REPLACEMENT_CHARACTER),
    }
    // A single byte is used up either way.
    character.len() == 1 || !text.ends_with(char::REPLACEMENT_CHARACTER)
}

fn decode_with(encoding: &'static Encoding, bytes: &[u8]) -> Option<String> {
    let decoded = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::GB18030;
    use proptest::prelude::*;

    fn name(charset: &str, raw: &[u8]) -> String {
        CharacterSets::parse(charset.as_bytes()).decode(TextKind::PersonName, raw).text
    }

    /// PS3.5 section H.3.1.
    const JAPANESE: &[u8] = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\
        \x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";

    #[test]
    fn japanese_as_in_the_standards_example() {
        let expected = "Yamada^Tarou=山田^太郎=やまだ^たろう";
        assert_eq!(name("\\ISO 2022 IR 87", JAPANESE), expected);
        assert_eq!(name("ISO 2022 IR 6\\ISO 2022 IR 87", JAPANESE), expected);
    }

    #[test]
    fn half_width_katakana_as_in_the_standards_example() {
        // PS3.5 section H.3.2.
        let raw = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\
            \x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J";
        let expected = "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう";
        assert_eq!(name("ISO 2022 IR 13\\ISO 2022 IR 87", raw), expected);
        assert_eq!(name("ISO_IR 13", b"\xd4\xcf\xc0\xde"), "ﾔﾏﾀﾞ");
    }

    #[test]
    fn supplementary_kanji() {
        assert_eq!(name("\\ISO 2022 IR 159", b"\x1b$(D0!\x1b(BA"), "丂A");
    }

    #[test]
    fn korean_as_in_the_standards_example() {
        // PS3.5 section I.2.
        let raw = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\
            \x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf";
        assert_eq!(name("\\ISO 2022 IR 149", raw), "Hong^Gildong=洪^吉洞=홍^길동");
    }

    #[test]
    fn chinese_as_in_the_standards_examples() {
        // PS3.5 sections J.1, J.3, J.4 and K.2.
        let utf8 = "Wang^XiaoDong=王^小東".as_bytes();
        assert_eq!(name("ISO_IR 192", utf8), "Wang^XiaoDong=王^小東");
        let gb18030 = b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab";
        assert_eq!(name("GB18030", gb18030), "Wang^XiaoDong=王^小东");
        assert_eq!(name("GBK", gb18030), "Wang^XiaoDong=王^小东");
        let gb2312 = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=";
        assert_eq!(name("\\ISO 2022 IR 58", gb2312), "Zhang^XiaoDong=张^小东=");
    }

    #[test]
    fn single_byte_sets() {
        for (charset, raw, expected) in [
            ("ISO_IR 100", &b"Buc^J\xe9r\xf4me"[..], "Buc^Jérôme"),
            ("ISO_IR 101", b"Wa\xb3\xeasa", "Wałęsa"),
            ("ISO_IR 109", b"\xa6a\xb6", "Ĥaĥ"),
            ("ISO_IR 110", b"\xe0\xfe", "āū"),
            ("ISO_IR 144", b"\xbb\xee\xda\xe1\xd5\xdc\xd1\xe3\xe0\xd3", "Люксембург"),
            ("ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
            ("ISO_IR 127", b"\xe2\xc8\xc7\xe6\xea", "قباني"),
            ("ISO_IR 138", b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"),
            ("ISO_IR 148", b"\xc7avu\xfeo\xf0lu", "Çavuşoğlu"),
            ("ISO_IR 166", b"\xb9\xd2\xc2", "นาย"),
            ("ISO_IR 203", b"\xa4\xbe", "€Ÿ"),
        ] {
            assert_eq!(name(charset, raw), expected, "{charset}");
        }
    }

    #[test]
    fn greek_beside_latin_ends_at_a_delimiter() {
        let raw = b"J\xe9r\xf4me^\x1b-F\xc4\xe9\xef^\xe9";
        assert_eq!(name("ISO 2022 IR 100\\ISO 2022 IR 126", raw), "Jérôme^Διο^é");
        let sets = CharacterSets::parse(b"ISO 2022 IR 100\\ISO 2022 IR 126");
        assert_eq!(sets.decode(TextKind::Short, b"\x1b-F\xc4^\xc4\\\xc4").text, "Δ^Δ\\Ä");
        assert_eq!(sets.decode(TextKind::Long, b"\x1b-F\xc4\\\xc4\r\n\xc4").text, "Δ\\Δ\r\nÄ");
    }

    #[test]
    fn a_delimiter_inside_a_two_byte_character_is_none() {
        // 0x5E and 0x5C as halves of kanji, and as the second byte in GB18030.
        assert_eq!(name("\\ISO 2022 IR 87", b"\x1b$B0^0\\\x1b(B"), "緯移");
        assert_eq!(name("GB18030", b"\x81\x5c\x81\x5e"), "乗乛");
    }

    #[test]
    fn misspelt_and_padded_names_are_understood() {
        for charset in [
            "ISO_IR 100 ",
            "ISO IR 100",
            "ISO-IR 100",
            "iso_ir 100",
            "ISO_IR100",
            "ISO 8859-1",
            "iso8859-1",
            "ISO_8859-1",
            "latin1",
            "ISO 2022 IR 100",
            "ISO_2022_IR_100",
            "ISO_IR 100\0",
        ] {
            assert_eq!(name(charset, b"\xe9"), "é", "{charset}");
        }
        for charset in ["ISO_IR 192", "ISO IR 192", "UTF-8", "utf8", "ISO_IR 192\\ISO 2022 IR 87"] {
            assert_eq!(name(charset, "é".as_bytes()), "é", "{charset}");
        }
    }

    #[test]
    fn bytes_that_nobody_declared_are_guessed() {
        for charset in ["", "ISO_IR 6", "ISO_IR 9999", "nonsense"] {
            assert_eq!(name(charset, "Müller".as_bytes()), "Müller", "{charset}");
            assert_eq!(name(charset, b"M\xfcller"), "Müller", "{charset}");
        }
    }

    #[test]
    fn what_can_not_be_decoded_becomes_a_replacement_character_and_the_rest_stays() {
        assert_eq!(name("ISO_IR 192", b"a\xffb"), "a\u{fffd}b");
        assert_eq!(name("\\ISO 2022 IR 149", b"a\xffb"), "a\u{fffd}b");
        assert_eq!(name("\\ISO 2022 IR 87", b"\x1b$B0"), "\u{fffd}");
        assert_eq!(name("\\ISO 2022 IR 87", b"\x1bZa"), "\u{fffd}Za");
        assert_eq!(name("\\ISO 2022 IR 149", b"\x1b$)C\xc8a"), "\u{fffd}a");
    }

    #[test]
    fn padding_goes_and_groups_stay() {
        assert_eq!(name("", b"Roe^Jane \0"), "Roe^Jane");
        assert_eq!(name("", b"Roe^Jane=="), "Roe^Jane==");
        assert_eq!(name("", b"  "), "");
    }

    #[test]
    fn text_is_read_by_the_set_that_it_is_in_where_the_declared_one_does_not_do() {
        use encoding_rs::{ISO_8859_5, KOI8_R};
        let in_set = |set: &'static Encoding, text: &str| set.encode(text).0.into_owned();
        let german = "Müller^Jürgen";
        let latin = in_set(WINDOWS_1252, german);
        let utf8 = german.as_bytes().to_vec();
        let chinese = in_set(GB18030, "张^小东");
        let korean = in_set(EUC_KR, "홍^길동");
        let kanji = in_set(SHIFT_JIS, "山田^太郎");
        for (charset, raw, text, other) in [
            ("ISO 2022 IR 6\\ISO 2022 IR 100", &latin, german, Some("windows-1252")),
            ("\\ISO 2022 IR 100", &latin, german, Some("windows-1252")),
            ("ISO 2022 IR 6", &latin, german, Some("windows-1252")),
            ("ISO_IR 6\\ISO_IR 100", &latin, german, Some("windows-1252")),
            ("ISO_IR 192", &latin, german, Some("windows-1252")),
            (
                "ISO 2022 IR 6\\ISO 2022 IR 144",
                &in_set(ISO_8859_5, "Иванов^Иван"),
                "Иванов^Иван",
                Some("ISO-8859-5"),
            ),
            ("\\ISO_IR 13", &in_set(SHIFT_JIS, "ﾔﾏﾀﾞ^ﾀﾛｳ"), "ﾔﾏﾀﾞ^ﾀﾛｳ", Some("Shift_JIS")),
            ("\\ISO 2022 IR 192", &utf8, german, Some("UTF-8")),
            ("ISO_IR 6\\ISO_IR 192", &utf8, german, Some("UTF-8")),
            ("ISO_IR 100", &utf8, german, Some("UTF-8")),
            ("GB18030\\ISO IR 192", &utf8, german, Some("UTF-8")),
            ("ISO_IR 100\\ISO_IR 192", &utf8, german, Some("UTF-8")),
            ("GB18030", &"王^小東".as_bytes().to_vec(), "王^小東", Some("UTF-8")),
            ("\\ISO 2022 IR 87", &"山田^太郎".as_bytes().to_vec(), "山田^太郎", Some("UTF-8")),
            ("\\ISO 2022 IR 149", &korean, "홍^길동", Some("EUC-KR")),
            ("\\ISO 2022 IR 58", &chinese, "张^小东", Some("GBK")),
            (
                "\\ISO 2022 IR 58",
                &b"\x1b$)A\xd5\xc5^\xd0\xa1\xb6\xab".to_vec(),
                "张^小东",
                Some("GBK"),
            ),
            ("ISO 2022 IR 58", &in_set(GB18030, "镕^㐂"), "镕^㐂", Some("gb18030")),
            ("\\GB18030", &chinese, "张^小东", Some("gb18030")),
            ("ISO_IR 13", &kanji, "山田^太郎", Some("Shift_JIS")),
            ("ISO 2022 IR 13\\ISO 2022 IR 87", &kanji, "山田^太郎", Some("Shift_JIS")),
            // The declared set does.
            ("GB2312", &chinese, "张^小东", None),
            ("GB_2312-80", &chinese, "张^小东", None),
            ("gb18030-2005", &chinese, "张^小东", None),
            ("CP936", &chinese, "张^小东", None),
            ("ISO_IR 58", &chinese, "张^小东", None),
            ("SJIS", &kanji, "山田^太郎", None),
            ("KS_C_5601-1987", &korean, "홍^길동", None),
            ("KOI8-R", &in_set(KOI8_R, "Иванов"), "Иванов", None),
            ("GB18030", &in_set(GB18030, "CT胸部"), "CT胸部", None),
            ("GB18030", &in_set(GB18030, "茅"), "茅", None),
            ("ISO_IR 100\\ISO 2022 IR 126", &latin, german, None),
            ("ISO_IR 192", &b"Gr\xc3\xb6\xc3".to_vec(), "Grö\u{fffd}", None),
            ("ISO_IR 126", &b"\xc4\xe9\xef\xff\xed".to_vec(), "Διο\u{fffd}ν", None),
        ] {
            let read = alternatives::read(charset, raw);
            assert_eq!(read, (text.to_owned(), other), "{charset:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_set_give_text_without_nul_of_bounded_length(
            raw in prop::collection::vec(any::<u8>(), 0..200),
            escapes in prop::collection::vec((0_usize..200, 0_usize..19), 0..6),
            first in 0_usize..16, kind in 0_usize..3,
        ) {
            let mut raw = raw;
            let codes: Vec<&[u8]> =
                LOWER.iter().map(|l| l.1).chain(UPPER.iter().map(|u| u.2)).collect();
            for (at, code) in escapes {
                let at = at.min(raw.len());
                raw.splice(at..at, [&[ESCAPE], codes[code]].concat());
            }
            let charset = match UPPER.get(first) {
                Some((number, ..)) => format!("ISO 2022 IR {number}\\ISO 2022 IR 87"),
                None => ["ISO_IR 192", "GB18030"][first - 14].to_owned(),
            };
            let kind = [TextKind::PersonName, TextKind::Short, TextKind::Long][kind];
            let text = CharacterSets::parse(charset.as_bytes()).decode(kind, &raw).text;
            prop_assert!(!text.contains('\0'));
            prop_assert!(text.len() <= 3 * raw.len());
        }
    }
}
