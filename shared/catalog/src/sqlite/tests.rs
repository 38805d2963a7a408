//! Who waits for whom at the connections of a process that reads.

use crate::announcements::Delivered;
use crate::attributes::Level;
use crate::batch::{Batch, Bookmark, Registration};
use crate::long_reads::LONG_READS;
use crate::search::{LevelSearch, Matching, SeriesSearch, StudySearch};
use crate::settings::CatalogSettings;
use crate::sqlite::connect::reader::READERS;
use crate::sqlite::sql::read::{qido, series, studies};
use crate::sqlite::{CatalogReader, CatalogWriter};
use completion::Consequences;
use contract::attributes::{Attribute, keyword};
use contract::event::RegistrationRequested;
use contract::uid::{SeriesInstanceUid, StudyInstanceUid};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};
use tempfile::TempDir;

/// A catalogue of a process that reads, and where its file is.
async fn reader() -> (CatalogReader, TempDir) {
    reader_of(&[]).await
}

/// The same, with these series in it.
async fn reader_of(series: &[&str]) -> (CatalogReader, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let settings = CatalogSettings::at(&path);
    let owner = CatalogWriter::own(&settings).await.unwrap();
    let registrations = series.iter().zip(1..).map(|(series, sequence)| {
        let event = RegistrationRequested {
            series_instance_uid: SeriesInstanceUid::parse(series).unwrap(),
            study_instance_uid: StudyInstanceUid::parse("2.25.6").unwrap(),
            patient_id: "7".into(),
            patient_name: "Roe^Jane".into(),
            instances_count: 12,
            request_id: series.to_string(),
            requested_at: Timestamp::UNIX_EPOCH,
        };
        Registration { sequence, at: Timestamp::UNIX_EPOCH, event: Box::new(event) }
    });
    let bookmark = Bookmark::new(Timestamp::UNIX_EPOCH, series.len() as u64);
    let batch = Batch { registrations: registrations.collect(), ..Batch::new(bookmark) };
    owner.record(&batch, |_| Consequences::default()).await.unwrap();
    owner.close().await;
    (CatalogReader::open(&settings).unwrap(), folder)
}

#[tokio::test]
async fn readers_can_not_hold_up_how_far_a_webhook_is() {
    let (catalog, _folder) = reader().await;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(catalog.pool.acquire().await.unwrap());
    }
    let delivered = Delivered { series_created: Timestamp::UNIX_EPOCH, up_to: 5 };
    catalog.keep_delivered("lung-ai", delivered).await.unwrap();
    readers.pop();
    assert_eq!(catalog.delivered("lung-ai").await.unwrap(), Some(delivered));
}

#[tokio::test]
async fn long_reads_leave_connections_to_what_is_looked_up() {
    let (catalog, _folder) = reader_of(&["2.25.5"]).await;
    let mut reading = Vec::new();
    for _ in 0..LONG_READS {
        let turn = catalog.long_reads.turn().await.unwrap();
        reading.push((turn, catalog.pool.acquire().await.unwrap()));
    }
    let all = SeriesSearch { whole: true, ..SeriesSearch::default() };
    let mut another = Box::pin(catalog.series(&all, None, 10));
    assert!(another.as_mut().now_or_never().is_none(), "it did not wait for its turn");
    let series = SeriesInstanceUid::parse("2.25.5").unwrap();
    assert!(catalog.state_of(&series).await.unwrap().is_some());
    let page = SeriesSearch::default();
    assert_eq!(catalog.series(&page, None, 10).await.unwrap().records.len(), 1);
    reading.pop();
    assert_eq!(another.await.unwrap().records.len(), 1);
}

/// How SQLite goes about a statement: a line a step.
async fn plan(catalog: &CatalogReader, push: impl FnOnce(&mut QueryBuilder<Sqlite>)) -> String {
    let mut query = QueryBuilder::new("explain query plan ");
    push(&mut query);
    let steps: Vec<(i64, i64, i64, String)> =
        query.build_query_as().fetch_all(&catalog.pool).await.unwrap();
    steps.into_iter().map(|(.., step)| step + "\n").collect()
}

/// A search for what an attribute is equal to, or another matching.
fn by(attribute: &'static Attribute, matching: Matching) -> Vec<(&'static Attribute, Matching)> {
    vec![(attribute, matching)]
}

#[tokio::test]
async fn what_is_searched_for_most_is_found_by_an_index() {
    let (catalog, _folder) = reader().await;
    let text = |text: &str| Matching::Equals(text.to_owned());
    let days = Matching::Within { from: Some("20260201".into()), to: Some("20260228".into()) };
    for (attribute, matching, index) in [
        (keyword::PatientID, text("7"), "patients USING COVERING INDEX"),
        (keyword::PatientID, Matching::Pattern("7*".into()), "patients USING COVERING INDEX"),
        (keyword::PatientID, Matching::Any(vec![text("7"), text("8")]), "patients USING COVERING"),
        (keyword::StudyInstanceUID, text("1.2"), "series USING INDEX series_of_study"),
        (keyword::AccessionNumber, text("A1"), "studies USING COVERING INDEX studies_by_acc"),
        (keyword::StudyDate, text("20260201"), "studies USING INDEX studies_by_day"),
        (keyword::StudyDate, days, "studies USING INDEX studies_by_day"),
    ] {
        let matching = by(attribute, matching);
        let search = SeriesSearch { matching: matching.clone(), ..SeriesSearch::default() };
        let mut plans =
            vec![plan(&catalog, |query| series::push_page(&search, query, None, 100)).await];
        assert!(plans[0].contains(index), "{}:\n{}", attribute.keyword, plans[0]);
        let search = StudySearch { matching: matching.clone(), ..StudySearch::default() };
        plans.push(plan(&catalog, |query| studies::push_page(&search, query, None, 100)).await);
        for level in [Level::Study, Level::Series, Level::Instance] {
            let (attributes, requested) = (vec![keyword::PatientID], Vec::new());
            let (matching, offset, limit) = (matching.clone(), 0, 100);
            let with_objects = true;
            let search =
                LevelSearch { level, matching, requested, attributes, offset, limit, with_objects };
            plans.push(plan(&catalog, |query| qido::push_results(&search, query)).await);
        }
        for plan in plans {
            let looks_at_all = |step: &str| {
                ["SCAN series", "SCAN studies", "SCAN instances", "SCAN patients"].contains(&step)
            };
            assert!(!plan.lines().any(looks_at_all), "{}:\n{plan}", attribute.keyword);
        }
    }
    let all = SeriesSearch::default();
    let first = plan(&catalog, |query| series::push_page(&all, query, None, 100)).await;
    assert!(first.contains("SEARCH series USING INDEX completed_series"), "{first}");
}
