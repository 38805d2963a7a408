//! Where the catalogue is: `DATABASE_URL` as libpq reads it, with one host or several.
//!
//! sqlx knows one host. A list is parted here: `postgres://user@one:5432,two/collimator` and
//! `postgres:///collimator?host=one,two&port=5432,5433` (PostgreSQL, section 34.1.1.3) become a URL for each.

use super::passfile;
use crate::error::CatalogError;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::postgres::PgConnectOptions;
use std::fs::File;
use std::path::PathBuf;
use std::str::FromStr as _;

/// What is not itself in a parameter of the URLs that are made here.
const ENCODED: &AsciiSet = NON_ALPHANUMERIC;

/// The parameters that are taken. One that is misspelt would be ignored otherwise, and `sslmode` with it.
const PARAMETERS: [&str; 13] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "passfile",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// The parameter that tells which of several hosts is used.
const ATTRIBUTES: &str = "target_session_attrs";

/// Whether a URL names a PostgreSQL database.
pub(crate) fn is_postgres(url: &str) -> bool {
    ["postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme))
}

/// What to call the catalogue in front of people: without the password.
pub(crate) fn name(url: &str) -> Result<String, CatalogError> {
    let location = Location::parse(url)?;
    let options = location.options()?;
    let server = |it: &PgConnectOptions| format!("{}:{}", it.get_host(), it.get_port());
    let hosts: Vec<_> = options.iter().map(server).collect();
    let database = options.first().and_then(|it| it.get_database()).unwrap_or_default().to_owned();
    Ok(format!("postgres://{}/{database}", hosts.join(",")))
}

/// The servers that a URL names, and what is asked of them.
#[derive(Clone)]
pub(in crate::postgres) struct Location {
    /// A URL for each, in the order in which they are tried.
    urls: Vec<String>,
    passfile: Option<PathBuf>,
    /// The files that TLS needs, each with its parameter.
    tls_files: Vec<(String, PathBuf)>,
    /// Whether a server that only reads is no use for reading either.
    pub(in crate::postgres) must_write: bool,
}

impl std::fmt::Debug for Location {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URLs have the password.
        formatter.debug_struct("Location").field("servers", &self.urls.len()).finish()
    }
}

impl Location {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// When it is no such URL, or has a parameter that is not known.
    pub(in crate::postgres) fn parse(url: &str) -> Result<Self, CatalogError> {
        let (_, rest) = url.split_once("://").ok_or_else(|| wrong("has no //"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, mut hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts.to_owned()),
            None => (String::new(), authority.to_owned()),
        };
        let (mut kept, mut listed, mut ports) = (Vec::new(), None, None);
        let (mut passfile, mut tls_files, mut must_write) = (None, Vec::new(), false);
        let (mut is_verified, mut has_authority) = (false, false);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| wrong(&format!("has a {key} that is not in UTF-8")))?;
            match key {
                "host" | "hostaddr" if decoded.contains(',') => {
                    listed = Some(decoded.into_owned());
                    continue;
                }
                "port" if decoded.contains(',') => {
                    ports = Some(decoded.into_owned());
                    continue;
                }
                "passfile" => {
                    passfile = Some(PathBuf::from(&*decoded));
                    continue;
                }
                ATTRIBUTES => {
                    must_write = match &*decoded {
                        "any" => false,
                        "read-write" | "primary" => true,
                        _ => return Err(wrong("needs target_session_attrs=any or read-write")),
                    };
                    continue;
                }
                "sslmode" => is_verified = true,
                "sslrootcert" | "sslcert" | "sslkey" => {
                    has_authority |= key == "sslrootcert";
                    tls_files.push((key.to_owned(), PathBuf::from(&*decoded)));
                }
                key if PARAMETERS.contains(&key) || key.starts_with("options[") => {}
                _ => return Err(wrong(&format!("has the unknown parameter {key:?}"))),
            }
            kept.push(pair.to_owned());
        }
        // Who names an authority means the server to be held against it.
        if has_authority && !is_verified {
            kept.push("sslmode=verify-full".to_owned());
        }
        let is_listed = listed.is_some();
        if let Some(listed) = listed {
            hosts = listed;
        }
        let (hosts, ports): (Vec<&str>, Vec<&str>) =
            (hosts.split(',').collect(), ports.as_deref().unwrap_or("").split(',').collect());
        if ports.len() > 1 && ports.len() != hosts.len() {
            return Err(wrong("has another number of ports than of hosts"));
        }
        let urls = hosts.iter().enumerate().map(|(place, host)| {
            let mut parameters = kept.clone();
            if is_listed {
                parameters.push(format!("host={}", utf8_percent_encode(host, ENCODED)));
            }
            if let Some(port) = ports.get(place).filter(|port| !port.is_empty()) {
                parameters.push(format!("port={}", utf8_percent_encode(port, ENCODED)));
            }
            let authority = if is_listed { "" } else { host };
            // A user without a host is none in a URL.
            let host =
                if authority.is_empty() && !user.is_empty() { "localhost" } else { authority };
            format!("postgres://{user}{host}/{database}?{}", parameters.join("&"))
        });
        let location = Self { urls: urls.collect(), passfile, tls_files, must_write };
        location.options()?;
        Ok(location)
    }

    /// Whether the files that TLS needs can be read. A connection that fails for want of them does not say of which.
    ///
    /// # Errors
    /// When one can't be read.
    pub(in crate::postgres) fn check_files(&self) -> Result<(), CatalogError> {
        self.tls_files.iter().try_for_each(|(parameter, file)| match File::open(file) {
            Ok(_) => Ok(()),
            Err(error) => Err(CatalogError::Settings(format!(
                "cannot read the {parameter} {} of DATABASE_URL: {error}",
                file.display()
            ))),
        })
    }

    /// How each server is connected to. Files of passwords are read anew, so that one that was changed counts.
    ///
    /// # Errors
    /// When a URL is none.
    pub(in crate::postgres) fn options(&self) -> Result<Vec<PgConnectOptions>, CatalogError> {
        let of = |url: &String| {
            // Its text would repeat the URL, and the password with it.
            let options =
                PgConnectOptions::from_str(url).map_err(|_| wrong("is none that can be read"))?;
            match &self.passfile {
                None => Ok(options),
                Some(file) => match passfile::password(file, &options)? {
                    Some(password) => Ok(options.password(&password)),
                    None => Ok(options),
                },
            }
        };
        self.urls.iter().map(of).collect()
    }
}

