//! Examples in the documentation: of parameters by their name, and of lists by what they list.

use poem_openapi::registry::{MetaOperation, MetaSchemaRef, Registry};
use serde_json::{Value, json};

/// Takes what is null out of those of schemas: an answer leaves a key out that has nothing to say.
pub(crate) fn without_nulls(registry: &mut Registry) {
    let examples = registry.schemas.values_mut().filter_map(|schema| schema.example.as_mut());
    examples.for_each(leave_nulls_out);
}

fn leave_nulls_out(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(leave_nulls_out),
        Value::Object(entries) => {
            entries.retain(|_, value| !value.is_null());
            entries.values_mut().for_each(leave_nulls_out);
        }
        _ => {}
    }
}

/// Adds those of an operation; `registry` has the schemas that it refers to.
pub(crate) fn add(operation: &mut MetaOperation, registry: &Registry) {
    for parameter in &mut operation.params {
        let Some(example) = of_parameter(&parameter.name) else { continue };
        let MetaSchemaRef::Inline(schema) = &mut parameter.schema else { continue };
        // Swagger UI fills examples in: of each filter at once, they would find nothing.
        if parameter.required {
            schema.example.get_or_insert(example);
        } else if let Some(description) = &mut parameter.description {
            let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            let so = if description.ends_with('.') { " For" } else { ", for" };
            description.push_str(&format!("{so} example `{example}`"));
        }
    }
    let responses = operation.responses.responses.iter_mut();
    for content in responses.flat_map(|response| &mut response.content) {
        if let MetaSchemaRef::Inline(list) = &mut content.schema
            && let Some(item) = &list.items
        {
            list.example = of_schema(item, registry).map(|example| json!([example]));
        }
    }
}

/// One that is legal wherever there is a parameter of this name, also beside all the others. A cursor
/// is taken out of an answer, and nobody can make one up.
fn of_parameter(name: &str) -> Option<Value> {
    Some(match name {
        "PatientID" => json!("1"),
        "PatientName" => json!("roe^*"),
        "StudyInstanceUID" => json!("2.25.195279363403791191586079347607892107643"),
        "SeriesInstanceUID" => json!("2.25.265891057852514317505363974980016867097"),
        "Modality" => json!("MR"),
        "AccessionNumber" => json!("ACC-1*"),
        "StudyDate" => json!("20260201-20260228"),
        "SeriesDate" => json!("20260203"),
        "State" => json!("complete"),
        "Source" => json!("dicom"),
        "CallingAETitle" => json!("MR1"),
        "CompletedAfter" => json!("2026-02-03T04:05:06Z"),
        "CompletedBefore" => json!("2026-02-04T00:00:00Z"),
        "sort" => json!("-Arrival"),
        "fields" => json!("SeriesInstanceUID,State"),
        "count" => json!("true"),
        "If-None-Match" => json!("\"5f2b9c\""),
        "Last-Event-ID" => json!("SERIES:7"),
        "Sequence" => json!(3),
        "after" => json!(2),
        _ => return None,
    })
}

/// That of a schema, or of the first that it may be.
fn of_schema(schema: &MetaSchemaRef, registry: &Registry) -> Option<Value> {
    match schema {
        MetaSchemaRef::Inline(schema) => {
            let first = || schema.any_of.iter().find_map(|any| of_schema(any, registry));
            schema.example.clone().or_else(first)
        }
        MetaSchemaRef::Reference(name) => registry.schemas.get(name)?.example.clone(),
    }
}
