//! The bodies of STOW-RS: they are passed on as they come, and documented.

use poem::http::{HeaderValue, header};
use poem::{Body, FromRequest, IntoResponse, Request, RequestBody, Response};
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{Example, Type};
use poem_openapi::{Object, impl_apirequest_for_payload};
use serde::Serialize;

/// A body with one instance, whose bytes are left out.
const EXAMPLE: &str =
    "--xyz\r\nContent-Type: application/dicom\r\n\r\n(a DICOM file)\r\n--xyz--\r\n";

/// DICOM files, each a part of a multipart body.
#[derive(Debug)]
pub(super) struct DicomFiles(pub(super) Body);

impl Payload for DicomFiles {
    const CONTENT_TYPE: &'static str = "multipart/related";

    fn check_content_type(_: &str) -> bool {
        // The receiver says what it takes.
        true
    }

    fn schema_ref() -> MetaSchemaRef {
        let mut schema = MetaSchema::new_with_format("string", "binary");
        schema.description = Some(
            "One part of `Content-Type: application/dicom` for each instance, a DICOM file (PS3.10) with preamble and \
             File Meta Information. The body's own type has `type=\"application/dicom\"` and a `boundary`.",
        );
        schema.example = Some(EXAMPLE.into());
        MetaSchemaRef::Inline(Box::new(schema))
    }
}

impl ParsePayload for DicomFiles {
    const IS_REQUIRED: bool = true;

    async fn from_request(request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        Body::from_request(request, body).await.map(Self)
    }
}

impl_apirequest_for_payload!(DicomFiles);

/// What the receiver says became of each instance, in the DICOM JSON model.
#[derive(Debug)]
pub(super) struct StoredInstances(pub(super) Body);

impl Payload for StoredInstances {
    const CONTENT_TYPE: &'static str = "application/dicom+json";

    fn schema_ref() -> MetaSchemaRef {
        StoreInstancesResponse::schema_ref()
    }

    fn register(registry: &mut Registry) {
        StoreInstancesResponse::register(registry);
    }
}

impl IntoResponse for StoredInstances {
    fn into_response(self) -> Response {
        let media_type = HeaderValue::from_static(Self::CONTENT_TYPE);
        Response::builder().header(header::CONTENT_TYPE, media_type).body(self.0)
    }
}

/// The Store Instances Response Module (PS3.18 section I.2) in the DICOM JSON model: what became of each instance
#[derive(Debug, Serialize, Object)]
#[oai(example)]
struct StoreInstancesResponse {
    /// Retrieve URL of the study, if instances are kept and all of these are of one study; else empty
    #[oai(rename = "00081190")]
    #[serde(rename = "00081190")]
    retrieve_url: Element,
    /// Failed SOP Sequence: the instances that are not stored, each with its Failure Reason (0008,1197)
    #[oai(rename = "00081198", skip_serializing_if_is_none)]
    #[serde(rename = "00081198", skip_serializing_if = "Option::is_none")]
    failed: Option<Element>,
    /// Referenced SOP Sequence: the instances that are stored, each with its Retrieve URL (0008,1190), empty if it is not kept
    #[oai(rename = "00081199", skip_serializing_if_is_none)]
    #[serde(rename = "00081199", skip_serializing_if = "Option::is_none")]
    referenced: Option<Element>,
    /// Other Failures Sequence: parts that say of no instance that they are it
    #[oai(rename = "0008119A", skip_serializing_if_is_none)]
    #[serde(rename = "0008119A", skip_serializing_if = "Option::is_none")]
    other: Option<Element>,
}

/// One attribute in the DICOM JSON model (PS3.18 section F.2)
#[derive(Debug, Serialize, Object)]
#[oai(rename = "DicomJsonAttribute")]
struct Element {
    /// Its VR
    vr: String,
    /// Its values; none of one that is empty
    #[oai(rename = "Value", skip_serializing_if_is_none)]
    #[serde(rename = "Value", skip_serializing_if = "Option::is_none")]
    values: Option<Vec<serde_json::Value>>,
}

impl Element {
    fn sequence(item: serde_json::Value) -> Option<Self> {
        Some(Self { vr: "SQ".into(), values: Some(vec![item]) })
    }
}

impl Example for StoreInstancesResponse {
    fn example() -> Self {
        let uid = |uid: &str| serde_json::json!({ "vr": "UI", "Value": [uid] });
        let (class, retrieve_url) =
            (uid("1.2.840.10008.5.1.4.1.1.4"), Element { vr: "UR".into(), values: None });
        Self {
            retrieve_url,
            failed: Element::sequence(serde_json::json!({
                "00081150": class, "00081155": uid("2.25.4"),
                "00081197": { "vr": "US", "Value": [49152] },
            })),
            referenced: Element::sequence(serde_json::json!({
                "00081150": class, "00081155": uid("2.25.3"), "00081190": { "vr": "UR" },
            })),
            other: None,
        }
    }
}
