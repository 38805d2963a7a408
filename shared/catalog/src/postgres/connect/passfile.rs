//! A file of passwords that the URL names as `passfile` (PostgreSQL, section 34.16). sqlx reads the one of `PGPASSFILE`
//! and `~/.pgpass` by itself.

use crate::error::CatalogError;
use sqlx::postgres::PgConnectOptions;
use std::path::Path;

/// The password of the first line that fits; `None` where none does.
///
/// # Errors
/// When the file can't be read.
pub(in crate::postgres) fn password(
    file: &Path,
    options: &PgConnectOptions,
) -> Result<Option<String>, CatalogError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        CatalogError::Settings(format!("cannot read the passfile {}: {error}", file.display()))
    })?;
    let user = options.get_username();
    let port = options.get_port().to_string();
    let wanted = [options.get_host(), &port, options.get_database().unwrap_or(user), user]
        .map(str::to_owned);
    Ok(text.lines().filter(|line| !line.starts_with('#')).find_map(|line| of_line(line, &wanted)))
}

/// The password of a line `host:port:database:user:password`, if it fits. `*` is anything; a backslash keeps what
/// follows it from meaning something.
fn of_line(line: &str, wanted: &[String; 4]) -> Option<String> {
    let mut rest = line;
    for value in wanted {
        let (field, is_any, after) = field(rest)?;
        if !is_any && field != *value {
            return None;
        }
        rest = after;
    }
    Some(unescaped(rest))
}

/// The field before the next colon, whether it was a lone star, and what comes after.
fn field(line: &str) -> Option<(String, bool, &str)> {
    let mut is_escaped = false;
    let end = line.find(|character| {
        let is_end = character == ':' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_end
    })?;
    Some((unescaped(&line[..end]), &line[..end] == "*", &line[end + 1..]))
}

fn unescaped(text: &str) -> String {
    let mut characters = text.chars();
    let mut unescaped = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        match character {
            '\\' => unescaped.extend(characters.next()),
            other => unescaped.push(other),
        }
    }
    unescaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let wanted = ["db:1", "5432", "catalog", "indexer"].map(str::to_owned);
        assert_eq!(of_line(r"db\:1:5432:*:indexer:a\:b\\c", &wanted).as_deref(), Some(r"a:b\c"));
        assert_eq!(of_line("*:*:*:*:any", &wanted).as_deref(), Some("any"));
        assert_eq!(of_line("db:5432:catalog:indexer:no", &wanted), None);
        assert_eq!(of_line(r"\*:*:*:*:no", &wanted), None);
        assert_eq!(of_line("short", &wanted), None);
    }
}
