//! Query and path parameters that several resources share: each is parsed into a type of its own, and documented by the
//! same table. An error does not repeat the value, which may name a patient.

use crate::http::cursor::Cursor;
use crate::http::example_values::{SERIES_UID, STUDY_UID};
use crate::http::matching::{DELIMITER, MAX_UIDS, MAX_VALUE, matching};
use catalog::{Attribute, Matching, keyword};
use contract::uid::{SeriesInstanceUid, StudyInstanceUid};
use jiff::Timestamp;
use poem_openapi::registry::MetaSchema;

/// The most records of one page.
pub const MAX_LIMIT: u32 = 1000;

/// The longest text to search for, in characters: the longest value of the attributes (PS3.5
/// section 6.2), a person's name of three component groups.
const MAX_TEXT: usize = 64 * 3 + 2;

/// A UID as real senders write them: 1 to 64 printable characters, none of them a space at an end.
const UID_PATTERN: &str = "^[!-~]([ -~]*[!-~])?$";

/// The words between which ours is in the message of a parameter that can't be parsed.
const PREFIX: &str = "failed to parse \"parameter\": ";
const SUFFIX: &str = " (occurred while parsing ";

/// What is wrong with a parameter, out of what poem-openapi says of it.
#[must_use]
pub fn reason(message: &str) -> &str {
    let ours = message.strip_prefix(PREFIX).unwrap_or("can't be understood");
    ours.split(SUFFIX).next().unwrap_or(ours)
}

/// Makes a type one of parameters: its schema, and how its text is read.
macro_rules! parameter {
    ($type:ty, $schema:expr, $parse:expr) => {
        impl poem_openapi::types::Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> std::borrow::Cow<'static, str> {
                "parameter".into()
            }

            fn schema_ref() -> poem_openapi::registry::MetaSchemaRef {
                poem_openapi::registry::MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl poem_openapi::types::ParseFromParameter for $type {
            fn parse_from_parameter(value: &str) -> poem_openapi::types::ParseResult<Self> {
                // A line's end is no part of any of them, and `$` in a pattern lets one pass.
                let parse: fn(&str) -> Result<Self, String> = $parse;
                parse(value.strip_suffix('\n').unwrap_or(value))
                    .map_err(poem_openapi::types::ParseError::custom)
            }
        }
    };
}
pub(crate) use parameter;

pub(crate) fn text_schema(pattern: Option<&str>, longest: usize) -> MetaSchema {
    MetaSchema {
        pattern: pattern.map(str::to_owned),
        min_length: Some(1),
        max_length: Some(longest),
        ..MetaSchema::new("string")
    }
}

/// Of a UID in a path.
fn uid_schema(example: &str) -> MetaSchema {
    MetaSchema { example: Some(example.into()), ..text_schema(Some(UID_PATTERN), 64) }
}

pub(crate) fn choice_schema(words: &[&str], default: Option<&str>) -> MetaSchema {
    MetaSchema {
        enum_items: words.iter().map(|word| (*word).into()).collect(),
        default: default.map(Into::into),
        ..MetaSchema::new("string")
    }
}

/// Picks the value of a word.
pub(crate) fn choose<T: Copy>(choices: &[(&str, T)], word: &str) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("must be one of {}", names.join(", "))
    })
}

pub(crate) fn names<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(name, _)| *name).collect()
}

/// How many records a page has at most.
#[derive(Debug, Clone, Copy)]
pub struct Limit(pub u32);

/// What is asked for where nobody thinks of how much there is: Swagger UI fills it in, and a browser shows
/// so many at once. No default, since a list without `limit` is whole.
const EXAMPLE_LIMIT: u32 = 100;

parameter!(
    Limit,
    MetaSchema {
        example: Some(EXAMPLE_LIMIT.into()),
        minimum: Some(1.0),
        maximum: Some(f64::from(MAX_LIMIT)),
        ..MetaSchema::new_with_format("integer", "int32")
    },
    |text| match text.parse() {
        Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(Self(limit)),
        _ => Err(format!("must be a number from 1 to {MAX_LIMIT}")),
    }
);

parameter!(
    Cursor,
    MetaSchema {
        pattern: Some(format!("^[0-9a-f]{{{}}}$", Cursor::LENGTH)),
        ..MetaSchema::new("string")
    },
    |text| Self::parse(text).ok_or_else(|| Cursor::FOREIGN.to_owned())
);

/// Whether all records are to be counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted(pub bool);

const COUNTED: [(&str, Counted); 2] = [("true", Counted(true)), ("false", Counted(false))];

parameter!(Counted, choice_schema(&names(&COUNTED), Some("false")), |text| choose(&COUNTED, text));

