//! The Store Instances Response Module (PS3.18 section I.2), in the DICOM JSON model (PS3.18 annex F).

use super::file_head::FileMetaUids;
use crate::instance::identity::InstanceIdentity;
use crate::instance::refusal::Refusal;
use contract::dicomweb::DicomwebUrls;
use contract::uid::StudyInstanceUid;
use dimse::Status;
use hyper::StatusCode;
use serde_json::Value;
use std::fmt::Write as _;

/// Longest UID (PS3.5 section 9.1); a longer one is cut off.
const MAX_UID_LENGTH: usize = 64;

/// What became of each instance of a request.
#[derive(Debug, Default)]
pub(super) struct StoreResponse {
    /// Where instances can be retrieved that are kept.
    retrieve_from: Option<DicomwebUrls>,
    /// The study of all instances that can be.
    study: OfStudy,
    /// Items of the Referenced SOP Sequence (0008,1199).
    stored: Items,
    /// Items of the Failed SOP Sequence (0008,1198).
    failed: Items,
    /// Items of the Other Failures Sequence (0008,119A): of parts that say of no instance that they are it.
    unknown: Items,
    /// Whether each that failed may be stored once the broker or the store works again.
    is_our_fault: bool,
    /// Why the last one of them failed.
    last_failure: String,
}

/// Which study can be retrieved, of a request that may bring instances of several.
#[derive(Debug, Default)]
enum OfStudy {
    /// None so far.
    #[default]
    None,
    /// The one that is here.
    One(String),
    /// There are two or more, and no URL for all of them.
    Several,
}

/// Items of a sequence, as JSON with commas between them.
#[derive(Debug, Default)]
struct Items {
    json: String,
    count: u64,
}

impl Items {
    fn push(&mut self, item: &str) {
        if self.count > 0 {
            self.json.push(',');
        }
        self.json.push_str(item);
        self.count += 1;
    }
}

impl StoreResponse {
    /// Of a request whose sender retrieves what is kept from here, if that is known.
    #[must_use]
    pub(super) fn retrieved_from(retrieve_from: Option<DicomwebUrls>) -> Self {
        Self { retrieve_from, ..Self::default() }
    }

    /// An instance is stored, and kept or not.
    pub(super) fn stored(&mut self, identity: &InstanceIdentity, is_kept: bool) {
        let uids = references(&identity.sop_class_uid, identity.sop_instance_uid.as_str());
        let study = identity.study_instance_uid.as_ref().map(StudyInstanceUid::as_str);
        let retrieve_url = self.retrieve_from.as_ref().zip(study).filter(|_| is_kept);
        let retrieve_url = retrieve_url.map(|(urls, study)| {
            self.study = match &self.study {
                OfStudy::None => OfStudy::One(study.to_owned()),
                OfStudy::One(same) if same == study => OfStudy::One(study.to_owned()),
                _ => OfStudy::Several,
            };
            let series = identity.series_instance_uid.as_str();
            urls.instance(study, series, identity.sop_instance_uid.as_str())
        });
        let retrieve_url = url(retrieve_url.as_deref());
        self.stored.push(&format!("{{{uids},\"00081190\":{retrieve_url}}}"));
    }

    /// An instance is refused.
    pub(super) fn failed(&mut self, meta: &FileMetaUids, refusal: &Refusal) {
        let is_first = self.failed.count + self.unknown.count == 0;
        let is_ours = refusal.status == Status::OutOfResources;
        self.is_our_fault = is_ours && (self.is_our_fault || is_first);
        self.last_failure.clone_from(&refusal.comment);
        let code = refusal.status.code();
        let reason = format!("\"00081197\":{{\"vr\":\"US\",\"Value\":[{code}]}}");
        match meta.sop_instance_uid.is_empty() {
            true => self.unknown.push(&format!("{{{reason}}}")),
            false => {
                let uids = references(&meta.sop_class_uid, &meta.sop_instance_uid);
                self.failed.push(&format!("{{{uids},{reason}}}"));
            }
        }
    }

    /// How many are stored.
    #[must_use]
    pub(super) fn stored_count(&self) -> u64 {
        self.stored.count
    }

    /// Why the last one that failed did, in words for its sender.
    #[must_use]
    pub(super) fn last_failure(&self) -> &str {
        &self.last_failure
    }

    /// How many there were.
    #[must_use]
    pub(super) fn count(&self) -> u64 {
        self.stored.count + self.failed_count()
    }

    fn failed_count(&self) -> u64 {
        self.failed.count + self.unknown.count
    }

    /// The status of the answer (PS3.18 table 10.5.3-1).
    #[must_use]
    pub(super) fn status(&self) -> StatusCode {
        match (self.stored.count, self.failed_count()) {
            (_, 0) => StatusCode::OK,
            (0, _) if self.is_our_fault => StatusCode::SERVICE_UNAVAILABLE,
            (0, _) => StatusCode::CONFLICT,
            _ => StatusCode::ACCEPTED,
        }
    }

    /// The answer's body.
    #[must_use]
    pub(super) fn json(&self) -> String {
        let study = match (&self.retrieve_from, &self.study) {
            (Some(urls), OfStudy::One(study)) => Some(urls.study(study)),
            _ => None,
        };
        let mut json = format!("{{\"00081190\":{}", url(study.as_deref()));
        // Tags come in ascending order (section F.2.2).
        for (tag, items) in
            [("00081198", &self.failed), ("00081199", &self.stored), ("0008119A", &self.unknown)]
        {
            if items.count > 0 {
                // A String takes all that is written.
                let _ = write!(json, ",\"{tag}\":{{\"vr\":\"SQ\",\"Value\":[{}]}}", items.json);
            }
        }
        json.push('}');
        json
    }
}

