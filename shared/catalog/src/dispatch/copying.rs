//! A catalogue copied into another database: row by row, so that nothing depends on how large it is, and compared
//! afterwards.

use super::{CatalogWriter, NewCatalog, inspect};
use crate::copying::{Column, Row, Sum, TABLES, Value};
use crate::error::CatalogError;
use crate::inspection::Inspected;
use crate::lease::{LEASE, RENEW_EVERY};
use crate::postgres::{self, within};
use crate::settings::CatalogSettings;
use crate::sqlite;
use anyhow::{Context as _, bail, ensure};
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _, try_unfold};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// Rows that are written in one transaction, and about how much memory they may take, in bytes.
const BATCH_ROWS: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;

/// How long the lease on the source is waited for: an indexer that was killed a moment ago has left one.
const WAIT: Duration = LEASE.saturating_add(RENEW_EVERY);

/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyProgress {
    /// A table is about to be copied.
    Copying {
        /// Its name.
        table: &'static str,
    },
    /// A table says the same in both.
    Compared {
        /// Its name.
        table: &'static str,
        /// How many rows both have.
        rows: u64,
    },
}

/// Copies all that a catalogue keeps into one that is not there yet, on the same kind of database or the other, and
/// compares the two. No indexer writes to the source meanwhile, since the copy has its lease.
///
/// # Errors
/// When an indexer has the source, either can't be used, or the two differ. No service uses the copy then.
pub async fn copy(
    from: &CatalogSettings,
    to: &CatalogSettings,
    progress: impl FnMut(CopyProgress),
) -> anyhow::Result<()> {
    let named = from.name()?;
    is_good(from).await.with_context(|| format!("{named} can't be copied"))?;
    let source = take(from).await?;
    let copied = tokio::select! {
        copied = Box::pin(copy_held(from, to, &source, progress)) => copied,
        lost = keep(&source) => Err(lost).with_context(|| format!("{named} was not kept from being written")),
    };
    source.close().await;
    copied
}

/// Whether it is a whole catalogue of this version.
async fn is_good(settings: &CatalogSettings) -> anyhow::Result<()> {
    let seen = match inspect(settings).await? {
        Inspected::Seen(seen) => seen,
        Inspected::Absent => bail!("there is no catalogue"),
        Inspected::Unreadable => bail!("it belongs to another user; run this as that one"),
    };
    if let Some(first) = seen.damage.first() {
        bail!("it is damaged: {first}");
    }
    ensure!(
        seen.version == Some(seen.known) && !seen.is_other,
        "it is of another version; an indexer of this version brings it up to date when it starts"
    );
    Ok(())
}

/// Takes the lease, so that no indexer writes.
async fn take(settings: &CatalogSettings) -> anyhow::Result<CatalogWriter> {
    let named = settings.name()?;
    let began = Instant::now();
    loop {
        let taken = CatalogWriter::take(settings, "`catalog copy`").await;
        if let Some(source) = taken.with_context(|| format!("cannot open {named}"))? {
            return Ok(source);
        }
        ensure!(began.elapsed() < WAIT, "an indexer has {named}; stop all that use it first");
        sleep(LOOK_EVERY).await;
    }
}

/// Keeps the lease until it is lost; gives why.
async fn keep(source: &CatalogWriter) -> CatalogError {
    let mut due = interval(RENEW_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        match source.renew().await {
            Err(error) if !error.is_passing() => return error,
            _ => {}
        }
    }
}

async fn copy_held(
    from: &CatalogSettings,
    to: &CatalogSettings,
    source: &CatalogWriter,
    mut progress: impl FnMut(CopyProgress),
) -> anyhow::Result<()> {
    let (from_named, to_named) = (from.name()?, to.name()?);
    let reading = || format!("cannot read {from_named}");
    let writing = || format!("cannot write {to_named}");
    let mut snapshot = Snapshot::of(from).await.with_context(reading)?;
    let new = NewCatalog::begin(to).await.with_context(writing)?;
    let mut written = Vec::new();
    for table in TABLES {
        progress(CopyProgress::Copying { table });
        let columns = snapshot.columns(table).await.with_context(reading)?;
        let mut rows = snapshot.rows(table, &columns).await.with_context(reading)?;
        let insert = new.writer.insert_into(table, &columns).await.with_context(writing)?;
        let mut batch = Batch::new(insert, &columns);
        while let Some(row) = rows.try_next().await.with_context(reading)? {
            batch.push(row).await.with_context(writing)?;
        }
        written.push((table, columns.clone(), batch.end().await.with_context(writing)?));
    }
    snapshot.close().await;
    new.writer.end_copy().await.with_context(writing)?;

    let reading = || format!("cannot read {to_named}");
    let mut copy = Snapshot::of(&new.settings).await.with_context(reading)?;
    for (table, columns, expected) in written {
        let mut rows = copy.rows(table, &columns).await.with_context(reading)?;
        let mut found = Sum::default();
        while let Some(row) = rows.try_next().await.with_context(reading)? {
            found.add(&columns, &row);
        }
        ensure!(
            found == expected,
            "the copy differs in {table}: {from_named} has {} rows, {to_named} {}",
            expected.rows,
            found.rows
        );
        progress(CopyProgress::Compared { table, rows: found.rows });
    }
    copy.close().await;
    source.renew().await.with_context(|| format!("{from_named} may have changed meanwhile"))?;
    new.put_in_place().await.with_context(writing)
}

