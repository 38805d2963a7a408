//! What the documentation says of every operation, since all of them are guarded alike: how to say who
//! asks, and what is answered before an operation hears of it.

use crate::problem::PROBLEM_JSON;
use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem_openapi::OpenApi;
use poem_openapi::registry::{
    MetaApi, MetaMediaType, MetaOperation, MetaParamIn, MetaResponse, MetaSchemaRef,
    MetaSecurityScheme, Registry,
};
use std::collections::HashMap;

/// The token in a header.
const TOKEN: &str = "token";

/// The token as a browser asks its user for it.
const PASSWORD: &str = "password";

/// Operations that are guarded.
#[derive(Debug)]
pub struct Guarded<T>(pub T);

impl<T: OpenApi> OpenApi for Guarded<T> {
    fn meta() -> Vec<MetaApi> {
        let mut meta = T::meta();
        let paths = meta.iter_mut().flat_map(|api| &mut api.paths);
        paths.flat_map(|path| &mut path.operations).for_each(guard);
        meta
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
        let scheme = |scheme, description| MetaSecurityScheme {
            ty: "http",
            description: Some(description),
            name: None,
            key_in: None,
            scheme: Some(scheme),
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        let token = "A token of `TOKENS_FILE`; none is needed without such a file. GET needs one with \
                     the scope `read`, `POST /store` one with `write`, all else one with `admin`.";
        registry.create_security_scheme(TOKEN, scheme("bearer", token));
        let password = "The same token as the password of any user, as browsers ask for it.";
        registry.create_security_scheme(PASSWORD, scheme("basic", password));
    }

    fn add_routes(self, routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {
        self.0.add_routes(routes);
    }
}

/// One operation.
fn guard(operation: &mut MetaOperation) {
    let schemes = [Some(TOKEN), Some(PASSWORD), None];
    let scheme = |name: Option<_>| name.map(|name| (name, Vec::new())).into_iter().collect();
    operation.security = schemes.map(scheme).into();
    let has_path = operation.params.iter().any(|param| param.in_type == MetaParamIn::Path);
    if has_path {
        answers(operation, 400, "The path is no UTF-8");
    }
    answers(operation, 401, "No token, or none of `TOKENS_FILE`");
    let refused = "The token has not the scope, a page of an origin that is not in `ALLOWED_ORIGINS` \
                   asks for a change, or the `Host` is a name that is not in `ALLOWED_HOSTS`";
    answers(operation, 403, refused);
}

fn answers(operation: &mut MetaOperation, status: u16, description: &'static str) {
    let schema = MetaSchemaRef::Reference("Problem".to_owned());
    let responses = &mut operation.responses.responses;
    responses.push(MetaResponse {
        description,
        status: Some(status),
        status_range: None,
        content: vec![MetaMediaType { content_type: PROBLEM_JSON, schema }],
        headers: Vec::new(),
    });
    responses.sort_by_key(|response| response.status);
}
