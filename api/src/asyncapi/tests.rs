//! Makes the document, of what describes events already: the table of `docs/events.md`, the schemas of `docs/events`,
//! and the golden files. `UPDATE_ASYNCAPI=1 cargo test -p api` writes it.

use super::*;
use poem::test::TestClient;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::read_to_string;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What the document says of events in general.
const DESCRIPTION: &str = "All events that Collimator publishes on NATS: one event a message, JSON in UTF-8, whose keys \
are DICOM keywords. Each message has the headers of CloudEvents 1.0 in binary content mode.

- **At least once.** An event may come twice; know it by `ce-id`. Of two completions of a series or study, the one with the \
higher `Revision` is the newer.
- **Keys may be added.** None is renamed or removed. Ignore those that you do not know.
- **Durable consumers.** The stream `SERIES` keeps completions for 30 days, so a durable consumer misses none while it is \
away.

The same events by other ways: `GET /events` streams them as server-sent events (`series.completed` and the like, \
with the payloads of this document, and progress in between), and resumes after `Last-Event-ID`. Webhooks post completions \
as CloudEvents in structured mode, whose `data` is the payload, signed by HMAC-SHA256 in `X-Collimator-Signature`. Both are \
described in `/openapi.json` and the pages *HTTP API* and *Webhooks*.

Who may publish and subscribe is up to the users of NATS. By default NATS listens on loopback and asks for no user.";

/// What each parameter of a subject is.
const PARAMETERS: [(&str, &str, &str); 11] = [
    ("partition", "Two digits, a hash of the Series Instance UID", "07"),
    (
        "Modality",
        "Modality (0008,0060): a defined term, `OTHER`, or `none` where there is none",
        "MR",
    ),
    (
        "SeriesInstanceUID",
        "Series Instance UID (0020,000E). Its dots stay, so it is several tokens, and a UID root is a wildcard: \
         `1.2.840.113619.>`",
        "2.25.2",
    ),
    ("StudyInstanceUID", "Study Instance UID (0020,000D), with its dots", "2.25.1"),
    ("CallingAETitle", "AE title of the sender; what is outside `[A-Za-z0-9_-]` is `_`", "MR1"),
    ("NODE_NAME", "Name of the receiver (`NODE_NAME`)", "ingest-1"),
    ("machine", "Machine of the indexer", "indexer-1"),
    ("MessageID", "`ce-id` of the completion, what is outside `[A-Za-z0-9_-]` as `_`", "2_25_2_1"),
    ("service", "The service that did it: `ingest`, `indexer` or `api`", "api"),
    ("kind", "What was done, in one word", "query"),
    (
        "reason",
        "What was wrong; `webhook.<name>` where a webhook's receiver did not take it",
        "unreadable",
    ),
];

/// What the streams are.
const STREAMS: [(&str, &str); 4] = [
    ("SERIES", "Completed, kept and deleted series, and completed studies, for 30 days"),
    ("INSTANCES", "What is received and asked for; trimmed once it is indexed"),
    ("AUDIT", "The audit trail"),
    ("DEAD", "Messages that could not be read, or not be delivered, for 30 days"),
];

/// A row of the table in `docs/events.md`.
struct Row {
    kind: String,
    parameters: Vec<String>,
    when: String,
    stream: String,
}

impl Row {
    fn of(line: &str) -> Option<Self> {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [subject, when, stream] = cells[..] else { return None };
        let kind = subject.trim_start_matches(['[', '`']).split(['`', '<']).next()?;
        if !kind.starts_with("dicom.") {
            return None;
        }
        let parameters = subject.split('<').skip(1).filter_map(|it| it.split('>').next());
        Some(Self {
            kind: kind.trim_end_matches('.').to_owned(),
            parameters: parameters.map(str::to_owned).collect(),
            when: without_links(when),
            stream: stream.to_owned(),
        })
    }

    fn address(&self) -> String {
        self.parameters
            .iter()
            .fold(self.kind.clone(), |address, name| format!("{address}.{{{name}}}"))
    }
}

/// Markdown without its links, which lead to files.
fn without_links(text: &str) -> String {
    let mut parts = text.split('[');
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (label, rest) = part.split_once("](").unwrap();
        write!(plain, "{label}{}", rest.split_once(')').unwrap().1).unwrap();
    }
    plain
}

fn rows() -> Vec<Row> {
    let page = read_to_string(format!("{ROOT}/docs/events.md")).unwrap();
    let rows: Vec<_> = page.lines().filter_map(Row::of).collect();
    assert!(rows.len() > 20, "the table of docs/events.md is another");
    rows
}

