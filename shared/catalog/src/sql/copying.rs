//! How a copy reads and writes tables.

use super::database::CatalogWriter;
use super::database::copying;
use super::database::dialect::{Connection, Database, release};
use crate::copying::{Column, Kind, Row, Value};
use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

/// All rows as they are at one moment.
pub(crate) struct Snapshot(Connection);

impl Snapshot {
    pub(crate) async fn of(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        Ok(Self(copying::begin(settings).await?))
    }

    pub(crate) async fn columns(&mut self, table: &str) -> Result<Vec<Column>, CatalogError> {
        let mut columns = copying::columns(&mut self.0, table).await?;
        columns.sort();
        Ok(columns)
    }

    pub(crate) async fn rows(
        &mut self,
        table: &str,
        columns: &[Column],
    ) -> Result<BoxStream<'_, Result<Row, CatalogError>>, CatalogError> {
        let statement = copying::select(&mut self.0, table, columns).await?;
        let kinds: Vec<Kind> = columns.iter().map(|column| column.kind).collect();
        let rows = sqlx::query(AssertSqlSafe(statement)).fetch(&mut self.0);
        let rows = rows.map_err(CatalogError::from);
        Ok(rows.and_then(move |row| std::future::ready(values(&row, &kinds))).boxed())
    }

    pub(crate) async fn close(self) {
        // It has read all that it was to read.
        let _ = self.0.close().await;
    }
}

fn values(row: &<Database as sqlx::Database>::Row, kinds: &[Kind]) -> Result<Row, CatalogError> {
    let value = |(place, kind): (usize, &Kind)| {
        Ok(match kind {
            Kind::Integer => Value::integer_or_null(row.try_get(place)?),
            Kind::Text | Kind::Items => Value::text_or_null(row.try_get(place)?),
        })
    };
    kinds.iter().enumerate().map(value).collect()
}

/// What writes rows of one table that are not there. Its statements are the same for all of them, so that the database
/// prepares each once.
pub(crate) struct Insert {
    writer: CatalogWriter,
    table: &'static str,
    columns: Vec<Column>,
    statements: copying::Insert,
}

impl CatalogWriter {
    pub(crate) async fn insert_into(
        &self,
        table: &'static str,
        columns: &[Column],
    ) -> Result<Insert, CatalogError> {
        let mut connection = self.acquire().await?;
        let statements = copying::insert(&mut connection, table, columns).await?;
        release(connection);
        Ok(Insert { writer: self.clone(), table, columns: columns.to_vec(), statements })
    }
}

impl Insert {
    /// A row as this database keeps it.
    pub(crate) fn as_kept(&self, row: Row) -> Row {
        copying::as_kept(self.table, &self.columns, row)
    }

    pub(crate) async fn write(&self, rows: Vec<Row>) -> Result<(), CatalogError> {
        let mut transaction = self.writer.begin_write().await?;
        let (table, columns) = (self.table, &self.columns);
        copying::write(&mut transaction, &self.statements, table, columns, rows).await?;
        transaction.commit().await?;
        Ok(())
    }
}
