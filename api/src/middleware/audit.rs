//! Audit middleware: records who read, searched or changed patients' data, and who was refused. It is around all
//! routes, so that none can be forgotten.

use super::documented_path::DocumentedPath;
use crate::auth::caller::Caller;
use crate::dicomweb::qido;
use crate::dicomweb::retrieve::RetrievedPath;
use crate::openapi::rules::Audited;
use catalog::CatalogReader;
use contract::uid::{SeriesInstanceUid, StudyInstanceUid};
use poem::http::{Method, StatusCode};
use poem::{Endpoint, Request, Response};
use shared::audit::{
    Action, ActiveParticipant, Auditor, Code, Draft, EventId, Outcome,
    ParticipantObjectIdentification as Object, code,
};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// Characters of a path that are kept; ours have fewer.
const MAX_PATH: usize = 512;

/// Bytes of a query string that are kept, so that a few of them do not fill what may wait for NATS.
const MAX_QUERY: usize = 8 * 1024;

/// Who a caller is that has proved nothing.
const ANONYMOUS: &str = "anonymous";

/// Says what was asked and answered.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    auditor: Auditor,
    catalog: CatalogReader,
}

/// A request, as far as the audit trail is concerned.
#[derive(Debug)]
struct AuditedRequest {
    method: Method,
    path: String,
    query: String,
    touched: Touched,
}

/// The study and patient of a series that a request names in its body. Whoever serves the request can
/// fill it in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched(Arc<OnceLock<Study>>);

/// A study and its patient.
#[derive(Debug, Clone)]
struct Study {
    study_instance_uid: String,
    patient_id: String,
}

impl Touched {
    /// It was of this study and patient.
    pub(crate) fn study(&self, study: &StudyInstanceUid, patient_id: &str) {
        let study_instance_uid = study.as_str().to_owned();
        let _ = self.0.set(Study { study_instance_uid, patient_id: patient_id.to_owned() });
    }
}

impl AuditedRequest {
    /// Of a request that is about to be served.
    fn by(request: &mut Request) -> Self {
        let touched = Touched::default();
        request.set_data(touched.clone());
        Self {
            method: request.method().clone(),
            path: match RetrievedPath::of(request.uri().path()) {
                // A viewer reads a series frame by frame: that is one access, and is counted as such.
                Some(retrieved) => retrieved.path.to_owned(),
                None => request.uri().path().to_owned(),
            },
            query: request.uri().query().unwrap_or_default().to_owned(),
            touched,
        }
    }
}

/// What is recorded of a request, if anything is.
fn audited(method: &Method, path: &str, documented: Option<&DocumentedPath>) -> Option<Audited> {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let Some(documented) = documented else {
        // DICOMweb is not documented by OpenAPI.
        return (is_read && qido::is_below(path)).then(|| match RetrievedPath::of(path) {
            Some(_) => Audited::Access(Action::Read),
            None => Audited::Query,
        });
    };
    match documented.rules(method) {
        Some(rules) => rules.audited,
        None => audited_without_rules(method, documented),
    }
}

/// What is recorded where a documented path has no such operation, or one without rules.
fn audited_without_rules(method: &Method, documented: &DocumentedPath) -> Option<Audited> {
    let names_one = documented.path_parameters.iter().any(|it| it.ends_with("InstanceUID"));
    match *method {
        Method::GET | Method::HEAD if names_one => Some(Audited::Access(Action::Read)),
        Method::GET | Method::HEAD => Some(Audited::Query),
        Method::POST => Some(Audited::Access(Action::Update)),
        Method::DELETE => Some(Audited::Access(Action::Delete)),
        _ => None,
    }
}

impl Audit {
    /// Says it by `auditor`; `catalog` knows whose a series is.
    pub(crate) fn new(auditor: Auditor, catalog: CatalogReader) -> Self {
        Self { auditor, catalog }
    }

    /// Records a request whose caller the guard has judged, and what it was answered.
    pub(crate) async fn record<E: Endpoint<Output = Response>>(
        self,
        next: Arc<E>,
        mut request: Request,
    ) -> poem::Result<Response> {
        let asked = AuditedRequest::by(&mut request);
        let documented = DocumentedPath::of(&request);
        let response = next.call(request).await?;
        if let Some(caller) = response.data::<Caller>() {
            self.answered(&asked, caller, documented.as_deref(), response.status()).await;
        }
        Ok(response)
    }

