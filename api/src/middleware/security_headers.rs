//! Security headers: a browser may show a response to its user and nothing else.

use poem::http::uri::Scheme;
use poem::http::{HeaderValue, header};
use poem::{Endpoint, Request, Response};
use std::sync::Arc;

/// Where the documentation is, a page that has its script and its style within.
const DOCS: &str = "/docs";

/// What Swagger UI needs. It asks this server, and nothing from elsewhere.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                           img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                           frame-ancestors 'none'";

/// For all that is no page: if it became one, it could do nothing.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// A browser that was here over TLS comes in no other way for a year (RFC 6797 section 6.1), by this name,
/// whatever the port; so not `includeSubDomains` as well.
const ONLY_TLS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds the headers that are not there yet, and over TLS has browsers stay with it.
pub(crate) async fn add<E: Endpoint<Output = Response>>(
    next: Arc<E>,
    request: Request,
) -> poem::Result<Response> {
    let path = request.uri().path().to_owned();
    let over_tls = *request.scheme() == Scheme::HTTPS;
    let mut response = next.call(request).await?;
    restrict(&mut response, &path);
    if over_tls {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, ONLY_TLS);
    }
    Ok(response)
}

fn restrict(response: &mut Response, path: &str) {
    let is_docs = path.strip_prefix(DOCS).is_some_and(|rest| rest.is_empty() || rest == "/");
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, if is_docs { DOCS_POLICY } else { POLICY }),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Patients' names have no business in a browser's files.
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
}
