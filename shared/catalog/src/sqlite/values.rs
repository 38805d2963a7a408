//! Values as SQLite takes them: any text fits, and is a key.

use crate::encoding::json;
use std::borrow::Cow;

/// The text.
pub(in crate::sqlite) fn text(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

/// The same of a text that may be absent.
pub(in crate::sqlite) fn optional<T: AsRef<str>>(value: &Option<T>) -> Option<Cow<'_, str>> {
    value.as_ref().map(|value| text(value.as_ref()))
}

/// A text as a key.
pub(in crate::sqlite) fn key(whole: &str) -> Cow<'_, str> {
    text(whole)
}

/// Several values for one parameter.
pub(in crate::sqlite) fn list<T: serde::Serialize>(values: &[T]) -> String {
    json(values)
}
