//! The rows of instances, many in one statement with a parameter for each value.
//!
//! Every value that a sender decides is cast to its column's type, so that no event, whoever wrote
//! it, can make a statement fail and hold up the stream.

use super::{CatalogError, Received, json, nanoseconds};
use crate::event::AttributeValue;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};
use std::sync::LazyLock;

/// Rows of the statements that there are. Each is prepared once, and many rows in one statement
/// save most of what a statement costs; the largest has a sixth of the parameters that SQLite allows.
const ROWS: [usize; 3] = [256, 16, 1];

/// The key is the SOP Instance UID: however often an instance comes, it is one row.
static UPSERTS: LazyLock<[String; 3]> =
    LazyLock::new(|| ROWS.map(|rows| format!("{INSERT} {} {UPDATE}", vec![ROW; rows].join(", "))));

const INSERT: &str = "
insert into instances
    (sop_instance_uid, series_instance_uid, sop_class_uid, transfer_syntax_uid, instance_number,
     rows, columns, bits_allocated, number_of_frames, image_type, acquisition_number,
     acquisition_date, acquisition_time, content_date, content_time, frame_of_reference_uid,
     bytes, digest, association_id, received_at, added_sequence, stream_sequence)
values";

const ROW: &str = "(
    ?, ?, ?, ?, cast(? as text),
    cast(? as integer), cast(? as integer), cast(? as integer), cast(? as integer),
    cast(? as text), cast(? as text),
    cast(? as text), cast(? as text), cast(? as text), cast(? as text), cast(? as text),
    cast(? as integer), ?, ?, ?, ?, ?)";

/// The attributes among the parameters, in their order.
const ATTRIBUTES: [&str; 12] = [
    "InstanceNumber",
    "Rows",
    "Columns",
    "BitsAllocated",
    "NumberOfFrames",
    "ImageType",
    "AcquisitionNumber",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "FrameOfReferenceUID",
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
    mut instances: &[&Received],
) -> Result<(), CatalogError> {
    for (rows, statement) in ROWS.into_iter().zip(UPSERTS.iter()) {
        while let Some((these, rest)) = instances.split_at_checked(rows) {
            let statement = sqlx::query(statement.as_str());
            these.iter().fold(statement, bind).execute(&mut *connection).await?;
            instances = rest;
        }
    }
    Ok(())
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
    let attributes = ATTRIBUTES.iter().map(|keyword| event.attributes.get(*keyword));
    let statement = attributes.fold(statement, value);
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
        Some(AttributeValue::Text(text)) => statement.bind(text),
        Some(AttributeValue::Unknown(Value::Bool(truth))) => statement.bind(i64::from(*truth)),
        Some(AttributeValue::Unknown(Value::Number(number))) => statement.bind(number.as_f64()),
        Some(other) => statement.bind(json(other)),
    }
}
