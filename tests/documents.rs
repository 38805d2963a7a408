//! The pages that people read: README is short, and every link between them leads somewhere.

use contract::event::Reason;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a first look may take.
const README_LIMIT: usize = 10 * 1024;

/// Folders that hold what is built or fetched.
const NOT_OURS: [&str; 3] = ["target", ".git", "data"];

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            pages(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The text without its code blocks.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    };
    text.lines().filter(is_prose).collect::<Vec<_>>().join("\n")
}

/// Where the links of a page lead.
fn links(prose: &str) -> Vec<&str> {
    let after = prose.split("](").skip(1);
    after.filter_map(|rest| rest.split_once(')').map(|(link, _)| link)).collect()
}

/// The anchors of a page's headings, as Git hosts make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_between_pages_leads_to_a_file_and_a_heading_that_are_there() {
    let mut found = Vec::new();
    pages(Path::new(ROOT), &mut found);
    assert!(found.len() > 30, "{found:?}");
    let mut broken = Vec::new();
    for page in found {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&prose(&text)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            let has_anchor = || {
                let text = fs::read_to_string(&to).unwrap_or_default();
                anchor.is_empty() || anchors(&text).contains(anchor)
            };
            if !to.exists() || !has_anchor() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert_eq!(broken, [""; 0]);
}

#[test]
fn each_page_of_docs_is_in_the_summary_or_in_the_list_of_decisions() {
    let docs = Path::new(ROOT).join("docs");
    let mut found = Vec::new();
    pages(&docs, &mut found);
    let lists = ["SUMMARY.md", "decisions/README.md"].map(|list| docs.join(list));
    let mut listed = BTreeSet::new();
    for list in &lists {
        let text = fs::read_to_string(list).unwrap();
        let folder = list.parent().unwrap();
        listed.extend(links(&prose(&text)).into_iter().map(|link| folder.join(link)));
    }
    let missing: Vec<_> =
        found.iter().filter(|page| !listed.contains(*page) && **page != lists[0]).collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md has no line for {missing:?}");
}

#[test]
fn the_page_on_completeness_has_every_reason() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/completeness.md")).unwrap();
    for reason in Reason::ALL {
        let heading = format!("\n**{}.** ", reason.as_str());
        assert!(page.contains(&heading), "docs/completeness.md has no paragraph {heading:?}");
    }
}

#[test]
fn every_path_of_the_api_is_in_its_page() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/api.md")).unwrap();
    let specification: Value = serde_json::from_str(include_str!("../api/openapi.json")).unwrap();
    for (path, operations) in specification["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let operation = format!("{} {path}", method.to_uppercase());
            assert!(page.contains(&format!("`{operation}`")), "docs/api.md has no `{operation}`");
        }
    }
}

#[test]
fn the_toolchain_is_that_of_the_image() {
    let read = |path: &str| fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap();
    let image = format!("FROM rust:{}-slim", channel.trim_matches('"'));
    assert!(read("Dockerfile").contains(&image), "Dockerfile and rust-toolchain.toml differ");
}

#[test]
fn readme_is_a_first_look_and_no_manual() {
    let length = fs::metadata(Path::new(ROOT).join("README.md")).unwrap().len();
    assert!(length <= README_LIMIT as u64, "{length} bytes");
}
