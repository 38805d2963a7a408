//! The DICOM JSON model (PS3.18 annex F) of what the catalogue has by keyword.

use catalog::{Attribute, Details};
use contract::attributes::{REQUEST_ATTRIBUTES, Vr};
use serde_json::{Map, Value, json};

/// Where an instance can be had from: not here, since its pixel data is not kept.
const AVAILABILITY: &str = "UNAVAILABLE";

/// One result: the attributes that were asked for, by tag. One without a value is there and empty.
#[must_use]
pub fn result(details: &Details, attributes: &[&Attribute]) -> Value {
    let mut result = Map::new();
    let text = |vr: &str, value: &str| json!({ "vr": vr, "Value": [value] });
    result.insert("00080005".to_owned(), text("CS", "ISO_IR 192"));
    result.insert("00080056".to_owned(), text("CS", AVAILABILITY));
    // It can't be retrieved here, so there is no URL for it.
    result.insert("00081190".to_owned(), json!({ "vr": "UR" }));
    for attribute in attributes {
        let element = element(attribute.vr, details.get(attribute.keyword));
        result.insert(attribute.hex_tag(), element);
    }
    // Tags come in ascending order (section F.2.2): the map is sorted by its keys.
    Value::Object(result)
}

fn element(vr: Vr, value: Option<&Value>) -> Value {
    let values: Vec<Value> = match value {
        None => Vec::new(),
        Some(Value::String(text)) if vr == Vr::PN => vec![person_name(text)],
        Some(Value::String(text)) => text.split('\\').map(|text| single(vr, text)).collect(),
        Some(Value::Array(items)) => items.iter().map(item).collect(),
        Some(other) => vec![other.clone()],
    };
    if values.iter().all(Value::is_null) {
        return json!({ "vr": vr.as_str() });
    }
    json!({ "vr": vr.as_str(), "Value": values })
}

/// One value; an empty one among others is null (section F.2.5).
fn single(vr: Vr, text: &str) -> Value {
    match vr {
        _ if text.is_empty() => Value::Null,
        // An IS has 32 bits (PS3.5 section 6.2). Text that is no such number stays as it was sent.
        Vr::IS => text.trim().parse::<i32>().map_or_else(|_| text.into(), Into::into),
        Vr::US => text.trim().parse::<u16>().map_or_else(|_| text.into(), Into::into),
        _ => text.into(),
    }
}

/// The component groups of a name (section F.2.2).
fn person_name(text: &str) -> Value {
    let groups = ["Alphabetic", "Ideographic", "Phonetic"].into_iter().zip(text.split('='));
    let given = groups.filter(|(_, name)| !name.is_empty());
    let given: Map<_, _> =
        given.map(|(group, name)| (group.to_owned(), Value::from(name))).collect();
    if given.is_empty() { Value::Null } else { given.into() }
}

/// An item of the Request Attributes Sequence.
fn item(item: &Value) -> Value {
    let mut elements = Map::new();
    for attribute in REQUEST_ATTRIBUTES {
        if let Some(value) = item.get(attribute.keyword) {
            elements.insert(attribute.hex_tag(), element(attribute.vr, Some(value)));
        }
    }
    Value::Object(elements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::keyword;

    fn told(value: Value, attribute: &'static Attribute) -> Value {
        let details = Details::from_iter([(attribute.keyword.to_owned(), value)]);
        result(&details, &[attribute])[attribute.hex_tag()].clone()
    }

    #[test]
    fn values_are_what_annex_f_makes_of_them() {
        let name = json!("Yamada^Tarou=山田^太郎=やまだ^たろう");
        let groups = json!({"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou",
            "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}]});
        assert_eq!(told(name, keyword::PatientName), groups);
        let types = json!({"vr": "CS", "Value": ["DERIVED", null, "M"]});
        assert_eq!(told(json!("DERIVED\\\\M"), keyword::ImageType), types);
        assert_eq!(told(json!(512), keyword::Rows), json!({"vr": "US", "Value": [512]}));
        assert_eq!(told(json!("3 "), keyword::SeriesNumber), json!({"vr": "IS", "Value": [3]}));
        for none in ["x", "1e3", "3.0", "2147483648", "99999999999999999999"] {
            let told = told(json!(none), keyword::SeriesNumber);
            assert_eq!(told, json!({"vr": "IS", "Value": [none]}));
        }
        let request =
            told(json!([{"RequestedProcedureID": "R1"}]), keyword::RequestAttributesSequence);
        let items = json!([{"00401001": {"vr": "SH", "Value": ["R1"]}}]);
        assert_eq!(request, json!({"vr": "SQ", "Value": items}));
        assert_eq!(told(json!("="), keyword::PatientName), json!({"vr": "PN"}));
        let none = result(&Details::new(), &[keyword::StudyDate]);
        assert_eq!(none["00080020"], json!({"vr": "DA"}));
    }
}
