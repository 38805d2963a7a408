//! The API as its clients see it: pages of series, all of one series, and what happens.

use super::record::{Record, Shown};
use reqwest::header::{ACCEPT, HeaderMap, LINK};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use std::error::Error;
use std::time::Duration;

/// How long a connection may take to come about.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may pause. `GET /events` says every few seconds that it still stands.
const READ_PATIENCE: Duration = Duration::from_secs(30);

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
            Self::Refused { status, .. } => status.is_server_error(),
        }
    }
}

/// The way to the API.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    api: Url,
    token: Option<String>,
}

impl Client {
    /// Of the API at an address, with a token if it needs one.
    pub(super) fn new(api: Url, token: Option<String>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_PATIENCE)
            .read_timeout(READ_PATIENCE)
            .user_agent(concat!("collimator/", env!("CARGO_PKG_VERSION")))
            // A proxy for the way out of the house knows nothing of what runs on this machine.
            .no_proxy()
            .build()?;
        Ok(Self { http, api, token })
    }

    /// The series that a query finds, `most` of them, page by page.
    pub(super) fn series(&self, mut query: Query, most: Option<usize>) -> Pages<'_> {
        query.push(("limit", most.unwrap_or(PAGE).min(PAGE).to_string()));
        Pages { client: self, next: Some(self.url(&["series"], &query)), left: most }
    }

    /// All that is known of a series, and its completions.
    pub(super) async fn one_series(&self, uid: &str) -> Result<Shown, ApiError> {
        let details = self.get(self.url(&["series", uid], &[]), None).await?;
        let details = self.json(details).await?;
        let history = self.get(self.url(&["series", uid, "history"], &[]), None).await?;
        Ok(Shown { details, history: self.json(history).await? })
    }

    /// What happens, from now on or after the event of an id.
    pub(super) async fn events(
        &self,
        query: &Query,
        last: Option<&str>,
    ) -> Result<Response, ApiError> {
        self.get(self.url(&["events"], query), last).await
    }

    /// Nobody answers any more.
    pub(super) fn away(&self, error: &reqwest::Error) -> ApiError {
        ApiError::Away { api: self.api.clone(), cause: innermost(error) }
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

    async fn get(&self, url: Url, last: Option<&str>) -> Result<Response, ApiError> {
        let mut request = self.http.get(url).header(ACCEPT, "application/json, text/event-stream");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let answer = request.send().await.map_err(|error| self.away(&error))?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => Err(ApiError::Refused { status, detail: self.detail(status, answer).await }),
        }
    }

    async fn json<T: for<'de> Deserialize<'de>>(&self, answer: Response) -> Result<T, ApiError> {
        answer.json().await.map_err(|error| match error.is_decode() {
            true => {
                ApiError::Refused { status: StatusCode::OK, detail: self.stranger("no series") }
            }
            false => self.away(&error),
        })
    }

    /// What a refusal says: its problem details, if it is one of ours.
    async fn detail(&self, status: StatusCode, answer: Response) -> String {
        #[derive(Deserialize)]
        struct Problem {
            detail: String,
        }
        match answer.json::<Problem>().await {
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

/// What lies under an error: the URL that is above it says nothing new, and may name a patient.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match error.source() {
        Some(_) => cause.to_string(),
        None if error.is_timeout() => "it takes too long".to_owned(),
        None => "the answer broke off".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_the_api_and_a_uid_is_one_segment() {
        for api in ["http://here:8000", "http://here:8000/"] {
            let client = Client::new(api.parse().unwrap(), None).unwrap();
            let url = client.url(&["series", "1.2/../3"], &[("PatientName", "Roe^*&".to_owned())]);
            assert_eq!(url.as_str(), "http://here:8000/series/1.2%2F..%2F3?PatientName=Roe%5E*%26");
        }
        let client = Client::new("http://here/collimator".parse().unwrap(), None).unwrap();
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
