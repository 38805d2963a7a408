//! What the value of a filter means, for QIDO-RS and for our own lists alike (PS3.4 section C.2.2.2,
//! PS3.18 section 8.3.4): one text, a range, or several of them of which any may match.

use catalog::{Attribute, Kind, Matching};
use contract::attributes::Vr;

/// The longest list of UIDs to search for, in characters: several hundred of them.
pub const MAX_UIDS: usize = 32 * 1024;

/// The longest value of another kind, or list of them, in characters. No VR that can be searched by has a longer one, and
/// what it takes to match a pattern grows with its length.
pub const MAX_VALUE: usize = 1024;

/// The most values of a list but of UIDs: each is a condition of its own.
const MAX_VALUES: usize = 50;

/// What is between the values of a list, as it is between those of an attribute: no value has it.
pub const DELIMITER: char = '\\';

/// What a value means for an attribute; `None` when it matches everything.
///
/// # Errors
/// When it is no value of such an attribute, with the reason.
pub fn matching(attribute: &Attribute, value: &str) -> Result<Option<Matching>, &'static str> {
    let (kind, longest) = match attribute.vr.kind() {
        Kind::Uid => (Kind::Uid, MAX_UIDS),
        kind => (kind, MAX_VALUE),
    };
    if value.chars().count() > longest {
        return Err("is too long");
    }
    // A UID or a code string has no comma, and viewers put one between several; any other text may have it.
    let by_comma = matches!(attribute.vr, Vr::UI | Vr::CS);
    let values = value.split(|c| c == DELIMITER || c == ',' && by_comma).map(unpadded);
    let mut values: Vec<&str> = values.filter(|value| !value.is_empty()).collect();
    if values.is_empty() && !unpadded(value).is_empty() {
        // Delimiters alone are no list of anything, and no empty value, which would match everything.
        values.push(unpadded(value));
    }
    let is_universal = |value: &&str| match kind {
        Kind::Name => value.chars().all(|c| "*^= ".contains(c)) && value.contains('*'),
        _ => value.bytes().all(|byte| byte == b'*'),
    };
    if values.is_empty() || values.iter().any(is_universal) {
        return Ok(None);
    }
    if kind == Kind::Uid {
        return Ok(Some(match values.as_slice() {
            [one] => Matching::Equals((*one).to_owned()),
            several => Matching::OneOf(several.iter().map(|uid| (*uid).to_owned()).collect()),
        }));
    }
    if values.len() > MAX_VALUES {
        return Err("has too many values");
    }
    let mut alternatives = Vec::with_capacity(values.len());
    for value in values {
        alternatives.push(single(kind, value)?);
    }
    Ok(Some(match alternatives.len() {
        1 => alternatives.remove(0),
        _ => Matching::Any(alternatives),
    }))
}

/// The value without the blanks around it, which are padding (PS3.5 section 6.2).
fn unpadded(value: &str) -> &str {
    value.trim_matches(' ')
}

fn single(kind: Kind, value: &str) -> Result<Matching, &'static str> {
    Ok(match kind {
        Kind::Number => Matching::Number(integer(value).ok_or("must be a number")?),
        Kind::Date | Kind::Time => moment(kind, value)?,
        Kind::Text | Kind::Name if value.contains(['*', '?']) => {
            Matching::Pattern(with_single_stars(value))
        }
        Kind::Text | Kind::Name | Kind::Uid => Matching::Equals(value.to_owned()),
    })
}

/// An integer of any length, in the one way in which it is compared.
fn integer(value: &str) -> Option<String> {
    let (sign, digits) = match value.strip_prefix('-') {
        Some(digits) => ("-", digits),
        // A plus sign that was not escaped has become a space.
        None => ("", value.strip_prefix('+').unwrap_or(value)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => format!("{sign}{digits}"),
    })
}

/// The pattern with one `*` for several in a row, which mean the same and take far longer to match.
fn with_single_stars(pattern: &str) -> String {
    let mut single = String::with_capacity(pattern.len());
    for character in pattern.chars() {
        if character != '*' || !single.ends_with('*') {
            single.push(character);
        }
    }
    single
}

/// A date or a time, or a range of them. A time that leaves out its seconds or their fraction is not
/// precise to them (PS3.5 section 6.2, TM), so that it is any time that begins with it.
fn moment(kind: Kind, value: &str) -> Result<Matching, &'static str> {
    let wrong = "must be a date or a time as DICOM writes it, or a range with a hyphen";
    let bound = |text: &str| match kind {
        _ if unpadded(text).is_empty() => Ok(None),
        Kind::Time => time(unpadded(text)).map(Some).ok_or(wrong),
        _ => date(unpadded(text)).map(Some).ok_or(wrong),
    };
    let first = |text: Option<String>| match kind {
        Kind::Time => text.map(|text| first_of(&text).to_owned()),
        _ => text,
    };
    Ok(match value.split_once('-') {
        Some((from, to)) if value.len() > 1 => {
            Matching::Within { from: first(bound(from)?), to: bound(to)? }
        }
        Some(_) => return Err(wrong),
        None if kind == Kind::Time => {
            let time = bound(value)?;
            Matching::Within { from: first(time.clone()), to: time }
        }
        None => Matching::Equals(bound(value)?.ok_or(wrong)?),
    })
}

/// A date, or the beginning of one, without the points of ACR-NEMA (PS3.5 section 6.2, DA).
fn date(text: &str) -> Option<String> {
    let digits = match text.split('.').collect::<Vec<_>>().as_slice() {
        [whole] => (*whole).to_owned(),
        [year, month, day] if (year.len(), month.len(), day.len()) == (4, 2, 2) => {
            [*year, *month, *day].concat()
        }
        _ => return None,
    };
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)
}

