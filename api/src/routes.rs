//! All routes, and the order of the middleware around them.

use crate::auth::guard::Guard;
use crate::broker::BrokerHandle;
use crate::dead_letters::DeadLetters;
use crate::dead_letters::operations::DeadLetterOperations;
use crate::deployment::operations::DeploymentOperations;
use crate::dicomweb::retrieve::InstanceStore;
use crate::dicomweb::{self, qido};
use crate::events::Events;
use crate::events::operations::EventOperations;
use crate::middleware::audit::Audit;
use crate::middleware::documented_path::DocumentedPaths;
use crate::middleware::http_metrics::HttpMetrics;
use crate::middleware::{
    authentication, cors, host_header, problem_responses, repeated_values, security_headers,
    strict_parameters,
};
use crate::openapi::rules::{OperationRules, Ruled};
use crate::openapi::security::Guarded;
use crate::receivers::operations::ReceiverOperations;
use crate::senders::operations::SenderOperations;
use crate::series::operations::SeriesOperations;
use crate::statistics::operations::StatisticsOperations;
use crate::stow::Stow;
use crate::stow::operations::StowOperations;
use crate::studies::operations::StudyOperations;
use crate::webhooks::Webhooks;
use crate::webhooks::operations::WebhookOperations;
use crate::{
    asyncapi, dashboard, dead_letters, deployment, events, openapi, receivers, senders, series,
    statistics, stow, studies, webhooks,
};
use catalog::CatalogReader;
use poem::endpoint::make_sync;
use poem::web::Html;
use poem::{Endpoint, EndpointExt, IntoEndpoint, IntoResponse as _, Request, Response, Route};
use poem_openapi::{LicenseObject, OpenApiService};
use shared::audit::Auditor;
use shared::health::{self, Health, Part};
use shared::metrics::{self, Metrics};
use std::sync::Arc;

const DESCRIPTION: &str = "Collimator receives DICOM from a PACS or a modality, knows when each \
series is complete, and announces it: here, and as `dicom.series.completed.>` on NATS. \
DICOMweb clients search the same catalogue by QIDO-RS under `/dicom-web`, retrieve what is kept by \
WADO-RS, and send instances by STOW-RS. The events on NATS are described in \
[AsyncAPI](/asyncapi).";

/// Where the licences are, of which one chooses. OpenAPI 3.0 knows their name and a place, and no SPDX
/// expression.
const LICENSE: &str = "https://spdx.org/licenses/";

/// The part of the health that is the catalogue.
pub(crate) const CATALOGUE: &str = "catalogue";

/// All documented operations, in the order in which people need them: the documentation has it.
type Documented = (
    SeriesOperations,
    StudyOperations,
    EventOperations,
    StowOperations,
    WebhookOperations,
    DeadLetterOperations,
    SenderOperations,
    StatisticsOperations,
    DeploymentOperations,
    ReceiverOperations,
);

impl Ruled for Documented {
    fn rules() -> Vec<OperationRules> {
        let of_resources: [&[OperationRules]; 10] = [
            &series::operations::RULES,
            &studies::operations::RULES,
            &events::operations::RULES,
            &stow::operations::RULES,
            &webhooks::operations::RULES,
            &dead_letters::operations::RULES,
            &senders::operations::RULES,
            &statistics::operations::RULES,
            &deployment::operations::RULES,
            &receivers::operations::RULES,
        ];
        of_resources.concat()
    }
}

/// The documented operations with what describes them.
#[must_use]
pub fn service(
    catalog: CatalogReader,
    broker: BrokerHandle,
    events: Events,
    webhooks: Webhooks,
    stow: Stow,
) -> OpenApiService<Guarded<Documented>, ()> {
    let operations = Guarded((
        SeriesOperations::new(catalog.clone(), broker.clone()),
        StudyOperations::new(catalog.clone()),
        EventOperations::new(events),
        StowOperations::new(stow),
        WebhookOperations::new(webhooks.clone()),
        DeadLetterOperations::new(DeadLetters::new(broker.clone(), webhooks)),
        SenderOperations::new(catalog.clone(), broker.clone()),
        StatisticsOperations::new(catalog, broker.clone()),
        DeploymentOperations::new(broker.clone()),
        ReceiverOperations::new(broker),
    ));
    OpenApiService::new(operations, "Collimator", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("MIT OR Apache-2.0").url(LICENSE))
        .server("/")
}

