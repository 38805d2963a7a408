//! The JSON Schemas of events, which `docs/events` has.

use async_nats::jetstream::message::StreamMessage;
use jsonschema::Validator;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// All schemas, by the `ce-type` of their events.
pub struct Schemas(BTreeMap<String, (Value, Validator)>);

impl Schemas {
    /// Those of the project.
    pub fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events");
        let mut schemas = BTreeMap::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let kind = name.strip_suffix(".schema.json").unwrap().to_owned();
            let schema: Value =
                serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert!(jsonschema::meta::is_valid(&schema), "{kind} is no JSON Schema");
            assert_eq!(schema["title"], kind);
            let options = jsonschema::options().should_validate_formats(true);
            let validator = options.build(&schema).unwrap();
            schemas.insert(kind, (schema, validator));
        }
        Self(schemas)
    }

    /// What they are of.
    pub fn kinds(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The schema of a kind of event.
    pub fn of(&self, kind: &str) -> &Value {
        &self.0[kind].0
    }

    /// What is wrong with a payload.
    pub fn errors(&self, kind: &str, payload: &Value) -> Vec<String> {
        let (_, validator) = self.0.get(kind).unwrap_or_else(|| panic!("no schema of {kind}"));
        validator.iter_errors(payload).map(|error| error.to_string()).collect()
    }

    /// An event as it is in a stream is what its schema says. Gives its kind.
    pub fn hold(&self, event: &StreamMessage) -> String {
        let header = |name: &str| event.headers.get(name).map(|value| value.as_str().to_owned());
        let kind = header("ce-type").unwrap();
        assert!(event.subject.starts_with(&format!("{kind}.")), "{}: {kind}", event.subject);
        assert_eq!(header("ce-specversion").as_deref(), Some("1.0"));
        assert_eq!(header("ce-id"), header("Nats-Msg-Id"));
        let payload: Value = serde_json::from_slice(&event.payload).unwrap();
        let errors = self.errors(&kind, &payload);
        assert!(errors.is_empty(), "{kind}: {errors:?} in {payload}");
        kind
    }
}
