//! Examples in the documentation that follow from others: of lists by what they list.

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
    let responses = operation.responses.responses.iter_mut();
    for content in responses.flat_map(|response| &mut response.content) {
        if let MetaSchemaRef::Inline(list) = &mut content.schema
            && let Some(item) = &list.items
        {
            list.example = of_schema(item, registry).map(|example| json!([example]));
        }
    }
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
