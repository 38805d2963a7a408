//! `GET /events`, as it is served and as it is documented.

use super::Events;
use super::filter::Filter;
use super::listener::Listener;
use crate::auth::tokens::Scope;
use crate::http::problem::{FieldError, Problem};
use crate::openapi::responses::broker_problems;
use crate::openapi::rules::{Audited, OperationRules};
use futures_util::stream;
use poem::http::{HeaderValue, header};
use poem::{Body, IntoResponse, Request, Response};
use poem_openapi::param::{Header, Query};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiResponse, OpenApi, Tags};
use std::io;

/// The documented operation.
#[derive(Debug)]
pub struct EventOperations {
    events: Events,
}

#[derive(Tags)]
enum Group {
    /// Server-sent events: what happens, as it happens.
    Events,
}

impl EventOperations {
    /// On those who listen.
    #[must_use]
    pub fn new(events: Events) -> Self {
        Self { events }
    }
}

/// What each operation needs, and what the audit trail records of it.
pub(crate) const RULES: [OperationRules; 1] =
    [OperationRules::new("watchEvents", Scope::Read, Some(Audited::Query))];

#[OpenApi]
impl EventOperations {
    /// Watch what happens
    ///
    /// Server-sent events, from now on and without end: `new EventSource("/events")` in a browser,
    /// `curl -N` in a shell.
    ///
    /// | event | when | data |
    /// | --- | --- | --- |
    /// | `series.opened` | the first instance of a series is seen: of one that is new, or was complete, or was not seen before since somebody listens | `InstancesSeen` and `BytesSeen` with what names the series and its sender |
    /// | `series.progress` | more of it was seen; at most once a second a series, and 200 times a second in all | the same |
    /// | `series.completed` | it is complete, or complete again with a higher `Revision` | the event `dicom.series.completed` as on NATS |
    /// | `series.deleted` | it was taken out of the catalogue | the event `dicom.series.deleted` as on NATS |
    /// | `series.kept` | a revision of it is a folder of the instance store | the event `dicom.series.kept` as on NATS |
    /// | `series.purged` | its files are no longer in the instance store | the event `dicom.series.purged` as on NATS |
    /// | `study.completed` | all series of a study are complete, and have been for a while | the event `dicom.study.completed` as on NATS |
    /// | `association.opened`, `.released`, `.aborted`, `.rejected` | an association had its first C-STORE, ended, or was turned away | the event `dicom.association.*` as on NATS |
    /// | `gap` | first, if the event of the `Last-Event-ID` is not known or too long ago: what came since must be asked of `/series` | `Detail` |
    /// | `dropped` | last, if you read too slowly: connect again with the last id that you have | `Missed`, `Detail` |
    ///
    /// `InstancesSeen` counts C-STOREs that were answered with Success since `series.opened`: an
    /// instance that is sent twice is seen twice. The exact count is in `series.completed`.
    ///
    /// Every event but `series.progress` has an id. A browser that connects again sends the last
    /// one as `Last-Event-ID` by itself, and is told each `series.completed` and `association.*`
    /// that it missed; some that it has seen may come again, without an id.
    #[oai(path = "/events", method = "get", operation_id = "watchEvents", tag = "Group::Events")]
    async fn watch(
        &self,
        request: &Request,
        /// Only events of series of this Modality (0008,0060); those of associations, which have
        /// none, are left out, for example `MR`
        #[oai(name = "Modality")]
        _modality: Query<Option<String>>,
        /// Only events of this sender, by the AE title that it calls itself, for example `MR1`
        #[oai(name = "CallingAETitle")]
        _calling_ae_title: Query<Option<String>>,
        /// Id of the last event that was seen, `INSTANCES:` or `SERIES:` and a number: what was
        /// missed since is told first, for example `SERIES:7`
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<String>>,
    ) -> Result<Watched, EventsRefused> {
        let query = request.params::<Vec<(String, String)>>().unwrap_or_default();
        let filter = Filter::read(&query)?;
        let last = last_event_id.0.map(|id| {
            id.parse().map_err(|()| {
                let detail = "must be INSTANCES: or SERIES: and a number".to_owned();
                Problem::fields(vec![FieldError { field: "Last-Event-ID".to_owned(), detail }])
            })
        });
        let listener = self.events.listen(filter, last.transpose()?).await?;
        Ok(Watched::Watching(EventStream(listener)))
    }
}

#[derive(ApiResponse)]
enum Watched {
    /// Events, as they happen
    #[oai(status = 200)]
    Watching(EventStream),
}

broker_problems!(EventsRefused {
    /// A query parameter or the `Last-Event-ID` can't be understood; `errors` names each
    422 Wrong;
    /// NATS is away, or `MAX_EVENT_SUBSCRIBERS` are listening; try again after `Retry-After`
    /// seconds
});

/// A series as it arrives, and once it is complete.
const EXAMPLE: &str = concat!(
    "event: series.progress\n",
    r#"data: {"SeriesInstanceUID":"1.2.3.4","Modality":"MR","InstancesSeen":9,"BytesSeen":303066}"#,
    "\n\nid: SERIES:7\nevent: series.completed\n",
    r#"data: {"SeriesInstanceUID":"1.2.3.4","Revision":1,"Reason":"released","InstancesCount":17}"#,
    "\n\n",
);

/// The body: it ends when the listener is told to go.
struct EventStream(Listener);

impl Payload for EventStream {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            description: Some("Events as section 9.2 of the HTML standard writes them"),
            example: Some(EXAMPLE.into()),
            ..MetaSchema::new("string")
        }))
    }
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        let events = stream::unfold(self.0, async |mut listener| {
            let sent = listener.next().await?;
            Some((Ok::<_, io::Error>(sent), listener))
        });
        Response::builder()
            .content_type(Self::CONTENT_TYPE)
            .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
            // nginx holds an answer back until it has a page of it, unless told not to.
            .header("X-Accel-Buffering", HeaderValue::from_static("no"))
            .body(Body::from_bytes_stream(events))
    }
}