/// Rows of a table that are written together.
struct Batch<'a> {
    insert: Insert,
    columns: &'a [Column],
    rows: Vec<Row>,
    bytes: usize,
    sum: Sum,
}

impl<'a> Batch<'a> {
    fn new(insert: Insert, columns: &'a [Column]) -> Self {
        Self { insert, columns, rows: Vec::new(), bytes: 0, sum: Sum::default() }
    }

    async fn push(&mut self, row: Row) -> Result<(), CatalogError> {
        let row = self.insert.as_kept(row);
        self.sum.add(self.columns, &row);
        self.bytes += row.iter().map(Value::size).sum::<usize>();
        self.rows.push(row);
        match self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            true => self.write().await,
            false => Ok(()),
        }
    }

    async fn write(&mut self) -> Result<(), CatalogError> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        self.insert.write(rows).await
    }

    async fn end(mut self) -> Result<Sum, CatalogError> {
        if !self.rows.is_empty() {
            self.write().await?;
        }
        Ok(self.sum)
    }
}

/// All rows of a catalogue as they are at one moment.
enum Snapshot {
    Sqlite(sqlite::Snapshot),
    Postgres(postgres::Snapshot),
}

impl Snapshot {
    async fn of(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        match settings.is_postgres() {
            true => Ok(Self::Postgres(within(postgres::Snapshot::of(settings)).await?)),
            false => Ok(Self::Sqlite(sqlite::Snapshot::of(settings).await?)),
        }
    }

    /// The columns of a table that are copied, by their names.
    async fn columns(&mut self, table: &str) -> Result<Vec<Column>, CatalogError> {
        on!(self, one => one.columns(table))
    }

    async fn rows(
        &mut self,
        table: &str,
        columns: &[Column],
    ) -> Result<BoxStream<'_, Result<Row, CatalogError>>, CatalogError> {
        match self {
            Self::Sqlite(one) => one.rows(table, columns).await,
            Self::Postgres(one) => {
                let rows = within(one.rows(table, columns)).await?;
                // Each row is waited for, but not without end.
                let rows = try_unfold(rows, async |mut rows| {
                    Ok(within(rows.try_next()).await?.map(|row| (row, rows)))
                });
                Ok(rows.boxed())
            }
        }
    }

    async fn close(self) {
        match self {
            Self::Sqlite(one) => one.close().await,
            Self::Postgres(one) => one.close().await,
        }
    }
}

/// What writes rows of one table that are not there.
enum Insert {
    Sqlite(sqlite::Insert),
    Postgres(postgres::Insert),
}

impl Insert {
    /// A row as this database keeps it.
    fn as_kept(&self, row: Row) -> Row {
        match self {
            Self::Sqlite(one) => one.as_kept(row),
            Self::Postgres(one) => one.as_kept(row),
        }
    }

    async fn write(&self, rows: Vec<Row>) -> Result<(), CatalogError> {
        on!(self, one => one.write(rows))
    }
}

impl CatalogWriter {
    async fn insert_into(
        &self,
        table: &'static str,
        columns: &[Column],
    ) -> Result<Insert, CatalogError> {
        Ok(match self {
            Self::Sqlite(one) => Insert::Sqlite(one.insert_into(table, columns).await?),
            Self::Postgres(one) => Insert::Postgres(within(one.insert_into(table, columns)).await?),
        })
    }

    /// All rows are written.
    async fn end_copy(&self) -> Result<(), CatalogError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            // Without a limit: it looks at every table.
            Self::Postgres(one) => one.end_copy().await,
        }
    }
}
