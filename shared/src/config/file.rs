//! A settings file in TOML: a table for each heading of `--help`, and in it the settings by name.

use super::MAY_BE_EMPTY;
use crate::settings::line_of;
use anyhow::{Context as _, anyhow, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The settings that a file may have, and the table of each.
pub(super) struct Known(BTreeMap<&'static str, &'static str>);

impl Known {
    /// Those of a file in which all are comments: `[table]`, and below it `#key = value`.
    pub(super) fn of(template: &'static str) -> Self {
        let mut table = "";
        let mut tables = BTreeMap::new();
        for line in template.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                table = name;
            }
            let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
            if let Some((key, _)) = setting.and_then(|rest| rest.split_once(" = ")) {
                tables.insert(key, table);
            }
        }
        Self(tables)
    }

    /// Refuses a setting that is not one, or that belongs elsewhere.
    fn check(&self, table: Option<&str>, key: &str) -> anyhow::Result<()> {
        match self.0.get(key) {
            Some(own) if table == Some(*own) => Ok(()),
            Some(own) => bail!("{key} belongs in the table [{own}]"),
            // A secret, above all.
            None if self.0.contains_key(format!("{key}_file").as_str()) => {
                bail!("{key} is not set here: set {key}_file to the path of a file that has it")
            }
            None => bail!("unknown setting {key}; did you mean {}?", nearest(key, self.0.keys())),
        }
    }

    /// Refuses a table that is not one.
    fn check_table(&self, table: &str) -> anyhow::Result<()> {
        let is_known = self.0.values().any(|other| *other == table);
        ensure!(
            is_known,
            "unknown table [{table}]; did you mean [{}]?",
            nearest(table, self.0.values())
        );
        Ok(())
    }
}

/// Which of these is most like a word.
fn nearest<'a>(word: &str, of: impl Iterator<Item = &'a &'static str>) -> &'static str {
    let likeness = |other: &str| strsim::jaro_winkler(word, other);
    of.copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default()
}

/// The value of a setting in a file.
#[derive(Debug)]
pub(super) struct Value {
    /// As it would stand in the environment; the values of a list are separated by commas.
    pub(super) text: String,
    /// Whether the file has a list there.
    pub(super) is_list: bool,
    /// Where the setting is.
    pub(super) line: usize,
}

/// What a settings file sets.
#[derive(Debug)]
pub(super) struct SettingsFile {
    path: PathBuf,
    values: BTreeMap<String, Value>,
}

impl SettingsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it can't be read, or says something that is not understood: one line that says where.
    pub(super) fn read(path: &Path, known: &Known) -> anyhow::Result<Self> {
        let what = || format!("COLLIMATOR_CONFIG {}", path.display());
        let text = fs::read_to_string(path).with_context(what)?;
        let values = parse(&text, known).with_context(what)?;
        Ok(Self { path: path.to_owned(), values })
    }

    /// The value of a setting.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// Where a value is, for an error about it.
    pub(super) fn place(&self, value: &Value) -> String {
        format!("COLLIMATOR_CONFIG {}: line {}", self.path.display(), value.line)
    }
}

fn parse(text: &str, known: &Known) -> anyhow::Result<BTreeMap<String, Value>> {
    let line = |at: usize| line_of(text.get(..at).unwrap_or(text));
    let tables = DeTable::parse(text).map_err(|error| {
        let at = line(error.span().map_or(0, |span| span.start));
        anyhow!("line {at}: {}", error.message().replace('\n', " "))
    })?;
    let mut values = BTreeMap::new();
    for (table, content) in tables.get_ref() {
        let at = line(table.span().start);
        let table = table.get_ref().as_ref();
        let DeValue::Table(settings) = content.get_ref() else {
            known.check(None, table).with_context(|| format!("line {at}"))?;
            continue;
        };
        known.check_table(table).with_context(|| format!("line {at}"))?;
        for (key, value) in settings {
            let at = line(key.span().start);
            let key = key.get_ref().as_ref();
            let read = known.check(Some(table), key).and_then(|()| text_of(key, value.get_ref()));
            let (text, is_list) = read.with_context(|| format!("line {at}"))?;
            values.insert(key.to_owned(), Value { text, is_list, line: at });
        }
    }
    Ok(values)
}

/// A value as it would stand in the environment, and whether it is a list.
fn text_of(key: &str, value: &DeValue<'_>) -> anyhow::Result<(String, bool)> {
    let read = match value {
        DeValue::Array(values) => {
            let texts: Option<Vec<_>> = values.iter().map(|it| scalar(it.get_ref())).collect();
            texts.map(|texts| (texts.join(","), true))
        }
        value => scalar(value).map(|text| (text, false)),
    };
    let read = read.with_context(|| {
        format!("{key} must be a string, an integer, true or false, or a list of strings")
    })?;
    let may_be_empty = MAY_BE_EMPTY.iter().any(|name| name.eq_ignore_ascii_case(key));
    ensure!(
        may_be_empty || !read.0.is_empty(),
        "{key} is empty: give it a value, or remove the line"
    );
    Ok(read)
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(number.to_string())
        }
        DeValue::Boolean(is) => Some(is.to_string()),
        _ => None,
    }
}
