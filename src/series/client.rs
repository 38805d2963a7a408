//! The API as its clients see it: pages of series, all of one series, and what happens.

use super::record::{Record, Shown};
use crate::http_client::{Answer, HttpClient, NoAnswer};
use anyhow::Context as _;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, IF_NONE_MATCH, LINK};
use serde::Deserialize;
use serde_json::Value;
use shared::http_client::Trust;
use shared::pem;
use std::path::Path;
use url::Url;

/// Series that are asked for at a time.
const PAGE: usize = 500;

/// What is asked for: the parameters of an operation.
pub(super) type Query = Vec<(&'static str, String)>;

/// The API does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// Nobody answers, or an answer broke off.
    #[error(
        "the API at {} can't be reached: {cause}; start `collimator` there, or name another place \
         with --api or COLLIMATOR_API",
        api.as_str().trim_end_matches('/')
    )]
    Away {
        /// Where it was looked for.
        api: Url,
        /// Why not.
        cause: String,
    },
    /// Somebody answers whose certificate is not trusted.
    #[error(
        "the API at {} is not trusted: {cause}; name the certificate of its CA with --ca or \
         COLLIMATOR_CA",
        api.as_str().trim_end_matches('/')
    )]
    Untrusted {
        /// Where that is.
        api: Url,
        /// Why not.
        cause: String,
    },
    /// It answers that it won't, or can't at the moment.
    #[error("{detail}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// Its own words.
        detail: String,
    },
}

impl ApiError {
    /// Whether a later try may succeed where this one failed.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Away { .. } => true,
            Self::Untrusted { .. } => false,
            Self::Refused { status, .. } => status.is_server_error(),
        }
    }
}

/// The way to the API.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http_client: HttpClient,
    api: Url,
    /// Of all that is asked for.
    headers: HeaderMap,
}

impl Client {
    /// Of the API at an address, with a token if it needs one, and a CA if this machine does not know it.
    pub(super) fn new(api: Url, token: Option<&str>, ca: Option<&Path>) -> anyhow::Result<Self> {
        let trust = match (api.scheme(), ca) {
            ("https", Some(ca)) => {
                let roots = pem::authorities(ca).with_context(|| ca.display().to_string());
                roots.map(Trust::Authorities)
            }
            ("https", None) => Ok(Trust::Machine),
            _ => Ok(Trust::Nobody),
        };
        let http_client = trust.and_then(HttpClient::new).context("--ca or COLLIMATOR_CA")?;
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        let mut headers = HeaderMap::from_iter([(ACCEPT, accept)]);
        if let Some(token) = token {
            let token = HeaderValue::try_from(format!("Bearer {token}"));
            headers.insert(AUTHORIZATION, token.context("COLLIMATOR_TOKEN is no token")?);
        }
        Ok(Self { http_client, api, headers })
    }

