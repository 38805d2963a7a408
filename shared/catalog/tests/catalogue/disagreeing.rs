//! Series whose instances disagree on whose they are.

use crate::feed::{Feed, changed, second, unlike};
use catalog::{
    Attribute, Details, Level, LevelSearch, Matching, SeriesSearch, StudySearch, keyword,
};
use completion::StudyCompletion;
use contract::event::{InstanceStored, ReleaseRequested};
use contract::uid::SeriesInstanceUid;
use serde_json::json;

/// An instance of one of two patients, in a study of theirs.
fn of_patient(series: &str, sop: &str, study: &str, id: &str, name: &str) -> InstanceStored {
    let [study, id, name] = [study, id, name].map(str::to_owned);
    changed(series, sop, move |e| {
        e["StudyInstanceUID"] = json!(study);
        e["PatientID"] = json!(id);
        e["PatientName"] = json!(name);
    })
}

/// The SOP Instance UIDs that QIDO-RS finds by the value of an attribute, with their patients.
async fn instances_by(feed: &Feed, by: (&str, &str)) -> Vec<(String, String)> {
    let matching = vec![(Attribute::find(by.0).unwrap(), Matching::Equals(by.1.to_owned()))];
    let attributes = vec![keyword::SOPInstanceUID, keyword::PatientID];
    let search = LevelSearch {
        level: Level::Instance,
        matching,
        requested: Vec::new(),
        attributes,
        offset: 0,
        limit: 100,
        with_objects: false,
    };
    let (found, _) = feed.reader.search(&search).await.unwrap();
    assert_eq!(feed.reader.count_found(&search).await.unwrap(), found.len() as u64);
    let text = |details: &Details, key: &str| details[key].as_str().unwrap_or_default().to_owned();
    found.iter().map(|it| (text(it, "SOPInstanceUID"), text(it, "PatientID"))).collect()
}

async fn no_instance_of_one_patient_is_told_as_anothers(mut feed: Feed) {
    let anna = |sop| of_patient("2.1", sop, "1.1", "A", "Roe^Anna");
    let ben = |sop| of_patient("2.1", sop, "1.2", "B", "Doe^Ben");
    feed.receive([anna("3.1"), anna("3.2")]).await;
    assert_eq!(feed.complete("2.1").await.unwrap().disagrees, []);
    feed.receive([ben("3.3"), anna("3.4"), ben("3.5"), ben("3.6")]).await;
    feed.receive([anna("3.7"), ben("3.8")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.patient_id.as_str(), completed.instances_count), ("B", 8));
    let told = json!([
        {"Keyword": "StudyInstanceUID",
            "Values": [{"Value": "1.1", "Instances": 4}, {"Value": "1.2", "Instances": 4}]},
        {"Keyword": "PatientID",
            "Values": [{"Value": "A", "Instances": 4}, {"Value": "B", "Instances": 4}]},
        {"Keyword": "PatientName",
            "Values": [{"Value": "Doe^Ben", "Instances": 4}, {"Value": "Roe^Anna", "Instances": 4}]},
    ]);
    assert_eq!(serde_json::to_value(&completed.disagrees).unwrap(), told);
    let of = |patient: &str, sops: [&str; 4]| {
        sops.map(|sop| (sop.to_owned(), patient.to_owned())).to_vec()
    };
    for by in [("PatientID", "A"), ("StudyInstanceUID", "1.1"), ("PatientName", "roe^anna")] {
        assert_eq!(instances_by(&feed, by).await, of("A", ["3.1", "3.2", "3.4", "3.7"]), "{by:?}");
    }
    for by in [("PatientID", "B"), ("StudyInstanceUID", "1.2")] {
        assert_eq!(instances_by(&feed, by).await, of("B", ["3.3", "3.5", "3.6", "3.8"]), "{by:?}");
    }
    // The series is one, and found by either.
    for patient in ["A", "B"] {
        let matching = vec![(keyword::PatientID, Matching::Equals(patient.to_owned()))];
        let search = SeriesSearch { matching, ..SeriesSearch::default() };
        let page = feed.reader.series(&search, None, 10).await.unwrap();
        assert_eq!(page.records.len(), 1, "{patient}");
        assert_eq!(page.records[0].disagreements(), completed.disagrees);
        assert_eq!(feed.reader.count_series(&search).await.unwrap(), 1);
    }
    assert_eq!(feed.listed().await, [("2.1".to_owned(), 8)]);
}

