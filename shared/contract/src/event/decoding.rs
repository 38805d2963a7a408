//! Reads an [`InstanceStored`] from JSON in one pass.
//!
//! What serde derives for a flattened map and an untagged enum gathers the event as values of its
//! own first and looks at those again. Of a backlog, that was most of the time of reading.

use super::{AttributeValue, Attributes, InstanceStored, Remarks};
use crate::attributes::{ATTRIBUTES, Attribute, carried_in};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

/// The keywords of the attributes, in ascending order: these take no memory for each event.
static KEYWORDS: LazyLock<Vec<&str>> = LazyLock::new(|| keywords(ATTRIBUTES));

fn keywords(table: &'static [Attribute]) -> Vec<&'static str> {
    let mut keywords: Vec<_> = carried_in(table).map(|attribute| attribute.keyword).collect();
    keywords.sort_unstable();
    keywords
}

impl<'de> Deserialize<'de> for InstanceStored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InstanceVisitor)
    }
}

struct InstanceVisitor;

impl<'de> Visitor<'de> for InstanceVisitor {
    type Value = InstanceStored;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stored instance")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InstanceStored, A::Error> {
        let (mut sop_instance_uid, mut sop_class_uid) = (None, None);
        let (mut series_instance_uid, mut study_instance_uid) = (None, None);
        let (mut transfer_syntax_uid, mut bytes) = (None, None);
        let (mut digest, mut object) = (None, None);
        let (mut calling_ae_title, mut called_ae_title) = (None, None);
        let (mut peer_address, mut association_id, mut node_name) = (None, None, None);
        let (mut ordinal, mut series_ordinal, mut received_at) = (None, None, None);
        let (mut text_decoded_as, mut undecoded_values) = (None, None);
        let (mut original_values, mut items_left_out) = (None, None);
        let mut attributes = Attributes::new();
        let mut next = 0;
        while let Some(key) = map.next_key_seed(KeySeed { next: &mut next })? {
            match key {
                Key::Attribute(keyword) => attributes.insert(keyword, map.next_value()?),
                Key::SOPInstanceUID => once(&mut map, &mut sop_instance_uid, "SOPInstanceUID")?,
                Key::SOPClassUID => once(&mut map, &mut sop_class_uid, "SOPClassUID")?,
                Key::SeriesInstanceUID => {
                    once(&mut map, &mut series_instance_uid, "SeriesInstanceUID")?
                }
                Key::StudyInstanceUID => {
                    once(&mut map, &mut study_instance_uid, "StudyInstanceUID")?
                }
                Key::TransferSyntaxUID => {
                    once(&mut map, &mut transfer_syntax_uid, "TransferSyntaxUID")?
                }
                Key::Bytes => once(&mut map, &mut bytes, "Bytes")?,
                Key::Digest => once(&mut map, &mut digest, "Digest")?,
                Key::Object => once(&mut map, &mut object, "Object")?,
                Key::CallingAETitle => once(&mut map, &mut calling_ae_title, "CallingAETitle")?,
                Key::CalledAETitle => once(&mut map, &mut called_ae_title, "CalledAETitle")?,
                Key::PeerAddress => once(&mut map, &mut peer_address, "PeerAddress")?,
                Key::AssociationID => once(&mut map, &mut association_id, "AssociationID")?,
                Key::NodeName => once(&mut map, &mut node_name, "NodeName")?,
                Key::Ordinal => once(&mut map, &mut ordinal, "Ordinal")?,
                Key::SeriesOrdinal => once(&mut map, &mut series_ordinal, "SeriesOrdinal")?,
                Key::ReceivedAt => once(&mut map, &mut received_at, "ReceivedAt")?,
                Key::TextDecodedAs => once(&mut map, &mut text_decoded_as, "TextDecodedAs")?,
                Key::UndecodedValues => once(&mut map, &mut undecoded_values, "UndecodedValues")?,
                Key::OriginalValues => once(&mut map, &mut original_values, "OriginalValues")?,
                Key::ItemsLeftOut => once(&mut map, &mut items_left_out, "ItemsLeftOut")?,
            }
        }
        let missing = A::Error::missing_field;
        Ok(InstanceStored {
            sop_instance_uid: sop_instance_uid.ok_or_else(|| missing("SOPInstanceUID"))?,
            sop_class_uid: sop_class_uid.ok_or_else(|| missing("SOPClassUID"))?,
            series_instance_uid: series_instance_uid.ok_or_else(|| missing("SeriesInstanceUID"))?,
            study_instance_uid: study_instance_uid.unwrap_or_default(),
            attributes,
            remarks: Remarks {
                text_decoded_as,
                undecoded_values: undecoded_values.unwrap_or_default(),
                original_values: original_values.unwrap_or_default(),
                items_left_out: items_left_out.unwrap_or_default(),
            },
            transfer_syntax_uid: transfer_syntax_uid.ok_or_else(|| missing("TransferSyntaxUID"))?,
            bytes: bytes.ok_or_else(|| missing("Bytes"))?,
            digest: digest.ok_or_else(|| missing("Digest"))?,
            object,
            calling_ae_title: calling_ae_title.ok_or_else(|| missing("CallingAETitle"))?,
            called_ae_title: called_ae_title.ok_or_else(|| missing("CalledAETitle"))?,
            peer_address: peer_address.ok_or_else(|| missing("PeerAddress"))?,
            association_id: association_id.ok_or_else(|| missing("AssociationID"))?,
            node_name: node_name.unwrap_or_default(),
            ordinal: ordinal.ok_or_else(|| missing("Ordinal"))?,
            series_ordinal: series_ordinal.unwrap_or_default(),
            received_at: received_at.ok_or_else(|| missing("ReceivedAt"))?,
        })
    }
}

