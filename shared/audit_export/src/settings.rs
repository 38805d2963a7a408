//! Which Audit Record Repository there is, and by what it is known.

use super::tls::Tls;
use anyhow::{Context as _, ensure};
use clap::Args;
use rustls::pki_types::ServerName;
use std::fmt::{self, Display, Formatter};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of syslog over TLS (RFC 5425 section 4.1).
const PORT: u16 = 6514;

/// Settings of the Audit Record Repository.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Audit trail")]
pub struct SyslogSettings {
    /// Audit Record Repository that receives audit messages by syslog over TLS: `host[:port]`, port 6514 by
    /// default [default: none]
    #[arg(long, env = "AUDIT_SYSLOG_ADDR")]
    pub audit_syslog_addr: Option<Repository>,

    /// CA certificates for the repository, PEM
    #[arg(long, env = "AUDIT_SYSLOG_CA")]
    pub audit_syslog_ca: Option<PathBuf>,

    /// Client certificate for the repository with its chain, PEM [default: none]
    #[arg(long, env = "AUDIT_SYSLOG_CERT")]
    pub audit_syslog_cert: Option<PathBuf>,

    /// Private key of AUDIT_SYSLOG_CERT, PEM, without a passphrase
    #[arg(long, env = "AUDIT_SYSLOG_KEY")]
    pub audit_syslog_key: Option<PathBuf>,
}

impl SyslogSettings {
    /// Reads the files, if there is a repository.
    ///
    /// # Errors
    /// When a file is not named, can't be read, or holds something else, with the name of its setting.
    pub fn check(&self) -> anyhow::Result<()> {
        self.read().map(drop)
    }

    /// The repository and what it takes to speak to it, if there is one.
    ///
    /// # Errors
    /// When a file is not named, can't be read, or holds something else, with the name of its setting.
    pub(crate) fn read(&self) -> anyhow::Result<Option<(Repository, Tls)>> {
        let Some(repository) = &self.audit_syslog_addr else {
            for (name, file) in [
                ("AUDIT_SYSLOG_CA", &self.audit_syslog_ca),
                ("AUDIT_SYSLOG_CERT", &self.audit_syslog_cert),
                ("AUDIT_SYSLOG_KEY", &self.audit_syslog_key),
            ] {
                ensure!(file.is_none(), "{name} is of no use without AUDIT_SYSLOG_ADDR");
            }
            return Ok(None);
        };
        let ca = self.audit_syslog_ca.clone();
        let ca = ca.context("AUDIT_SYSLOG_ADDR needs AUDIT_SYSLOG_CA as well")?;
        let identity = match (self.audit_syslog_cert.clone(), self.audit_syslog_key.clone()) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => anyhow::bail!("AUDIT_SYSLOG_CERT needs AUDIT_SYSLOG_KEY as well"),
            (None, Some(_)) => anyhow::bail!("AUDIT_SYSLOG_KEY needs AUDIT_SYSLOG_CERT as well"),
        };
        let tls = Tls { ca, identity };
        tls.read()?;
        Ok(Some((repository.clone(), tls)))
    }
}

/// Where a repository is: a host, by a name or address that its certificate must have, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    host: String,
    port: u16,
    name: ServerName<'static>,
}

impl Repository {
    /// What a resolver takes.
    pub(crate) fn addr(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// What its certificate has to be of.
    pub(crate) fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }
}

impl FromStr for Repository {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_bare_v6 = text.parse::<Ipv6Addr>().is_ok();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !is_bare_v6 && !port.ends_with(']') => {
                let port = port.parse().ok().filter(|port| *port > 0);
                (host, port.ok_or("has no port after its last colon")?)
            }
            _ => (text, PORT),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(host.to_owned());
        let name =
            name.map_err(|_| "is no host, or host:port; write it like `arr.example.org:6514`")?;
        Ok(Self { host: host.to_owned(), port, name })
    }
}

impl Display for Repository {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_host_with_or_without_a_port() {
        for (text, read) in [
            ("arr.example.org", "arr.example.org:6514"),
            ("arr:1", "arr:1"),
            ("10.0.0.1", "10.0.0.1:6514"),
            ("10.0.0.1:99", "10.0.0.1:99"),
            ("::1", "[::1]:6514"),
            ("[::1]", "[::1]:6514"),
            ("[::1]:99", "[::1]:99"),
        ] {
            assert_eq!(text.parse::<Repository>().unwrap().to_string(), read);
        }
        for text in ["", "arr:", "arr:0", "arr:70000", "tls://arr:6514", "a b"] {
            assert!(text.parse::<Repository>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_setting_that_needs_another_says_which() {
        let error = |settings: SyslogSettings| settings.read().unwrap_err().to_string();
        let file = || Some(PathBuf::from("/nowhere/x.pem"));
        let none = SyslogSettings::default();
        assert!(none.read().unwrap().is_none());
        let lonely = SyslogSettings { audit_syslog_ca: file(), ..none.clone() };
        assert_eq!(error(lonely), "AUDIT_SYSLOG_CA is of no use without AUDIT_SYSLOG_ADDR");
        let addr = SyslogSettings { audit_syslog_addr: "arr".parse().ok(), ..none };
        assert_eq!(error(addr.clone()), "AUDIT_SYSLOG_ADDR needs AUDIT_SYSLOG_CA as well");
        let ca = SyslogSettings { audit_syslog_ca: file(), ..addr };
        assert!(error(ca.clone()).starts_with("AUDIT_SYSLOG_CA /nowhere/x.pem"));
        let certificate = SyslogSettings { audit_syslog_cert: file(), ..ca };
        assert_eq!(error(certificate), "AUDIT_SYSLOG_CERT needs AUDIT_SYSLOG_KEY as well");
    }
}