    async fn answered(
        &self,
        asked: &AuditedRequest,
        caller: &Caller,
        documented: Option<&DocumentedPath>,
        status: StatusCode,
    ) {
        if !self.auditor.is_on() {
            return;
        }
        let peer = caller.peer.map(|peer| peer.ip().to_canonical());
        if let Some(what) = refusal(status, caller) {
            return self.say_refused(asked, caller, peer, status, what);
        }
        let Some(audited) = audited(&asked.method, &asked.path, documented) else { return };
        let AuditedRequest { method, path, query, .. } = asked;
        let key = (&caller.name, peer, method, path, query, status);
        // Whose a series is has to be looked up, and only for what is said.
        if self.auditor.counts(key) {
            return;
        }
        let study = match audited {
            Audited::Access(_) if status.is_success() => self.study(asked, documented).await,
            _ => None,
        };
        self.auditor.say_as(key, || self.draft(asked, caller, peer, audited, status, study));
    }

    fn draft(
        &self,
        asked: &AuditedRequest,
        caller: &Caller,
        peer: Option<IpAddr>,
        audited: Audited,
        status: StatusCode,
        study: Option<Study>,
    ) -> Draft {
        let (event, action) = match audited {
            Audited::Query => (EventId::Query, Action::Execute),
            Audited::Access(action) => (EventId::InstancesAccessed, action),
            Audited::Configuration => (EventId::SecurityAlert, Action::Execute),
        };
        let outcome = match status {
            _ if status.is_server_error() => Outcome::SeriousFailure,
            _ if status.is_client_error() => Outcome::MinorFailure,
            _ => Outcome::Success,
        };
        let mut draft = Draft::new(event, action, outcome);
        draft.description = (outcome != Outcome::Success).then(|| status.to_string());
        let (from, to) = (participant(caller, peer), self.auditor.itself());
        let path = cut(&asked.path, MAX_PATH);
        match audited {
            Audited::Query => {
                draft.participants = vec![from.role(code::SOURCE), to.role(code::DESTINATION)];
                draft.objects.push(Object::search(path, cut(&asked.query, MAX_QUERY)));
            }
            Audited::Access(_) => {
                draft.participants = vec![from, to];
                if let Some(Study { study_instance_uid, patient_id }) = study {
                    draft.objects.push(Object::study(&study_instance_uid));
                    draft.objects.push(Object::patient(&patient_id));
                }
                draft.objects.push(Object::path(path));
            }
            Audited::Configuration => {
                draft.types.push(code::SOFTWARE_CONFIGURATION);
                draft.participants = vec![to, from];
                draft.objects.push(Object::guarded_path(path));
            }
        }
        draft
    }

    /// Whose the series or study is that a request names.
    async fn study(
        &self,
        asked: &AuditedRequest,
        documented: Option<&DocumentedPath>,
    ) -> Option<Study> {
        if let Some(touched) = asked.touched.0.get() {
            return Some(touched.clone());
        }
        if let Some(RetrievedPath { study, .. }) = RetrievedPath::of(&asked.path) {
            return self.of_study(study).await;
        }
        let segments = documented?.segments().iter().zip(asked.path.split('/'));
        for (wanted, uid) in segments {
            match wanted.as_str() {
                "{SeriesInstanceUID}" => {
                    let series = SeriesInstanceUid::parse(uid).ok()?;
                    let details = self.catalog.series_details(&series).await.ok()??;
                    let text = |keyword| Some(details.get(keyword)?.as_str()?.to_owned());
                    let patient_id = text("PatientID").unwrap_or_default();
                    return Some(Study {
                        study_instance_uid: text("StudyInstanceUID")?,
                        patient_id,
                    });
                }
                "{StudyInstanceUID}" => return self.of_study(uid).await,
                _ => {}
            }
        }
        None
    }

    /// Whose a study is.
    async fn of_study(&self, uid: &str) -> Option<Study> {
        let study = StudyInstanceUid::parse(uid).ok()?;
        let record = self.catalog.study(&study).await.ok()??;
        let (study_instance_uid, patient_id) = (record.study_instance_uid, record.patient_id);
        Some(Study { study_instance_uid, patient_id })
    }

