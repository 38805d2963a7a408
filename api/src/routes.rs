//! The operations of the API, as they are served and as they are documented.

use crate::payload::JsonBody;
use crate::problem::{self, Problem};
use crate::series::Series;
use crate::store::{StoreMessage, StoreRequest};
use jiff::Timestamp;
use poem::http::{HeaderValue, StatusCode, header};
use poem::web::Redirect;
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get, handler};
use poem_openapi::{ApiResponse, LicenseObject, OpenApi, OpenApiService, Tags};
use serde_json::Value;
use shared::catalog::{Catalog, StoreOutcome};
use shared::health::{self, Health};
use std::collections::BTreeMap;
use std::sync::Arc;

const DESCRIPTION: &str = "Collimator receives DICOM from a PACS or a modality, knows when each \
series is complete, and tells everyone: here, and as `dicom.series.completed.>` on NATS.";

/// The documented operations.
#[derive(Debug)]
pub struct Operations {
    catalog: Catalog,
}

#[derive(Tags)]
enum Group {
    /// What is known of series, one record each.
    Series,
}

#[derive(ApiResponse)]
enum StoreAnswer {
    /// The series is in the catalogue: new, or as it was before
    #[oai(status = 200)]
    Done(JsonBody<StoreMessage>),
    /// The body is longer than 65,536 bytes
    #[oai(status = 413, content_type = "application/problem+json")]
    #[expect(dead_code, reason = "answered while the body is read; here for the documentation")]
    TooLarge(JsonBody<Problem>),
    /// The body is not declared as JSON
    #[oai(status = 415, content_type = "application/problem+json")]
    #[expect(dead_code, reason = "answered while the body is read; here for the documentation")]
    NotJson(JsonBody<Problem>),
    /// A field is missing or wrong; `errors` names each
    #[oai(status = 422, content_type = "application/problem+json")]
    Wrong(JsonBody<Problem>),
    /// The catalogue can't be read
    #[oai(status = 500, content_type = "application/problem+json")]
    Broken(JsonBody<Problem>),
    /// The catalogue is not there at the moment; try again after `Retry-After` seconds
    #[oai(status = 503, content_type = "application/problem+json")]
    Away(JsonBody<Problem>, #[oai(header = "Retry-After")] u32),
}

#[derive(ApiResponse)]
enum SeriesAnswer {
    /// The complete series, oldest first; `[]` when there are none
    #[oai(status = 200)]
    Done(JsonBody<Vec<Series>>),
    /// The catalogue can't be read
    #[oai(status = 500, content_type = "application/problem+json")]
    Broken(JsonBody<Problem>),
    /// The catalogue is not there at the moment; try again after `Retry-After` seconds
    #[oai(status = 503, content_type = "application/problem+json")]
    Away(JsonBody<Problem>, #[oai(header = "Retry-After")] u32),
}

#[OpenApi(tag = "Group::Series")]
impl Operations {
    /// Store a series
    ///
    /// Writes down a series that did not come by DICOM. It is complete at once and announced like
    /// any other. A series that is known in any state stays as it is.
    #[oai(path = "/store", method = "post", operation_id = "storeSeries")]
    async fn store(&self, body: JsonBody<StoreRequest>) -> StoreAnswer {
        let stored = match body.0.into_stored(Timestamp::now()) {
            Ok(stored) => stored,
            Err(problem) => return StoreAnswer::Wrong(JsonBody(problem)),
        };
        match self.catalog.store(&stored).await.map_err(Problem::from) {
            Ok(outcome) => {
                let message = match outcome {
                    StoreOutcome::Stored => "Series stored successfully",
                    StoreOutcome::AlreadyExists => "Series already exists",
                };
                StoreAnswer::Done(JsonBody(StoreMessage { message: message.to_owned() }))
            }
            Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
                StoreAnswer::Away(JsonBody(problem), problem::RETRY_AFTER)
            }
            Err(problem) => StoreAnswer::Broken(JsonBody(problem)),
        }
    }

