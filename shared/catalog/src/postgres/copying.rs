//! What PostgreSQL has of its own for a copy: tables in a database on a server, whose rows come as arrays.

use super::connect::servers::Servers;
use super::patients::Patient;
use super::values::{items, key, text};
use crate::copying::{Column, Kind, OF_ONE_ROW, Row, TABLES, Value};
use crate::error::CatalogError;
use crate::postgres::CatalogWriter;
use crate::settings::CatalogSettings;
use contract::event::AttributeValue;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One moment, however long it takes to read what there was.
const BEGIN: &str = "begin isolation level repeatable read read only;
set local idle_in_transaction_session_timeout = 0;
set local statement_timeout = 0";

/// What follows from the other columns or is of this database alone: the key of a patient, the lease, the shard.
const LEFT_OUT: [(&str, &str); 6] = [
    (WITH_KEY, "key"),
    ("bookmark", "shard"),
    ("bookmark", "holder"),
    ("bookmark", "epoch"),
    ("bookmark", "expires_at"),
    ("series_bookmark", "shard"),
];

/// The table whose rows have a key that is made of their other columns.
const WITH_KEY: &str = "patients";

/// The columns that are numbered by the database.
const NUMBERED: [(&str, &str); 6] = [
    ("patients", "id"),
    ("studies", "arrival"),
    ("series", "arrival"),
    ("identities", "id"),
    ("outbox", "id"),
    ("objects_to_remove", "id"),
];

/// The columns that are keys and whose length somebody else decides, beside the study of each table.
const KEYS: [(&str, &str); 2] = [("sources", "calling_ae_title"), ("outbox", "message_id")];

/// The columns of a patient that its key is made of, by their names.
const IDENTIFYING: [&str; 5] =
    ["patient_id", "issuer_of_patient_id", "patient_name", "patient_birth_date", "patient_sex"];

/// Begins to read all rows as they are now.
pub(in crate::postgres) async fn begin(
    settings: &CatalogSettings,
) -> Result<PgConnection, CatalogError> {
    let mut connection = Servers::of(settings)?.writable().await?;
    connection.execute(sqlx::raw_sql(BEGIN)).await?;
    Ok(connection)
}

/// The columns of a table that are copied.
pub(in crate::postgres) async fn columns(
    connection: &mut PgConnection,
    table: &str,
) -> Result<Vec<Column>, CatalogError> {
    let types = types(connection, table).await?;
    let columns = types.iter().map(|(name, column_type)| {
        Column::of(table, name, matches!(column_type.as_str(), "text" | "jsonb"))
    });
    Ok(columns.collect())
}

/// What reads them.
pub(in crate::postgres) async fn select(
    connection: &mut PgConnection,
    table: &str,
    columns: &[Column],
) -> Result<String, CatalogError> {
    let types = types(connection, table).await?;
    let values = columns.iter().map(|Column { name, kind }| match kind {
        Kind::Integer if types.get(name).is_some_and(|it| it == "boolean") => {
            format!("\"{name}\"::integer::bigint")
        }
        Kind::Integer => format!("\"{name}\"::bigint"),
        Kind::Text | Kind::Items => format!("\"{name}\"::text"),
    });
    let values = values.collect::<Vec<_>>().join(", ");
    // A row that says nothing yet is none.
    let read = if table == "bookmark" { " where stream_created is not null" } else { "" };
    Ok(format!("select {values} from {table}{read}"))
}

/// What writes them: a statement that takes an array for each column, and for the keys of patients, which the other
/// columns make.
pub(in crate::postgres) type Insert = Arc<str>;

pub(in crate::postgres) async fn insert(
    connection: &mut PgConnection,
    table: &str,
    columns: &[Column],
) -> Result<Insert, CatalogError> {
    let types = types(connection, table).await?;
    let mut names: Vec<_> = columns.iter().map(|it| format!("\"{}\"", it.name)).collect();
    let mut arrays = Vec::new();
    let mut values = Vec::new();
    for (place, Column { name, kind }) in columns.iter().enumerate() {
        let element = if *kind == Kind::Integer { "bigint" } else { "text" };
        arrays.push(format!("${}::{element}[]", place + 1));
        let column_type = types.get(name).map_or(element, String::as_str);
        values.push(match column_type {
            "boolean" => format!("told.\"{name}\" <> 0"),
            other => format!("told.\"{name}\"::{other}"),
        });
    }
    if table == WITH_KEY {
        arrays.push(format!("${}::bytea[]", columns.len() + 1));
        names.push("key".to_owned());
        values.push("told.key".to_owned());
    }
    let (named, arrays, values) = (names.join(", "), arrays.join(", "), values.join(", "));
    let statement = match OF_ONE_ROW.contains(&table) {
        // The bookmark has its row, and the lease is in it.
        true => format!(
            "insert into {table} (shard, {named})
             select 0, {values} from unnest({arrays}) as told ({named})
             on conflict (shard) do update set ({named}) = row ({})",
            names.iter().map(|it| format!("excluded.{it}")).collect::<Vec<_>>().join(", ")
        ),
        false => format!(
            "insert into {table} ({named}) overriding system value
             select {values} from unnest({arrays}) as told ({named})"
        ),
    };
    Ok(statement.into())
}