/// What is wrong with the URL, without the URL, which may have a password.
fn wrong(what: &str) -> CatalogError {
    CatalogError::Settings(format!(
        "DATABASE_URL must be `postgres://USER@HOST:PORT/DATABASE`; this one {what}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(url: &str) -> Vec<(String, u16)> {
        let options = Location::parse(url).unwrap().options().unwrap();
        options.iter().map(|it| (it.get_host().to_owned(), it.get_port())).collect()
    }

    #[test]
    fn each_host_of_a_list_is_a_server() {
        let two = [("one".to_owned(), 5433), ("two".to_owned(), 5432)];
        assert_eq!(servers("postgres://me@one:5433,two:5432/catalog"), two);
        assert_eq!(servers("postgresql:///catalog?host=one,two&port=5433,5432"), two);
        assert_eq!(servers("postgres://me:s%2Ccret@one:5433/catalog"), two[..1]);
    }

    #[test]
    fn what_is_misspelt_is_an_error_that_shows_no_password() {
        for url in [
            "postgres://me:secret@one/catalog?sslmod=require",
            "postgres://me:secret@one:port/catalog",
            "postgres://me:secret@one,two/catalog?target_session_attrs=both",
            "postgres://me:secret@one,two/catalog?port=1,2,3",
            "postgres:catalog",
        ] {
            let error = Location::parse(url).unwrap_err().to_string();
            assert!(
                error.starts_with("DATABASE_URL must be") && !error.contains("secret"),
                "{error}"
            );
        }
        let named = name("postgres://me:secret@one,two:5433/catalog").unwrap();
        assert_eq!(named, "postgres://one:5432,two:5433/catalog");
        let location = Location::parse("postgres://me:secret@one/catalog").unwrap();
        assert!(!format!("{location:?}").contains("secret"));
    }

    #[test]
    fn an_authority_is_there_to_be_held_to() {
        let mode = |url| Location::parse(url).unwrap().options().unwrap()[0].get_ssl_mode();
        let full = mode("postgres://one/catalog?sslrootcert=/etc/ca.pem");
        assert_eq!(format!("{full:?}"), "VerifyFull");
        let named = mode("postgres://one/catalog?sslrootcert=/etc/ca.pem&sslmode=verify-ca");
        assert_eq!(format!("{named:?}"), "VerifyCa");
    }
}
