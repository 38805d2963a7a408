//! Both databases say the same of the same events, whatever is asked of them.

use crate::feed::{Feed, changed, instance};
use catalog::{
    Attribute, CatalogReader, Kind, Level, LevelSearch, Listed, Matching, Page, Position,
    SeriesOrder, SeriesSearch, StoredOrder, StoredSearch, StudySearch, attributes_of, keyword,
};
use contract::attributes::{ATTRIBUTES, Qido, Vr};
use contract::event::{AttributeValue, InstanceStored, Source, StoredObject};
use contract::uid::{SeriesInstanceUid, StudyInstanceUid};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt::Debug;
use test_database::TestDatabase;

/// What people, machines and mischief call themselves, number and date: each is in some instance, and each is asked for.
const NAMES: [&str; 24] = [
    "Roe^Jane",
    "ROE^JANE^^",
    "roe^jane ",
    " Roe^Jane",
    "Roe",
    "Roe^",
    "Roe^Jane^M.=山田^太郎=やまだ^たろう",
    "=山田^太郎",
    "Müller^Jürgen",
    "MÜLLER^JÜRGEN",
    "Zoë*[a-z]",
    "Σίσυφος^Νίκος",
    "σίσυφοσ",
    "İpek^ılgın",
    "ſmith^K",
    "Straße",
    "100%_\\^x",
    "O'Neil^Pat\"",
    "^^",
    "",
    "a\nb^c",
    "Roe^J?ne",
    "ÅNGSTRÖM^Å",
    "Ярослав^Мудрый",
];
const TEXTS: [&str; 16] = [
    "7", " 7", "7 ", "7\\8", "07", "A*1", "a1", "A[1]", "A1", "%", "_", "ä", "Ä", "CT\\MR", "",
    "\\",
];
const DATES: [&str; 14] = [
    "20260203",
    "2026.02.03",
    "20260230",
    "20261301",
    "2026020",
    "202602031",
    "19991231",
    "today",
    "",
    " 20260203",
    "+5",
    "99999999999999999999999",
    "00000101",
    "2026-02-03",
];
const TIMES: [&str; 10] =
    ["10", "1000", "100000", "100000.000001", "10:00:00", "235960", "30", "noon", "", "1 0"];
const NUMBERS: [&str; 15] = [
    "3",
    "03",
    "+3",
    "-3",
    " 3 ",
    "3.0",
    "3 mm",
    "0",
    "-0",
    "+0",
    "",
    "-",
    "99999999999999999999",
    "-99999999999999999999",
    "٣",
];

/// As many instances as there are names, over a few studies and patients, each with the next value of each list.
pub(crate) fn events() -> Vec<InstanceStored> {
    let events = NAMES.iter().enumerate().map(|(place, name)| {
        let of = |list: &[&str]| list[place % list.len()].to_owned();
        changed(&format!("2.{}", place % 9), &format!("3.{place}"), |e| {
            e["StudyInstanceUID"] = json!(format!("1.{}", place % 5));
            e["PatientID"] = json!(of(&TEXTS));
            e["PatientName"] = json!(name);
            e["IssuerOfPatientID"] = json!(of(&TEXTS[3..]));
            e["PatientBirthDate"] = json!(of(&DATES[1..]));
            e["StudyDate"] = json!(of(&DATES));
            e["StudyTime"] = json!(of(&TIMES));
            e["AccessionNumber"] = json!(of(&TEXTS[2..]));
            e["ReferringPhysicianName"] = json!(of(&NAMES[4..]));
            e["StudyDescription"] = json!(of(&TEXTS[5..]));
            e["Modality"] = json!(of(&["CT", "MR", "CT\\MR", "", " US "]));
            e["SeriesNumber"] = json!(of(&NUMBERS));
            e["SeriesDescription"] = json!(of(&TEXTS[1..]));
            e["PerformedProcedureStepStartTime"] = json!(of(&TIMES[2..]));
            e["RequestAttributesSequence"] = json!([
                {"RequestedProcedureID": of(&TEXTS), "ScheduledProcedureStepID": of(&TEXTS[4..])},
                {"Other": 1}, {}, 7,
            ]);
            e["InstanceNumber"] = json!(of(&NUMBERS[1..]));
            e["AcquisitionNumber"] = json!(of(&NUMBERS[2..]));
            e["ContentDate"] = json!(of(&DATES[3..]));
            e["ContentTime"] = json!(of(&TIMES[4..]));
            e["ImageType"] = json!(of(&["ORIGINAL\\PRIMARY", "DERIVED\\\\M", "", "ORIGINAL"]));
            e["NumberOfFrames"] = json!(of(&["1", "30", "x"]));
            e["CallingAETitle"] = json!(of(&["MR1", "mr1", "CT 1"]));
        })
    });
    events.collect()
}

