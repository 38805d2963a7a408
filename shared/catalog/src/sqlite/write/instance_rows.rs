//! The rows of instances, many in one statement with a parameter for each value.
//!
//! Every value that a sender decides is cast to its column's type, so that no event, whoever wrote
//! it, can make a statement fail and hold up the stream.

use crate::batch::Received;
use crate::encoding::{json, nanoseconds, number};
use crate::error::CatalogError;
use contract::attributes::{ATTRIBUTES, Attribute, Column, ColumnType, Table, columns_in};
use contract::event::AttributeValue;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Encode, Sqlite, SqliteConnection, Type};
use std::future::poll_fn;
use std::iter;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::Poll;

/// Rows of the statements that there are. Each is prepared once, and many rows in one statement
/// save most of what a statement costs; the largest has a fifth of the parameters that SQLite allows.
const ROWS: [usize; 3] = [256, 16, 1];

/// The statements, and the columns of attributes among their parameters.
pub(in crate::sqlite) struct Upserts {
    /// In the order of the keywords, as an event has them.
    columns: Vec<Column>,
    /// The keywords of these.
    keywords: Vec<&'static str>,
    /// For as many rows as in [`ROWS`].
    statements: [String; ROWS.len()],
}

static UPSERTS: LazyLock<Upserts> = LazyLock::new(|| Upserts::of(ATTRIBUTES));

impl Upserts {
    /// The key is the SOP Instance UID: however often an instance comes, it is one row.
    pub(in crate::sqlite) fn of(attributes: &'static [Attribute]) -> Self {
        let mut columns: Vec<_> = columns_in(attributes, Table::Instances).collect();
        columns.sort_unstable_by_key(|column| column.keyword);
        let list = |part: fn(&Column) -> String, delimiter: &str| {
            columns.iter().map(part).collect::<Vec<_>>().join(delimiter)
        };
        let names = list(|column| column.name.to_owned(), ", ");
        let row = list(
            |column| match column.column_type {
                ColumnType::Text => "cast(? as text)".to_owned(),
                ColumnType::Integer => "cast(? as integer)".to_owned(),
            },
            ", ",
        );
        let row = format!("(?, ?, ?, ?, {row}, cast(? as integer), ?, ?, ?, ?, ?, ?, ?, ?)");
        let updates = list(|Column { name, .. }| format!("{name} = excluded.{name}"), ",\n    ");
        let statement = |rows| {
            let rows = vec![row.as_str(); rows].join(", ");
            format!(
                "insert into instances
    (sop_instance_uid, series_instance_uid, sop_class_uid, transfer_syntax_uid, {names},
     bytes, digest, association_id, received_at, added_sequence, stream_sequence,
     object_key, object_bytes, object_blake3)
values {rows}
on conflict (sop_instance_uid) do update set
    added_sequence = case when series_instance_uid = excluded.series_instance_uid
        then added_sequence else excluded.added_sequence end,
    series_instance_uid = excluded.series_instance_uid,
    sop_class_uid = excluded.sop_class_uid,
    transfer_syntax_uid = excluded.transfer_syntax_uid,
    {updates},
    bytes = excluded.bytes,
    digest = excluded.digest,
    association_id = excluded.association_id,
    received_at = excluded.received_at,
    stream_sequence = excluded.stream_sequence,
    object_key = excluded.object_key,
    object_bytes = excluded.object_bytes,
    object_blake3 = excluded.object_blake3,
    identity = null"
            )
        };
        let statements = ROWS.map(statement);
        let keywords = columns.iter().map(|column| column.keyword).collect();
        Self { columns, keywords, statements }
    }

    /// Values of one row.
    fn values(&self) -> usize {
        self.columns.len() + 13
    }
}

/// Writes the instances, in order.
pub(in crate::sqlite) async fn upsert(
    connection: &mut SqliteConnection,
    instances: &[&Received],
) -> Result<(), CatalogError> {
    upsert_by(&UPSERTS, connection, instances).await
}

pub(in crate::sqlite) async fn upsert_by(
    upserts: &'static Upserts,
    connection: &mut SqliteConnection,
    instances: &[&Received],
) -> Result<(), CatalogError> {
    let mut statements = statements(upserts, instances);
    let mut next = statements.next();
    while let Some(statement) = next {
        let mut execution = pin!(statement.execute(&mut *connection));
        // SQLite has a thread of its own. The values of the next statement are gathered while it works.
        let done = poll_fn(|context| Poll::Ready(execution.as_mut().poll(context))).await;
        next = statements.next();
        match done {
            Poll::Ready(result) => result?,
            Poll::Pending => execution.await?,
        };
    }
    Ok(())
}