/// Text that a value has to be.
#[derive(Debug, Clone)]
pub struct Text(pub String);

parameter!(Text, text_schema(None, MAX_TEXT), |text| within(text, MAX_TEXT).map(Self));

/// Texts of which a value has to be one, with `*` and `?`.
#[derive(Debug, Clone)]
pub struct Pattern(pub Matching);

parameter!(Pattern, text_schema(None, MAX_VALUE), |text| {
    texts(keyword::PatientID, text).map(Self)
});

/// Names of persons, likewise.
#[derive(Debug, Clone)]
pub struct Names(pub Matching);

parameter!(Names, text_schema(None, MAX_VALUE), |text| {
    texts(keyword::PatientName, text).map(Self)
});

/// Code strings, likewise; they have no comma, which may stand between them.
#[derive(Debug, Clone)]
pub struct Codes(pub Matching);

parameter!(Codes, text_schema(None, MAX_VALUE), |text| texts(keyword::Modality, text).map(Self));

/// What a text asks of an attribute. Blanks are padding: nothing else is no value.
fn texts(attribute: &Attribute, text: &str) -> Result<Matching, String> {
    let text = within(text, MAX_VALUE)?;
    let everything = || match text.contains('*') {
        true => Matching::Pattern("*".to_owned()),
        false => Matching::Equals(String::new()),
    };
    Ok(matching(attribute, &text)?.unwrap_or_else(everything))
}

pub(crate) fn within(text: &str, longest: usize) -> Result<String, String> {
    match text.chars().count() {
        0 => Err("is empty".to_owned()),
        length if length > longest => Err(format!("is longer than {longest} characters")),
        _ => Ok(text.to_owned()),
    }
}

/// A date, or a range of dates.
#[derive(Debug, Clone)]
pub struct Dates(pub Matching);

/// A date as DICOM writes it, or as ACR-NEMA does.
const DATE_PATTERN: &str = r"([0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2})";

parameter!(
    Dates,
    MetaSchema {
        pattern: Some(format!(
            "^({DATE_PATTERN}|{DATE_PATTERN}-|-{DATE_PATTERN}|{DATE_PATTERN}-{DATE_PATTERN})$"
        )),
        ..MetaSchema::new("string")
    },
    |text| {
        let wrong = "must be YYYYMMDD, or a range with a hyphen before, after or between";
        // Several are what a parameter that is there several times has become.
        let is_date = |text: &str| [8, 10].contains(&text.len());
        let is_bound = |text: &str| text.is_empty() || is_date(text);
        let is_one = |one: &str| match one.split_once('-') {
            None => is_date(one),
            Some((from, to)) => is_bound(from) && is_bound(to),
        };
        match matching(keyword::StudyDate, text) {
            Ok(Some(matching)) if text.split(DELIMITER).all(is_one) => Ok(Self(matching)),
            _ => Err(wrong.to_owned()),
        }
    }
);

/// A time.
#[derive(Debug, Clone, Copy)]
pub struct Moment(pub Timestamp);

parameter!(Moment, MetaSchema::new_with_format("string", "date-time"), |text| {
    // A plus sign that was not escaped has become a space.
    let parsed = text.replace(' ', "+").parse();
    parsed
        .map(Self)
        .map_err(|_| "must be a time as RFC 3339 has it, such as 2026-02-03T04:05:06Z".to_owned())
});

/// The series that a path names.
#[derive(Debug, Clone)]
pub struct SeriesUid(pub SeriesInstanceUid);

parameter!(SeriesUid, uid_schema(SERIES_UID), |text| {
    SeriesInstanceUid::parse(text).map(Self).map_err(|error| error.to_string())
});

/// The studies of which a value has to be one.
#[derive(Debug, Clone)]
pub struct StudyUids(pub Matching);

parameter!(StudyUids, text_schema(Some(UID_PATTERN), MAX_UIDS), |text| {
    match matching(keyword::StudyInstanceUID, text)? {
        Some(several @ Matching::OneOf(_)) => Ok(Self(several)),
        _ => match StudyInstanceUid::parse(text) {
            Ok(uid) => Ok(Self(Matching::Equals(uid.into()))),
            Err(error) => Err(error.to_string()),
        },
    }
});

/// The study that a path names.
#[derive(Debug, Clone)]
pub struct StudyUid(pub StudyInstanceUid);

parameter!(StudyUid, uid_schema(STUDY_UID), |text| {
    StudyInstanceUid::parse(text).map(Self).map_err(|error| error.to_string())
});

/// What `If-None-Match` says: the entity tags that the client has.
#[derive(Debug, Clone)]
pub struct Tags(pub String);

parameter!(Tags, MetaSchema::new("string"), |text| Ok(Self(text.to_owned())));