/// Reads a value that an event has once.
fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    field: &mut Option<T>,
    name: &'static str,
) -> Result<(), A::Error> {
    match field.replace(map.next_value()?) {
        None => Ok(()),
        Some(_) => Err(A::Error::duplicate_field(name)),
    }
}

/// A key of an event.
#[allow(clippy::upper_case_acronyms, reason = "these are DICOM's keywords")]
enum Key {
    SOPInstanceUID,
    SOPClassUID,
    SeriesInstanceUID,
    StudyInstanceUID,
    TransferSyntaxUID,
    Bytes,
    Digest,
    Object,
    CallingAETitle,
    CalledAETitle,
    PeerAddress,
    AssociationID,
    NodeName,
    Ordinal,
    SeriesOrdinal,
    ReceivedAt,
    TextDecodedAs,
    UndecodedValues,
    OriginalValues,
    ItemsLeftOut,
    Attribute(Cow<'static, str>),
}

impl Key {
    fn of(key: &str, next: &mut usize) -> Self {
        // Attributes come in order, and most events have most of them.
        let ahead = KEYWORDS[*next..].iter().take(AHEAD);
        if let Some((place, known)) = ahead.enumerate().find(|(_, known)| **known == key) {
            *next += place + 1;
            return Self::Attribute(Cow::Borrowed(known));
        }
        match key {
            "SOPInstanceUID" => Self::SOPInstanceUID,
            "SOPClassUID" => Self::SOPClassUID,
            "SeriesInstanceUID" => Self::SeriesInstanceUID,
            "StudyInstanceUID" => Self::StudyInstanceUID,
            "TransferSyntaxUID" => Self::TransferSyntaxUID,
            "Bytes" => Self::Bytes,
            "Digest" => Self::Digest,
            "Object" => Self::Object,
            "CallingAETitle" => Self::CallingAETitle,
            "CalledAETitle" => Self::CalledAETitle,
            "PeerAddress" => Self::PeerAddress,
            "AssociationID" => Self::AssociationID,
            "NodeName" => Self::NodeName,
            "Ordinal" => Self::Ordinal,
            "SeriesOrdinal" => Self::SeriesOrdinal,
            "ReceivedAt" => Self::ReceivedAt,
            "TextDecodedAs" => Self::TextDecodedAs,
            "UndecodedValues" => Self::UndecodedValues,
            "OriginalValues" => Self::OriginalValues,
            "ItemsLeftOut" => Self::ItemsLeftOut,
            _ => Self::Attribute(match KEYWORDS.binary_search(&key) {
                Ok(known) => {
                    *next = known + 1;
                    Cow::Borrowed(KEYWORDS[known])
                }
                Err(_) => Cow::Owned(key.to_owned()),
            }),
        }
    }
}

/// How many of the keywords that follow are looked at before all are.
const AHEAD: usize = 4;

/// Reads a key; `next` is the place of the keyword after the last one that was read.
struct KeySeed<'a> {
    next: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a DICOM keyword")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        Ok(Key::of(key, self.next))
    }
}

impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = AttributeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value of an attribute")
    }

    fn visit_i64<E>(self, number: i64) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<AttributeValue, E> {
        let unknown = |_| AttributeValue::Unknown(number.into());
        Ok(i64::try_from(number).map_or_else(unknown, AttributeValue::Number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Unknown(number.into()))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Unknown(truth.into()))
    }

    fn visit_unit<E>(self) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Unknown(Value::Null))
    }

    fn visit_str<E>(self, text: &str) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Text(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<AttributeValue, E> {
        Ok(AttributeValue::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<AttributeValue, A::Error> {
        let values = Vec::<Value>::deserialize(SeqAccessDeserializer::new(list))?;
        if !values.iter().all(Value::is_object) {
            return Ok(AttributeValue::Unknown(values.into()));
        }
        let items = values.into_iter().map(Attributes::deserialize).collect::<Result<_, _>>();
        items.map(AttributeValue::Items).map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AttributeValue, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(map)).map(AttributeValue::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_what_it_was_written_as() {
        for (json, value) in [
            (json!(-7), AttributeValue::Number(-7)),
            (json!(i64::MAX), AttributeValue::Number(i64::MAX)),
            (json!(u64::MAX), AttributeValue::Unknown(json!(u64::MAX))),
            (json!(1.5), AttributeValue::Unknown(json!(1.5))),
            (json!(true), AttributeValue::Unknown(json!(true))),
            (json!(null), AttributeValue::Unknown(json!(null))),
            (json!("a\\b\u{0}"), AttributeValue::Text("a\\b\u{0}".into())),
            (json!([]), AttributeValue::Items(Vec::new())),
            (json!([{}, 1]), AttributeValue::Unknown(json!([{}, 1]))),
            (json!({"a": [1]}), AttributeValue::Unknown(json!({"a": [1]}))),
        ] {
            let text = json.to_string();
            let read: AttributeValue = serde_json::from_str(&text).unwrap();
            assert_eq!(read, value, "{text}");
            assert_eq!(serde_json::to_value(&read).unwrap(), json, "{text}");
            assert_eq!(serde_json::from_value::<AttributeValue>(json).unwrap(), value, "{text}");
        }
        let nested = json!([{"RequestedProcedureID": "RP-9", "Deep": [{"Number": 1}]}]);
        let AttributeValue::Items(items) = serde_json::from_value(nested).unwrap() else {
            panic!("items are lost")
        };
        assert_eq!(items[0]["RequestedProcedureID"], AttributeValue::Text("RP-9".into()));
        assert!(matches!(items[0]["Deep"], AttributeValue::Items(_)));
    }

    #[test]
    fn the_keywords_are_those_of_the_data_set_in_order() {
        use crate::attributes::keyword;
        let laterality = Attribute { keyword: "Laterality", ..*keyword::BodyPartExamined };
        let keywords = keywords([ATTRIBUTES, &[laterality]].concat().leak());
        assert!(keywords.is_sorted());
        for known in ["Laterality", "Rows", "StudyID", "SpecificCharacterSet"] {
            assert!(keywords.contains(&known), "{known}");
        }
        assert!(!keywords.contains(&"SOPInstanceUID"), "the event has a field of its own for it");
    }

    #[test]
    fn an_event_says_each_thing_once_and_all_that_it_must() {
        let golden = include_str!("../../golden/instance_stored.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        let event = golden["payload"].as_object().unwrap();
        let whole = serde_json::to_string(event).unwrap();
        assert!(serde_json::from_str::<InstanceStored>(&whole).is_ok());

        let twice = whole.replacen('{', r#"{"Bytes":1,"#, 1);
        let error = serde_json::from_str::<InstanceStored>(&twice).unwrap_err();
        assert!(error.to_string().starts_with("duplicate field `Bytes`"), "{error}");
        for optional in ["StudyInstanceUID", "NodeName", "SeriesOrdinal"] {
            let mut without = event.clone();
            without.remove(optional);
            assert!(serde_json::from_value::<InstanceStored>(without.into()).is_ok(), "{optional}");
        }
        for needed in ["SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "Digest", "ReceivedAt"]
        {
            let mut without = event.clone();
            without.remove(needed);
            let error = serde_json::from_value::<InstanceStored>(without.into()).unwrap_err();
            assert!(error.to_string().contains(needed), "{error}");
        }
    }
}