/// Everything that is served. Whatever goes wrong is answered as a problem.
#[must_use]
#[allow(clippy::too_many_arguments, reason = "each is a part of the API")]
pub fn routes(
    catalog: CatalogReader,
    store: &InstanceStore,
    broker: BrokerHandle,
    events: Events,
    webhooks: Webhooks,
    stow: Stow,
    guard: Guard,
    auditor: Auditor,
    health: Health,
    metrics: Metrics,
) -> impl Endpoint<Output = Response> + use<> {
    metrics.collect(events.clone());
    metrics.collect(health.clone());
    let http_metrics = HttpMetrics::registered(&metrics);
    let service = service(catalog.clone(), broker, events, webhooks, stow);
    let dicom_web = dicomweb::routes(&catalog, store);
    let unordered = service.spec();
    let documented_paths = DocumentedPaths::of(&unordered, &Documented::rules());
    let document = openapi::document::of(&service).unwrap_or_else(|_| unordered.clone());
    let swagger_ui = documentation(&service.swagger_ui_html().replacen(&unordered, &document, 1));
    let operations = Arc::new(service.into_endpoint().map_to_response());
    let (storing, store) = (operations.clone(), store.clone());
    let guard = Arc::new(guard);
    let (judging, preflights) = (guard.clone(), guard.clone());
    let audit = Audit::new(auditor, catalog.clone());
    let part = health.part(CATALOGUE);
    let ready = health::ready(health).before(move |request: Request| {
        let (catalog, part) = (catalog.clone(), part.clone());
        async move {
            check_catalogue(&catalog, &part).await;
            Ok(request)
        }
    });
    asyncapi::add_to(Route::new())
        .at(health::LIVE, health::live())
        .at(health::READY, ready)
        .at("/metrics", metrics::route(metrics))
        .at(
            "/openapi.json",
            make_sync(move |_| document.clone().with_content_type("application/json")),
        )
        .nest("/docs", swagger_ui)
        .nest(qido::ROOT, dicom_web)
        .nest("/", operations)
        .around(move |next, request| {
            let store = store.clone();
            stow::in_front_of(next, request, storing.clone(), move |request| store.urls(request))
        })
        .around(dashboard::in_front_of)
        // The last of these sees a request first and its response last.
        .around(problem_responses::convert)
        .around(repeated_values::join)
        .around(strict_parameters::check)
        .around(move |next, request| authentication::check(next, request, judging.clone()))
        .around(move |next, request| audit.clone().record(next, request))
        // The type of all of them together is more than the compiler follows (its recursion limit).
        .boxed()
        .around(move |next, request| cors::answer_preflight(next, request, preflights.clone()))
        .around(host_header::check)
        .around(move |next, request| http_metrics.clone().count(next, request))
        .around(security_headers::add)
        .around(move |next, request| cors::share(next, request, guard.clone()))
        .around(move |next, request| documented_paths.clone().attach(next, request))
}

/// Sets the state of the catalogue as it is now.
pub(crate) async fn check_catalogue(catalog: &CatalogReader, part: &Part) {
    match catalog.check().await {
        Ok(()) => part.ready(),
        Err(error) => part.not_ready(error.to_string()),
    }
}

/// The paths of the committed document.
#[cfg(test)]
pub(crate) fn committed_paths() -> DocumentedPaths {
    DocumentedPaths::of(include_str!("../openapi.json"), &Documented::rules())
}

/// Swagger UI. It shows answers without colours: for those of a megabyte of JSON a browser stands still for 20 s.
fn documentation(swagger_ui: &str) -> impl Endpoint + 'static {
    let option = "deepLinking: true,";
    let page = swagger_ui.replacen(option, &format!("{option} syntaxHighlight: false,"), 1);
    Route::new().at("/", make_sync(move |_| Html(page.clone())))
}

#[cfg(test)]
mod tests;
