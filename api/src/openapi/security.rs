//! Security in the documentation of every operation, since all are guarded alike: the security schemes, and the
//! responses of the guard.

use crate::auth::tokens::Scope;
use crate::http::problem::PROBLEM_JSON;
use crate::openapi::rules::Ruled;
use crate::openapi::{completion_rules, examples};
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

/// A token of an issuer in the same header.
const JWT: &str = "jwt";

/// The token as a browser asks its user for it.
const PASSWORD: &str = "password";

/// Operations that are guarded.
#[derive(Debug)]
pub struct Guarded<T>(pub T);

impl<T: OpenApi + Ruled> OpenApi for Guarded<T> {
    fn meta() -> Vec<MetaApi> {
        let mut meta = T::meta();
        let rules = T::rules();
        let mut registry = Registry::new();
        T::register(&mut registry);
        examples::without_nulls(&mut registry);
        for path in meta.iter_mut().flat_map(|api| &mut api.paths) {
            for operation in &mut path.operations {
                let rules = rules.iter().find(|rules| operation.operation_id == Some(rules.id));
                let undocumented = Scope::of_undocumented(&operation.method);
                guard(operation, rules.map_or(undocumented, |rules| rules.scope));
                examples::add(operation, &registry);
            }
        }
        meta
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
        examples::without_nulls(registry);
        completion_rules::fill_in(registry);
        let scheme = |scheme, bearer_format, description| MetaSecurityScheme {
            ty: "http",
            description: Some(description),
            name: None,
            key_in: None,
            scheme: Some(scheme),
            bearer_format,
            flows: None,
            openid_connect_url: None,
        };
        let token = "A token of `TOKENS_FILE`; none is needed without that and `OIDC_ISSUER`. GET needs \
                     one with the scope `read`, `POST /store` one with `write`, STOW-RS one with `store`, all \
                     else one with `admin`.";
        registry.create_security_scheme(TOKEN, scheme("bearer", None, token));
        let jwt = "A JSON Web Token of `OIDC_ISSUER` for `OIDC_AUDIENCE`. Its claim `scope`, or what \
                   `OIDC_SCOPE_CLAIM` says, has `collimator.read`, `collimator.write`, \
                   `collimator.store` or `collimator.admin`.";
        registry.create_security_scheme(JWT, scheme("bearer", Some("JWT"), jwt));
        let password = "Either token as the password of any user, as browsers ask for it.";
        registry.create_security_scheme(PASSWORD, scheme("basic", None, password));
    }

    fn add_routes(self, routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {
        self.0.add_routes(routes);
    }
}

/// One operation, which needs this scope.
fn guard(operation: &mut MetaOperation, needed: Scope) {
    let schemes = [Some(TOKEN), Some(JWT), Some(PASSWORD), None];
    let scheme = |name: Option<_>| name.map(|name| (name, Vec::new())).into_iter().collect();
    operation.security = schemes.map(scheme).into();
    let has_path = operation.params.iter().any(|param| param.in_type == MetaParamIn::Path);
    if has_path {
        answers(operation, 400, "The path is no UTF-8");
    }
    answers(
        operation,
        401,
        "No token, or one that is neither of `TOKENS_FILE` nor of `OIDC_ISSUER`",
    );
    answers(operation, 403, forbidden(needed));
}

/// Why an operation that needs this scope is refused.
fn forbidden(needed: Scope) -> &'static str {
    match needed {
        Scope::Read => "The token lacks the scope `read`, or the `Host` is not in `ALLOWED_HOSTS`",
        Scope::Write => {
            "The token lacks the scope `write`, or the `Host` or the origin of the page is not in \
             `ALLOWED_HOSTS` or `ALLOWED_ORIGINS`"
        }
        Scope::Store => {
            "The token lacks the scope `store`, `SOURCES_FILE` does not let the sender send, or the `Host` or \
             the origin of the page is not in `ALLOWED_HOSTS` or `ALLOWED_ORIGINS`"
        }
        Scope::Admin => {
            "The token lacks the scope `admin`, or the `Host` or the origin of the page is not in \
             `ALLOWED_HOSTS` or `ALLOWED_ORIGINS`"
        }
    }
}

fn answers(operation: &mut MetaOperation, status: u16, description: &'static str) {
    let schema = MetaSchemaRef::Reference("Problem".to_owned());
    let responses = &mut operation.responses.responses;
    // An operation that answers so itself says it all.
    if responses.iter().any(|response| response.status == Some(status)) {
        return;
    }
    responses.push(MetaResponse {
        description,
        status: Some(status),
        status_range: None,
        content: vec![MetaMediaType { content_type: PROBLEM_JSON, schema }],
        headers: Vec::new(),
    });
    responses.sort_by_key(|response| response.status);
}
