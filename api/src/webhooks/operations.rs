//! `GET /webhooks`, as it is served and as it is documented.

use super::Webhooks;
pub use super::status::Webhook;
use crate::auth::tokens::Scope;
use crate::http::json_body::JsonBody;
use crate::openapi::responses::broker_problems;
use crate::openapi::rules::OperationRules;
use poem_openapi::{ApiResponse, OpenApi, Tags};

/// The documented operation.
#[derive(Debug)]
pub struct WebhookOperations {
    webhooks: Webhooks,
}

#[derive(Tags)]
enum Group {
    /// Receivers of completions by HTTP, from `WEBHOOKS_FILE`.
    Webhooks,
}

impl WebhookOperations {
    /// On the webhooks of the file.
    #[must_use]
    pub fn new(webhooks: Webhooks) -> Self {
        Self { webhooks }
    }
}

/// What each operation needs, and what the audit trail records of it.
pub(crate) const RULES: [OperationRules; 1] =
    [OperationRules::new("listWebhooks", Scope::Read, None)];

#[OpenApi]
impl WebhookOperations {
    /// List the webhooks
    ///
    /// In the order of the webhooks file, with what each is still owed. A delivery is a POST of
    /// the event `dicom.series.completed` as a CloudEvent (`application/cloudevents+json`), and is
    /// taken when it is answered with 2xx. Anything else is tried again, after a second, two
    /// seconds, four, up to an hour, or what `Retry-After` asks for if that is longer; after the
    /// last try it is a dead letter. The same event may come twice, and a later one may come first.
    ///
    /// `X-Collimator-Signature` is `sha256=` and the HMAC-SHA256, with the secret, of
    /// `X-Collimator-Timestamp` (Unix seconds), a full stop and the body, in hexadecimal digits.
    #[oai(
        path = "/webhooks",
        method = "get",
        operation_id = "listWebhooks",
        tag = "Group::Webhooks"
    )]
    async fn webhooks(&self) -> Result<ListedWebhooks, WebhooksUnknown> {
        Ok(ListedWebhooks::Done(JsonBody(self.webhooks.states().await?)))
    }
}

#[derive(ApiResponse)]
enum ListedWebhooks {
    /// The webhooks; `[]` when there are none
    #[oai(status = 200)]
    Done(JsonBody<Vec<Webhook>>),
}

broker_problems!(WebhooksUnknown {
    /// A parameter is unknown; `errors` names it
    422 Wrong;
    /// NATS is away; try again after `Retry-After` seconds
});
