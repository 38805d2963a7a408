//! The rows of instances, all of a batch in one statement with an array for each column.

use crate::batch::Received;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::postgres::values::{count, text};
use crate::postgres::write::attribute_columns::AttributeColumns;
use crate::postgres::write::rounds::rounds;
use contract::attributes::Table;
use sqlx::{AssertSqlSafe, PgConnection};
use std::sync::LazyLock;

/// The columns that keep attributes. Twelve parameters are before theirs.
static ATTRIBUTES: LazyLock<AttributeColumns> =
    LazyLock::new(|| AttributeColumns::of(Table::Instances, 13));

/// The key is the SOP Instance UID: however often an instance comes, it is one row.
static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let AttributeColumns { names, arrays, values, updates, .. } = &*ATTRIBUTES;
    format!(
        "insert into instances
             (sop_instance_uid, series_instance_uid, sop_class_uid, transfer_syntax_uid, bytes, digest,
              association_id, received_at, added_sequence, stream_sequence,
              object_key, object_bytes, object_blake3, {names})
         select told.sop, told.series, told.class, told.syntax, told.bytes, told.digest,
             told.association, told.received, told.sequence, told.sequence,
             told.object_key, told.object_bytes, told.object_blake3, {values}
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[],
                     $7::text[], $8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::text[],
                     {arrays})
             as told (sop, series, class, syntax, bytes, digest, association, received, sequence,
                      object_key, object_bytes, object_blake3, {names})
         on conflict (sop_instance_uid) do update set
             added_sequence = case when instances.series_instance_uid = excluded.series_instance_uid
                 then instances.added_sequence else excluded.added_sequence end,
             series_instance_uid = excluded.series_instance_uid,
             sop_class_uid = excluded.sop_class_uid,
             transfer_syntax_uid = excluded.transfer_syntax_uid,
             bytes = excluded.bytes,
             digest = excluded.digest,
             association_id = excluded.association_id,
             received_at = excluded.received_at,
             stream_sequence = excluded.stream_sequence,
             object_key = excluded.object_key,
             object_bytes = excluded.object_bytes,
             object_blake3 = excluded.object_blake3,
             identity = null,
             {updates}"
    )
});

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
    let query = sqlx::query(AssertSqlSafe(UPSERT.as_str()))
        .bind(column!(it => it.event.sop_instance_uid.as_str()))
        .bind(column!(it => it.event.series_instance_uid.as_str()))
        .bind(column!(it => text(&it.event.sop_class_uid)))
        .bind(column!(it => text(&it.event.transfer_syntax_uid)))
        .bind(column!(it => count(it.event.bytes)))
        .bind(column!(it => text(&it.event.digest)))
        .bind(column!(it => text(&it.event.association_id)))
        .bind(column!(it => nanoseconds(it.event.received_at)))
        .bind(column!(it => count(it.sequence)))
        .bind(column!(it => it.event.object.as_ref().map(|object| text(&object.key))))
        .bind(column!(it => it.event.object.as_ref().map(|object| count(object.bytes))))
        .bind(column!(it => it.event.object.as_ref().map(|object| text(&object.blake3))));
    let events = instances.iter().map(|instance| &*instance.event);
    ATTRIBUTES.bind(query, events).execute(connection).await?;
    Ok(())
}
