//! The rows of instances, many in one statement with a parameter for each value.
//!
//! Every value that a sender decides is cast to its column's type, so that no event, whoever wrote
//! it, can make a statement fail and hold up the stream.

use super::{CatalogError, Received, json, nanoseconds};
use crate::event::AttributeValue;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};
use std::future::poll_fn;
use std::iter;
use std::pin::pin;
use std::sync::LazyLock;
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
    stream_sequence = excluded.stream_sequence";

/// Writes the instances, in order.
pub(super) async fn upsert(
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
fn statements<'q>(mut instances: &'q [&'q Received]) -> impl Iterator<Item = Statement<'q>> {
    iter::from_fn(move || {
        let mut sizes = ROWS.into_iter().zip(UPSERTS.iter());
        let (these, rest, statement) = sizes.find_map(|(rows, statement)| {
            let (these, rest) = instances.split_at_checked(rows)?;
            Some((these, rest, statement))
        })?;
        instances = rest;
        Some(these.iter().fold(sqlx::query(statement.as_str()), bind))
    })
}

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

fn bind<'q>(statement: Statement<'q>, instance: &&'q Received) -> Statement<'q> {
    let event = &instance.event;
    let sequence = instance.sequence as i64;
    let statement = statement
        .bind(event.sop_instance_uid.as_str())
        .bind(event.series_instance_uid.as_str())
        .bind(&event.sop_class_uid)
        .bind(&event.transfer_syntax_uid);
    let statement = event.attributes.pick(&ATTRIBUTES).into_iter().fold(statement, value);
    let statement = match i64::try_from(event.bytes) {
        Ok(bytes) => statement.bind(bytes),
        // Not true of any instance; the nearest that there is.
        Err(_) => statement.bind(i64::MAX),
    };
    statement
        .bind(&event.digest)
        .bind(&event.association_id)
        .bind(nanoseconds(event.received_at))
        .bind(sequence)
        .bind(sequence)
}

/// As SQLite reads it from JSON.
fn value<'q>(statement: Statement<'q>, value: Option<&'q AttributeValue>) -> Statement<'q> {
    use serde_json::Value;
    match value {
        None | Some(AttributeValue::Unknown(Value::Null)) => statement.bind(None::<i64>),
        Some(AttributeValue::Number(number)) => statement.bind(number),
        Some(AttributeValue::Text(text)) => statement.bind(text.as_str()),
        Some(AttributeValue::Unknown(Value::Bool(truth))) => statement.bind(i64::from(*truth)),
        Some(AttributeValue::Unknown(Value::Number(number))) => statement.bind(number.as_f64()),
        Some(other) => statement.bind(json(other)),
    }
}
