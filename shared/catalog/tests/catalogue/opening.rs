//! Who makes the catalogue, and who waits for it.

use catalog::{CatalogError, CatalogReader, CatalogSettings, CatalogWriter, SeriesSearch};
use test_database::TestDatabase;

async fn waits_for_the_owner(database: TestDatabase) {
    let settings = CatalogSettings { database_url: database.url().to_owned() };
    let reader = CatalogReader::open(&settings).unwrap();
    assert!(reader.check().await.is_err());
    let _owner = CatalogWriter::own(&settings).await.unwrap();
    reader.check().await.unwrap();
    let page = reader.series(&SeriesSearch::default(), None, 1).await.unwrap();
    assert!(page.records.is_empty());
}

#[tokio::test]
async fn a_reader_waits_for_the_owner_to_make_the_catalogue() {
    waits_for_the_owner(TestDatabase::sqlite()).await;
}

#[tokio::test]
async fn a_file_without_tables_is_a_catalogue_that_is_not_there_yet() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalogue.db");
    std::fs::File::create(&file).unwrap();
    let settings = CatalogSettings { database_url: format!("sqlite://{}", file.display()) };
    let checked = CatalogReader::open(&settings).unwrap().check().await;
    assert!(matches!(checked, Err(CatalogError::NotMigrated)), "{checked:?}");
}

#[tokio::test]
async fn a_reader_waits_for_the_owner_to_make_the_catalogue_on_postgres() {
    if let Some(database) = TestDatabase::postgres() {
        waits_for_the_owner(database).await;
    }
}
