//! The rows of instances, many in one statement with a parameter for each value.
//!
//! Every value that a sender decides is cast to its column's type, so that no event, whoever wrote
//! it, can make a statement fail and hold up the stream.

use crate::batch::Received;
use crate::encoding::{json, nanoseconds};
use crate::error::CatalogError;
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
/// save most of what a statement costs; the largest has a sixth of the parameters that SQLite allows.
const ROWS: [usize; 3] = [256, 16, 1];

/// The key is the SOP Instance UID: however often an instance comes, it is one row.
static UPSERTS: LazyLock<[String; 3]> =
    LazyLock::new(|| ROWS.map(|rows| format!("{INSERT} {} {UPDATE}", vec![ROW; rows].join(", "))));

const INSERT: &str = "
insert into instances
    (sop_instance_uid, series_instance_uid, sop_class_uid, transfer_syntax_uid,
     acquisition_date, acquisition_number, acquisition_time, bits_allocated, columns,
     content_date, content_time, frame_of_reference_uid, image_type, instance_number,
     number_of_frames, rows,
     bytes, digest, association_id, received_at, added_sequence, stream_sequence)
values";

const ROW: &str = "(
    ?, ?, ?, ?,
    cast(? as text), cast(? as text), cast(? as text), cast(? as integer), cast(? as integer),
    cast(? as text), cast(? as text), cast(? as text), cast(? as text), cast(? as text),
    cast(? as integer), cast(? as integer),
    cast(? as integer), ?, ?, ?, ?, ?)";

/// The attributes among the parameters, in the order of their keywords.
const ATTRIBUTES: [&str; 12] = [
    "AcquisitionDate",
    "AcquisitionNumber",
    "AcquisitionTime",
    "BitsAllocated",
    "Columns",
    "ContentDate",
    "ContentTime",
    "FrameOfReferenceUID",
    "ImageType",
    "InstanceNumber",
    "NumberOfFrames",
    "Rows",
];

/// Those of them whose columns are numbers.
const NUMBERS: [&str; 4] = ["BitsAllocated", "Columns", "NumberOfFrames", "Rows"];

/// The value as a number of 32 bits, if it is one: a cast would make one of any text.
fn number(value: &AttributeValue) -> Option<i64> {
    match value {
        AttributeValue::Number(number) => i32::try_from(*number).ok().map(i64::from),
        AttributeValue::Text(text) => text.trim().parse::<i32>().ok().map(i64::from),
        _ => None,
    }
}

const UPDATE: &str = "
on conflict (sop_instance_uid) do update set
    added_sequence = case when series_instance_uid = excluded.series_instance_uid
        then added_sequence else excluded.added_sequence end,
    series_instance_uid = excluded.series_instance_uid,
    sop_class_uid = excluded.sop_class_uid,
    transfer_syntax_uid = excluded.transfer_syntax_uid,
    instance_number = excluded.instance_number,
    rows = excluded.rows,
    columns = excluded.columns,
    bits_allocated = excluded.bits_allocated,
    number_of_frames = excluded.number_of_frames,
    image_type = excluded.image_type,
    acquisition_number = excluded.acquisition_number,
    acquisition_date = excluded.acquisition_date,
    acquisition_time = excluded.acquisition_time,
    content_date = excluded.content_date,
    content_time = excluded.content_time,
    frame_of_reference_uid = excluded.frame_of_reference_uid,
    bytes = excluded.bytes,
    digest = excluded.digest,
    association_id = excluded.association_id,
    received_at = excluded.received_at,
    stream_sequence = excluded.stream_sequence,
    identity = null";

/// Writes the instances, in order.
pub(in crate::sqlite) async fn upsert(
    connection: &mut SqliteConnection,
    instances: &[&Received],
) -> Result<(), CatalogError> {
    let mut statements = statements(instances);
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
fn statements<'q>(mut instances: &'q [&'q Received]) -> impl Iterator<Item = Statement> {
    let mut texts = Texts::default();
    iter::from_fn(move || {
        let mut sizes = ROWS.into_iter().zip(UPSERTS.iter());
        let (these, rest, statement) = sizes.find_map(|(rows, statement)| {
            let (these, rest) = instances.split_at_checked(rows)?;
            Some((these, rest, statement))
        })?;
        instances = rest;
        let mut values = Values(SqliteArguments::default());
        values.0.reserve(these.len() * VALUES, 0);
        these.iter().for_each(|instance| values.push_row(instance, &mut texts));
        Some(sqlx::query_with(statement.as_str(), values.0))
    })
}

type Statement = Query<'static, Sqlite, SqliteArguments>;

/// Values of one row.
const VALUES: usize = 22;

/// The values of a statement.
struct Values(SqliteArguments);

impl Values {
    fn push_row(&mut self, instance: &Received, texts: &mut Texts) {
        let event = &instance.event;
        let [series, sop_class, transfer_syntax, association, attributes @ ..] = &mut texts.0;
        self.push(event.sop_instance_uid.as_str());
        self.push(again(series, event.series_instance_uid.as_str()));
        self.push(again(sop_class, &event.sop_class_uid));
        self.push(again(transfer_syntax, &event.transfer_syntax_uid));
        let values = event.attributes.pick(&ATTRIBUTES).into_iter().zip(ATTRIBUTES);
        for ((value, keyword), before) in values.zip(attributes) {
            match NUMBERS.contains(&keyword) {
                true => self.push(value.and_then(number)),
                false => self.push_attribute(value, before),
            }
        }
        // More is not true of any instance: it is the nearest that there is.
        self.push(i64::try_from(event.bytes).unwrap_or(i64::MAX));
        self.push(event.digest.as_str());
        self.push(again(association, &event.association_id));
        self.push(nanoseconds(event.received_at));
        self.push(instance.sequence as i64);
        self.push(instance.sequence as i64);
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

/// A text that one row has, and maybe the next one too.
type Text = Option<Arc<str>>;

/// Texts of the row before: those of most rows of a series are the same, and need not be copied.
#[derive(Default)]
struct Texts([Text; 4 + ATTRIBUTES.len()]);

/// The text, as it was before if it is the same again.
fn again(before: &mut Text, text: &str) -> Arc<str> {
    match before {
        Some(same) if **same == *text => same.clone(),
        _ => before.insert(text.into()).clone(),
    }
}
