//! An Audit Record Repository: rsyslog, which takes syslog over TLS and writes what it took to a file.

use super::eventually;
use super::pipeline::{Process, free_addr};
use super::tls::{Authority, Identity};
use super::tools::{have, skip};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Where Debian has the TLS of rsyslog, below the folder of the architecture.
const TLS_MODULE: &str = "rsyslog/lmnsd_gtls.so";

/// One that may be away.
pub struct Repository {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What it keeps.
    taken: PathBuf,
    configuration: PathBuf,
    process: Option<Process>,
    folder: TempDir,
}

/// A message as the repository took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// All that is before the XML: the header of RFC 5424, and the BOM.
    pub header: String,
    /// The audit message.
    pub xml: String,
}

/// Whether a test can have one; says so when not.
pub fn have_rsyslog() -> bool {
    let has_tls = || {
        let mut folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
        folders.any(|folder| folder.path().join(TLS_MODULE).is_file())
    };
    have("rsyslogd") && (has_tls() || skip("rsyslog-gnutls is not installed"))
}

impl Repository {
    /// One that is away still, with this certificate. It lets in who has one of `clients`, if that is
    /// given, else everybody.
    pub fn new(identity: &Identity, ca: &Authority, clients: Option<&Authority>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (addr, taken) = (free_addr(), folder.path().join("taken"));
        let (work, authority) = (folder.path().display(), clients.unwrap_or(ca).file.display());
        let (certificate, key) = (identity.certificate.display(), identity.key.display());
        let who = if clients.is_some() { "x509/certvalid" } else { "anon" };
        let (ip, port, file) = (addr.ip(), addr.port(), taken.display());
        let text = format!(
            r#"global(workDirectory="{work}" maxMessageSize="64k" defaultNetstreamDriver="gtls"
defaultNetstreamDriverCAFile="{authority}"
defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="{who}")
input(type="imtcp" address="{ip}" port="{port}")
template(name="raw" type="string" string="%rawmsg%\n")
action(type="omfile" file="{file}" template="raw")
"#
        );
        let configuration = folder.path().join("rsyslog.conf");
        std::fs::write(&configuration, text).unwrap();
        Self { addr, taken, configuration, process: None, folder }
    }

    /// Comes, or comes back.
    pub async fn comes(&mut self) {
        let arguments = ["-n", "-i", "NONE", "-f", self.configuration.to_str().unwrap()];
        let program = Path::new("/usr/sbin/rsyslogd");
        self.process = Some(Process::start_with(program, &arguments, self.folder.path(), &[]));
        eventually("the repository", async || TcpStream::connect(self.addr).await.ok()).await;
    }

    /// Goes away, in order.
    pub async fn goes(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("TERM");
        process.ended().await;
    }

    /// All that it has taken so far, in order.
    pub fn taken(&self) -> Vec<Taken> {
        let text = std::fs::read_to_string(&self.taken).unwrap_or_default();
        // The last line may be half written.
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let taken = lines.map(|line| {
            let begins = line.find("<?xml").unwrap_or_else(|| panic!("no audit message: {line}"));
            let (header, xml) = line.split_at(begins);
            Taken { header: header.to_owned(), xml: xml.to_owned() }
        });
        taken.collect()
    }

    /// Waits for a message that `is_it`.
    pub async fn takes(&self, what: &str, is_it: impl Fn(&Taken) -> bool) -> Taken {
        eventually(&format!("{what} in the repository"), async || {
            self.taken().into_iter().find(|taken| is_it(taken))
        })
        .await
    }

    /// Hangs: takes connections and bytes as far as its machine does it, and reads none.
    pub fn hangs(&self) {
        self.process.as_ref().unwrap().signal("STOP");
    }

    /// Dies, with what it has not read.
    pub fn dies(&mut self) {
        self.process.take().unwrap().kill();
    }
}

impl Taken {
    /// Holds it against the schema of PS3.15 A.5.1.
    ///
    /// # Panics
    /// When it is not valid.
    pub fn is_valid(&self) {
        validate(&self.xml);
    }
}

/// Holds an audit message against the schema of PS3.15 A.5.1; where there is no xmllint, that is said.
///
/// # Panics
/// When it is not valid.
pub fn validate(xml: &str) {
    if !have("xmllint") {
        return;
    }
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit_message.rng");
    let mut xmllint = Command::new("xmllint")
        .args(["--noout", "--nonet", "--relaxng"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    xmllint.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    let output = xmllint.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{xml}");
}
