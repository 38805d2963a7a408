//! What is written beside each operation: that none is forgotten.

use super::*;
use poem_openapi::OpenApi as _;
use poem_openapi::registry::{MetaOperation, MetaSchemaRef};

fn operations() -> Vec<MetaOperation> {
    let paths = Guarded::<Documented>::meta().into_iter().flat_map(|api| api.paths);
    paths.flat_map(|path| path.operations).collect()
}

#[test]
fn each_operation_has_rules_and_all_rules_are_of_an_operation() {
    let mut documented: Vec<_> = operations().iter().map(|it| it.operation_id.unwrap()).collect();
    let mut ruled: Vec<_> = Documented::rules().iter().map(|rules| rules.id).collect();
    documented.sort_unstable();
    ruled.sort_unstable();
    assert_eq!(ruled, documented);
}

#[test]
fn an_operation_needs_to_read_if_it_changes_nothing_and_more_if_it_does() {
    let rules = Documented::rules();
    for operation in operations() {
        let id = operation.operation_id.unwrap();
        let rules = rules.iter().find(|rules| rules.id == id).unwrap();
        assert_eq!(rules.scope == Scope::Read, operation.method == Method::GET, "{id}");
        assert!(rules.audited.is_some() || operation.method == Method::GET, "{id} is not audited");
    }
}

#[test]
fn each_parameter_has_an_example() {
    // Nobody can make one up: it is taken out of a response.
    const TAKEN: &str = "cursor";
    for operation in operations() {
        let parameters = operation.params.iter().filter(|parameter| parameter.name != TAKEN);
        for parameter in parameters {
            let MetaSchemaRef::Inline(schema) = &parameter.schema else { panic!("a reference") };
            // Swagger UI fills examples of a schema in: of each filter at once, they would find nothing.
            let is_described =
                parameter.description.as_ref().is_some_and(|it| it.contains("or example `"));
            let id = operation.operation_id;
            assert!(schema.example.is_some() || is_described, "{} of {id:?}", parameter.name);
        }
    }
}
