//! The completion rules in descriptions: the contract has the list of them.

use contract::event::Reason;
use poem_openapi::registry::{MetaSchemaRef, Registry};

/// Replaces `{rules ..4}` in the descriptions of properties by the first four rules, and `{rules 4..}` by the others:
/// where the place of a line's end is chosen.
pub(crate) fn fill_in(registry: &mut Registry) {
    let properties = registry.schemas.values_mut().flat_map(|schema| &mut schema.properties);
    for (_, property) in properties {
        if let MetaSchemaRef::Inline(property) = property
            && let Some(description) = property.description
            && description.contains("{rules")
        {
            // A few texts, once when the service starts: the registry takes none that is owned.
            property.description = Some(filled_in(description).leak());
        }
    }
}

fn filled_in(description: &str) -> String {
    let rules: Vec<_> = Reason::rules().map(|rule| format!("`{}`", rule.as_str())).collect();
    let ends = 0..=rules.len();
    ends.fold(description.to_owned(), |text, end| {
        let (first, others) = rules.split_at(end);
        text.replace(&format!("{{rules ..{end}}}"), &first.join(", "))
            .replace(&format!("{{rules {end}..}}"), &others.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_parts_together_have_each_rule_once() {
        let text = filled_in("It is {rules ..2},\n{rules 2..}, or another");
        let named: Vec<_> = text.split('`').skip(1).step_by(2).collect();
        assert_eq!(named, Reason::rules().map(Reason::as_str).collect::<Vec<_>>());
        assert!(text.starts_with("It is `") && text.ends_with("`, or another"), "{text}");
    }
}
