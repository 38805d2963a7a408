//! What both databases share of a copy: the tables, a row in between, and the sum by which two tables are compared.

use contract::attributes::{Form, Table, columns};
use serde_json::Value as Json;

/// All tables, each after those that it refers to. The bookmark is the last: it says how far all the others are.
pub(crate) const TABLES: [&str; 19] = [
    "patients",
    "studies",
    "series",
    "instances",
    "identities",
    "open_series",
    "revisions",
    "deletions",
    "series_to_keep",
    "objects_to_remove",
    "open_studies",
    "study_revisions",
    "sources",
    "lists",
    "outbox",
    "losses",
    "series_bookmark",
    "webhooks",
    "bookmark",
];

/// The column that is the number of a row in SQLite: the order of arrival.
pub(crate) const ARRIVAL: &str = "arrival";

/// The tables that have it.
pub(crate) const WITH_ARRIVAL: [&str; 2] = ["studies", "series"];

/// The tables of one row.
pub(crate) const OF_ONE_ROW: [&str; 2] = ["bookmark", "series_bookmark"];

/// A value in between. A truth is 0 or 1, and JSON is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
}

impl Value {
    pub(crate) fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Integer(_) => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            Self::Null | Self::Text(_) => None,
        }
    }

    pub(crate) fn text_or_null(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    pub(crate) fn integer_or_null(integer: Option<i64>) -> Self {
        integer.map_or(Self::Null, Self::Integer)
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Null | Self::Integer(_) => size_of::<Self>(),
            Self::Text(text) => size_of::<Self>() + text.len(),
        }
    }
}

/// A row in between: a value for each column.
pub(crate) type Row = Vec<Value>;

/// A column in between.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Integer,
    Text,
    /// A sequence, as a list in JSON. PostgreSQL keeps its members in an order of its own.
    Items,
}

impl Column {
    /// The column of a table, which is one of text or not.
    pub(crate) fn of(table: &str, name: &str, is_text: bool) -> Self {
        let mut attributes = Table::ALL
            .into_iter()
            .filter(|it| it.name() == table)
            .flat_map(columns)
            .filter(|column| column.name == name);
        let is_items = attributes.any(|it| matches!(it.attribute.form, Form::Items(_)));
        let kind = match (is_items, is_text) {
            (true, _) => Kind::Items,
            (false, true) => Kind::Text,
            (false, false) => Kind::Integer,
        };
        Self { name: name.to_owned(), kind }
    }
}

/// How many rows a table has, and a sum over what they say, whatever their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    digests: u128,
}

impl Sum {
    /// One row more.
    pub(crate) fn add(&mut self, columns: &[Column], row: &Row) {
        let mut hasher = blake3::Hasher::new();
        for (column, value) in columns.iter().zip(row) {
            match value {
                Value::Null => hasher.update(b"n"),
                Value::Integer(integer) => hasher.update(b"i").update(&integer.to_le_bytes()),
                Value::Text(text) => {
                    let text = match column.kind {
                        Kind::Items => canonical(text),
                        Kind::Integer | Kind::Text => text.into(),
                    };
                    hasher.update(b"t").update(&(text.len() as u64).to_le_bytes());
                    hasher.update(text.as_bytes())
                }
            };
        }
        let mut digest = [0; 16];
        hasher.finalize_xof().fill(&mut digest);
        self.rows += 1;
        self.digests = self.digests.wrapping_add(u128::from_le_bytes(digest));
    }
}

/// JSON as it reads however it was written: members in order, and whole numbers as such.
fn canonical(text: &str) -> std::borrow::Cow<'_, str> {
    fn whole(value: Json) -> Json {
        match value {
            Json::Array(items) => items.into_iter().map(whole).collect(),
            Json::Object(members) => {
                members.into_iter().map(|(key, value)| (key, whole(value))).collect()
            }
            // PostgreSQL writes out what an exponent says.
            Json::Number(number) => number.as_f64().map_or(Json::Number(number), Json::from),
            other => other,
        }
    }
    match serde_json::from_str(text) {
        Ok(value) => whole(value).to_string().into(),
        Err(_) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[&str]) -> Sum {
        let column = Column::of("series", "request_attributes", true);
        let mut sum = Sum::default();
        for row in rows {
            sum.add(std::slice::from_ref(&column), &vec![Value::Text((*row).to_owned())]);
        }
        sum
    }

    #[test]
    fn a_sum_is_of_what_rows_say_in_any_order() {
        let one = sum(&[r#"[{"b":1e20,"a":2}]"#, "[]", "[]"]);
        assert_eq!(one, sum(&["[]", r#"[{"a": 2.0, "b": 100000000000000000000}]"#, "[]"]));
        for other in [
            sum(&[r#"[{"b":1e20,"a":3}]"#, "[]", "[]"]),
            sum(&[r#"[{"b":1e20,"a":2}]"#, "[]"]),
            sum(&[r#"[{"b":1e20,"a":2}]"#, r#"[{"b":1e20,"a":2}]"#, "[]"]),
        ] {
            assert_ne!(one, other);
        }
    }
}