/// The statements with their values, each made when it is asked for.
fn statements<'q>(
    upserts: &'static Upserts,
    mut instances: &'q [&'q Received],
) -> impl Iterator<Item = Statement> {
    let mut texts = Texts::new(upserts);
    iter::from_fn(move || {
        let mut sizes = ROWS.into_iter().zip(&upserts.statements);
        let (these, rest, statement) = sizes.find_map(|(rows, statement)| {
            let (these, rest) = instances.split_at_checked(rows)?;
            Some((these, rest, statement))
        })?;
        instances = rest;
        let mut values = Values(SqliteArguments::default());
        values.0.reserve(these.len() * upserts.values(), 0);
        these.iter().for_each(|instance| values.push_row(upserts, instance, &mut texts));
        Some(sqlx::query_with(statement.as_str(), values.0))
    })
}

type Statement = Query<'static, Sqlite, SqliteArguments>;

/// The values of a statement.
struct Values(SqliteArguments);

impl Values {
    fn push_row(&mut self, upserts: &Upserts, instance: &Received, texts: &mut Texts) {
        let event = &instance.event;
        let Texts { series, sop_class, transfer_syntax, association, attributes } = texts;
        self.push(event.sop_instance_uid.as_str());
        self.push(again(series, event.series_instance_uid.as_str()));
        self.push(again(sop_class, &event.sop_class_uid));
        self.push(again(transfer_syntax, &event.transfer_syntax_uid));
        let values = event.attributes.pick(&upserts.keywords).zip(&upserts.columns);
        for ((value, column), before) in values.zip(attributes) {
            match column.column_type {
                ColumnType::Integer => self.push(value.and_then(number)),
                ColumnType::Text => self.push_attribute(value, before),
            }
        }
        self.push(length(event.bytes));
        self.push(event.digest.as_str());
        self.push(again(association, &event.association_id));
        self.push(nanoseconds(event.received_at));
        self.push(instance.sequence as i64);
        self.push(instance.sequence as i64);
        let object = event.object.as_ref();
        self.push(object.map(|object| object.key.as_str()));
        self.push(object.map(|object| length(object.bytes)));
        self.push(object.map(|object| object.blake3.as_str()));
    }

    /// As SQLite reads it from JSON.
    fn push_attribute(&mut self, value: Option<&AttributeValue>, before: &mut Text) {
        use serde_json::Value;
        match value {
            None | Some(AttributeValue::Unknown(Value::Null)) => self.push(None::<i64>),
            Some(AttributeValue::Number(number)) => self.push(*number),
            Some(AttributeValue::Text(text)) => self.push(again(before, text)),
            Some(AttributeValue::Unknown(Value::Bool(truth))) => self.push(i64::from(*truth)),
            Some(AttributeValue::Unknown(Value::Number(number))) => self.push(number.as_f64()),
            Some(other) => self.push(json(other)),
        }
    }

    fn push<'t>(&mut self, value: impl Encode<'t, Sqlite> + Type<Sqlite>) {
        // Numbers and text can always be encoded.
        let _ = self.0.add(value);
    }
}

/// A length in bytes, as SQLite has numbers. More is not true of any instance: it is the nearest that there is.
fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A text that one row has, and maybe the next one too.
type Text = Option<Arc<str>>;

/// Texts of the row before: those of most rows of a series are the same, and need not be copied.
struct Texts {
    series: Text,
    sop_class: Text,
    transfer_syntax: Text,
    association: Text,
    /// Of the columns that keep attributes.
    attributes: Vec<Text>,
}

impl Texts {
    fn new(upserts: &Upserts) -> Self {
        Self {
            series: None,
            sop_class: None,
            transfer_syntax: None,
            association: None,
            attributes: vec![None; upserts.columns.len()],
        }
    }
}

/// The text, as it was before if it is the same again.
fn again(before: &mut Text, text: &str) -> Arc<str> {
    match before {
        Some(same) if **same == *text => same.clone(),
        _ => before.insert(text.into()).clone(),
    }
}
