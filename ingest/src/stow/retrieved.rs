//! Instances that we asked for by WADO-RS (PS3.18 section 10.4): the body of the answer is that of a STOW-RS request.

use super::multipart::Multipart;
use super::receiving::StowRequest;
use super::store_response::StoreResponse;
use crate::intake::{Delivery, Intake};
use contract::uid::StudyInstanceUid;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use shared::media_type::MediaType;

/// Receives all instances of an answer. Returns how many are stored, or why not all came, and the delivery for the next
/// answer.
pub(crate) async fn receive_retrieved<'a>(
    intake: &'a Intake,
    delivery: Delivery<'a>,
    study: &StudyInstanceUid,
    answer: Response<Incoming>,
) -> (Result<u64, String>, Delivery<'a>) {
    let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = MediaType::parse(content_type.unwrap_or_default());
    let boundary = content_type.parameter("boundary").unwrap_or_default();
    let parts = match Multipart::new(boundary) {
        Ok(parts) => parts,
        Err(error) => return (Err(error.to_string()), delivery),
    };
    let (response, study) = (StoreResponse::default(), Some(study.clone()));
    let body = answer.into_body();
    let mut request =
        StowRequest { intake, body, parts, delivery, study, response, is_in_part: false };
    let received = request.receive().await;
    let StowRequest { delivery, response, .. } = request;
    (received.map(|()| response.stored_count()).map_err(|broken| broken.to_string()), delivery)
}