/// The golden files, in the order of their names.
fn golden_files() -> Vec<(String, Value)> {
    let folder = format!("{ROOT}/shared/contract/golden");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_str(&read_to_string(path).unwrap()).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// The document: its parts in the order in which people read them.
#[derive(Serialize)]
struct Document {
    asyncapi: &'static str,
    info: Value,
    #[serde(rename = "defaultContentType")]
    default_content_type: &'static str,
    servers: Value,
    channels: BTreeMap<String, Value>,
    operations: BTreeMap<String, Value>,
    components: Components,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Components {
    /// As their files have them.
    schemas: BTreeMap<String, Box<RawValue>>,
    messages: BTreeMap<String, Value>,
    message_traits: Value,
    parameters: BTreeMap<&'static str, Value>,
}

fn channel(row: &Row) -> Value {
    let parameter =
        |name: &String| (name.clone(), json!({"$ref": format!("#/components/parameters/{name}")}));
    json!({
        "address": row.address(),
        "title": row.kind,
        "description": sentence(&row.when),
        "messages": {row.kind.clone(): {"$ref": format!("#/components/messages/{}", row.kind)}},
        "parameters": row.parameters.iter().map(parameter).collect::<serde_json::Map<_, _>>(),
        "tags": [{"name": row.stream}],
        "bindings": {"nats": {}},
    })
}

/// With a capital letter and a full stop.
fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    let first = letters.next().unwrap().to_uppercase();
    format!("{first}{}.", letters.as_str())
}

fn operation(row: &Row, action: &str, summary: String) -> Value {
    let channel = format!("#/channels/{}", row.kind);
    json!({
        "action": action,
        "summary": summary,
        "channel": {"$ref": channel},
        "messages": [{"$ref": format!("{channel}/messages/{}", row.kind)}],
        "tags": [{"name": row.stream}],
        "bindings": {"nats": {}},
    })
}

fn message(row: &Row, golden: &[(String, Value)]) -> Value {
    let of_kind = golden.iter().filter(|(_, it)| it["headers"]["ce-type"] == *row.kind);
    let examples: Vec<_> = of_kind
        .map(|(name, it)| json!({"name": name, "headers": it["headers"], "payload": it["payload"]}))
        .collect();
    let mut message = json!({
        "name": row.kind,
        "title": row.kind,
        "summary": sentence(&row.when),
        "contentType": JSON,
    });
    if examples.is_empty() {
        // A dead letter: the headers and the payload of whatever it was.
        assert_eq!(row.kind, "dicom.dead", "{} has no golden file", row.kind);
        return message;
    }
    message["payload"] = json!({"$ref": format!("#/components/schemas/{}", row.kind)});
    message["traits"] = json!([{"$ref": "#/components/messageTraits/cloudEvent"}]);
    message["examples"] = examples.into();
    message
}

fn cloud_event() -> Value {
    let header = |description: &str| json!({"type": "string", "description": description});
    let names = [
        ("Nats-Msg-Id", "As `ce-id`: the broker stores an event that is published twice once"),
        ("ce-id", "What makes it the same event when it comes again"),
        ("ce-source", "The service that published it, for example `/collimator/indexer`"),
        ("ce-time", "When it happened, UTC (RFC 3339)"),
    ];
    let mut properties: serde_json::Map<_, _> =
        names.iter().map(|(name, it)| ((*name).to_owned(), header(it))).collect();
    properties.insert("ce-specversion".into(), json!({"const": "1.0"}));
    properties.insert("ce-type".into(), header("The kind of event, as the subject begins"));
    properties.insert("ce-datacontenttype".into(), json!({"const": JSON}));
    let required: Vec<_> = properties.keys().cloned().collect();
    json!({"headers": {"type": "object", "properties": properties, "required": required}})
}

/// The document as it has to be.
fn made() -> String {
    let (rows, golden) = (rows(), golden_files());
    let by_kind = |of: &dyn Fn(&Row) -> Value| {
        rows.iter().map(|row| (row.kind.clone(), of(row))).collect::<BTreeMap<_, _>>()
    };
    let mut operations: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            (format!("send.{}", row.kind), operation(row, "send", format!("Publish {}", row.kind)))
        })
        .collect();
    for row in rows.iter().filter(|row| row.kind.starts_with("dicom.request.")) {
        let summary = format!("Carry out {}", row.kind);
        operations.insert(format!("receive.{}", row.kind), operation(row, "receive", summary));
    }
    let schema = |row: &Row| {
        let path = format!("{ROOT}/docs/events/{}.schema.json", row.kind);
        let schema = read_to_string(path).ok()?.trim_end().to_owned();
        let schema = schema.replace(OWN_REFERENCE, &reference(&row.kind));
        Some((row.kind.clone(), RawValue::from_string(schema).unwrap()))
    };
    let parameter = |(name, description, example): &(&'static str, &str, &str)| {
        (*name, json!({"description": description, "examples": [example]}))
    };
    let tag =
        |(name, description): &(&str, &str)| json!({"name": name, "description": description});
    let document = Document {
        asyncapi: "3.0.0",
        info: json!({
            "title": "Collimator",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "MIT OR Apache-2.0", "url": "https://spdx.org/licenses/"},
            "tags": STREAMS.iter().map(tag).collect::<Vec<_>>(),
        }),
        default_content_type: JSON,
        servers: json!({"nats": {
            "host": "127.0.0.1:4222",
            "protocol": "nats",
            "description": "NATS with JetStream, which Collimator runs itself unless `NATS_URL` names another",
            "bindings": {"nats": {}},
        }}),
        channels: by_kind(&channel),
        operations,
        components: Components {
            schemas: rows.iter().filter_map(schema).collect(),
            messages: by_kind(&|row| message(row, &golden)),
            message_traits: json!({"cloudEvent": cloud_event()}),
            parameters: PARAMETERS.iter().map(parameter).collect(),
        },
    };
    serde_json::to_string_pretty(&document).unwrap() + "\n"
}