/// Referenced SOP Class UID (0008,1150) and Referenced SOP Instance UID (0008,1155).
fn references(class: &str, instance: &str) -> String {
    format!("\"00081150\":{},\"00081155\":{}", uid(class), uid(instance))
}

fn uid(uid: &str) -> String {
    // Whatever a file says is a UID.
    match &uid[..uid.floor_char_boundary(MAX_UID_LENGTH)] {
        "" => "{\"vr\":\"UI\"}".to_owned(),
        uid => format!("{{\"vr\":\"UI\",\"Value\":[{}]}}", Value::from(uid)),
    }
}

/// A Retrieve URL: empty where nothing can be retrieved.
fn url(url: Option<&str>) -> String {
    match url {
        None => "{\"vr\":\"UR\"}".to_owned(),
        Some(url) => format!("{{\"vr\":\"UR\",\"Value\":[{}]}}", Value::from(url)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::uid::{SeriesInstanceUid, SopInstanceUid};
    use serde_json::json;

    fn identity(sop: &str) -> InstanceIdentity {
        InstanceIdentity {
            sop_class_uid: "1.2".into(),
            sop_instance_uid: SopInstanceUid::parse(sop).unwrap(),
            study_instance_uid: None,
            series_instance_uid: SeriesInstanceUid::parse("2.25.1").unwrap(),
        }
    }

    fn meta(sop: &str) -> FileMetaUids {
        let sop_instance_uid = sop.to_owned();
        FileMetaUids { sop_instance_uid, ..FileMetaUids::default() }
    }

    #[test]
    fn the_status_says_whether_all_some_or_none_are_stored_and_whose_fault_it_is() {
        let refusal = |status| Refusal::new(status, "cause", "");
        let (theirs, ours) = (refusal(Status::CannotUnderstand), refusal(Status::OutOfResources));
        for (stored, failed, status) in [
            (1, &[][..], 200),
            (1, &[&theirs], 202),
            (1, &[&ours], 202),
            (0, &[&theirs, &ours], 409),
            (0, &[&ours, &theirs], 409),
            (0, &[&ours, &ours], 503),
        ] {
            let mut response = StoreResponse::default();
            (0..stored).for_each(|_| response.stored(&identity("2.25.3"), true));
            failed.iter().for_each(|refusal| response.failed(&meta("2.25.4"), refusal));
            assert_eq!(response.status(), status, "{stored} {failed:?}");
        }
    }

    #[test]
    fn what_is_kept_has_a_url_and_a_request_of_one_study_has_its_url_too() {
        let of = |study: &str, sop: &str| InstanceIdentity {
            study_instance_uid: Some(StudyInstanceUid::parse(study).unwrap()),
            ..identity(sop)
        };
        let mut response =
            StoreResponse::retrieved_from(Some(DicomwebUrls::of_api("https://a.example")));
        let said = |response: &StoreResponse| {
            let json: Value = serde_json::from_str(&response.json()).unwrap();
            let url = |of: &Value| of["00081190"]["Value"][0].as_str().map(str::to_owned);
            let items = json["00081199"]["Value"].as_array().unwrap().iter().map(url);
            (url(&json), items.collect::<Vec<_>>())
        };
        response.stored(&of("2.25.8", "2.25.3"), false);
        assert_eq!(said(&response), (None, vec![None]));
        response.stored(&of("2.25.9", "2.25.4"), true);
        response.stored(&identity("2.25.5"), true);
        let study = "https://a.example/dicom-web/studies/2.25.9";
        let kept = Some(format!("{study}/series/2.25.1/instances/2.25.4"));
        assert_eq!(said(&response), (Some(study.to_owned()), vec![None, kept, None]));
        response.stored(&of("2.25.8", "2.25.3"), true);
        assert_eq!(said(&response).0, None);
    }

    #[test]
    fn each_instance_is_in_one_of_the_sequences() {
        let mut response = StoreResponse::default();
        let refusal = Refusal::new(Status::CannotUnderstand, "cause", "");
        response.stored(&identity("2.25.3"), true);
        response.failed(&meta("2.\"25"), &refusal);
        response.failed(&meta("2.25.5"), &refusal);
        response.failed(&meta(""), &refusal);
        let read: Value = serde_json::from_str(&response.json()).unwrap();
        let reason = json!({"vr": "US", "Value": [0xc000]});
        let failed = |sop: &str| {
            json!({"00081150": {"vr": "UI"}, "00081155": {"vr": "UI", "Value": [sop]},
                "00081197": reason})
        };
        let expected = json!({
            "00081190": {"vr": "UR"},
            "00081198": {"vr": "SQ", "Value": [failed("2.\"25"), failed("2.25.5")]},
            "00081199": {"vr": "SQ", "Value": [{
                "00081150": {"vr": "UI", "Value": ["1.2"]},
                "00081155": {"vr": "UI", "Value": ["2.25.3"]},
                "00081190": {"vr": "UR"},
            }]},
            "0008119A": {"vr": "SQ", "Value": [{"00081197": reason}]},
        });
        assert_eq!(read, expected);
        assert_eq!((response.count(), response.stored_count()), (4, 1));
        assert_eq!(StoreResponse::default().json(), "{\"00081190\":{\"vr\":\"UR\"}}");
    }
}
