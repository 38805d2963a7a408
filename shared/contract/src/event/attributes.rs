//! The attributes of an instance by DICOM keyword: a list in the order of the keywords, in which
//! they are also written and read. Of what a backlog costs, a tree took a sixth.

use compact_str::CompactString;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::ops::Index;

/// Attributes of an instance by DICOM keyword, decoded: text as UTF-8 with its value delimiter
/// `\` and the component groups of a PN as they were, binary numbers as numbers, a sequence as a
/// list of such maps. Attributes that are absent or empty are not in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes(Vec<(Cow<'static, str>, AttributeValue)>);

/// The value of one attribute.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Of a binary VR, or of an IS that is one number.
    Number(i64),
    /// Of any text VR. Up to 24 bytes, as most have, take no memory of their own.
    Text(CompactString),
    /// The items of a sequence.
    Items(Vec<Attributes>),
    /// Something that a later version writes.
    Unknown(serde_json::Value),
}

/// Room for those that most events have, so that a list does not grow as it is read.
const MOST: usize = 40;

impl Attributes {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, keyword: &str) -> Option<&AttributeValue> {
        self.place(keyword).ok().map(|place| &self.0[place].1)
    }

    /// The values of several attributes, which are named in the order of their keywords.
    pub fn pick<'a>(
        &'a self,
        keywords: &'a [&str],
    ) -> impl Iterator<Item = Option<&'a AttributeValue>> {
        let mut all = self.0.iter().peekable();
        keywords.iter().map(move |keyword| {
            while all.next_if(|(other, _)| **other < **keyword).is_some() {}
            all.next_if(|(other, _)| *other == *keyword).map(|(_, value)| value)
        })
    }

    /// Sets an attribute, in the place of the value that it had.
    pub fn insert(&mut self, keyword: impl Into<Cow<'static, str>>, value: AttributeValue) {
        let keyword = keyword.into();
        // They mostly come in order.
        if self.0.last().is_none_or(|(last, _)| *last < keyword) {
            if self.0.is_empty() {
                self.0.reserve(MOST);
            }
            self.0.push((keyword, value));
            return;
        }
        match self.place(&keyword) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.0.insert(place, (keyword, value)),
        }
    }

    /// Takes an attribute away, if it is there.
    pub fn remove(&mut self, keyword: &str) {
        if let Ok(place) = self.place(keyword) {
            self.0.remove(place);
        }
    }

    /// Each with its keyword, in the order of these.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(keyword, value)| (&**keyword, value))
    }

    /// Where an attribute is, or would be.
    fn place(&self, keyword: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(keyword))
    }
}

impl Index<&str> for Attributes {
    type Output = AttributeValue;

    /// The value of an attribute that is there.
    fn index(&self, keyword: &str) -> &AttributeValue {
        match self.get(keyword) {
            Some(value) => value,
            None => panic!("there is no {keyword}"),
        }
    }
}

impl FromIterator<(Cow<'static, str>, AttributeValue)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (Cow<'static, str>, AttributeValue)>>(all: I) -> Self {
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        // Of two values of one attribute the later.
        all.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        Self(all)
    }
}

impl<const N: usize> From<[(Cow<'static, str>, AttributeValue); N]> for Attributes {
    fn from(all: [(Cow<'static, str>, AttributeValue); N]) -> Self {
        all.into_iter().collect()
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AttributesVisitor;
        impl<'de> Visitor<'de> for AttributesVisitor {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("attributes by DICOM keyword")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut attributes = Attributes::new();
                while let Some((keyword, value)) = map.next_entry::<String, _>()? {
                    attributes.insert(keyword, value);
                }
                Ok(attributes)
            }
        }
        deserializer.deserialize_map(AttributesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_in_order_however_they_come_and_the_last_word_counts() {
        let mut attributes = Attributes::new();
        for (keyword, number) in [("Rows", 1), ("Columns", 2), ("StudyID", 3), ("Columns", 4)] {
            attributes.insert(keyword, AttributeValue::Number(number));
        }
        let written = serde_json::to_string(&attributes).unwrap();
        assert_eq!(written, r#"{"Columns":4,"Rows":1,"StudyID":3}"#);
        assert_eq!(serde_json::from_str::<Attributes>(&written).unwrap(), attributes);
        assert_eq!(attributes["Rows"], AttributeValue::Number(1));
        assert_eq!(attributes.get("Modality"), None);
        let number = |number| AttributeValue::Number(number);
        let picked: Vec<_> =
            attributes.pick(&["Bytes", "Columns", "Modality", "StudyID", "StudyTime"]).collect();
        assert_eq!(picked, [None, Some(&number(4)), None, Some(&number(3)), None]);
        attributes.remove("Modality");
        attributes.remove("Rows");
        assert_eq!(serde_json::to_string(&attributes).unwrap(), r#"{"Columns":4,"StudyID":3}"#);
    }
}
