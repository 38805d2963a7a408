//! The dashboard at `/`: one static page, in the binary, that asks the API and listens to its events
//! as any other client does.

use crate::http::problem::Problem;
use contract::event::Reason;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use std::sync::{Arc, LazyLock};

const PAGE: &str = include_str!("index.html");
const STYLE: &str = include_str!("dashboard.css");

/// What all scripts need, with what each reason of a completion means.
static PARTS: LazyLock<String> = LazyLock::new(|| {
    let why = Reason::ALL.map(|reason| format!("{}: {:?}", reason.as_str(), reason.description()));
    let filled_in = format!("const WHY = {{ {} }};", why.join(", "));
    include_str!("parts.js").replacen("const WHY = {};", &filled_in, 1)
});

/// The other scripts, in the order in which the page runs them after those parts; the last one starts.
const SCRIPTS: [(&str, &str); 8] = [
    ("/dashboard/live.js", include_str!("live.js")),
    ("/dashboard/home.js", include_str!("home.js")),
    ("/dashboard/list.js", include_str!("list.js")),
    ("/dashboard/thumbnails.js", include_str!("thumbnails.js")),
    ("/dashboard/one.js", include_str!("one.js")),
    ("/dashboard/senders.js", include_str!("senders.js")),
    ("/dashboard/health.js", include_str!("health.js")),
    ("/dashboard.js", include_str!("dashboard.js")),
];
/// Where its parts are.
const PARTS_PATH: &str = "/dashboard/parts.js";
const STYLE_PATH: &str = "/dashboard.css";

const SCRIPT_TYPE: &str = "text/javascript; charset=utf-8";

/// What the page may do: run its own script, and ask its own server. What is in a DICOM header is
/// anybody's text; even if some of it became markup, it could do nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The part at a path, and its media type.
fn part(path: &str) -> Option<(&'static str, &'static str)> {
    match path {
        "/" => Some((PAGE, "text/html; charset=utf-8")),
        STYLE_PATH => Some((STYLE, "text/css; charset=utf-8")),
        PARTS_PATH => Some((&PARTS, SCRIPT_TYPE)),
        _ => {
            let (_, script) = SCRIPTS.iter().find(|(of, _)| *of == path)?;
            Some((script, SCRIPT_TYPE))
        }
    }
}

/// Whether this is the path of one of its parts.
pub(crate) fn has(path: &str) -> bool {
    part(path).is_some()
}

/// Answers for the page and its parts, and leaves everything else to `routes`. Not a route of its
/// own: the operations are nested at `/`, which takes `/` itself for them.
pub(crate) async fn in_front_of<E: Endpoint>(
    routes: Arc<E>,
    request: Request,
) -> poem::Result<Response> {
    let Some((part, media_type)) = part(request.uri().path()) else {
        return Ok(routes.call(request).await?.into_response());
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this is a page; it can be had by GET")
                .into_response();
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    let mut response = part.with_content_type(media_type).into_response();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // It belongs to this version of the API.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use poem::test::TestClient;
    use poem::{EndpointExt, Route};

    #[tokio::test]
    async fn it_is_small_and_a_strict_policy_holds_for_each_part() {
        let client = TestClient::new(Route::new().around(in_front_of));
        let mut size = 0;
        let others =
            [("/", "text/html"), (STYLE_PATH, "text/css"), (PARTS_PATH, "text/javascript")];
        let scripts = SCRIPTS.map(|(path, _)| (path, "text/javascript"));
        for (path, media_type) in others.into_iter().chain(scripts) {
            let media_type = &format!("{media_type}; charset=utf-8");
            let answer = client.get(path).send().await;
            answer.assert_status_is_ok();
            answer.assert_content_type(media_type);
            answer.assert_header(header::CONTENT_SECURITY_POLICY, POLICY);
            size += answer.0.into_body().into_bytes().await.unwrap().len();
        }
        assert!(size < 150_000, "{size} bytes");
        let answer = client.post("/").send().await;
        answer.assert_status(StatusCode::METHOD_NOT_ALLOWED);
        answer.assert_header(header::ALLOW, "GET, HEAD");
    }

    #[test]
    fn the_script_says_why_a_series_is_complete_for_each_reason() {
        for reason in Reason::ALL {
            let said = format!("{}: \"{}\"", reason.as_str(), reason.description());
            assert!(PARTS.contains(&said), "{said}");
        }
    }

    #[test]
    fn nothing_of_it_comes_from_outside_or_breaks_the_policy() {
        for outside in ["http://", "https://", "//cdn", "@import", "url("] {
            assert!(!PAGE.contains(outside) && !STYLE.contains(outside), "{outside}");
        }
        for inline in ["<style", " style=", " onclick=", " onload=", "<script>"] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
        // Text of a DICOM header must never be read as markup or code.
        for dangerous in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
        {
            for (path, script) in SCRIPTS.into_iter().chain([(PARTS_PATH, &**PARTS)]) {
                assert!(!script.contains(dangerous), "{path}: {dangerous}");
                assert!(PAGE.contains(&format!("src=\"{path}\"")), "{path}");
            }
        }
        assert!(PAGE.contains(&format!("href=\"{STYLE_PATH}\"")));
    }
}
