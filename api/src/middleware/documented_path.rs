//! Which documented path a request is for. Found once, before everything else, for all that needs to know.

use poem::{Endpoint, Request, Response};
use serde_json::Value;
use std::sync::Arc;

/// A path of the documentation.
#[derive(Debug)]
pub(crate) struct DocumentedPath {
    /// Its segments; one in braces stands for any.
    segments: Vec<String>,
    /// The methods as an `Allow` header has them.
    pub(super) methods: String,
    /// The names of the segments in braces, in order.
    pub(super) path_parameters: Vec<String>,
    /// The names that may be in the query string of a GET, if there is one.
    pub(super) query_parameters: Option<Vec<String>>,
}

/// All paths of the documentation. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct DocumentedPaths(Arc<[Arc<DocumentedPath>]>);

impl DocumentedPaths {
    /// Those of an OpenAPI document.
    pub(crate) fn of(spec: &str) -> Self {
        let spec: Value = serde_json::from_str(spec).unwrap_or_default();
        let paths = spec["paths"].as_object().into_iter().flatten();
        let path =
            |(path, operations): (&String, &Value)| Arc::new(DocumentedPath::new(path, operations));
        Self(paths.map(path).collect())
    }

    fn find(&self, path: &str) -> Option<&Arc<DocumentedPath>> {
        self.0.iter().find(|documented| documented.matches(path))
    }

    /// Attaches its documented path to a request that has one.
    pub(crate) async fn attach<E: Endpoint<Output = Response>>(
        self,
        next: Arc<E>,
        mut request: Request,
    ) -> poem::Result<Response> {
        if let Some(path) = self.find(request.uri().path()) {
            request.set_data(path.clone());
        }
        next.call(request).await
    }
}

impl DocumentedPath {
    fn new(path: &str, operations: &Value) -> Self {
        let query_parameters = operations.get("get").map(|get| {
            let all = get["parameters"].as_array().into_iter().flatten();
            let queried = all.filter(|it| it["in"] == "query");
            queried.filter_map(|it| it["name"].as_str().map(str::to_owned)).collect()
        });
        let methods = operations.as_object().into_iter().flat_map(|operations| operations.keys());
        let methods: Vec<_> = methods.map(|method| method.to_ascii_uppercase()).collect();
        let braced = |it: &str| it.strip_prefix('{')?.strip_suffix('}').map(str::to_owned);
        Self {
            path_parameters: path.split('/').filter_map(braced).collect(),
            segments: path.split('/').map(str::to_owned).collect(),
            methods: methods.join(", "),
            query_parameters,
        }
    }

    /// That of a request, if it has one.
    pub(super) fn of(request: &Request) -> Option<Arc<Self>> {
        request.data::<Arc<Self>>().cloned()
    }

    /// The segments; one in braces stands for any.
    pub(super) fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The path as the documentation has it.
    pub(super) fn template(&self) -> String {
        self.segments.join("/")
    }

    fn matches(&self, path: &str) -> bool {
        let segments: Vec<_> = path.split('/').collect();
        let fits =
            |(wanted, segment): (&String, &&str)| wanted.starts_with('{') || wanted == segment;
        segments.len() == self.segments.len() && self.segments.iter().zip(&segments).all(fits)
    }
}
