//! STOW-RS (PS3.18 section 10.5): instances that come by HTTP. A request is an association to the rules, and each of its
//! parts takes the way of a C-STORE's data set.
//!
//! Only the API asks here, with a secret that both know. It has checked who sends, and says it in headers.

mod answer;
mod file_head;
mod listener;
mod multipart;
mod receiving;
mod retrieved;
mod settings;
mod store_response;

use crate::audit;
use crate::intake::Intake;
use crate::server::connection::{Reception, new_id, span};
use answer::{Answer, RefusedHead, problem, refuse_accept};
use contract::dicomweb::DicomwebUrls;
use contract::event::{AssociationIdentity, Ending};
use contract::uid::StudyInstanceUid;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use jiff::Timestamp;
pub(crate) use listener::StowPort;
use multipart::Multipart;
use receiving::{Broken, StowRequest};
pub(crate) use retrieved::receive_retrieved;
pub use settings::StowSettings;
use shared::audit::code;
use shared::connection_limit::{Full, Place};
use shared::media_type::MediaType;
use shared::metrics::Refused;
use shared::stow::{CLIENT_ADDRESS, CLIENT_NAME, CLIENT_TLS, RETRIEVE_FROM, STUDIES, StowToken};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store_response::StoreResponse;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// The calling AE title of those who have no name of their own that could be one.
const CALLING_AE_TITLE: &str = "STOW";

/// How much of a body is read past, and for how long, behind an answer that did not wait for it: with bytes unread a
/// connection ends by a reset, which may overtake the answer.
const PAST: usize = 64 * 1024 * 1024;
const PAST_TIME: Duration = Duration::from_secs(5);

/// Takes the requests.
#[derive(Debug)]
pub(crate) struct Stow {
    reception: Arc<Reception>,
    token: StowToken,
    /// Requests that are being received, which go on when their connection is lost.
    requests: TaskTracker,
}

/// What a request has to bring.
struct Asked {
    parts: Multipart,
    study: Option<StudyInstanceUid>,
    /// Where its sender retrieves what is kept of it.
    retrieve_from: Option<DicomwebUrls>,
}

impl Stow {
    fn new(reception: Arc<Reception>, token: StowToken) -> Self {
        Self { reception, token, requests: TaskTracker::new() }
    }

    /// Answers a request that came from this address.
    async fn answer(self: Arc<Self>, request: Request<Incoming>, from: IpAddr) -> Answer {
        let authorization = request.headers().get(AUTHORIZATION);
        if !authorization.is_some_and(|value| self.token.is_in(value.as_bytes())) {
            self.report_no_token(from);
            return problem(
                StatusCode::UNAUTHORIZED,
                "only the API asks here; send instances to its /dicom-web/studies",
            );
        }
        let (peer, name) = client(&request, from);
        let id = new_id();
        let span = span(&id, peer);
        let answered = async {
            match asked(&request) {
                Ok(asked) => self.admit(request, asked, peer, &name, id).await,
                Err(refused) => {
                    self.read_past(request.into_body());
                    refused.answer()
                }
            }
        };
        answered.instrument(span).await
    }

    /// Receives what a request brings, if its sender may send and there is room.
    async fn admit(
        self: &Arc<Self>,
        request: Request<Incoming>,
        asked: Asked,
        peer: IpAddr,
        name: &str,
        id: String,
    ) -> Answer {
        let negotiator = &self.reception.negotiator;
        let is_encrypted = request.headers().get(CLIENT_TLS).map(|it| it == "true");
        let identity = negotiator.stow_identity(calling_ae_title(name), peer, is_encrypted, id);
        if let Err(rejection) = negotiator.admits(&identity, peer) {
            self.read_past(request.into_body());
            if negotiator.hangs_up(peer, rejection) {
                return problem(StatusCode::TOO_MANY_REQUESTS, "too many refusals; wait a minute");
            }
            negotiator.rejected(identity, peer, rejection).await;
            return problem(StatusCode::FORBIDDEN, "SOURCES_FILE does not let this sender send");
        }
        if let Some(outage) = self.reception.intake.publisher.outage() {
            self.read_past(request.into_body());
            return problem(StatusCode::SERVICE_UNAVAILABLE, &outage.to_string());
        }
        match self.reception.limit.take(peer) {
            Ok(place) => self.receive(request.into_body(), asked, identity, place).await,
            Err(full) => {
                self.read_past(request.into_body());
                let setting = match full {
                    Full::InAll => "MAX_ASSOCIATIONS",
                    Full::ForPeer => "MAX_ASSOCIATIONS_PER_PEER",
                };
                let detail = format!("there are as many senders as there may be ({setting})");
                negotiator.rejected(identity, peer, full.into()).await;
                problem(StatusCode::SERVICE_UNAVAILABLE, &detail)
            }
        }
    }