/// Two catalogues with the same events, decisions and requests: on SQLite, and on PostgreSQL.
async fn both() -> Option<[Feed; 2]> {
    both_with(&events()).await
}

pub(crate) async fn both_with(events: &[InstanceStored]) -> Option<[Feed; 2]> {
    let postgres = TestDatabase::postgres()?;
    let mut both = [Feed::on(TestDatabase::sqlite()).await, Feed::on(postgres).await];
    for feed in &mut both {
        for batch in events.chunks(5) {
            feed.receive(batch.to_vec()).await;
        }
        // One that nobody disagrees on, one that was complete before it grew again, and one without a study.
        feed.receive([instance("2.20", "3.90"), instance("2.21", "3.91")]).await;
        feed.receive([changed("2.22", "3.92", |e| {
            drop(e.as_object_mut().unwrap().remove("StudyInstanceUID"))
        })])
        .await;
        for series in ["2.1", "2.3", "2.5", "2.20", "2.0", "2.22"] {
            feed.complete(series).await.unwrap();
        }
        feed.register("2.30").await;
        feed.register_as("2.31", |event| event.patient_name = "Müller^J".to_owned()).await;
        feed.receive([changed("2.3", "3.93", |e| e["Digest"] = json!("d2"))]).await;
        feed.complete("2.21").await.unwrap();
        feed.delete("2.21").await;
    }
    Some(both)
}

/// Those whose conditions are made in a way of their own; the others are as one of these.
const ONE_OF_EACH: [&Attribute; 10] = [
    keyword::PatientName,
    keyword::PatientID,
    keyword::AccessionNumber,
    keyword::ModalitiesInStudy,
    keyword::StudyDescription,
    keyword::StudyDate,
    keyword::StudyTime,
    keyword::StudyInstanceUID,
    keyword::InstanceNumber,
    keyword::Rows,
];

/// What is asked of an attribute: all, or a few where another one is like it.
fn matchings(attribute: &Attribute) -> Vec<Matching> {
    let all = all_matchings(attribute);
    match ONE_OF_EACH.contains(&attribute) {
        true => all,
        false => all.into_iter().rev().step_by(7).collect(),
    }
}

/// What a search may ask of an attribute.
fn all_matchings(attribute: &Attribute) -> Vec<Matching> {
    let text = |text: &&str| match text.contains(['*', '?']) {
        true => Matching::Pattern((*text).to_owned()),
        false => Matching::Equals((*text).to_owned()),
    };
    let texts = |texts: &[&str]| texts.iter().map(text).collect::<Vec<_>>();
    let days = ["20260203", "20260230", "2026", "19991231", "00000101"];
    let within = |from: Option<&str>, to: Option<&str>| Matching::Within {
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
    };
    let mut all = match attribute.vr.kind() {
        Kind::Name => {
            let patterns = [
                "roe*",
                "*ü*",
                "MÜLLER*",
                "müller^?ürgen",
                "r?e^jane",
                "*=*太郎*",
                "*^*^*",
                "ſ*",
                "σ*",
                "ς*",
                "*[*",
                "*%_\\*",
                "k",
                "*å*",
                "ярослав*",
                "ı*",
                "i*",
                "a?b*",
                "roe^*",
                "*\0",
                "ü=*=*",
            ];
            [texts(&NAMES), texts(&patterns)].concat()
        }
        Kind::Text => {
            let patterns =
                ["7*", "?7", "*7", "A[*", "A*", "?", "ä*", "%*", "_?", "*\\*", "C*", "7\0*"];
            [texts(&TEXTS), texts(&patterns), texts(&["CT", "MR", "US", "ORIGINAL", "M"])].concat()
        }
        Kind::Date => {
            let mut all = texts(&days);
            all.extend(days.iter().flat_map(|day| {
                [within(Some(day), None), within(None, Some(day)), within(Some("1990"), Some(day))]
            }));
            all
        }
        Kind::Time => {
            let times = ["10", "1000", "100000", "10000000.5", "2359", "3"];
            let spans = times.iter().flat_map(|time| {
                [within(Some(time), Some(time)), within(None, Some(time)), within(Some(time), None)]
            });
            spans.collect()
        }
        Kind::Uid => {
            let list = ["1.1", "2.3", "3.7", "x", "1.1\0"].map(str::to_owned).to_vec();
            [
                texts(&["1.1", "2.3", "3.7", "1.2.840.10008.1.2.1", "", "1.1\0"]),
                vec![Matching::OneOf(list)],
            ]
            .concat()
        }
        Kind::Number => {
            ["3", "-3", "0", "64", "99999999999999999999", "-99999999999999999999", "30"]
                .map(|number| Matching::Number(number.to_owned()))
                .to_vec()
        }
    };
    let some = all.iter().step_by(5).cloned().collect();
    all.push(Matching::Any(some));
    all
}

