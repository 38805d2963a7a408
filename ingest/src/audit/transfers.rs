//! What one association brought of each study, for the audit trail: recorded when the association ends, or earlier
//! for a study that there is no more room for.

use contract::event::{AttributeValue, InstanceStored};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Studies that are known of one association. When one more comes, the one that was left alone for
/// longest is over, as far as the audit trail goes.
pub(crate) const MAX_STUDIES: usize = 64;

/// Accession numbers that are known of a study: it has one, mostly.
const MAX_ACCESSIONS: usize = 16;

/// SOP classes that are told apart in a study, the standard's and private ones.
const MAX_CLASSES: usize = 32;

/// What an association brought of the studies of one patient each, the one that was touched last at the
/// end.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    studies: VecDeque<Transfer>,
    /// C-STOREs that were answered with a failure and named no study.
    failed: u64,
}

/// What an association brought of one study of one patient.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// Study Instance UID (0020,000D); empty of an instance that has none.
    pub study_instance_uid: String,
    /// Patient ID (0010,0020), or its pseudonym.
    pub patient_id: String,
    /// Accession numbers (0008,0050).
    pub accessions: BTreeSet<String>,
    /// Instances that were answered with Success, by SOP class.
    pub classes: BTreeMap<String, u64>,
    /// C-STOREs that were answered with Success.
    pub acknowledged: u64,
    /// C-STOREs that were answered with a failure.
    pub failed: u64,
}

/// What changed with an instance.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Its study is new in this association.
    pub study: Option<Transfer>,
    /// There is no more room for this one.
    pub over: Option<Transfer>,
}

impl Transfers {
    /// An instance is to be stored.
    pub(crate) fn begin(&mut self, event: &InstanceStored) -> Begun {
        let mut begun = Begun::default();
        let study = event.study_instance_uid.as_ref().map_or("", |uid| uid.as_str());
        let patient = text(event, "PatientID");
        let is_it = |it: &Transfer| it.study_instance_uid == study && it.patient_id == patient;
        // From the end, since senders mostly send one study after the other.
        let known = self.studies.iter().rposition(is_it);
        let mut transfer = match known.and_then(|at| self.studies.remove(at)) {
            Some(transfer) => transfer,
            None => {
                if self.studies.len() == MAX_STUDIES {
                    begun.over = self.studies.pop_front();
                }
                let (study_instance_uid, patient_id) = (study.to_owned(), patient.to_owned());
                Transfer { study_instance_uid, patient_id, ..Transfer::default() }
            }
        };
        let accession = text(event, "AccessionNumber");
        if !accession.is_empty() && transfer.accessions.len() < MAX_ACCESSIONS {
            transfer.accessions.insert(accession.to_owned());
        }
        begun.study = known.is_none().then(|| transfer.clone());
        self.studies.push_back(transfer);
        begun
    }

    /// The instance that was begun last is answered with Success, or with a failure.
    pub(crate) fn end(&mut self, event: &InstanceStored, is_stored: bool) {
        let Some(transfer) = self.studies.back_mut() else { return };
        if !is_stored {
            transfer.failed += 1;
            return;
        }
        transfer.acknowledged += 1;
        let (class, has_room) = (&event.sop_class_uid, transfer.classes.len() < MAX_CLASSES);
        match transfer.classes.get_mut(class) {
            Some(instances) => *instances += 1,
            None if has_room => {
                transfer.classes.insert(class.clone(), 1);
            }
            None => {}
        }
    }

    /// A C-STORE is answered with a failure, and nobody knows of which study it is.
    pub(crate) fn fail(&mut self) {
        self.failed += 1;
    }

    /// What is not recorded yet. What failed of unknown studies comes last, with neither study nor patient.
    pub(crate) fn close(self) -> impl Iterator<Item = Transfer> {
        let failed = self.failed;
        let unknown = (failed > 0).then(|| Transfer { failed, ..Transfer::default() });
        self.studies.into_iter().chain(unknown)
    }
}

fn text<'a>(event: &'a InstanceStored, keyword: &str) -> &'a str {
    match event.attributes.get(keyword) {
        Some(AttributeValue::Text(text)) => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::event::Attributes;
    use contract::uid::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid};
    use jiff::Timestamp;

    fn instance(study: usize, patient: &str, class: &str) -> InstanceStored {
        let text = |value: &str| AttributeValue::Text(value.into());
        InstanceStored {
            sop_instance_uid: SopInstanceUid::parse("2.25.3").unwrap(),
            sop_class_uid: class.into(),
            series_instance_uid: SeriesInstanceUid::parse("2.25.2").unwrap(),
            study_instance_uid: Some(StudyInstanceUid::parse(&format!("2.25.{study}")).unwrap()),
            attributes: Attributes::from([
                ("PatientID".into(), text(patient)),
                ("AccessionNumber".into(), text(&format!("A-{study}"))),
            ]),
            remarks: contract::event::Remarks::default(),
            transfer_syntax_uid: String::new(),
            bytes: 1,
            digest: String::new(),
            object: None,
            calling_ae_title: String::new(),
            called_ae_title: String::new(),
            peer_address: String::new(),
            association_id: String::new(),
            node_name: String::new(),
            ordinal: 1,
            series_ordinal: 1,
            received_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_study_of_each_patient_is_counted_by_class() {
        let mut transfers = Transfers::default();
        for (study, patient, class, is_stored) in [
            (1, "p", "CT", true),
            (1, "p", "SR", true),
            (2, "p", "CT", false),
            (1, "p", "CT", true),
            (1, "q", "CT", true),
        ] {
            let event = instance(study, patient, class);
            transfers.begin(&event);
            transfers.end(&event, is_stored);
        }
        transfers.fail();
        let said: Vec<_> = transfers.close().collect();
        let of = |it: &Transfer| (it.study_instance_uid.clone(), it.acknowledged, it.failed);
        let said_of: Vec<_> = said.iter().map(of).collect();
        let expected = [("2.25.2", 0, 1), ("2.25.1", 3, 0), ("2.25.1", 1, 0), ("", 0, 1)];
        assert_eq!(said_of, expected.map(|(study, stored, failed)| (study.into(), stored, failed)));
        assert_eq!(said[1].classes, BTreeMap::from([("CT".into(), 2), ("SR".into(), 1)]));
        assert_eq!(said[1].accessions, BTreeSet::from(["A-1".into()]));
    }

    #[test]
    fn a_study_that_there_is_no_room_for_is_over_and_comes_back_as_a_new_one() {
        let mut transfers = Transfers::default();
        for study in 0..MAX_STUDIES {
            let begun = transfers.begin(&instance(study, "p", "CT"));
            assert!(begun.study.is_some() && begun.over.is_none());
        }
        assert_eq!(transfers.begin(&instance(0, "p", "CT")), Begun::default());
        let begun = transfers.begin(&instance(MAX_STUDIES, "p", "CT"));
        assert_eq!(begun.over.unwrap().study_instance_uid, "2.25.1");
        let again = transfers.begin(&instance(1, "p", "CT"));
        assert_eq!(again.study.unwrap().study_instance_uid, "2.25.1");
        assert_eq!(transfers.close().count(), MAX_STUDIES);
    }
}
