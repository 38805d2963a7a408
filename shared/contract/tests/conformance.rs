//! The list of attributes in the conformance statement is that of the table.

use contract::attributes::{ATTRIBUTES, Attribute, Form, Level, Origin, Qido, keyword};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dicom-conformance.md");

/// What is between these two lines of the page is made of the table.
const BEGIN: &str = "<!-- made of contract::attributes: UPDATE_DOCS=1 cargo test -p contract -->\n";
const END: &str = "<!-- end -->\n";

/// The rows of the page's table.
fn list(attributes: &[Attribute]) -> String {
    let row = |title: &str, belongs: &dyn Fn(&Attribute) -> bool| {
        let names = attributes.iter().filter(|attribute| belongs(attribute)).map(name);
        format!("| {title} | {} |\n", names.collect::<Vec<_>>().join(", "))
    };
    let known = |attribute: &Attribute, levels: &[Level]| {
        attribute.qido != Qido::Hidden && levels.contains(&attribute.level)
    };
    let hidden = |attribute: &Attribute, is_kept: bool| {
        attribute.qido == Qido::Hidden && attribute.column.is_some() == is_kept
    };
    [
        "| level | attributes |\n| --- | --- |\n".to_owned(),
        row("study", &|attribute| known(attribute, &[Level::Patient, Level::Study])),
        row("series", &|attribute| known(attribute, &[Level::Series])),
        row("instance", &|attribute| known(attribute, &[Level::Instance])),
        row("kept, not in QIDO-RS", &|attribute| hidden(attribute, true)),
        row("in events only", &|attribute| hidden(attribute, false)),
    ]
    .concat()
}

fn name(attribute: &Attribute) -> String {
    let name = match attribute.qido {
        Qido::Always => format!("**{}**", attribute.name),
        Qido::OnRequest | Qido::Hidden => attribute.name.to_owned(),
    };
    match (attribute.form, attribute.origin) {
        (Form::Items(items), _) => {
            let items: Vec<_> = items.iter().map(|item| item.name).collect();
            format!("{name} ({})", items.join(", "))
        }
        (_, Origin::Counted) => format!("{name} (no matching key)"),
        _ => name,
    }
}

#[test]
fn the_conformance_statement_lists_the_table_of_attributes() {
    let page = std::fs::read_to_string(PATH).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the line before the list");
    let (_, after) = rest.split_once(END).expect("the page has the line after the list");
    let made = [before, BEGIN, &list(ATTRIBUTES), END, after].concat();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PATH, &made).unwrap();
    }
    let committed = std::fs::read_to_string(PATH).unwrap();
    assert!(
        made == committed,
        "the attributes changed; look at what `UPDATE_DOCS=1 cargo test -p contract` makes of {PATH}"
    );
}

#[test]
fn an_attribute_that_is_added_is_in_the_list_of_its_level() {
    let laterality = Attribute {
        tag: 0x0020_0060,
        keyword: "Laterality",
        name: "Laterality",
        ..*keyword::BodyPartExamined
    };
    let list = list(&[ATTRIBUTES, &[laterality]].concat());
    let series = list.lines().find(|line| line.starts_with("| series |")).unwrap();
    assert!(series.ends_with("Laterality |"), "{series}");
}
