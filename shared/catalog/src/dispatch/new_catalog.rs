//! A catalogue in the making: nobody uses it before it is whole.

use super::CatalogWriter;
use crate::error::CatalogError;
use crate::postgres::{self, within};
use crate::settings::CatalogSettings;
use crate::sqlite::{self, NewFile};

/// A catalogue in the making. In SQLite it is a file beside its place; in PostgreSQL it is in its place, and marked as
/// unfinished.
#[derive(Debug)]
pub struct NewCatalog {
    /// What it is written by.
    pub writer: CatalogWriter,
    /// Where it is until it is whole.
    pub(super) settings: CatalogSettings,
    /// Where it is a file.
    file: Option<NewFile>,
}

impl NewCatalog {
    /// Begins it. What an earlier try left goes.
    ///
    /// # Errors
    /// When there is a catalogue already, or it can't be made.
    pub async fn begin(settings: &CatalogSettings) -> Result<Self, CatalogError> {
        if !settings.is_postgres() {
            let file = NewFile::begin(settings)?;
            let settings = file.settings();
            let writer = CatalogWriter::Sqlite(sqlite::CatalogWriter::own(&settings).await?);
            return Ok(Self { writer, settings, file: Some(file) });
        }
        let Some(writer) = postgres::CatalogWriter::make(settings).await? else {
            let named = settings.name()?;
            return Err(CatalogError::Settings(format!(
                "{named} has a catalogue already; name an empty database, which `createdb` makes"
            )));
        };
        let (writer, settings) = (CatalogWriter::Postgres(writer), settings.clone());
        Ok(Self { writer, settings, file: None })
    }

    /// Closes its writer and lets indexers have it.
    ///
    /// # Errors
    /// When it can't be put in its place, or somebody else has it open.
    pub async fn put_in_place(self) -> Result<(), CatalogError> {
        self.writer.finish().await?;
        self.writer.close().await;
        self.file.map_or(Ok(()), NewFile::put_in_place)
    }
}

impl CatalogWriter {
    /// The catalogue that was made is whole.
    async fn finish(&self) -> Result<(), CatalogError> {
        on!(self, one => one.finish())
    }
}
