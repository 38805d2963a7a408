//! The attributes in a body: which there are, how they are written and how they are documented follows from the table
//! of attributes.

use contract::attributes::{Attribute, Form, REQUEST_ATTRIBUTES};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, ParseResult, ToJSON, Type};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::marker::PhantomData;

/// A body that has attributes of instances.
pub trait Body: Send + Sync {
    /// These, in the order in which they are written.
    fn attributes() -> &'static [&'static Attribute];
}

/// The attributes of a body that are known, by their keywords: part of the object that the body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes<B> {
    /// In the order of the body's attributes; null where one is absent.
    values: Vec<Value>,
    body: PhantomData<B>,
}

impl<B: Body> Attributes<B> {
    /// With these values, in the order of the body's attributes.
    #[must_use]
    pub fn new(values: Vec<Value>) -> Self {
        Self { values, body: PhantomData }
    }

    /// Takes them out of a map by keyword.
    #[must_use]
    pub fn take(from: &mut Map<String, Value>) -> Self {
        let take = |attribute: &&Attribute| from.remove(attribute.keyword).unwrap_or_default();
        Self::new(B::attributes().iter().map(take).collect())
    }

    /// As the documentation shows them.
    #[must_use]
    pub fn example() -> Self {
        Self::take(&mut examples(B::attributes().iter().copied()))
    }

    fn known(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let values = B::attributes().iter().zip(&self.values);
        let known = values.filter(|(_, value)| !value.is_null());
        known.map(|(attribute, value)| (attribute.keyword, value))
    }
}

impl<B: Body> Default for Attributes<B> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<B: Body> Serialize for Attributes<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (keyword, value) in self.known() {
            map.serialize_entry(keyword, value)?;
        }
        map.end()
    }
}

/// Of a derived object they are a part only by `Type`, `ToJSON` and `ParseFromJSON`.
impl<B: Body> Type for Attributes<B> {
    const IS_REQUIRED: bool = false;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "Attributes".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(object(B::attributes().iter().copied())))
    }

    fn register(registry: &mut Registry) {
        RequestAttributes::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl<B: Body> ToJSON for Attributes<B> {
    fn to_json(&self) -> Option<Value> {
        let known = self.known().map(|(keyword, value)| (keyword.to_owned(), value.clone()));
        Some(Value::Object(known.collect()))
    }
}

impl<B: Body> ParseFromJSON for Attributes<B> {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::Object(mut object)) => Ok(Self::take(&mut object)),
            _ => Ok(Self::default()),
        }
    }
}

/// The component of the documentation for an item of the Request Attributes Sequence.
struct RequestAttributes;

impl Type for RequestAttributes {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "RequestAttributes".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(Self::name().into_owned(), |_| MetaSchema {
            title: Some(Self::name().into_owned()),
            description: Some("What was asked of the modality for a series"),
            ..object(REQUEST_ATTRIBUTES)
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

/// The schema of an object with these attributes, none of which has to be there.
fn object<'a>(attributes: impl IntoIterator<Item = &'a Attribute>) -> MetaSchema {
    let properties = attributes.into_iter().map(|attribute| (attribute.keyword, schema(attribute)));
    MetaSchema { properties: properties.collect(), ..MetaSchema::new("object") }
}

fn schema(attribute: &Attribute) -> MetaSchemaRef {
    let schema = match attribute.form {
        Form::Text => String::schema_ref(),
        Form::Number => i64::schema_ref(),
        Form::Items(_) => Vec::<RequestAttributes>::schema_ref(),
    };
    // The registry takes nothing else, and a process makes one.
    let description = attribute.description().leak();
    schema.merge(MetaSchema { description: Some(description), ..MetaSchema::ANY })
}

/// The examples that these attributes have, by their keywords.
fn examples<'a>(attributes: impl IntoIterator<Item = &'a Attribute>) -> Map<String, Value> {
    let examples =
        attributes.into_iter().map(|attribute| (attribute.keyword.to_owned(), example(attribute)));
    examples.filter(|(_, value)| !value.is_null()).collect()
}

fn example(attribute: &Attribute) -> Value {
    match attribute.form {
        Form::Items(attributes) => Value::Array(vec![examples(attributes).into()]),
        _ if attribute.example.is_empty() => Value::Null,
        Form::Text => attribute.example.into(),
        Form::Number => attribute.example.parse::<i64>().map_or(Value::Null, Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::attributes::keyword;
    use serde_json::json;

    #[test]
    fn an_attribute_that_is_added_is_written_and_documented() {
        #[derive(Debug, PartialEq, Eq)]
        struct Extended;
        impl Body for Extended {
            fn attributes() -> &'static [&'static Attribute] {
                static LATERALITY: Attribute = Attribute {
                    tag: 0x0020_0060,
                    keyword: "Laterality",
                    name: "Laterality",
                    example: "L",
                    ..*keyword::BodyPartExamined
                };
                static ALL: [&Attribute; 3] =
                    [keyword::BodyPartExamined, &LATERALITY, keyword::Rows];
                &ALL
            }
        }
        let mut details = Map::from_iter([
            ("Laterality".to_owned(), json!("R")),
            ("Rows".to_owned(), json!(512)),
            ("Source".to_owned(), json!("dicom")),
        ]);
        let taken = Attributes::<Extended>::take(&mut details);
        assert_eq!(serde_json::to_string(&taken).unwrap(), r#"{"Laterality":"R","Rows":512}"#);
        assert_eq!(details.keys().collect::<Vec<_>>(), ["Source"]);
        let MetaSchemaRef::Inline(schema) = Attributes::<Extended>::schema_ref() else {
            panic!("the attributes are no component of their own")
        };
        let [_, (name, MetaSchemaRef::Inline(added)), _] = schema.properties.as_slice() else {
            panic!("{:?}", schema.properties)
        };
        assert_eq!((*name, added.ty), ("Laterality", "string"));
        assert_eq!(added.description, Some("Laterality (0020,0060)"));
        let example = Attributes::<Extended>::example().to_json().unwrap();
        assert_eq!(example, json!({"BodyPartExamined": "KNEE", "Laterality": "L", "Rows": 512}));
    }
}