pub(in crate::postgres) async fn write(
    connection: &mut PgConnection,
    insert: &Insert,
    table: &str,
    columns: &[Column],
    rows: Vec<Row>,
) -> Result<(), CatalogError> {
    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(insert)));
    let keys = (table == WITH_KEY).then(|| keys(columns, &rows));
    let mut by_column: Vec<Vec<Value>> = columns.iter().map(|_| Vec::new()).collect();
    for row in rows {
        by_column.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
    }
    for (Column { kind, .. }, values) in columns.iter().zip(by_column) {
        query = match kind {
            Kind::Integer => query.bind(values.iter().map(Value::integer).collect::<Vec<_>>()),
            _ => query.bind(values.into_iter().map(Value::text).collect::<Vec<_>>()),
        };
    }
    if let Some(keys) = keys {
        query = query.bind(keys);
    }
    query.execute(connection).await?;
    Ok(())
}

/// The columns of a table that are copied, and the type of each.
async fn types(
    connection: &mut PgConnection,
    table: &str,
) -> Result<BTreeMap<String, String>, CatalogError> {
    let mut columns: Vec<(String, String)> = sqlx::query_as(
        "select attname::text, format_type(atttypid, null) from pg_attribute
         where attrelid = $1::regclass and attnum > 0 and not attisdropped",
    )
    .bind(table)
    .fetch_all(connection)
    .await?;
    columns.retain(|(column, _)| !LEFT_OUT.contains(&(table, column)));
    Ok(columns.into_iter().collect())
}

/// A row as PostgreSQL keeps it: see [`values`](super::values).
pub(in crate::postgres) fn as_kept(table: &str, columns: &[Column], row: Row) -> Row {
    let kept = |(Column { name, kind }, value): (&Column, Value)| {
        let Value::Text(whole) = value else { return value };
        let is_key = name == "study_instance_uid" || KEYS.contains(&(table, name));
        match kind {
            Kind::Items => {
                Value::text_or_null(items(Some(&AttributeValue::Text(whole.as_str().into()))))
            }
            _ if is_key => Value::Text(key(&whole).into_owned()),
            _ => Value::Text(text(&whole).into_owned()),
        }
    };
    columns.iter().zip(row).map(kept).collect()
}

impl CatalogWriter {
    /// Takes away what an interrupted copy or rebuilding has left.
    pub(in crate::postgres) async fn empty(&self) -> Result<(), CatalogError> {
        let tables: Vec<_> = TABLES.into_iter().filter(|table| *table != "bookmark").collect();
        let truncate = format!("truncate {} restart identity", tables.join(", "));
        let mut transaction = self.begin_write().await?;
        transaction.execute(AssertSqlSafe(truncate)).await?;
        transaction
            .execute(
                "update bookmark set stream_created = null, last_sequence = 0, last_at = null,
                     last_message_id = null, latest_at = null where shard = 0",
            )
            .await?;
        transaction.commit().await
    }

    /// What is added from now on is numbered after what there is, and found as what was always there.
    pub(crate) async fn end_copy(&self) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        for (table, column) in NUMBERED {
            let number = format!(
                "select setval(pg_get_serial_sequence('{table}', '{column}'),
                     coalesce(max({column}), 1), max({column}) is not null) from {table}"
            );
            transaction.execute(AssertSqlSafe(number)).await?;
        }
        transaction.execute(AssertSqlSafe(format!("analyze {}", TABLES.join(", ")))).await?;
        transaction.commit().await
    }
}

/// The key of each of these patients.
fn keys(columns: &[Column], rows: &[Row]) -> Vec<Vec<u8>> {
    let key = |row: &Row| {
        let [id, issuer, name, birth_date, sex] = IDENTIFYING.map(|wanted| {
            let place = columns.iter().position(|column| column.name == wanted);
            place.and_then(|place| row[place].clone().text()).unwrap_or_default()
        });
        Patient { id, issuer, name, birth_date, sex }.key()
    };
    rows.iter().map(key).collect()
}