/// All pages of a list, each of three.
async fn all<T>(page: impl AsyncFn(Option<Position>) -> Page<T>) -> Vec<T> {
    let (mut records, mut after) = (Vec::new(), None);
    loop {
        let mut found = page(after).await;
        records.append(&mut found.records);
        match found.next {
            Some(next) => after = Some(next),
            None => return records,
        }
    }
}

/// Asks both the same, and gives the answer.
async fn agreed<T: PartialEq + Debug>(
    both: &[Feed; 2],
    what: impl Debug,
    ask: impl AsyncFn(&CatalogReader) -> T,
) -> T {
    let [sqlite, postgres] = both;
    let (one, other) = (ask(&sqlite.reader).await, ask(&postgres.reader).await);
    assert_eq!(one, other, "{what:?}");
    one
}

async fn series(both: &[Feed; 2], search: &SeriesSearch) -> usize {
    let found = agreed(both, search, async |reader| {
        all(async |after| reader.series(search, after, 3).await.unwrap()).await
    })
    .await;
    let counted =
        agreed(both, search, async |reader| reader.count_series(search).await.unwrap()).await;
    assert_eq!(found.len() as u64, counted, "{search:?}");
    found.len()
}

#[tokio::test]
async fn lists_are_the_same_in_every_order() {
    let Some(both) = both().await else { return };
    let mut found = 0;
    for order in [
        SeriesOrder::FirstCompleted,
        SeriesOrder::Completed,
        SeriesOrder::Arrival,
        SeriesOrder::StudyDate,
    ] {
        for listed in [Listed::Complete, Listed::Receiving, Listed::All] {
            for (descending, whole) in [(false, false), (true, false), (false, true)] {
                let search =
                    SeriesSearch { listed, order, descending, whole, ..Default::default() };
                found += series(&both, &search).await;
            }
        }
    }
    for source in [Source::Api, Source::Dicom] {
        let search =
            SeriesSearch { source: Some(source), listed: Listed::All, ..Default::default() };
        found += series(&both, &search).await;
    }
    for title in ["MR1", "mr1", "MR1\0"] {
        let calling_ae_title = Some(title.to_owned());
        let search = SeriesSearch { calling_ae_title, listed: Listed::All, ..Default::default() };
        found += series(&both, &search).await;
    }
    assert!(found > 100, "{found}");
    for (descending, whole) in [(false, false), (true, false), (false, true), (true, true)] {
        let search = StudySearch { descending, whole, ..Default::default() };
        let found = agreed(&both, &search, async |reader| {
            all(async |after| reader.studies(&search, after, 3).await.unwrap()).await
        })
        .await;
        assert!(found.len() >= 5);
    }
}