    /// List the complete series
    ///
    /// All series that were ever complete, oldest first. One to which more instances came since is
    /// listed as it was last complete, with `State` `receiving`, until it is complete again.
    #[oai(path = "/series", method = "get", operation_id = "listSeries")]
    async fn series(&self) -> SeriesAnswer {
        match self.catalog.complete_series().await.map_err(Problem::from) {
            Ok(records) => {
                SeriesAnswer::Done(JsonBody(records.into_iter().map(Series::from).collect()))
            }
            Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
                SeriesAnswer::Away(JsonBody(problem), problem::RETRY_AFTER)
            }
            Err(problem) => SeriesAnswer::Broken(JsonBody(problem)),
        }
    }
}

/// The documented operations with what describes them.
#[must_use]
pub fn service(catalog: Catalog) -> OpenApiService<Operations, ()> {
    OpenApiService::new(Operations { catalog }, "Collimator", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .license(LicenseObject::new("MIT OR Apache-2.0").identifier("MIT OR Apache-2.0"))
        .server("/")
}

/// Everything that is served. Whatever goes wrong is answered as a problem.
#[must_use]
pub fn routes(catalog: Catalog, health: Health) -> impl Endpoint<Output = Response> {
    let service = service(catalog.clone());
    let allowed = Arc::new(allowed_methods(&service.spec()));
    let checked = health.clone();
    let health = health::routes(health).before(move |request: Request| {
        let (catalog, health) = (catalog.clone(), checked.clone());
        async move {
            health.set("catalogue", catalog.check().await.err().map(|error| error.to_string()));
            Ok(request)
        }
    });
    Route::new()
        .at("/", get(to_docs))
        .nest("/health", health)
        .at("/openapi.json", service.spec_endpoint())
        .nest("/docs", service.swagger_ui())
        .nest("/", service)
        .around(move |routes, request| answer(routes, request, allowed.clone()))
}

/// Answers one request, and logs that it did: never what was asked for, nor with what.
async fn answer<E: Endpoint>(
    routes: Arc<E>,
    request: Request,
    allowed: Arc<BTreeMap<String, String>>,
) -> poem::Result<Response> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match routes.call(request).await {
        Ok(answer) => answer.into_response(),
        Err(error) => problem::of_error(error),
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(methods) = allowed.get(&path)
        && let Ok(methods) = HeaderValue::from_str(methods)
    {
        // RFC 9110 section 15.5.6 asks for it.
        response.headers_mut().insert(header::ALLOW, methods);
    }
    tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
    Ok(response)
}

#[handler]
fn to_docs() -> Redirect {
    Redirect::temporary("/docs")
}

/// The methods of each documented path, as an `Allow` header has them.
fn allowed_methods(spec: &str) -> BTreeMap<String, String> {
    let spec: Value = serde_json::from_str(spec).unwrap_or_default();
    let paths = spec["paths"].as_object().cloned().unwrap_or_default();
    paths
        .into_iter()
        .map(|(path, operations)| {
            let methods = operations
                .as_object()
                .into_iter()
                .flat_map(|operations| operations.keys().map(|method| method.to_ascii_uppercase()));
            (path, methods.collect::<Vec<_>>().join(", "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use poem::test::TestClient;
    use shared::catalog::CatalogSettings;
    use tempfile::TempDir;

    struct TestApi {
        client: TestClient<Box<dyn poem::endpoint::DynEndpoint<Output = Response>>>,
        _owner: Option<Catalog>,
        _folder: TempDir,
    }

    async fn api(with_catalogue: bool) -> TestApi {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let settings = CatalogSettings { database_url: format!("sqlite://{}", path.display()) };
        let owner = match with_catalogue {
            true => Some(Catalog::own(&settings).await.unwrap()),
            false => None,
        };
        let catalog = Catalog::open(&settings).unwrap();
        let routes = routes(catalog, Health::default());
        let client = TestClient::new(Box::new(poem::endpoint::ToDynEndpoint(routes)) as Box<_>);
        TestApi { client, _owner: owner, _folder: folder }
    }

    fn store() -> Value {
        serde_json::json!({
            "SeriesInstanceUID": "1.2.3.4", "PatientID": "7", "PatientName": "Roe^Jane",
            "StudyInstanceUID": "1.2.3", "InstancesCount": 12
        })
    }

    #[tokio::test]
    async fn the_five_keys_of_the_seed_come_first_and_in_order() {
        let api = api(true).await;
        api.client.get("/series").send().await.assert_text("[]").await;
        api.client.post("/store").body_json(&store()).send().await.assert_status_is_ok();
        let listed = api.client.get("/series").send().await;
        let text = listed.0.into_body().into_string().await.unwrap();
        let expected = concat!(
            r#"[{"SeriesInstanceUID":"1.2.3.4","PatientID":"7","PatientName":"Roe^Jane","#,
            r#""StudyInstanceUID":"1.2.3","InstancesCount":12,"Source":"api","#
        );
        assert!(text.starts_with(expected), "{text}");
    }

    #[tokio::test]
    async fn a_body_that_is_no_object_is_a_problem_of_its_own() {
        let api = api(true).await;
        for (body, content_type, status) in [
            ("{", "application/json", 422),
            ("[]", "application/json", 422),
            ("", "application/json", 422),
            ("{}", "text/plain", 415),
            (&" ".repeat(70_000), "application/json", 413),
        ] {
            let request = api.client.post("/store").body(body.to_owned());
            let answer = request.content_type(content_type).send().await;
            answer.assert_status(StatusCode::from_u16(status).unwrap());
            answer.assert_content_type(problem::PROBLEM_JSON);
        }
    }

    #[tokio::test]
    async fn another_method_is_405_and_says_which_are_allowed() {
        let api = api(true).await;
        for (path, allowed) in [("/store", "POST"), ("/series", "GET")] {
            let answer = api.client.put(path).send().await;
            answer.assert_status(StatusCode::METHOD_NOT_ALLOWED);
            answer.assert_header(header::ALLOW, allowed);
            answer.assert_content_type(problem::PROBLEM_JSON);
        }
        let answer = api.client.get("/nowhere").send().await;
        answer.assert_status(StatusCode::NOT_FOUND);
        answer.assert_content_type(problem::PROBLEM_JSON);
    }

    #[tokio::test]
    async fn without_a_catalogue_it_is_alive_not_ready_and_says_what_to_do() {
        let api = api(false).await;
        for path in ["/series", "/health/ready"] {
            let answer = api.client.get(path).send().await;
            answer.assert_status(StatusCode::SERVICE_UNAVAILABLE);
            let said = answer.0.into_body().into_string().await.unwrap();
            assert!(said.contains("catalogue"), "{said}");
        }
        let answer = api.client.post("/store").body_json(&store()).send().await;
        answer.assert_status(StatusCode::SERVICE_UNAVAILABLE);
        answer.assert_header(header::RETRY_AFTER, problem::RETRY_AFTER.to_string());
        api.client.get("/health/live").send().await.assert_status_is_ok();
    }

    #[tokio::test]
    async fn the_spec_is_the_committed_one() {
        let api = api(true).await;
        let spec = api.client.get("/openapi.json").send().await.0.into_body();
        let spec: Value = serde_json::from_slice(&spec.into_bytes().await.unwrap()).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, format!("{spec:#}\n")).unwrap();
        }
        let committed: Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(
            spec == committed,
            "the API changed; look at what `UPDATE_OPENAPI=1 cargo test -p api` makes of {path}"
        );
    }

    #[tokio::test]
    async fn the_docs_need_no_network() {
        let api = api(true).await;
        let docs = api.client.get("/docs").send().await;
        docs.assert_status_is_ok();
        let html = docs.0.into_body().into_string().await.unwrap();
        for outside in ["src=\"http", "src='http", "href=\"http", "href='http", "@import"] {
            let tags =
                html.split('<').filter(|tag| tag.starts_with("script") || tag.starts_with("link"));
            assert!(tags.clone().count() > 0);
            assert!(!tags.clone().any(|tag| tag.split('>').next().unwrap().contains(outside)));
        }
    }
}