    /// The series that a query finds, `most` of them, page by page.
    pub(super) fn series(&self, mut query: Query, most: Option<usize>) -> Pages<'_> {
        query.push(("limit", most.unwrap_or(PAGE).min(PAGE).to_string()));
        Pages { client: self, next: Some(self.url(&["series"], &query)), left: most }
    }

    /// All that is known of a series, and its completions.
    pub(super) async fn one_series(&self, uid: &str) -> Result<Shown, ApiError> {
        let details = self.details(uid).await?;
        let history = self.get(self.url(&["series", uid, "history"], &[]), None).await?;
        Ok(Shown { details, history: self.json(history).await? })
    }

    /// What is known of a series.
    pub(super) async fn details(&self, uid: &str) -> Result<Record, ApiError> {
        let details = self.get(self.url(&["series", uid], &[]), None).await?;
        self.json(details).await
    }

    /// All instances that QIDO-RS has below a path, `page` of them at a time.
    pub(super) async fn instances(
        &self,
        path: &[&str],
        page: usize,
    ) -> Result<Vec<Value>, ApiError> {
        let mut instances = Vec::new();
        loop {
            let part = [("limit", page.to_string()), ("offset", instances.len().to_string())];
            let answer = self.answer(self.url(path, &part), self.headers.clone()).await?;
            // Nothing is left (PS3.18 section 10.6.3).
            if answer.status() == StatusCode::NO_CONTENT {
                return Ok(instances);
            }
            let answer = self.good(answer).await?;
            let more: Vec<Value> = self.json(answer).await?;
            let count = more.len();
            instances.extend(more);
            if count < page {
                return Ok(instances);
            }
        }
    }

    /// The file of the instance at a path; nothing where it is the one with the entity tag that is `known`.
    pub(super) async fn file(
        &self,
        path: &[&str],
        known: Option<&str>,
    ) -> Result<Option<Answer>, ApiError> {
        let mut headers = self.headers.clone();
        headers.insert(ACCEPT, HeaderValue::from_static("application/dicom"));
        if let Some(known) = known.and_then(|known| HeaderValue::from_str(known).ok()) {
            headers.insert(IF_NONE_MATCH, known);
        }
        let answer = self.answer(self.url(path, &[]), headers).await?;
        if answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        self.good(answer).await.map(Some)
    }

    /// What happens, from now on or after the event of an id.
    pub(super) async fn events(
        &self,
        query: &Query,
        last: Option<&str>,
    ) -> Result<Answer, ApiError> {
        self.get(self.url(&["events"], query), last).await
    }

    /// Nobody answers any more, or nobody who is trusted.
    pub(super) fn away(&self, error: NoAnswer) -> ApiError {
        let api = self.api.clone();
        match error {
            NoAnswer::Untrusted(cause) => ApiError::Untrusted { api, cause },
            NoAnswer::Late | NoAnswer::Lost(_) => ApiError::Away { api, cause: error.to_string() },
        }
    }

    fn url(&self, path: &[&str], query: &[(&'static str, String)]) -> Url {
        let mut url = self.api.clone();
        // One that can't have a path is refused as a setting.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn get(&self, url: Url, last: Option<&str>) -> Result<Answer, ApiError> {
        let mut headers = self.headers.clone();
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
            headers.insert("Last-Event-ID", last);
        }
        let answer = self.answer(url, headers).await?;
        self.good(answer).await
    }

    async fn answer(&self, url: Url, headers: HeaderMap) -> Result<Answer, ApiError> {
        self.http_client.get(&url, headers).await.map_err(|error| self.away(error))
    }

    /// The answer, if it is what was asked for.
    async fn good(&self, answer: Answer) -> Result<Answer, ApiError> {
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => Err(ApiError::Refused { status, detail: self.detail(status, answer).await }),
        }
    }

    async fn json<T: for<'de> Deserialize<'de>>(&self, answer: Answer) -> Result<T, ApiError> {
        let body = answer.whole().await.map_err(|error| self.away(error))?;
        serde_json::from_slice(&body).map_err(|_| ApiError::Refused {
            status: StatusCode::OK,
            detail: self.stranger("no series"),
        })
    }

    /// What a refusal says: its problem details, if it is one of ours.
    async fn detail(&self, status: StatusCode, answer: Answer) -> String {
        #[derive(Deserialize)]
        struct Problem {
            detail: String,
        }
        let body = answer.whole().await.unwrap_or_default();
        match serde_json::from_slice::<Problem>(&body) {
            Ok(_) if status == StatusCode::UNAUTHORIZED => {
                "a token is needed: set COLLIMATOR_TOKEN (`collimator token create` makes one)"
                    .to_owned()
            }
            Ok(problem) => problem.detail,
            Err(_) => self.stranger(status.as_str()),
        }
    }

    fn stranger(&self, answer: &str) -> String {
        format!(
            "{} answers {answer}: is that Collimator's API? See --api and COLLIMATOR_API",
            self.api
        )
    }
}

/// Pages of series, each read when it is wanted.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    client: &'a Client,
    next: Option<Url>,
    /// How many more are wanted.
    left: Option<usize>,
}

impl Pages<'_> {
    /// The next page; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Record>>, ApiError> {
        let Some(mut url) = self.next.take() else { return Ok(None) };
        let answer = self.client.get(url.clone(), None).await?;
        let link = next_query(answer.headers());
        let mut page: Vec<Record> = self.client.json(answer).await?;
        if let Some(left) = &mut self.left {
            page.truncate(*left);
            *left -= page.len();
        }
        if let Some(query) = link
            && self.left != Some(0)
        {
            // Its query only: behind a proxy the path that we know is the right one.
            url.set_query(Some(&query));
            self.next = Some(url);
        }
        Ok(Some(page))
    }
}

/// The query of the `Link` to the next page (RFC 8288), if there is one.
fn next_query(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (target, relation) = link.strip_prefix('<')?.split_once('>')?;
    let query = target.split_once('?')?.1.to_owned();
    relation.contains("rel=\"next\"").then_some(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_the_api_and_a_uid_is_one_segment() {
        for api in ["http://here:8000", "http://here:8000/"] {
            let client = Client::new(api.parse().unwrap(), None, None).unwrap();
            let url = client.url(&["series", "1.2/../3"], &[("PatientName", "Roe^*&".to_owned())]);
            assert_eq!(url.as_str(), "http://here:8000/series/1.2%2F..%2F3?PatientName=Roe%5E*%26");
        }
        let client = Client::new("http://here/collimator".parse().unwrap(), None, None).unwrap();
        assert_eq!(client.url(&["events"], &[]).as_str(), "http://here/collimator/events");
    }

    #[test]
    fn the_next_page_is_where_the_link_says() {
        let query = |link: &str| next_query(&HeaderMap::from_iter([(LINK, link.parse().unwrap())]));
        let link = "</series?limit=2&cursor=00ff>; rel=\"next\"";
        assert_eq!(query(link).as_deref(), Some("limit=2&cursor=00ff"));
        for other in ["", "</series>; rel=\"next\"", "</series?limit=2>; rel=\"prev\"", "none"] {
            assert_eq!(query(other), None, "{other}");
        }
    }
}
