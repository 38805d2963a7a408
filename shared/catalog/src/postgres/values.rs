//! Values as PostgreSQL takes them. No event, whoever wrote it, may make a statement fail and hold up the stream, so
//! every text that comes from outside goes through here, and the same text always becomes the same.

use crate::encoding::json;
use contract::bounded::{MARK, bounded};
use contract::event::AttributeValue;
use std::borrow::Cow;

pub(in crate::postgres) use crate::encoding::count;

/// What stands where PostgreSQL can't keep U+0000.
const REPLACEMENT: &str = "\u{fffd}";

/// Characters of a key: an index entry has at most 2.7 KB. The standard allows 64 for a UID, and 16 for an AE title.
const KEY_LENGTH: usize = 256;

/// The text, without U+0000.
pub(in crate::postgres) fn text(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', REPLACEMENT)),
        false => Cow::Borrowed(text),
    }
}

/// The same of a text that may be absent.
pub(in crate::postgres) fn optional<T: AsRef<str>>(value: &Option<T>) -> Option<Cow<'_, str>> {
    value.as_ref().map(|value| text(value.as_ref()))
}

/// A text as a key. The key of a key is the same.
pub(in crate::postgres) fn key(whole: &str) -> Cow<'_, str> {
    let whole = text(whole);
    match whole.chars().nth(KEY_LENGTH) {
        None => whole,
        Some(_) => Cow::Owned(bounded(&whole, KEY_LENGTH - MARK).into_owned()),
    }
}

/// An attribute as a text column has it.
pub(in crate::postgres) fn attribute(value: Option<&AttributeValue>) -> Option<Cow<'_, str>> {
    use serde_json::Value;
    match value? {
        AttributeValue::Text(value) => Some(text(value)),
        AttributeValue::Unknown(Value::Null) => None,
        // JSON escapes U+0000.
        other => Some(Cow::Owned(json(other))),
    }
}

/// An attribute as a column of 64 bits has it: what is no number is absent.
pub(in crate::postgres) fn whole(value: Option<&AttributeValue>) -> Option<i64> {
    match value? {
        AttributeValue::Number(number) => Some(*number),
        _ => None,
    }
}

/// The items of a sequence as JSON that `jsonb` takes; what is no list is absent.
pub(in crate::postgres) fn items(value: Option<&AttributeValue>) -> Option<String> {
    let written = match value? {
        AttributeValue::Text(text) => text.to_string(),
        other => json(other),
    };
    let list: serde_json::Value = serde_json::from_str(&written).ok()?;
    // Nothing else that JSON has is refused: numbers are of any size, and nesting ends at what serde reads.
    list.is_array().then(|| json(&without_nul(list)))
}

/// The same value, without U+0000 in its texts and keys.
fn without_nul(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    let clean = |dirty: String| text(&dirty).into_owned();
    match value {
        Value::String(dirty) => Value::String(clean(dirty)),
        Value::Array(items) => items.into_iter().map(without_nul).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (clean(key), without_nul(value))).collect()
        }
        other => other,
    }
}

/// Several values for one parameter.
pub(in crate::postgres) fn list<T>(values: &[T]) -> &[T] {
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::number;

    #[test]
    fn what_postgresql_refuses_is_replaced_or_absent() {
        assert_eq!(text("a\0b"), "a\u{fffd}b");
        let read =
            |value| serde_json::from_value::<serde_json::Value>(value).map(AttributeValue::Unknown);
        let huge = read(serde_json::json!(1e300)).unwrap();
        assert_eq!(attribute(Some(&huge)).as_deref(), Some("1e+300"));
        assert_eq!(number(&huge), None);
        assert_eq!(number(&AttributeValue::Number(1 << 40)), None);
        let list = AttributeValue::Unknown(serde_json::json!([{ "a": "x\0" }]));
        assert_eq!(items(Some(&list)).as_deref(), Some("[{\"a\":\"x\u{fffd}\"}]"));
        // The text `\\u0000` is none of it, and stays.
        let list = AttributeValue::Unknown(serde_json::json!([{ "a\0": ["\\u0000"] }]));
        assert_eq!(items(Some(&list)).as_deref(), Some("[{\"a\u{fffd}\":[\"\\\\u0000\"]}]"));
        assert_eq!(items(Some(&AttributeValue::Text("no list".into()))), None);
        let cut = key(&"\u{fffd}".repeat(5000)).into_owned();
        assert!(cut.len() < 1000);
        assert_eq!(key(&cut), cut);
    }
}