    /// Receives a request in a task of its own: it is also finished, and its end published, when nobody waits for the
    /// answer any more.
    async fn receive(
        self: &Arc<Self>,
        body: Incoming,
        asked: Asked,
        identity: AssociationIdentity,
        place: Place,
    ) -> Answer {
        let (answered, answer) = oneshot::channel();
        let stow = self.clone();
        let received = async move {
            stow.received(body, asked, identity, answered).await;
            drop(place);
        };
        self.requests.spawn(received.in_current_span());
        answer.await.unwrap_or_else(|_ended| {
            problem(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here; see the log")
        })
    }

    async fn received(
        &self,
        body: Incoming,
        asked: Asked,
        identity: AssociationIdentity,
        answered: oneshot::Sender<Answer>,
    ) {
        let intake: &Intake = &self.reception.intake;
        let Asked { parts, study, retrieve_from } = asked;
        let delivery = intake.delivery(identity);
        let response = StoreResponse::retrieved_from(retrieve_from);
        let mut request =
            StowRequest { intake, body, parts, delivery, study, response, is_in_part: false };
        let received = request.receive().await;
        let StowRequest { body, mut delivery, response, .. } = request;
        let closed_at = Timestamp::now();
        let (ending, cause) = self.report(&delivery.tally().summary(), &received);
        let answer = answer_of(&received, &response);
        // Who sent it may be gone.
        let _ = answered.send(answer);
        self.read_past(body);
        delivery.end(ending, cause.as_deref());
        delivery.close(ending, cause, closed_at).await;
    }

    fn report(&self, came: &str, received: &Result<(), Broken>) -> (Ending, Option<String>) {
        let Err(broken) = received else {
            tracing::info!(came, "STOW-RS request answered");
            return (Ending::Released, None);
        };
        let reports = &self.reception.reports;
        if let Some(cause) = broken.cause() {
            reports.refusals.count(Refused::Abort, cause);
        }
        if let Some(troubles) = reports.fault() {
            tracing::warn!(came, troubles, error = %broken, "STOW-RS request aborted");
        }
        (Ending::Aborted, Some(broken.to_string()))
    }

    fn report_no_token(&self, from: IpAddr) {
        let (reports, cause) = (&self.reception.reports, "stow_token");
        let why = "a STOW-RS request without the token of STOW_TOKEN_FILE";
        reports.refusals.count(Refused::Association, cause);
        audit::security_alert(&reports.auditor, from, None, cause, code::NODE_AUTHENTICATION, why);
        if let Some(troubles) = reports.fault() {
            tracing::warn!(peer = %from, troubles, "{why}");
        }
    }

    /// Reads past what is left of a body, while its answer is on its way.
    fn read_past(&self, mut body: Incoming) {
        let past = async move {
            let mut left = PAST;
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, |bytes| bytes.len());
                match left.checked_sub(length) {
                    Some(less) => left = less,
                    None => return,
                }
            }
        };
        self.requests.spawn(async { drop(timeout(PAST_TIME, past).await) });
    }
}

/// Who sends, as the API says it: the address, and the name of a token, empty without one.
fn client(request: &Request<Incoming>, from: IpAddr) -> (IpAddr, String) {
    let header =
        |name| request.headers().get(name).and_then(|value| str::from_utf8(value.as_bytes()).ok());
    let peer = header(CLIENT_ADDRESS).and_then(|address| address.parse::<IpAddr>().ok());
    (peer.unwrap_or(from).to_canonical(), header(CLIENT_NAME).unwrap_or_default().to_owned())
}

/// The AE title by which the rules know a sender: its name, if that can be one (PS3.5 section 6.2, VR AE).
fn calling_ae_title(name: &str) -> &str {
    let is_title = (1..=16).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\')
        && name.trim() == name;
    if is_title { name } else { CALLING_AE_TITLE }
}

