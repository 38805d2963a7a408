//! Where the catalogue is: `DATABASE_URL`, and the path of a file in it. A path may have any character,
//! and those that mean something in a URL are percent-encoded there.

use crate::error::CatalogError;
use crate::settings::CatalogSettings;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use sqlx::sqlite::SqliteConnectOptions;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

/// What is not itself in the path of a URL (RFC 3986 section 3.3), but for what SQLite's own URLs allow.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b'%')
    .add(b':')
    .add(b'?')
    .add(b'#')
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// The ends of the names of the files of a database: itself, and what SQLite keeps beside it while it is in use.
pub(in crate::sqlite) const ENDS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// The path of a file beside another: the same with this end.
pub(in crate::sqlite) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

/// Removes a database that nobody has open, with what SQLite left beside it. One that is not there is no error.
///
/// # Errors
/// When a file can't be removed.
pub(in crate::sqlite) fn remove_database(path: &Path) -> io::Result<()> {
    remove(path, &ENDS)
}

fn remove(path: &Path, ends: &[&str]) -> io::Result<()> {
    ends.iter().try_for_each(|end| match fs::remove_file(beside(path, end)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
}

/// Renames a database that nobody has open and that has no log, in the place of one that is gone or of its file alone.
///
/// # Errors
/// When the file can't be renamed, or what is beside the two can't be removed.
pub(in crate::sqlite) fn rename_database(from: &Path, to: &Path) -> io::Result<()> {
    // SQLite would take the log of the one that is gone for a part of this one.
    remove(to, &ENDS[1..])?;
    fs::rename(from, to)?;
    remove(from, &ENDS[1..])?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

impl CatalogSettings {
    /// The catalogue in the file at `path`, whatever characters that has.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let path = percent_encode(path.as_os_str().as_bytes(), ENCODED);
        Self { database_url: format!("sqlite://{path}") }
    }

    /// The catalogue's file.
    ///
    /// # Errors
    /// When the URL names none.
    pub(in crate::sqlite) fn path(&self) -> Result<PathBuf, CatalogError> {
        Ok(self.file()?.get_filename().to_owned())
    }

    /// The file that the URL names, as SQLite is to open it.
    pub(in crate::sqlite) fn file(&self) -> Result<SqliteConnectOptions, CatalogError> {
        let url = &self.database_url;
        let no_file = || {
            let says = "DATABASE_URL must be `sqlite://` and the path of a file, or `postgres://`";
            // Any other may have a password.
            let named = if url.contains('@') { String::new() } else { format!(", not {url:?}") };
            CatalogError::Settings(format!("{says}{named}"))
        };
        let rest = url.strip_prefix("sqlite:").ok_or_else(no_file)?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        // An empty name is a database that SQLite removes at its end, and the other is one in memory.
        if path.is_empty() || path == ":memory:" || query.contains("mode=memory") {
            return Err(no_file());
        }
        let bytes: Vec<u8> = percent_decode_str(path).collect();
        // sqlx reads what else a URL can say; the path is ours.
        let options = SqliteConnectOptions::from_str(&format!("sqlite://file?{query}"));
        let path = PathBuf::from(OsString::from_vec(bytes));
        Ok(options.map_err(|_| no_file())?.filename(as_file(path)))
    }
}

/// What to call the catalogue in front of people.
///
/// # Errors
/// When the URL names none.
pub(crate) fn name(settings: &CatalogSettings) -> Result<String, CatalogError> {
    Ok(settings.path()?.display().to_string())
}

/// What to say of a path that SQLite can't open.
pub(in crate::sqlite) fn not_utf8(path: &Path) -> CatalogError {
    let named = path.display();
    let says = "has a name that is not in UTF-8; name another one";
    CatalogError::Settings(format!("the catalogue's file {named} {says}"))
}

/// What the disk refuses: the catalogue's file or folder can't be made.
pub(in crate::sqlite) fn refused(error: io::Error) -> CatalogError {
    CatalogError::Refused(error.into())
}

/// What to say of a database whose log still has some of it.
pub(in crate::sqlite) fn has_log(path: &Path) -> CatalogError {
    let named = path.display();
    let says = "a part of it is still in its log; end whoever has it open, and run this again";
    CatalogError::Unavailable(format!("{named} is in use: {says}").into())
}

/// A path that SQLite takes for one: a relative one that begins like a URL or with a colon means something
/// else to it.
pub(in crate::sqlite) fn as_file(path: PathBuf) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    match bytes.starts_with(b"file:") || bytes.starts_with(b":") {
        true => Path::new(".").join(path),
        false => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(url: &str) -> Option<PathBuf> {
        CatalogSettings { database_url: url.to_owned() }.path().ok()
    }

    #[test]
    fn a_path_is_the_same_after_it_was_a_url() {
        for name in [
            "data",
            "a b",
            "a%20b",
            "100%",
            "%",
            "%zz",
            "a?b",
            "a?mode=memory",
            "#1",
            "Köln",
            "it's",
            "\"quoted\"",
            "-leading",
            "a\nb",
            "a\\b",
            "a&b=c",
            "a:memory:b",
            "{a}",
            "~",
            "データ",
        ] {
            let file = Path::new(name).join("catalog.db");
            assert_eq!(CatalogSettings::at(&file).path().unwrap(), file);
        }
        let bytes = PathBuf::from(OsString::from_vec(b"/data/\xff/catalog.db".to_vec()));
        assert_eq!(CatalogSettings::at(&bytes).path().unwrap(), bytes);
        for name in ["file:data/catalog.db", ":memory:", ":a"] {
            let file = CatalogSettings::at(Path::new(name)).path().unwrap();
            assert_eq!(file, Path::new(".").join(name), "it means something else to SQLite");
        }
    }

    #[test]
    fn a_url_is_read_as_it_was_before() {
        let is = |file: &str| Some(PathBuf::from(file));
        assert_eq!(path("sqlite://data/catalog.db"), is("data/catalog.db"));
        assert_eq!(path("sqlite:///data/catalog.db"), is("/data/catalog.db"));
        assert_eq!(path("sqlite:catalog.db"), is("catalog.db"));
        assert_eq!(path("sqlite://a%20b%3Fc.db?mode=rwc"), is("a b?c.db"));
        assert_eq!(path("sqlite://100%/catalog.db"), is("100%/catalog.db"), "no encoded character");
        for none in ["sqlite:", "sqlite://", "sqlite://?mode=rwc", "sqlite::memory:", "a.db"] {
            assert_eq!(path(none), None, "{none}");
        }
        assert_eq!(path("sqlite://a.db?mode=memory"), None);
        assert_eq!(path("sqlite://a.db?no=such"), None);
    }
}