#[test]
fn the_document_is_made_of_the_schemas_the_table_and_the_golden_files() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/asyncapi.json");
    let made = made();
    if std::env::var_os("UPDATE_ASYNCAPI").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    assert!(
        made == read_to_string(path).unwrap(),
        "the events changed; look at what `UPDATE_ASYNCAPI=1 cargo test -p api` makes of {path}"
    );
}

#[test]
fn each_event_is_published_at_the_address_of_its_channel() {
    let rows = rows();
    for (name, golden) in golden_files() {
        let kind = golden["headers"]["ce-type"].as_str().unwrap();
        let row = rows.iter().find(|row| row.kind == kind).unwrap_or_else(|| panic!("no {kind}"));
        let subject = golden["subject"].as_str().unwrap();
        let tokens = subject.strip_prefix(&format!("{kind}.")).unwrap().split('.').count();
        // A UID is several tokens.
        match row.parameters.last().unwrap().ends_with("UID") {
            true => assert!(tokens > row.parameters.len(), "{name}: {subject}"),
            false => assert_eq!(tokens, row.parameters.len(), "{name}: {subject}"),
        }
    }
}

#[tokio::test]
async fn each_schema_is_served_as_its_file_has_it() {
    let client = TestClient::new(add_to(Route::new()));
    for row in rows().iter().filter(|row| row.kind != "dicom.dead") {
        let file = read_to_string(format!("{ROOT}/docs/events/{}.schema.json", row.kind)).unwrap();
        let path = format!("/schemas/{}.json", row.kind);
        let answer = client.get(&path).send().await;
        answer.assert_status_is_ok();
        answer.assert_content_type(SCHEMA_JSON);
        let tag = answer.0.header(header::ETAG).unwrap().to_owned();
        answer.assert_text(file).await;
        let again = client.get(&path).header(header::IF_NONE_MATCH, tag).send().await;
        again.assert_status(StatusCode::NOT_MODIFIED);
    }
    client.get("/schemas/dicom.dead.json").send().await.assert_status(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_page_is_small_and_needs_nothing_from_elsewhere() {
    let client = TestClient::new(add_to(Route::new()));
    for (path, media_type) in [
        (PAGE_PATH, "text/html; charset=utf-8"),
        (SCRIPT_PATH, "text/javascript; charset=utf-8"),
        (STYLE_PATH, "text/css; charset=utf-8"),
        (DOCUMENT_PATH, JSON),
    ] {
        let answer = client.get(path).send().await;
        answer.assert_status_is_ok();
        answer.assert_content_type(media_type);
        answer.assert_header(header::CONTENT_SECURITY_POLICY, POLICY);
        client.post(path).send().await.assert_status(StatusCode::METHOD_NOT_ALLOWED);
        if path != DOCUMENT_PATH {
            let content = answer.0.into_body().into_string().await.unwrap();
            assert!(content.len() < 8_000, "{path}: {} bytes", content.len());
            for foreign in ["http://", "https://", "@import", "url(", "innerHTML", " style="] {
                assert!(!content.contains(foreign), "{path}: {foreign}");
            }
        }
    }
}