/// What a request asks for, by its head.
fn asked<B>(request: &Request<B>) -> Result<Asked, RefusedHead> {
    let study = match request.uri().path().strip_prefix(STUDIES) {
        Some("") => None,
        Some(rest) if rest.starts_with('/') && !rest[1..].contains('/') => Some(&rest[1..]),
        _ => {
            return Err(RefusedHead::new(
                StatusCode::NOT_FOUND,
                "instances are stored at /dicom-web/studies",
            ));
        }
    };
    if request.method() != Method::POST {
        return Err(RefusedHead::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "instances are stored by POST",
        ));
    }
    let is_uid = |uid: &str| uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let study = study.map(|uid| StudyInstanceUid::parse(uid).ok().filter(|_| is_uid(uid)));
    if study == Some(None) {
        return Err(RefusedHead::new(StatusCode::BAD_REQUEST, "the study of the path is no UID"));
    }
    if let Some(refused) = refuse_accept(request.headers()) {
        return Err(refused);
    }
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = MediaType::parse(content_type.unwrap_or_default());
    let kind = content_type.parameter("type").map(str::to_ascii_lowercase);
    if content_type.name != "multipart/related"
        || kind.is_some_and(|kind| MediaType::parse(&kind).name != "application/dicom")
    {
        return Err(RefusedHead::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "instances are taken as multipart/related; type=\"application/dicom\": metadata with bulk data \
             (application/dicom+json, application/dicom+xml) and rendered images are not",
        ));
    }
    let Some(boundary) = content_type.parameter("boundary") else {
        return Err(RefusedHead::new(StatusCode::BAD_REQUEST, "Content-Type has no boundary"));
    };
    let parts = Multipart::new(boundary)
        .map_err(|error| RefusedHead::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let retrieve_from = request.headers().get(RETRIEVE_FROM).and_then(|url| url.to_str().ok());
    let retrieve_from = retrieve_from.map(DicomwebUrls::of_service);
    Ok(Asked { parts, study: study.flatten(), retrieve_from })
}

/// The answer to a request that was received.
fn answer_of(received: &Result<(), Broken>, response: &StoreResponse) -> Answer {
    match received {
        Ok(()) if response.count() == 0 => {
            problem(StatusCode::BAD_REQUEST, "the body has no part, and so no instance")
        }
        Ok(()) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
            let (count, why) = (response.count(), response.last_failure());
            problem(response.status(), &format!("none of {count} instances is stored: {why}"))
        }
        Ok(()) => answer::stored(response),
        Err(broken) => {
            let stored = response.stored_count();
            problem(broken.status(), &format!("{broken}; {stored} instances before are stored"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match asked(&request.body(()).unwrap()) {
            Ok(_) => 200,
            Err(refused) => refused.status.as_u16(),
        }
    }

    #[test]
    fn what_is_no_request_to_store_is_refused_before_its_body() {
        let related = "multipart/related; type=\"application/dicom\"; boundary=b";
        let is = |path: &str, content_type: &str| {
            status(Method::POST, path, &[("content-type", content_type)])
        };
        assert_eq!(is(STUDIES, related), 200);
        assert_eq!(is("/dicom-web/studies/2.25.7", related), 200);
        assert_eq!(is(STUDIES, "multipart/related; boundary=b"), 200);
        for path in
            ["/", "/dicom-web/studies/", "/dicom-web/studies/a%20b", "/dicom-web/studies/1.2/3"]
        {
            let refused = is(path, related);
            assert!([400, 404].contains(&refused), "{path}: {refused}");
        }
        for (content_type, expected) in [
            ("multipart/related; type=\"application/dicom\"", 400),
            ("multipart/related; boundary=\"\"", 400),
            ("multipart/form-data; boundary=b", 415),
            ("multipart/related; type=\"application/dicom+json\"; boundary=b", 415),
            ("application/dicom", 415),
            ("", 415),
        ] {
            assert_eq!(is(STUDIES, content_type), expected, "{content_type}");
        }
        assert_eq!(status(Method::PUT, STUDIES, &[("content-type", related)]), 405);
        for (accept, expected) in [
            ("*/*", 200),
            ("application/dicom+xml, application/dicom+json", 200),
            ("application/json", 200),
            ("application/dicom+xml", 406),
            ("application/dicom+json;q=0", 406),
        ] {
            let headers = [("content-type", related), ("accept", accept)];
            assert_eq!(status(Method::POST, STUDIES, &headers), expected, "{accept}");
        }
    }

    #[test]
    fn a_sender_is_known_by_its_name_if_that_can_be_an_ae_title() {
        assert_eq!(calling_ae_title("MR1"), "MR1");
        for other in ["", "a name that is too long", "M\u{fc}ller", "A\\B", " MR1"] {
            assert_eq!(calling_ae_title(other), CALLING_AE_TITLE);
        }
    }
}
