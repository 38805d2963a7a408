//! The OpenAPI document as it is served, with its resources in the order in which people need them. Swagger UI and other
//! readers show the tags in the order of the document; poem-openapi sorts them by name.

use poem_openapi::{OpenApi, OpenApiService, Webhook};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The parts of a document, each as it is written but for the tags.
#[derive(Serialize, Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    openapi: &'a RawValue,
    #[serde(borrow)]
    info: &'a RawValue,
    #[serde(borrow)]
    servers: &'a RawValue,
    #[serde(borrow)]
    tags: Vec<&'a RawValue>,
    #[serde(borrow)]
    paths: &'a RawValue,
    #[serde(borrow)]
    components: &'a RawValue,
}

/// The document of a service, with its tags in the order in which its operations have them first.
///
/// # Errors
/// When the document has other parts than poem-openapi writes.
pub fn of<T: OpenApi, W: Webhook>(service: &OpenApiService<T, W>) -> serde_json::Result<String> {
    #[derive(Deserialize)]
    struct Tag<'a> {
        name: &'a str,
    }
    let spec = service.spec();
    let mut document: Document<'_> = serde_json::from_str(&spec)?;
    let paths = T::meta().into_iter().flat_map(|api| api.paths);
    let order: Vec<&str> =
        paths.flat_map(|path| path.operations).flat_map(|operation| operation.tags).collect();
    document.tags.sort_by_key(|tag| {
        let tag = serde_json::from_str::<Tag<'_>>(tag.get()).map_or("", |tag| tag.name);
        order.iter().position(|other| *other == tag)
    });
    serde_json::to_string(&document)
}