    fn say_refused(
        &self,
        asked: &AuditedRequest,
        caller: &Caller,
        peer: Option<IpAddr>,
        status: StatusCode,
        what: Code,
    ) {
        // Whoever tries paths finds another one each time.
        self.auditor.say_as((peer, &caller.name, status), || {
            let why = status.to_string();
            let object = Object::guarded_path(cut(&asked.path, MAX_PATH));
            let mut draft =
                Draft::new(EventId::SecurityAlert, Action::Execute, Outcome::MinorFailure);
            draft.types.push(what);
            draft.objects.push(object.detail("Alert Description", &why));
            draft.description = Some(why);
            let caller =
                ActiveParticipant { user_is_requestor: false, ..participant(caller, peer) };
            draft.participants = vec![self.auditor.itself(), caller];
            draft
        });
    }
}

/// What kind of a refusal an answer is.
fn refusal(status: StatusCode, caller: &Caller) -> Option<Code> {
    match status {
        StatusCode::UNAUTHORIZED => Some(code::AUTHENTICATION_DECISION),
        StatusCode::FORBIDDEN if caller.name.is_some() => Some(code::AUTHORIZATION_DECISION),
        StatusCode::FORBIDDEN | StatusCode::PAYLOAD_TOO_LARGE => {
            Some(code::ACCESS_CONTROL_DECISION)
        }
        _ => None,
    }
}

fn participant(caller: &Caller, peer: Option<IpAddr>) -> ActiveParticipant {
    let who = ActiveParticipant::requestor(caller.name.as_deref().unwrap_or(ANONYMOUS));
    match peer {
        Some(peer) => who.from_address(peer),
        None => who,
    }
}

/// The beginning of a text.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::documented_path::DocumentedPaths;
    use crate::routes::committed_paths;

    #[test]
    fn whatever_is_documented_is_audited_unless_it_tells_of_no_patient() {
        let paths = committed_paths();
        let of = |method: Method, path: &str| {
            let documented = paths.find(path).cloned();
            audited(&method, path, Some(&documented.unwrap_or_else(DocumentedPaths::of_tomorrow)))
        };
        let get = |path| of(Method::GET, path);
        for path in ["/stats", "/sources", "/webhooks"] {
            assert_eq!(get(path), None, "{path}");
        }
        for path in ["/series", "/studies", "/events", "/dead-letters", "/one-of-tomorrow"] {
            assert_eq!(get(path), Some(Audited::Query), "{path}");
        }
        let read = Some(Audited::Access(Action::Read));
        assert_eq!(of(Method::HEAD, "/series/1.2"), read);
        let deleted = Some(Audited::Access(Action::Delete));
        assert_eq!(of(Method::DELETE, "/series/1.2"), deleted);
        let created = Some(Audited::Access(Action::Create));
        assert_eq!(of(Method::POST, "/store"), created);
        assert_eq!(of(Method::POST, "/sources/A/trust"), Some(Audited::Configuration));
        assert_eq!(audited(&Method::GET, "/dicom-web/studies", None), Some(Audited::Query));
        for retrieved in ["/dicom-web/studies/1.2", "/dicom-web/studies/1.2/series/3/metadata"] {
            assert_eq!(audited(&Method::GET, retrieved, None), read, "{retrieved}");
        }
        for page in ["/", "/docs", "/health/live", "/metrics", "/openapi.json"] {
            assert!(paths.find(page).is_none(), "{page}");
            assert_eq!(audited(&Method::GET, page, None), None, "{page}");
        }
    }

    #[test]
    fn what_a_documented_path_has_not_is_audited_too() {
        let paths = committed_paths();
        let of =
            |method: Method, path: &str| audited(&method, path, Some(paths.find(path).unwrap()));
        assert_eq!(of(Method::GET, "/store"), Some(Audited::Query));
        assert_eq!(of(Method::GET, "/series/1.2/complete"), Some(Audited::Access(Action::Read)));
        assert_eq!(of(Method::POST, "/stats"), Some(Audited::Access(Action::Update)));
        assert_eq!(of(Method::DELETE, "/studies"), Some(Audited::Access(Action::Delete)));
        assert_eq!(of(Method::PUT, "/series"), None);
    }
}
