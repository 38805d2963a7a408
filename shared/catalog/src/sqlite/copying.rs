//! How a copy reads and writes tables in a file.

use super::connect::pool::options;
use crate::copying::{ARRIVAL, Column, Kind, OF_ONE_ROW, Row, Value, WITH_ARRIVAL};
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use crate::sqlite::CatalogWriter;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

/// Parameters of one statement. SQLite allows 32,766.
const PARAMETERS: usize = 8192;

/// The column that is 1 in each table of one row.
const ID: &str = "id";

/// All rows as they are at one moment.
pub(crate) struct Snapshot(SqliteConnection);

impl Snapshot {
    pub(crate) async fn of(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        // Whole tables are what it reads: nothing to warn of.
        let mut connection = options(settings)?.disable_statement_logging().connect().await?;
        connection.execute("begin").await?;
        Ok(Self(connection))
    }

    pub(crate) async fn columns(&mut self, table: &str) -> Result<Vec<Column>, CatalogError> {
        let query = "select name, type = 'TEXT' from pragma_table_info(?)";
        let found: Vec<(String, bool)> =
            sqlx::query_as(query).bind(table).fetch_all(&mut self.0).await?;
        let is_copied = |name: &str| !(OF_ONE_ROW.contains(&table) && name == ID);
        let columns = found.iter().filter(|(name, _)| is_copied(name));
        let columns = columns.map(|(name, is_text)| Column::of(table, name, *is_text));
        let arrival = WITH_ARRIVAL.contains(&table).then(|| Column::of(table, ARRIVAL, false));
        let mut columns: Vec<_> = columns.chain(arrival).collect();
        columns.sort();
        Ok(columns)
    }

    pub(crate) fn rows(
        &mut self,
        table: &str,
        columns: &[Column],
    ) -> BoxStream<'_, Result<Row, CatalogError>> {
        let names = columns.iter().map(name).collect::<Vec<_>>().join(", ");
        let kinds: Vec<Kind> = columns.iter().map(|column| column.kind).collect();
        // In the order in which they came, which is how they are stored.
        let query = sqlx::query(AssertSqlSafe(format!("select {names} from {table}")));
        let rows = query.fetch(&mut self.0).map_err(CatalogError::from);
        rows.and_then(move |row| std::future::ready(values(&row, &kinds))).boxed()
    }

    pub(crate) async fn close(self) {
        // It has read all that it was to read.
        let _ = self.0.close().await;
    }
}

fn values(row: &SqliteRow, kinds: &[Kind]) -> Result<Row, CatalogError> {
    let value = |(place, kind): (usize, &Kind)| {
        Ok(match kind {
            Kind::Integer => Value::integer_or_null(row.try_get(place)?),
            Kind::Text | Kind::Items => Value::text_or_null(row.try_get(place)?),
        })
    };
    kinds.iter().enumerate().map(value).collect()
}

/// The name of a column here.
fn name(column: &Column) -> String {
    match column.name.as_str() {
        ARRIVAL => "rowid".to_owned(),
        name => format!("\"{name}\""),
    }
}

impl CatalogWriter {
    pub(crate) async fn insert(
        &self,
        table: &str,
        columns: &[Column],
        mut rows: Vec<Row>,
    ) -> Result<(), CatalogError> {
        let mut names: Vec<_> = columns.iter().map(name).collect();
        if OF_ONE_ROW.contains(&table) {
            names.push(ID.to_owned());
            rows.iter_mut().for_each(|row| row.push(Value::Integer(1)));
        }
        let row = format!("({})", vec!["?"; names.len()].join(", "));
        let names = names.join(", ");
        let mut transaction = self.begin_write().await?;
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(PARAMETERS / columns.len()));
            let values = vec![row.as_str(); rows.len()].join(", ");
            let statement = format!("insert into {table} ({names}) values {values}");
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for value in rows.into_iter().flatten() {
                query = match value {
                    Value::Null => query.bind(None::<i64>),
                    Value::Integer(integer) => query.bind(integer),
                    Value::Text(text) => query.bind(text),
                };
            }
            query.execute(&mut *transaction).await?;
            rows = rest;
        }
        Ok(transaction.commit().await?)
    }
}
