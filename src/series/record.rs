//! What the API says of one thing: a JSON object whose keys stay in the order in which they came,
//! those too that this version does not know.

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;

/// A JSON object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Record(Vec<(String, Value)>);

impl Record {
    /// What a key says, as people read it; empty where it is not there.
    pub(super) fn text(&self, key: &str) -> String {
        let value = self.0.iter().find(|(name, _)| name == key);
        value.map(|(_, value)| text(value)).unwrap_or_default()
    }

    /// All keys, with what they say as people read it.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(key, value)| (key.as_str(), text(value)))
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Record;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Record, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Record(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// A series with all that is known of it, and its completions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    /// All that is known of it.
    pub(super) details: Record,
    /// Its completions, oldest first.
    pub(super) history: Vec<Record>,
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &self.details.0 {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry("History", &self.history)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_their_order_and_the_unknown_ones_stay_too() {
        let json = r#"{"Revision":2,"Modality":"MR","Later":{"A":[1]},"Archived":true}"#;
        let record: Record = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), json);
        assert_eq!((record.text("Revision"), record.text("Modality")), ("2".into(), "MR".into()));
        assert_eq!(
            (record.text("Later"), record.text("Absent")),
            (r#"{"A":[1]}"#.into(), "".into())
        );
        let shown = Shown { details: record.clone(), history: vec![record] };
        let shown = serde_json::to_string(&shown).unwrap();
        assert!(shown.ends_with(&format!(r#""Archived":true,"History":[{json}]}}"#)), "{shown}");
    }

    #[test]
    fn what_is_no_object_is_no_record() {
        for json in ["[]", "1", "null", r#""text""#] {
            assert!(serde_json::from_str::<Record>(json).is_err(), "{json}");
        }
    }
}