/// A search for the first hundred, with these attributes of each and whether it has objects.
fn of_level(level: Level, attributes: Vec<&'static Attribute>) -> LevelSearch {
    let (matching, requested) = (Vec::new(), Vec::new());
    let (offset, limit, with_objects) = (0, 100, true);
    LevelSearch { level, matching, requested, attributes, offset, limit, with_objects }
}

#[tokio::test]
async fn each_attribute_is_matched_alike() {
    let Some(both) = both().await else { return };
    for attribute in ATTRIBUTES.iter().filter(|it| it.qido != Qido::Hidden && it.vr != Vr::SQ) {
        let mut found = 0;
        for matching in matchings(attribute) {
            let matching = vec![(attribute, matching)];
            for level in HashSet::from([Level::of(attribute), Level::Instance]) {
                let matching = matching.clone();
                let attributes = vec![keyword::PatientName, keyword::StudyInstanceUID];
                let search = LevelSearch { matching, ..of_level(level, attributes) };
                let (results, _) =
                    agreed(&both, &search, async |reader| reader.search(&search).await.unwrap())
                        .await;
                let [_, postgres] = &both;
                let counted = postgres.reader.count_found(&search).await.unwrap();
                assert_eq!(results.len() as u64, counted, "{search:?}");
                found += results.len();
            }
            if Level::of(attribute) <= Level::Series {
                let matching = matching.clone();
                let search = SeriesSearch { listed: Listed::All, matching, ..Default::default() };
                agreed(&both, &search, async |reader| {
                    reader.series(&search, None, 100).await.unwrap()
                })
                .await;
            }
            if Level::of(attribute) == Level::Study {
                let search = StudySearch { matching, ..StudySearch::default() };
                agreed(&both, &search, async |reader| {
                    let found = reader.studies(&search, None, 100).await.unwrap();
                    (found, reader.count_studies(&search).await.unwrap())
                })
                .await;
            }
        }
        let is_whole = ONE_OF_EACH.contains(&attribute);
        assert!(found > 0 || !is_whole, "nothing is found by {}", attribute.keyword);
    }
}

#[tokio::test]
async fn results_have_the_same_attributes_wherever_they_begin() {
    let Some(both) = both().await else { return };
    for level in [Level::Study, Level::Series, Level::Instance] {
        let attributes: Vec<_> = [Level::Study, Level::Series, Level::Instance]
            .into_iter()
            .filter(|of| *of <= level)
            .flat_map(attributes_of)
            .collect();
        for (offset, limit) in [(0, 100), (0, 2), (3, 4), (90, 5)] {
            let search = LevelSearch { offset, limit, ..of_level(level, attributes.clone()) };
            agreed(&both, &search, async |reader| reader.search(&search).await.unwrap()).await;
        }
        if level == Level::Study {
            continue;
        }
        for text in TEXTS.iter().filter(|text| !text.is_empty()) {
            let requested = vec![("RequestedProcedureID", Matching::Equals((*text).to_owned()))];
            let attributes = vec![keyword::RequestAttributesSequence];
            let search = LevelSearch { requested, ..of_level(level, attributes) };
            agreed(&both, &search, async |reader| reader.search(&search).await.unwrap()).await;
        }
    }
}

#[tokio::test]
async fn one_series_or_study_is_the_same_with_all_that_is_known_of_it() {
    let Some(both) = both().await else { return };
    for series in ["2.0", "2.1", "2.3", "2.8", "2.20", "2.21", "2.22", "2.30", "2.31", "2.99"] {
        let uid = SeriesInstanceUid::parse(series).unwrap();
        let as_text = |value: &Value| value.to_string();
        agreed(&both, series, async |reader| {
            let details = reader.series_details(&uid).await.unwrap();
            (details.map(|it| as_text(&it.into())), reader.history(&uid).await.unwrap())
        })
        .await;
        agreed(&both, series, async |reader| {
            let instances =
                all(async |after| reader.instances(&uid, after, 3).await.unwrap()).await;
            (instances, reader.count_instances(&uid).await.unwrap())
        })
        .await;
        agreed(&both, series, async |reader| {
            (reader.state_of(&uid).await.unwrap(), reader.deleted_at(&uid).await.unwrap())
        })
        .await;
    }
    for study in ["1.0", "1.1", "1.4", "2.25.1", "2.25.6", "1.99"] {
        let uid = StudyInstanceUid::parse(study).unwrap();
        agreed(&both, study, async |reader| reader.study(&uid).await.unwrap()).await;
    }
    agreed(&both, "all", async |reader| {
        (
            reader.statistics().await.unwrap(),
            reader.senders().await.unwrap(),
            reader.bookmark().await.unwrap(),
        )
    })
    .await;
}