/// A time without the colons of ACR-NEMA (PS3.5 section 6.2, TM).
fn time(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_pair = |part: &str| part.len() == 2;
    if whole.contains(':') && !whole.split(':').all(is_pair) {
        return None;
    }
    let time = text.replace(':', "");
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(&whole.replace(':', "")) && digits(fraction)).then_some(time)
}

/// The shortest way to write a time, which comes before all others in the order of the text:
/// `10`, `1000` and `100000.00` begin at the same moment.
fn first_of(time: &str) -> &str {
    let whole = match time.contains('.') {
        true => time.trim_end_matches('0').trim_end_matches('.'),
        false => time,
    };
    let mut first = whole;
    while let Some(shorter) = first.strip_suffix("00").filter(|it| !it.is_empty()) {
        // Only whole components: hours, minutes, seconds.
        if first.contains('.') || first.len() % 2 == 1 {
            break;
        }
        first = shorter;
    }
    first
}

/// The parameters, with those of one attribute in one: a key that is there several times is a list of its
/// values.
pub fn with_lists(parameters: &[(String, String)]) -> Vec<(String, String)> {
    let mut lists: Vec<(String, String)> = Vec::with_capacity(parameters.len());
    for (name, value) in parameters {
        match lists.iter_mut().find(|(other, _)| other == name && is_attribute(name)) {
            // What matches everything does so in a list too.
            Some((_, values)) if values.is_empty() => {}
            Some((_, values)) if value.is_empty() => values.clear(),
            Some((_, values)) => {
                values.push(DELIMITER);
                values.push_str(value);
            }
            None => lists.push((name.clone(), value.clone())),
        }
    }
    lists
}

/// Whether a name looks like an attribute: a keyword, a tag, or a path of them.
#[must_use]
pub fn is_attribute(name: &str) -> bool {
    name.split('.').all(|part| {
        let is_tag = part.len() == 8 && part.bytes().all(|b| b.is_ascii_hexdigit());
        let is_keyword = part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.bytes().all(|b| b.is_ascii_alphanumeric());
        is_tag || is_keyword
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::keyword;

    fn text(text: &str) -> Matching {
        match text.contains(['*', '?']) {
            true => Matching::Pattern(text.to_owned()),
            false => Matching::Equals(text.to_owned()),
        }
    }

    fn within(from: &str, to: &str) -> Matching {
        let bound = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Matching::Within { from: bound(from), to: bound(to) }
    }

    fn number(text: &str) -> Matching {
        Matching::Number(text.to_owned())
    }

    #[test]
    fn each_kind_of_attribute_is_matched_in_its_way() {
        let several = |all: &[Matching]| Some(Matching::Any(all.to_vec()));
        let uids = Some(Matching::OneOf(vec!["1.2".to_owned(), "1.3".to_owned()]));
        for (attribute, value, expected) in [
            (keyword::PatientID, " 7 ", Some(text("7"))),
            (keyword::PatientID, "7***?**", Some(text("7*?*"))),
            (keyword::PatientID, "7,8", Some(text("7,8"))),
            (keyword::PatientID, r"7\8*", several(&[text("7"), text("8*")])),
            (keyword::PatientID, r"7\*", None),
            (keyword::PatientName, "**", None),
            (keyword::PatientName, "*^*", None),
            (keyword::PatientName, "Roe^", Some(text("Roe^"))),
            (keyword::StudyDate, "", None),
            (keyword::StudyDate, " ", None),
            (keyword::Modality, "CT,MR", several(&[text("CT"), text("MR")])),
            (keyword::ModalitiesInStudy, r"CT\", Some(text("CT"))),
            (keyword::StudyInstanceUID, "1.2,1.3", uids.clone()),
            (keyword::StudyInstanceUID, r"1.2\1.3 ", uids),
            (keyword::StudyInstanceUID, "1.2*", Some(Matching::Equals("1.2*".to_owned()))),
            (keyword::StudyTime, "10-11", Some(within("10", "11"))),
            (keyword::StudyTime, "10:00-11:30:00.5", Some(within("10", "113000.5"))),
            (keyword::StudyTime, "120000", Some(within("12", "120000"))),
            (keyword::StudyTime, "120000.50-", Some(within("120000.5", ""))),
            (keyword::StudyDate, "20260203", Some(text("20260203"))),
            (keyword::StudyDate, "2026.02.03", Some(text("20260203"))),
            (keyword::StudyDate, "2026.02.03-20260205", Some(within("20260203", "20260205"))),
            (keyword::StudyDate, "20260203-", Some(within("20260203", ""))),
            (keyword::InstanceNumber, " +003", Some(number("3"))),
            (keyword::InstanceNumber, "-0", Some(number("0"))),
            (keyword::InstanceNumber, r"-07\8", several(&[number("-7"), number("8")])),
            (keyword::InstanceNumber, "99999999999999999999", Some(number("99999999999999999999"))),
        ] {
            assert_eq!(matching(attribute, value).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for (attribute, value) in [
            (keyword::StudyDate, "today"),
            (keyword::StudyDate, "2026.2.3"),
            (keyword::StudyDate, "-"),
            (keyword::StudyTime, "1:00"),
            (keyword::StudyTime, "noon"),
            (keyword::InstanceNumber, "3.0"),
            (keyword::InstanceNumber, "1e3"),
            (keyword::InstanceNumber, "+"),
            (keyword::PatientID, &"7".repeat(1025)),
            (keyword::Modality, &"CT,".repeat(60)),
        ] {
            matching(attribute, value).unwrap_err();
        }
    }
}
