//! Subjects are legal whatever a peer sends, and read back.

use super::*;
use proptest::prelude::*;

fn series(uid: &str) -> SeriesInstanceUid {
    SeriesInstanceUid::parse(uid).unwrap()
}

#[test]
fn a_uid_keeps_its_dots_and_the_partition_is_stable() {
    let subject = Subject::instance_stored("MR", &series("1.2.840.113619.2.410"));
    assert_eq!(subject.to_string(), "dicom.instance.stored.27.MR.1.2.840.113619.2.410");
}

#[test]
fn hostile_names_become_one_legal_token() {
    for (text, token) in [
        ("", "none"),
        ("  ", "none"),
        ("MY PACS", "MY_PACS"),
        ("a.b", "a_b"),
        (">", "_"),
        ("*", "_"),
        ("ÄRZTE", "_RZTE"),
        ("A\r\nPUB x", "A__PUB_x"),
    ] {
        assert_eq!(Token::new(text).as_str(), token, "{text:?}");
        assert_eq!(Token::ae_title(text).as_str(), token, "{text:?}");
    }
}

#[test]
fn no_text_makes_a_long_token() {
    let long = "ä".repeat(5000);
    assert_eq!(Token::new(&long).as_str(), "_".repeat(64));
    assert_eq!(Token::ae_title(&long).as_str(), "_".repeat(16));
    let longest = [
        Subject::instance_stored(&long, &series(&"1".repeat(64))),
        Subject::association(AssociationChange::Opened, &long),
        Subject::ingest_started(&long),
        Subject::clock(&long),
        Subject::study_completed(&long),
        Subject::dead(&long),
    ];
    for subject in longest {
        assert!(subject.to_string().len() < 128, "{subject}");
    }
}

#[test]
fn a_modality_is_a_defined_term_or_other() {
    for (modality, token) in [
        ("MR", "MR"),
        ("mr", "MR"),
        ("US ", "US"),
        ("TEXTUREMAP", "TEXTUREMAP"),
        ("", "none"),
        (" \0", "none"),
        ("MR\\PR", "MR"),
        ("XYZ", "OTHER"),
        ("other", "OTHER"),
        (&"M".repeat(5000), "OTHER"),
    ] {
        assert_eq!(Token::modality(modality).as_str(), token, "{modality:?}");
    }
}

#[test]
fn subjects_of_older_versions_read_back() {
    let long = "M".repeat(3800);
    for text in [
        format!("dicom.instance.stored.07.{long}.1.2"),
        "dicom.instance.stored.07.mr.1.2".to_owned(),
        format!("dicom.series.completed.{long}.1.2"),
        format!("dicom.association.opened.{long}"),
        format!("dicom.study.completed.{}", "1".repeat(200)),
    ] {
        assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
    }
}

#[test]
fn a_uid_that_is_none_gives_a_legal_subject() {
    for (uid, tokens) in
        [("..", "none"), ("1..2", "1.2"), (".>", "_"), ("a b.*", "a_b._"), ("1.2.", "1.2")]
    {
        assert_eq!(UidTokens::new(&series(uid)).as_str(), tokens, "{uid:?}");
    }
}

#[test]
fn foreign_subjects_are_not_ours() {
    for text in [
        "",
        "dicom",
        "dicom.",
        "dicom.dead.",
        "dicom.instance.stored.7.MR.1.2",
        "dicom.instance.stored.64.MR.1.2",
        "dicom.instance.stored.07.MR",
        "dicom.instance.stored.07.MR.1..2",
        "dicom.instance.stored.07.*.>",
        "dicom.association.lost.PACS",
        "dicom.association.opened.A.B",
        "dicom.ingest.started.a.b",
        "dicom.ingest.stopped.a",
        "dicom.clock.",
        "dicom.clock.a.b",
        "dicom.evidence.asked.A.B",
        "dicom.evidence.heard.A",
        "dicom.request.register.",
        "dicom.request.complete.",
        "dicom.request.delete.",
        "dicom.series.deleted.MR",
        "dicom.study.completed.",
        "dicom.request.trust.A.B",
        "dicom.request.gone.a.b",
        "dicom.audit.ingest",
        "dicom.audit.ingest.gossip",
        "dicom.audit.somebody.query",
        "dicom.audit.api.query.x",
        "other.instance.stored.07.MR.1.2",
    ] {
        assert!(text.parse::<Subject>().is_err(), "{text:?}");
    }
}

#[test]
fn an_audit_subject_reads_back() {
    for service in Service::ALL {
        for kind in AuditKind::ALL {
            let subject = Subject::Audit { service, kind };
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
    }
    let alert = Subject::Audit { service: Service::Api, kind: AuditKind::Alert };
    assert_eq!(alert.to_string(), "dicom.audit.api.alert");
}

proptest! {
    #[test]
    fn every_subject_is_legal_and_reads_back(
        modality in ".{0,20}", ae in ".{0,20}", uid in "[ -~]{1,64}",
    ) {
        // All-blank text is no UID and never gets this far.
        prop_assume!(!uid.trim().is_empty());
        let series = series(&uid);
        for subject in [
            Subject::instance_stored(&modality, &series),
            Subject::instance_receiving(&modality, &series),
            Subject::series_completed(&modality, &series),
            Subject::association(AssociationChange::Aborted, &ae),
            Subject::ingest_started(&ae),
            Subject::ingest_resumed(&ae),
            Subject::clock(&ae),
            Subject::source_asked(&ae),
            Subject::source_answered(&ae),
            Subject::instances_listed(&ae),
            Subject::registration_requested(&series),
            Subject::completion_requested(&series),
            Subject::deletion_requested(&series),
            Subject::study_completed(&uid),
            Subject::series_deleted(&modality, &series),
            Subject::trust_requested(&ae),
            Subject::gone_requested(&ae),
            Subject::dead(&ae),
            Subject::undelivered(&ae),
        ] {
            let text = subject.to_string();
            prop_assert!(text.split('.').all(|token| !token.is_empty()
                && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))));
            prop_assert_eq!(text.parse::<Subject>(), Ok(subject));
        }
    }
}
