//! The rows of instances, all of a batch in one statement with an array for each column.

use crate::batch::Received;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::postgres::values::{attribute, count, number, text};
use crate::postgres::write::rounds::rounds;
use contract::event::AttributeValue;
use sqlx::PgConnection;

/// The key is the SOP Instance UID: however often an instance comes, it is one row.
const UPSERT: &str = "
insert into instances
    (sop_instance_uid, series_instance_uid, sop_class_uid, transfer_syntax_uid,
     acquisition_date, acquisition_number, acquisition_time, bits_allocated, columns,
     content_date, content_time, frame_of_reference_uid, image_type, instance_number,
     number_of_frames, rows,
     bytes, digest, association_id, received_at, added_sequence, stream_sequence)
select sop, series, class, syntax, a, b, c, d, e, f, g, h, i, j, k, l,
    bytes, digest, association, received, sequence, sequence
from unnest($1::text[], $2::text[], $3::text[], $4::text[],
    $5::text[], $6::text[], $7::text[], $8::integer[], $9::integer[],
    $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
    $15::integer[], $16::integer[],
    $17::bigint[], $18::text[], $19::text[], $20::bigint[], $21::bigint[])
    as told (sop, series, class, syntax, a, b, c, d, e, f, g, h, i, j, k, l,
        bytes, digest, association, received, sequence)
on conflict (sop_instance_uid) do update set
    added_sequence = case when instances.series_instance_uid = excluded.series_instance_uid
        then instances.added_sequence else excluded.added_sequence end,
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

/// Writes the instances, those of one SOP Instance UID in order.
pub(in crate::postgres) async fn upsert(
    connection: &mut PgConnection,
    instances: &[&Received],
) -> Result<(), CatalogError> {
    let of_one = |instance: &Received| instance.event.sop_instance_uid.as_str().to_owned();
    let is_each_once = instances
        .windows(2)
        .all(|pair| pair[0].event.sop_instance_uid != pair[1].event.sop_instance_uid);
    if is_each_once {
        return write(connection, instances).await;
    }
    for round in rounds(instances.iter().copied(), of_one) {
        write(connection, &round).await?;
    }
    Ok(())
}

async fn write(connection: &mut PgConnection, instances: &[&Received]) -> Result<(), CatalogError> {
    macro_rules! column {
        ($instance:ident => $value:expr) => {
            instances.iter().map(|$instance| $value).collect::<Vec<_>>()
        };
    }
    let attributes: Vec<Vec<Option<&AttributeValue>>> =
        column!(it => it.event.attributes.pick(&ATTRIBUTES).collect());
    let mut query = sqlx::query(UPSERT)
        .bind(column!(it => it.event.sop_instance_uid.as_str()))
        .bind(column!(it => it.event.series_instance_uid.as_str()))
        .bind(column!(it => text(&it.event.sop_class_uid)))
        .bind(column!(it => text(&it.event.transfer_syntax_uid)));
    for (place, keyword) in ATTRIBUTES.iter().enumerate() {
        let values = attributes.iter().map(|row| row[place]);
        query = match NUMBERS.contains(keyword) {
            true => query.bind(values.map(number).collect::<Vec<_>>()),
            false => query.bind(values.map(attribute).collect::<Vec<_>>()),
        };
    }
    query
        .bind(column!(it => count(it.event.bytes)))
        .bind(column!(it => text(&it.event.digest)))
        .bind(column!(it => text(&it.event.association_id)))
        .bind(column!(it => nanoseconds(it.event.received_at)))
        .bind(column!(it => count(it.sequence)))
        .execute(connection)
        .await?;
    Ok(())
}
