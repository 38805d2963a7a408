//! Lists as they are answered: a page at a time where a limit is given, else whole, streamed from
//! the catalogue page by page. Neither the number of records nor a slow reader makes memory grow,
//! and no reader holds a connection to the catalogue while it reads.

use crate::http::cursor::{Cursor, ListName};
use crate::http::parameters::{Counted, Limit};
use crate::http::problem::{FieldError, Problem};
use catalog::{CatalogError, Page, Position};
use futures_util::stream;
use poem::http::{HeaderValue, header};
use poem::{Body, IntoResponse, Request, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use std::io;
use std::marker::PhantomData;

/// Records that are read at a time of a list that is streamed: the most that one reader holds.
const STREAM_PAGE: u32 = 500;

/// Room for a record as it is usually written.
const RECORD_CAPACITY: usize = 512;

/// Something that can be listed.
pub trait List: Send + Sync + 'static {
    /// What it lists, as the catalogue has it.
    type Record: Send;

    /// The records after a position, at most so many.
    fn page(
        &self,
        after: Option<Position>,
        limit: u32,
    ) -> impl Future<Output = Result<Page<Self::Record>, CatalogError>> + Send;

    /// Writes a record as JSON.
    ///
    /// # Errors
    /// When it can't be written.
    fn write(&self, record: Self::Record, into: &mut Vec<u8>) -> serde_json::Result<()>;
}

/// Which page of a list is asked for, or all of it.
#[derive(Debug)]
pub struct PageRequest {
    name: ListName,
    limit: Option<u32>,
    after: Option<Position>,
    counted: bool,
    path: String,
    query: String,
}

impl PageRequest {
    /// Of a request.
    ///
    /// # Errors
    /// 422 when the cursor was not given for this list.
    pub fn new(
        request: &Request,
        limit: Option<Limit>,
        cursor: Option<Cursor>,
        counted: Option<Counted>,
    ) -> Result<Self, Problem> {
        let uri = request.uri();
        let name = ListName::new(uri.path(), &request.params::<Vec<_>>().unwrap_or_default());
        let after = match cursor.map(|cursor| cursor.position(&name)) {
            Some(None) => {
                let (field, detail) = ("cursor".to_owned(), Cursor::FOREIGN.to_owned());
                return Err(Problem::fields(vec![FieldError { field, detail }]));
            }
            position => position.flatten(),
        };
        Ok(Self {
            name,
            limit: limit.map(|limit| limit.0),
            after,
            counted: counted.is_some_and(|counted| counted.0),
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
        })
    }

    /// Whether the whole list is to be counted.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// Whether no limit is given.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.limit.is_none()
    }

    /// The `Link` to the next page (RFC 8288).
    fn link(&self, next: Position) -> String {
        let others = self
            .query
            .split('&')
            .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some("cursor"));
        let cursor = format!("cursor={}", Cursor::new(&self.name, next));
        let query: Vec<_> = others.chain([cursor.as_str()]).collect();
        let mut link = String::with_capacity(128);
        link.push('<');
        for byte in format!("{}?{}", self.path, query.join("&")).bytes() {
            match byte {
                b'!'..=b'~' if !matches!(byte, b'<' | b'>' | b'"') => link.push(byte.into()),
                other => link.push_str(&format!("%{other:02X}")),
            }
        }
        link.push_str(">; rel=\"next\"");
        link
    }

    /// The part of this list.
    ///
    /// # Errors
    /// When its first records can't be read. Later ones that can't end the answer in the middle.
    pub async fn of<T, L: List>(&self, list: L) -> Result<PagedList<T>, Problem> {
        let first = list.page(self.after, self.limit.unwrap_or(STREAM_PAGE)).await?;
        let next = first.next;
        let mut begun = Vec::with_capacity(2 + first.records.len() * RECORD_CAPACITY);
        write(&list, first.records, true, &mut begun).map_err(|error| unwritable(&error))?;
        let (body, link) = match (next, self.limit) {
            (None, _) => (closed(begun).into(), None),
            (Some(next), Some(_)) => (closed(begun).into(), Some(self.link(next))),
            (Some(next), None) => (rest(list, begun, next), None),
        };
        Ok(PagedList { json: JsonList { body, of: PhantomData }, link })
    }
}

/// A list as it is answered.
#[derive(Debug)]
pub struct PagedList<T> {
    /// Its records.
    pub json: JsonList<T>,
    /// The way to the next ones.
    pub link: Option<String>,
}

fn write<L: List>(
    list: &L,
    records: Vec<L::Record>,
    first: bool,
    into: &mut Vec<u8>,
) -> serde_json::Result<()> {
    for (index, record) in records.into_iter().enumerate() {
        into.push(if first && index == 0 { b'[' } else { b',' });
        list.write(record, into)?;
    }
    if first && into.is_empty() {
        into.push(b'[');
    }
    Ok(())
}

fn closed(mut json: Vec<u8>) -> Vec<u8> {
    json.push(b']');
    json
}

/// What has been read, and then all that follows, each page when the reader has taken the one
/// before.
fn rest<L: List>(list: L, begun: Vec<u8>, next: Position) -> Body {
    enum Step {
        Begun(Vec<u8>, Position),
        After(Position),
        End,
    }
    Body::from_bytes_stream(stream::try_unfold(
        (list, Step::Begun(begun, next)),
        |(list, step)| async move {
            let after = match step {
                Step::Begun(json, next) => {
                    return Ok::<_, io::Error>(Some((json, (list, Step::After(next)))));
                }
                Step::After(position) => position,
                Step::End => return Ok(None),
            };
            let page = list.page(Some(after), STREAM_PAGE).await.map_err(cut_short)?;
            let (next, mut json) = (page.next, Vec::with_capacity(256 * 1024));
            write(&list, page.records, false, &mut json).map_err(cut_short)?;
            Ok(Some(match next {
                Some(next) => (json, (list, Step::After(next))),
                None => (closed(json), (list, Step::End)),
            }))
        },
    ))
}

/// The status is sent: the reader learns of it by an answer that does not end as it should.
fn cut_short(error: impl std::fmt::Display) -> io::Error {
    tracing::warn!(%error, "a list ended in the middle");
    io::Error::other("the catalogue can't be read any more")
}

fn unwritable(error: &serde_json::Error) -> Problem {
    Problem::from(CatalogError::Unreadable(error.to_string()))
}

/// A JSON array, whole or as it comes.
#[derive(Debug)]
pub struct JsonList<T> {
    body: Body,
    of: PhantomData<fn() -> T>,
}

impl<T: Type> Payload for JsonList<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        Vec::<T>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Send> IntoResponse for JsonList<T> {
    fn into_response(self) -> Response {
        let json_type = HeaderValue::from_static("application/json");
        Response::builder().header(header::CONTENT_TYPE, json_type).body(self.body)
    }
}