async fn both_studies_of_a_series_stay_and_are_complete_with_what_is_theirs(mut feed: Feed) {
    feed.receive([of_patient("2.1", "3.1", "1.1", "A", "Roe^Anna")]).await;
    feed.receive([of_patient("2.1", "3.2", "1.2", "B", "Doe^Ben")]).await;
    feed.receive([of_patient("2.1", "3.3", "1.2", "B", "Doe^Ben")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!(completed.studies().collect::<Vec<_>>(), ["1.2", "1.1"]);
    let studies = feed.reader.studies(&StudySearch::default(), None, 10).await.unwrap().records;
    let told: Vec<_> = studies
        .iter()
        .map(|it| (it.study_instance_uid.as_str(), it.patient_id.as_str(), it.instances_count))
        .collect();
    assert_eq!(told, [("1.1", "A", 1), ("1.2", "B", 2)]);
    assert_eq!(studies[0].disagreements(), completed.disagrees);
    let due = ["1.1", "1.2"]
        .map(|study| StudyCompletion { study: study.to_owned(), decided_at: second(100) });
    let decided = feed.catalog.complete_studies(&due).await.unwrap().complete;
    let told: Vec<_> = decided
        .iter()
        .map(|it| (it.patient_id.as_str(), it.number_of_study_related_instances, it.series.len()))
        .collect();
    assert_eq!(told, [("A", 1, 1), ("B", 2, 1)]);
    assert_eq!(decided[0].disagrees, completed.disagrees);
}

async fn a_series_whose_instances_are_all_corrected_disagrees_no_more(mut feed: Feed) {
    let wrong = |sop| of_patient("2.1", sop, "1.1", "A", "Roe^Anna");
    feed.receive([wrong("3.1"), wrong("3.2")]).await;
    feed.complete("2.1").await.unwrap();
    let right = |sop: &'static str| {
        let mut event = of_patient("2.1", sop, "1.2", "B", "Doe^Ben");
        event.digest = "d1".to_owned();
        event
    };
    feed.receive([right("3.1")]).await;
    let halfway = feed.complete("2.1").await.unwrap();
    assert_eq!(halfway.disagrees[0].keyword, "StudyInstanceUID");
    feed.receive([right("3.2")]).await;
    let completed = feed.complete("2.1").await.unwrap();
    assert_eq!((completed.instances_corrected, completed.disagrees), (1, Vec::new()));
    assert_eq!(instances_by(&feed, ("PatientID", "A")).await, []);
    assert_eq!(instances_by(&feed, ("PatientID", "B")).await.len(), 2);
    let studies = feed.reader.studies(&StudySearch::default(), None, 10).await.unwrap().records;
    assert_eq!(studies.len(), 1, "nothing is left of the other");
}

async fn a_study_of_two_patients_is_found_by_either(mut feed: Feed) {
    feed.receive([of_patient("2.1", "3.1", "1.1", "A", "Roe^Anna")]).await;
    feed.receive([of_patient("2.2", "3.2", "1.1", "B", "Doe^Ben")]).await;
    for series in ["2.1", "2.2"] {
        assert_eq!(feed.complete(series).await.unwrap().disagrees, [], "each is of one");
    }
    for patient in ["A", "B"] {
        let matching = vec![(keyword::PatientID, Matching::Equals(patient.to_owned()))];
        let search = StudySearch { matching: matching.clone(), ..StudySearch::default() };
        let found = feed.reader.studies(&search, None, 10).await.unwrap().records;
        assert_eq!(found.len(), 1, "{patient}");
        assert_eq!(found[0].disagreements()[0].keyword, "PatientID");
        assert_eq!(feed.reader.count_studies(&search).await.unwrap(), 1);
        let attributes = vec![keyword::PatientID, keyword::NumberOfStudyRelatedInstances];
        let search = LevelSearch {
            level: Level::Study,
            matching,
            requested: Vec::new(),
            attributes,
            offset: 0,
            limit: 10,
            with_objects: false,
        };
        let (found, _) = feed.reader.search(&search).await.unwrap();
        let told = json!({"PatientID": patient, "NumberOfStudyRelatedInstances": 1});
        assert_eq!(found.into_iter().map(serde_json::Value::Object).collect::<Vec<_>>(), [told]);
    }
}

async fn a_deletion_takes_all_that_a_disagreeing_series_named_and_names_no_patient(mut feed: Feed) {
    feed.receive([of_patient("2.1", "3.1", "1.1", "A", "Roe^Anna")]).await;
    feed.receive([of_patient("2.1", "3.2", "1.2", "B", "Doe^Ben")]).await;
    let deleted = feed.delete("2.1").await;
    let keywords: Vec<_> = deleted[0].disagrees.iter().map(|it| it.keyword.as_str()).collect();
    assert_eq!(keywords, ["StudyInstanceUID"]);
    let rows = feed.reader.rows().await.unwrap();
    for table in ["studies ", "series ", "instances ", "identities "] {
        assert!(!rows.iter().any(|row| row.starts_with(table)), "{rows:?}");
    }
    assert_eq!(feed.reader.statistics().await.unwrap().patients, 0);
}

async fn what_is_held_back_is_announced_once_a_person_says_so(mut feed: Feed) {
    feed.hold_disagreeing = true;
    feed.receive([of_patient("2.2", "3.9", "1.1", "A", "Roe^Anna")]).await;
    feed.complete("2.2").await.unwrap();
    feed.receive([of_patient("2.1", "3.1", "1.1", "A", "Roe^Anna")]).await;
    feed.receive([of_patient("2.1", "3.2", "1.1", "B", "Doe^Ben")]).await;
    feed.complete("2.1").await.unwrap();
    let waiting = feed.catalog.waiting_announcements(10).await.unwrap();
    let [announced, held] = waiting.as_slice() else { panic!("{waiting:?}") };
    assert_eq!(announced.held, None);
    assert_eq!(held.held.as_deref(), Some("instances disagree on PatientID, PatientName"));
    feed.catalog.announced(&[announced.id, held.id]).await.unwrap();
    let again = ReleaseRequested {
        subject: held.subject.to_string(),
        message_id: held.message_id.clone(),
        decided_at: held.time,
        announcement: held.payload.clone(),
        request_id: "1".to_owned(),
        requested_at: held.time,
    };
    let uid = SeriesInstanceUid::parse("2.1").unwrap();
    let reader = feed.reader.clone();
    let is_held = async || reader.series_details(&uid).await.unwrap().unwrap().contains_key("Held");
    assert!(is_held().await);
    let nowhere = ReleaseRequested { subject: "nowhere".to_owned(), ..again.clone() };
    let by_no_id = ReleaseRequested { message_id: unlike(100_000), ..again.clone() };
    feed.release([again.clone(), nowhere, by_no_id, again]).await;
    assert!(!is_held().await);
    let waiting = feed.catalog.waiting_announcements(10).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].held.as_deref()), (1, None));
    assert_eq!(waiting[0].message_id, "2.1:1");
}

