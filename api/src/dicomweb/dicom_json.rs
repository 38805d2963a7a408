//! The DICOM JSON model (PS3.18 annex F) of what the catalogue has by keyword.

use catalog::{ALL_KEPT, Attribute, Details, KEPT, NONE_KEPT};
use contract::attributes::{REQUEST_ATTRIBUTES, Vr};
use contract::dicomweb::DicomwebUrls;
use serde_json::{Map, Value, json};

/// One result: the attributes that were asked for, by tag. One without a value is there and empty. Where instances are
/// kept, `urls` are where they are retrieved.
#[must_use]
pub(crate) fn result(
    details: &Details,
    attributes: &[&Attribute],
    urls: Option<&DicomwebUrls>,
) -> Value {
    let mut result = Map::new();
    let text = |vr: &str, value: &str| json!({ "vr": vr, "Value": [value] });
    result.insert("00080005".to_owned(), text("CS", "ISO_IR 192"));
    let kept = details.get(KEPT).and_then(Value::as_u64).unwrap_or(NONE_KEPT);
    // Of several the least available counts (PS3.4 section C.4.1.1.3).
    let availability = if kept == ALL_KEPT { "ONLINE" } else { "UNAVAILABLE" };
    result.insert("00080056".to_owned(), text("CS", availability));
    let url = urls.filter(|_| kept > NONE_KEPT).and_then(|urls| url(details, urls));
    // What can't be retrieved here has no URL.
    let url = url.map_or_else(|| json!({ "vr": "UR" }), |url| text("UR", &url));
    result.insert("00081190".to_owned(), url);
    for attribute in attributes {
        let element = element(attribute.vr, details.get(attribute.keyword));
        result.insert(attribute.hex_tag(), element);
    }
    // Tags come in ascending order (section F.2.2): the map is sorted by its keys.
    Value::Object(result)
}

/// Where a result is retrieved: an instance, a series or a study, whatever it names.
fn url(details: &Details, urls: &DicomwebUrls) -> Option<String> {
    let uid = |keyword: &str| details.get(keyword).and_then(Value::as_str);
    let study = uid("StudyInstanceUID").filter(|study| !study.is_empty())?;
    Some(match (uid("SeriesInstanceUID"), uid("SOPInstanceUID")) {
        (Some(series), Some(instance)) => urls.instance(study, series, instance),
        (Some(series), None) => urls.series(study, series),
        _ => urls.study(study),
    })
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
pub(super) fn person_name(text: &str) -> Value {
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
        result(&details, &[attribute], None)[attribute.hex_tag()].clone()
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
        let none = result(&Details::new(), &[keyword::StudyDate], None);
        assert_eq!(none["00080020"], json!({"vr": "DA"}));
    }
}
