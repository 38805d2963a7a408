//! Modules of a crate depend on one another in one direction: no top-level module uses one that uses it, by
//! whatever way round.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates whose top-level modules are layers.
const CRATES: [&str; 4] = ["api", "indexer", "ingest", "shared"];

/// For each top-level module, those that it uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

fn is_root(path: &Path) -> bool {
    path.ends_with("lib.rs") || path.ends_with("main.rs")
}

/// The source files of a module, without its tests.
fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    let name = path.file_stem().unwrap();
    if name == "tests" {
        return;
    }
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

/// What is compiled of a file: neither comments nor the module of tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The names after `crate::` in a piece of code, and those in braces after it.
fn used<'a>(code: &'a str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for after in code.split("crate::").skip(1) {
        let name =
            |path: &'a str| path.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next();
        match after.strip_prefix('{').and_then(|several| several.split('}').next()) {
            Some(several) => names.extend(several.split(',').filter_map(name)),
            None => names.extend(name(after)),
        }
    }
    names
}

fn uses_in(crate_name: &str) -> Uses {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(crate_name).join("src");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut modules: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in entries.filter(|path| !is_root(path)) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        sources(&path, modules.entry(name).or_default());
    }
    let names: BTreeSet<String> = modules.keys().cloned().collect();
    let uses = |(name, files): (String, Vec<PathBuf>)| {
        let read = |file: &PathBuf| code(&fs::read_to_string(file).unwrap());
        let text = files.iter().map(read).collect::<Vec<_>>().join("\n");
        let others = used(&text).into_iter().filter(|used| *used != name);
        let others = others.filter(|used| names.contains(*used)).map(str::to_owned).collect();
        (name, others)
    };
    modules.into_iter().map(uses).collect()
}

/// A way from a module back to itself, if there is one: takes away what uses nothing that is left, until nothing
/// is left or each that is left uses another.
fn circle(mut uses: Uses) -> Option<Vec<String>> {
    loop {
        let left: BTreeSet<String> = uses.keys().cloned().collect();
        uses.values_mut().for_each(|used| used.retain(|module| left.contains(module)));
        let before = uses.len();
        uses.retain(|_, used| !used.is_empty());
        if uses.len() == before {
            break;
        }
    }
    let mut way = vec![uses.keys().next()?.clone()];
    loop {
        let next = uses[way.last()?].first()?.clone();
        if let Some(place) = way.iter().position(|module| *module == next) {
            way.push(next);
            return Some(way.split_off(place));
        }
        way.push(next);
    }
}

#[test]
fn no_module_uses_one_that_uses_it() {
    for name in CRATES {
        let uses = uses_in(name);
        assert!(uses.values().map(BTreeSet::len).sum::<usize>() > 10, "{name}: {uses:?}");
        assert_eq!(circle(uses), None, "in {name}/src");
    }
}

#[test]
fn a_circle_is_found_whatever_hangs_on_it() {
    let uses = |arrows: &[(&str, &str)]| {
        let mut uses = Uses::new();
        for (from, to) in arrows {
            uses.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            uses.entry((*to).to_owned()).or_default();
        }
        uses
    };
    assert_eq!(circle(uses(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    let found = circle(uses(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b"), ("d", "e")]));
    assert_eq!(found.unwrap(), ["b", "c", "d", "b"]);
    let code = code(
        "use crate::a::B;\n// crate::c\nuse crate::{\n    d, e::F};\n#[cfg(test)]\nmod tests {\n use crate::g;",
    );
    assert_eq!(used(&code), ["a", "d", "e"]);
}