#[tokio::test]
async fn the_rows_by_which_two_catalogues_are_compared_are_the_same() {
    let mut events = events();
    for event in &mut events {
        // PostgreSQL keeps a sequence in an order of its own.
        let absent = AttributeValue::Unknown(Value::Null);
        event.attributes.insert("RequestAttributesSequence", absent);
    }
    let Some([sqlite, postgres]) = both_with(&events).await else { return };
    let rows = sqlite.reader.rows().await.unwrap();
    assert_eq!(rows, postgres.reader.rows().await.unwrap());
    let tables: HashSet<&str> =
        rows.iter().filter_map(|row| Some(row.split_once(' ')?.0)).collect();
    assert_eq!(tables.len(), 10, "{tables:?}");
}

#[cfg(feature = "synthetic")]
#[tokio::test]
async fn both_are_filled_with_the_same_series() {
    let Some(postgres) = TestDatabase::postgres() else { return };
    let both = [Feed::on(TestDatabase::sqlite()).await, Feed::on(postgres).await];
    for feed in &both {
        feed.catalog.fill(1_001).await.unwrap();
    }
    let [sqlite, postgres] = both;
    let [sqlite, mut postgres] = [sqlite.reader.rows().await, postgres.reader.rows().await];
    // The lease is in it, so it is there before anything was read.
    postgres.as_mut().unwrap().retain(|row| !row.starts_with("bookmark "));
    assert!(sqlite.unwrap() == postgres.unwrap());
}

#[tokio::test]
async fn instances_with_their_objects_are_in_the_same_order() {
    let mut events = events();
    for (place, event) in events.iter_mut().enumerate() {
        event.series_instance_uid = SeriesInstanceUid::parse("2.1").unwrap();
        if place % 3 > 0 {
            event.object = Some(StoredObject {
                key: format!("spool/node/00/{place}.dcm"),
                bytes: 4711,
                blake3: place.to_string(),
            });
        }
    }
    let Some(postgres) = TestDatabase::postgres() else { return };
    let mut both = [Feed::on(TestDatabase::sqlite()).await, Feed::on(postgres).await];
    for feed in &mut both {
        for batch in events.chunks(5) {
            feed.receive(batch.to_vec()).await;
        }
    }
    let mut found = 0;
    for study in ["1.0", "1.1", "1.2", "1.3", "1.4", "1.9"] {
        let study = StudyInstanceUid::parse(study).unwrap();
        let series =
            agreed(&both, &study, async |reader| reader.series_of_study(&study).await.unwrap());
        let orders = [StoredOrder::Number, StoredOrder::Arrival];
        let searches = series.await.into_iter().flat_map(|series| {
            orders.map(|order| StoredSearch {
                study: study.clone(),
                series: series.clone(),
                instance: None,
                order,
            })
        });
        for search in searches {
            let all = agreed(&both, &search, async |reader| {
                reader.stored_instances(&search, None, 100).await.unwrap()
            })
            .await;
            // Page by page they are the same.
            let (mut paged, mut after) = (Vec::new(), None);
            loop {
                let page = agreed(&both, &search, async |reader| {
                    reader.stored_instances(&search, after.as_ref(), 2).await.unwrap()
                })
                .await;
                let Some(last) = page.last() else { break };
                after = Some(last.clone());
                paged.extend(page);
            }
            assert_eq!(paged, all, "{search:?}");
            for one in &all {
                let instance = Some(one.sop_instance_uid.clone());
                let search = StoredSearch { instance, ..search.clone() };
                let only = agreed(&both, &search, async |reader| {
                    reader.stored_instances(&search, None, 2).await.unwrap()
                })
                .await;
                assert_eq!(only, std::slice::from_ref(one));
            }
            found += all.len();
        }
    }
    assert_eq!(found, 2 * events.len());
}
