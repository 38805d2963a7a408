//! A database of its own for each test, a SQLite file or a database on a real PostgreSQL server, and ports. No program
//! links it.
//!
//! `TEST_DATABASE` says which of the two tests use that need any: `sqlite` (the default) or `postgres`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod port;
mod postgres;

pub use port::free_port;
use postgres::Server;
pub use postgres::{KillableServer, synced_server};
use std::io::Write as _;
use tempfile::TempDir;

/// What a test keeps its catalogue in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// A database on a server.
    Postgres,
}

impl Kind {
    /// The one that `TEST_DATABASE` names.
    ///
    /// # Panics
    /// When it names another one.
    #[must_use]
    pub fn from_environment() -> Self {
        match std::env::var("TEST_DATABASE").as_deref() {
            Err(_) | Ok("" | "sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres,
            Ok(other) => panic!("TEST_DATABASE must be sqlite or postgres, not {other:?}"),
        }
    }
}

/// A database that is removed when it is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    File { _folder: TempDir },
    Database(&'static Server, String),
}

impl TestDatabase {
    /// One of the kind that `TEST_DATABASE` names.
    ///
    /// # Panics
    /// When it can't be made: PostgreSQL was asked for and is not installed, for instance.
    #[must_use]
    pub fn new() -> Self {
        match Kind::from_environment() {
            Kind::Sqlite => Self::sqlite(),
            Kind::Postgres => {
                Self::postgres().expect("TEST_DATABASE=postgres needs PostgreSQL 15 or later")
            }
        }
    }

    /// A SQLite file that is not there yet, in a folder that is not there either.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/on/demand/catalog.db");
        Self { url: format!("sqlite://{}", path.display()), kept: Kept::File { _folder: folder } }
    }

    /// An empty database on the PostgreSQL server of this process. `None` where PostgreSQL is not installed,
    /// which is printed past the capture of a test's output.
    ///
    /// # Panics
    /// When the server can't be started, and in CI (`COLLIMATOR_CI=1`) when it is not installed.
    #[must_use]
    pub fn postgres() -> Option<Self> {
        let Some(server) = Server::of_this_process() else {
            let reason = "PostgreSQL is not installed";
            assert!(
                std::env::var_os("COLLIMATOR_CI").is_none(),
                "nothing is skipped in CI: {reason}"
            );
            let _ = writeln!(std::io::stderr(), "skipped: {reason}");
            return None;
        };
        let name = server.create_database();
        Some(Self { url: server.url(&name), kept: Kept::Database(server, name) })
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.kept {
            Kept::File { .. } => Kind::Sqlite,
            Kept::Database(..) => Kind::Postgres,
        }
    }

    /// The `DATABASE_URL` that names it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Default for TestDatabase {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Kept::Database(server, name) = &self.kept {
            server.drop_database(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn each_database_on_the_server_is_its_own_and_goes_with_its_test() {
        let Some(database) = TestDatabase::postgres() else { return };
        let other = TestDatabase::postgres().unwrap();
        let query = |url: &str, query: &str| {
            let psql = Command::new("psql").args(["-qtAX", url, "-c", query]).output().unwrap();
            String::from_utf8(psql.stdout).unwrap()
        };
        assert_eq!(query(database.url(), "create table t (c int); select 1"), "1\n");
        assert_eq!(
            query(other.url(), "select count(*) from pg_tables where tablename = 't'"),
            "0\n"
        );
        let gone = database.url().rsplit('/').next().unwrap().to_owned();
        drop(database);
        let named = format!("select count(*) from pg_database where datname = '{gone}'");
        assert_eq!(query(other.url(), &named), "0\n");
    }
}
