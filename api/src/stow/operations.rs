//! The operations of STOW-RS, as they are served and as they are documented.

use super::Stow;
use super::payload::{DicomFiles, StoredInstances};
use crate::auth::tokens::Scope;
use crate::http::parameters::StudyUid;
use crate::openapi::responses::broker_problems;
use crate::openapi::rules::{Audited, OperationRules};
use poem::http::StatusCode;
use poem::{Body, Request};
use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, OpenApi, Tags};
use shared::audit::Action;

/// The documented operations.
#[derive(Debug)]
pub struct StowOperations {
    stow: Stow,
}

#[derive(Tags)]
enum Group {
    /// Instances that come by HTTP (DICOMweb, PS3.18 section 10.5).
    #[oai(rename = "STOW-RS")]
    Stow,
}

/// What each operation needs, and what the audit trail records of it.
pub(crate) const RULES: [OperationRules; 2] = [
    OperationRules::new("storeInstances", Scope::Store, Some(Audited::Access(Action::Create))),
    OperationRules::new(
        "storeInstancesOfStudy",
        Scope::Store,
        Some(Audited::Access(Action::Create)),
    ),
];

#[derive(ApiResponse)]
pub(super) enum StoreAnswer {
    /// All instances are stored: their events are on NATS's disk, and where instances are kept their files are too
    #[oai(status = 200)]
    All(StoredInstances),
    /// Some instances are stored, and the others are not
    #[oai(status = 202)]
    Some(StoredInstances),
    /// No instance is stored
    #[oai(status = 409)]
    None(StoredInstances),
}

broker_problems!(StoreRefused {
    /// The body is no multipart body, is cut off, or has no part; or the path is no UTF-8. Instances before the fault
    /// are stored
    400 Malformed,
    /// The token lacks the scope `store`, `SOURCES_FILE` does not let the sender send, or the `Host` or the origin of the
    /// page is not in `ALLOWED_HOSTS` or `ALLOWED_ORIGINS`
    403 Forbidden,
    /// The client accepts no `application/dicom+json`
    406 NotAcceptable,
    /// Nothing came for as long as a sender may be silent
    408 Silent,
    /// The request has more than 20,000 instances; those before are stored
    413 TooMany,
    /// The body is not `multipart/related; type="application/dicom"`: metadata with bulk data is not taken
    415 NotMultipart,
    /// The path names no study
    422 Wrong,
    /// The sender was refused too often
    429 TooOften,
    /// Instances are not taken here: `STOW_URL` names no receiver
    501 NotHere;
    /// No instance is stored now, and the same request may succeed after `Retry-After` seconds: NATS or the instance store
    /// does not take them, there are too many senders, or the receiver does not answer
});

impl StowOperations {
    /// Which pass requests on by this.
    #[must_use]
    pub fn new(stow: Stow) -> Self {
        Self { stow }
    }

    async fn passed_on(&self, request: &Request, body: Body) -> Result<StoreAnswer, StoreRefused> {
        let answer = self.stow.pass_on(request, body).await?;
        let (status, body) = (answer.status(), StoredInstances(answer.into_body()));
        Ok(match status {
            StatusCode::OK => StoreAnswer::All(body),
            StatusCode::ACCEPTED => StoreAnswer::Some(body),
            _ => StoreAnswer::None(body),
        })
    }
}

#[OpenApi]
impl StowOperations {
    /// Store instances
    ///
    /// Takes instances of any studies as a C-STORE does (STOW-RS, PS3.18 section 10.5). A request is an association to the
    /// rules of completeness, and its end a release. The calling AE title is the name of the token, where that can be one,
    /// and `STOW` otherwise.
    #[oai(
        path = "/dicom-web/studies",
        method = "post",
        operation_id = "storeInstances",
        tag = "Group::Stow"
    )]
    async fn store(
        &self,
        request: &Request,
        body: DicomFiles,
    ) -> Result<StoreAnswer, StoreRefused> {
        self.passed_on(request, body.0).await
    }

    /// Store instances of a study
    ///
    /// The same, and an instance of another study is refused (Failure Reason 0xC409).
    #[oai(
        path = "/dicom-web/studies/:StudyInstanceUID",
        method = "post",
        operation_id = "storeInstancesOfStudy",
        tag = "Group::Stow"
    )]
    async fn store_of_study(
        &self,
        request: &Request,
        #[oai(name = "StudyInstanceUID")]
        /// The study
        _study: Path<StudyUid>,
        body: DicomFiles,
    ) -> Result<StoreAnswer, StoreRefused> {
        self.passed_on(request, body.0).await
    }
}
