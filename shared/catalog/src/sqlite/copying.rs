//! What SQLite has of its own for a copy: tables in a file, whose rows come as parameters.

use super::connect::pool::options;
use crate::copying::{ARRIVAL, Column, OF_ONE_ROW, Row, Value, WITH_ARRIVAL};
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use std::sync::Arc;

/// Parameters of one statement. SQLite allows 32,766.
const PARAMETERS: usize = 8192;

/// Rows of one statement: a whole part of those that are written together.
const ROWS: usize = 100;

/// The column that is 1 in each table of one row.
const ID: &str = "id";

/// Begins to read all rows as they are now.
pub(in crate::sqlite) async fn begin(
    settings: &CatalogSettings,
) -> Result<SqliteConnection, CatalogError> {
    // Whole tables are what it reads: nothing to warn of.
    let mut connection = options(settings)?.disable_statement_logging().connect().await?;
    connection.execute("begin").await?;
    Ok(connection)
}

/// The columns of a table that are copied.
pub(in crate::sqlite) async fn columns(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Vec<Column>, CatalogError> {
    let query = "select name, type = 'TEXT' from pragma_table_info(?)";
    let found: Vec<(String, bool)> =
        sqlx::query_as(query).bind(table).fetch_all(connection).await?;
    let is_copied = |name: &str| !(OF_ONE_ROW.contains(&table) && name == ID);
    let columns = found.iter().filter(|(name, _)| is_copied(name));
    let columns = columns.map(|(name, is_text)| Column::of(table, name, *is_text));
    let arrival = WITH_ARRIVAL.contains(&table).then(|| Column::of(table, ARRIVAL, false));
    Ok(columns.chain(arrival).collect())
}

/// What reads them, in the order in which the rows came, which is how they are stored.
pub(in crate::sqlite) async fn select(
    _connection: &mut SqliteConnection,
    table: &str,
    columns: &[Column],
) -> Result<String, CatalogError> {
    Ok(format!("select {} from {table}", names(columns)))
}

/// What writes them: a statement for some rows at once, and one for a single row of those that are left over.
#[derive(Debug)]
pub(in crate::sqlite) struct Insert {
    rows: usize,
    some: Arc<str>,
    single: Arc<str>,
}

pub(in crate::sqlite) async fn insert(
    _connection: &mut SqliteConnection,
    table: &str,
    columns: &[Column],
) -> Result<Insert, CatalogError> {
    let (mut names, mut row) = (names(columns), vec!["?"; columns.len()].join(", "));
    if OF_ONE_ROW.contains(&table) {
        names = format!("{ID}, {names}");
        row = format!("1, {row}");
    }
    let statement = |rows| {
        let values = vec![format!("({row})"); rows].join(", ");
        format!("insert into {table} ({names}) values {values}").into()
    };
    let rows = (PARAMETERS / columns.len()).min(ROWS);
    Ok(Insert { rows, some: statement(rows), single: statement(1) })
}

pub(in crate::sqlite) async fn write(
    connection: &mut SqliteConnection,
    insert: &Insert,
    _table: &str,
    _columns: &[Column],
    mut rows: Vec<Row>,
) -> Result<(), CatalogError> {
    while !rows.is_empty() {
        let (statement, count) = match rows.len() >= insert.rows {
            true => (&insert.some, insert.rows),
            false => (&insert.single, 1),
        };
        let rest = rows.split_off(count);
        let mut query = sqlx::query(AssertSqlSafe(Arc::clone(statement)));
        for value in rows.into_iter().flatten() {
            query = match value {
                Value::Null => query.bind(None::<i64>),
                Value::Integer(integer) => query.bind(integer),
                Value::Text(text) => query.bind(text),
            };
        }
        query.execute(&mut *connection).await?;
        rows = rest;
    }
    Ok(())
}

/// A row as SQLite keeps it: whatever it says.
pub(in crate::sqlite) fn as_kept(_table: &str, _columns: &[Column], row: Row) -> Row {
    row
}

/// The names of columns here.
fn names(columns: &[Column]) -> String {
    let name = |column: &Column| match column.name.as_str() {
        ARRIVAL => "rowid".to_owned(),
        name => format!("\"{name}\""),
    };
    columns.iter().map(name).collect::<Vec<_>>().join(", ")
}
