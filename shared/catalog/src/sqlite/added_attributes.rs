//! That the statements follow from the table of attributes: each column is there, and one attribute more is written,
//! found and returned.

use crate::attributes::Level;
use crate::batch::Received;
use crate::fingerprints::Fingerprints;
use crate::records::Details;
use crate::search::{LevelSearch, Matching};
use crate::settings::CatalogSettings;
use crate::sqlite::sql::read::details;
use crate::sqlite::write::instance_rows::{self, Upserts};
use crate::sqlite::write::upserts::{UPSERT_PATIENTS, upsert_series, upsert_studies};
use crate::sqlite::{CatalogReader, CatalogWriter};
use contract::attributes::{ATTRIBUTES, Attribute, ColumnType, Table, columns, keyword};
use contract::event::InstanceStored;
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

/// Laterality, as if it were an attribute of each level.
fn added(tag: u32, keyword: &'static str, column: &'static str, like: &Attribute) -> Attribute {
    Attribute { tag, keyword, column: Some(column), ..like.in_digest_since(2) }
}

#[tokio::test]
async fn each_column_of_the_table_of_attributes_is_in_the_catalogue() {
    let folder = tempfile::tempdir().unwrap();
    let settings = CatalogSettings::at(&folder.path().join("catalog.db"));
    let catalog = CatalogWriter::own(&settings).await.unwrap();
    for table in Table::ALL {
        let made: Vec<(String, String)> =
            sqlx::query_as("select name, lower(type) from pragma_table_info(?)")
                .bind(table.name())
                .fetch_all(&catalog.pool)
                .await
                .unwrap();
        for column in columns(table) {
            let column_type = match column.column_type {
                ColumnType::Text => "text",
                ColumnType::Integer => "integer",
            };
            let expected = (column.name.to_owned(), column_type.to_owned());
            assert!(made.contains(&expected), "no migration makes {table:?}.{}", column.name);
        }
    }
}

#[tokio::test]
async fn an_attribute_that_is_added_to_the_table_is_written_found_and_returned() {
    let study = added(0x0008_1032, "StudyLaterality", "laterality", keyword::StudyID);
    let series = added(0x0020_0060, "Laterality", "laterality", keyword::BodyPartExamined);
    let number = added(0x0028_0002, "SamplesPerPixel", "samples_per_pixel", keyword::Rows);
    let instance = added(0x0020_0062, "ImageLaterality", "laterality", keyword::ImageType);
    let attributes: &'static [Attribute] =
        [ATTRIBUTES, &[study, series, instance, number]].concat().leak();
    let event = json!({
        "SOPInstanceUID": "3.1", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4",
        "SeriesInstanceUID": "2.1", "StudyInstanceUID": "1.1", "PatientID": "7", "Rows": 64,
        "StudyLaterality": "B", "Laterality": "L", "ImageLaterality": "R", "SamplesPerPixel": 3,
        "TransferSyntaxUID": "1.2.840.10008.1.2.1", "Bytes": 100, "Digest": "d0.d1",
        "CallingAETitle": "MR1", "CalledAETitle": "COLLIMATOR", "PeerAddress": "192.0.2.7",
        "AssociationID": "a", "Ordinal": 1, "ReceivedAt": "2026-02-03T04:05:06Z",
    });

    let folder = tempfile::tempdir().unwrap();
    let settings = CatalogSettings::at(&folder.path().join("catalog.db"));
    let catalog = CatalogWriter::own(&settings).await.unwrap();
    let mut connection = catalog.pool.acquire().await.unwrap();
    for migration in [
        "alter table studies add column laterality text",
        "alter table series add column laterality text",
        "alter table instances add column laterality text",
        "alter table instances add column samples_per_pixel integer",
    ] {
        sqlx::query(migration).execute(&mut *connection).await.unwrap();
    }
    let rows = json!([{ "event": event, "at": 1, "received": 1,
        "fingerprints": { "study": 1, "series": 1 } }]);
    let statements =
        [UPSERT_PATIENTS.to_owned(), upsert_studies(attributes), upsert_series(attributes)];
    for statement in statements {
        let query = sqlx::query(AssertSqlSafe(statement)).bind(rows.to_string());
        query.execute(&mut *connection).await.unwrap();
    }
    let event: InstanceStored = serde_json::from_value(event).unwrap();
    let received = Received { sequence: 1, at: Timestamp::UNIX_EPOCH, event: Box::new(event) };
    let upserts = Box::leak(Box::new(Upserts::of(attributes)));
    instance_rows::upsert_by(upserts, &mut connection, &[&received]).await.unwrap();

    let found: String = sqlx::query_scalar(AssertSqlSafe(details::series(attributes)))
        .bind("2.1")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let found = crate::encoding::details(&found).unwrap();
    assert_eq!((&found["StudyLaterality"], &found["Laterality"]), (&json!("B"), &json!("L")));
    let row = format!("select {} from instances", details::instance(attributes));
    let row: String =
        sqlx::query_scalar(AssertSqlSafe(row)).fetch_one(&mut *connection).await.unwrap();
    let row: Vec<Value> = serde_json::from_str(&row).unwrap();
    let values = row[3].as_array().unwrap();
    assert!(values.contains(&json!("R")) && values.contains(&json!(3)), "{values:?}");

    let reader = CatalogReader::open(&settings).unwrap();
    let added: Vec<&Attribute> = attributes[ATTRIBUTES.len()..].iter().collect();
    for (attribute, matching) in [
        (added[0], Matching::Equals("B".into())),
        (added[1], Matching::Equals("L".into())),
        (added[2], Matching::Pattern("R*".into())),
        (added[3], Matching::Number("3".into())),
    ] {
        let search = LevelSearch {
            level: Level::Instance,
            matching: vec![(attribute, matching)],
            requested: Vec::new(),
            attributes: added.clone(),
            offset: 0,
            limit: 10,
            with_objects: false,
        };
        let (found, _) = reader.search(&search).await.unwrap();
        let returned = Details::from_iter([
            ("StudyLaterality".to_owned(), json!("B")),
            ("Laterality".to_owned(), json!("L")),
            ("ImageLaterality".to_owned(), json!("R")),
            ("SamplesPerPixel".to_owned(), json!(3)),
        ]);
        assert_eq!(found, [returned], "{}", attribute.keyword);
    }

    // A row is written again when it changes.
    let mut corrected = received.event.clone();
    for (keyword, study_changes) in [("Laterality", false), ("StudyLaterality", true)] {
        let before = Fingerprints::by(attributes, &corrected);
        corrected.attributes.insert(keyword, contract::event::AttributeValue::Number(1));
        let after = Fingerprints::by(attributes, &corrected);
        let changes = (before.study != after.study, before.series != after.series);
        assert_eq!(changes, (study_changes, !study_changes), "{keyword}");
    }
}
