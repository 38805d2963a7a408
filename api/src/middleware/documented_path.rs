//! Which documented path a request is for. Found once, before everything else, for all that needs to know.

use crate::openapi::rules::OperationRules;
use poem::http::Method;
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
    /// The rules of its operations, by method.
    rules: Vec<(Method, OperationRules)>,
}

/// All paths of the documentation. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct DocumentedPaths(Arc<[Arc<DocumentedPath>]>);

impl DocumentedPaths {
    /// Those of an OpenAPI document, with the rules of its operations.
    pub(crate) fn of(spec: &str, rules: &[OperationRules]) -> Self {
        let spec: Value = serde_json::from_str(spec).unwrap_or_default();
        let paths = spec["paths"].as_object().into_iter().flatten();
        let path = |(path, operations): (&String, &Value)| {
            Arc::new(DocumentedPath::new(path, operations, rules))
        };
        Self(paths.map(path).collect())
    }

    pub(super) fn find(&self, path: &str) -> Option<&Arc<DocumentedPath>> {
        self.0.iter().find(|documented| documented.matches(path))
    }

    /// Attaches its documented path to a request that has one.
    pub(crate) async fn attach<E: Endpoint<Output = Response>>(
        self,
        next: Arc<E>,
        mut request: Request,
    ) -> poem::Result<Response> {
        self.attach_to(&mut request);
        next.call(request).await
    }

    pub(super) fn attach_to(&self, request: &mut Request) {
        if let Some(path) = self.find(request.uri().path()) {
            request.set_data(path.clone());
        }
    }

    /// A path with an operation that has no rules.
    #[cfg(test)]
    pub(crate) fn of_tomorrow() -> Arc<DocumentedPath> {
        let operations = serde_json::json!({"get": {"operationId": "listOfTomorrow"}});
        Arc::new(DocumentedPath::new("/one-of-tomorrow", &operations, &[]))
    }
}

impl DocumentedPath {
    fn new(path: &str, operations: &Value, rules: &[OperationRules]) -> Self {
        let query_parameters = operations.get("get").map(|get| {
            let all = get["parameters"].as_array().into_iter().flatten();
            let queried = all.filter(|it| it["in"] == "query");
            queried.filter_map(|it| it["name"].as_str().map(str::to_owned)).collect()
        });
        let operations = operations.as_object().into_iter().flatten();
        let operations: Vec<_> =
            operations.map(|(method, it)| (method.to_ascii_uppercase(), it)).collect();
        let methods: Vec<_> = operations.iter().map(|(method, _)| method.as_str()).collect();
        let rules_of = |(method, operation): &(String, &Value)| {
            let found = rules.iter().find(|rules| operation["operationId"] == rules.id);
            Some((method.parse().ok()?, *found?))
        };
        let braced = |it: &str| it.strip_prefix('{')?.strip_suffix('}').map(str::to_owned);
        Self {
            path_parameters: path.split('/').filter_map(braced).collect(),
            segments: path.split('/').map(str::to_owned).collect(),
            methods: methods.join(", "),
            query_parameters,
            rules: operations.iter().filter_map(rules_of).collect(),
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

    /// The rules of its operation of a method, if it has one. A HEAD is answered as a GET.
    pub(super) fn rules(&self, method: &Method) -> Option<OperationRules> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.rules.iter().find(|(other, _)| other == method).map(|(_, rules)| *rules)
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