async fn an_instance_that_leaves_a_disagreeing_series_takes_its_patient_along(mut feed: Feed) {
    feed.receive([of_patient("2.1", "3.1", "1.1", "A", "Roe^Anna")]).await;
    feed.receive([of_patient("2.1", "3.2", "1.2", "B", "Doe^Ben")]).await;
    feed.receive([of_patient("2.2", "3.2", "1.3", "C", "Poe^Cid")]).await;
    assert_eq!(feed.complete("2.1").await.unwrap().disagrees, []);
    assert_eq!(feed.complete("2.2").await.unwrap().disagrees, []);
    for (patient, sop) in [("A", "3.1"), ("C", "3.2")] {
        let found = instances_by(&feed, ("PatientID", patient)).await;
        assert_eq!(found, [(sop.to_owned(), patient.to_owned())]);
    }
    assert_eq!(instances_by(&feed, ("PatientID", "B")).await, []);
}

async fn an_instance_that_moves_in_the_batch_in_which_its_series_disagrees_is_only_the_others(
    mut feed: Feed,
) {
    feed.receive([of_patient("2.1", "3.1", "1.1", "A", "Roe^Anna")]).await;
    feed.receive([
        of_patient("2.1", "3.2", "1.2", "B", "Doe^Ben"),
        of_patient("2.1", "3.3", "1.2", "B", "Doe^Ben"),
        of_patient("2.2", "3.3", "1.3", "C", "Poe^Cid"),
    ])
    .await;
    for (patient, sop) in [("A", "3.1"), ("B", "3.2"), ("C", "3.3")] {
        let found = instances_by(&feed, ("PatientID", patient)).await;
        assert_eq!(found, [(sop.to_owned(), patient.to_owned())]);
    }
    let completed = feed.complete("2.1").await.unwrap();
    let told = json!([{"Value": "A", "Instances": 1}, {"Value": "B", "Instances": 1}]);
    assert_eq!(serde_json::to_value(&completed.disagrees).unwrap()[1]["Values"], told);
    assert_eq!(feed.complete("2.2").await.unwrap().disagrees, []);
}

on_both!(
    no_instance_of_one_patient_is_told_as_anothers,
    both_studies_of_a_series_stay_and_are_complete_with_what_is_theirs,
    a_series_whose_instances_are_all_corrected_disagrees_no_more,
    a_study_of_two_patients_is_found_by_either,
    a_deletion_takes_all_that_a_disagreeing_series_named_and_names_no_patient,
    what_is_held_back_is_announced_once_a_person_says_so,
    an_instance_that_leaves_a_disagreeing_series_takes_its_patient_along,
    an_instance_that_moves_in_the_batch_in_which_its_series_disagrees_is_only_the_others,
);
