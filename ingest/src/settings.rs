//! What the receiver can be told. Each is also an environment variable of the same name.

use crate::instance::pseudonyms::{PseudonymSettings, Pseudonymise};
use anyhow::{Context as _, anyhow, ensure};
use bytesize::ByteSize;
use clap::Args;
use dimse::negotiation::MAX_PDU_LENGTH;
use shared::election::ELECTION_TIMEOUT;
use shared::pem::Named;
use shared::senders::{AllowList, Network};
use shared::settings::{StreamSettings, duration, duration_or_zero, host_name, positive_size};
use shared::tls::{Papers, Tls};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use store::{StoreSettings, StoreUrl};

/// How long the broker may take to acknowledge an instance, if nobody says otherwise.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The port of DICOM, as of the default of `DICOM_ADDR`.
const USUAL_PORT: u16 = 11112;

/// Settings of the C-STORE and C-ECHO SCP.
#[derive(Debug, Clone, Args)]
// The all-in-one has several `Settings`, and a group is named by its type.
#[group(skip)]
#[command(next_help_heading = "DICOM receiver")]
pub struct Settings {
    /// Address and port for associations without TLS; `none` for TLS only
    #[arg(long, env = "DICOM_ADDR", default_value = "0.0.0.0:11112")]
    pub dicom_addr: PlainAddr,

    /// Associations over TLS.
    #[command(flatten)]
    pub tls: TlsSettings,

    /// AE title of the receiver, 1 to 16 characters
    #[arg(long, env = "AE_TITLE", default_value = "COLLIMATOR", value_parser = ae_title)]
    pub ae_title: String,

    /// Name of this receiver, unique on one NATS and unchanged by a restart
    /// [default: the host name, and DICOM_ADDR unless that is 0.0.0.0:11112]
    #[arg(long, env = "NODE_NAME", value_parser = node_name)]
    pub node_name: Option<String>,

    /// Addresses and ranges of the load balancers whose connections begin with a PROXY header (version 1 or 2), separated
    /// by commas [default: none]
    #[arg(long, env = "PROXY_FROM", value_delimiter = ',')]
    pub proxy_from: Vec<Network>,

    /// Reject associations whose called AE title is not AE_TITLE
    #[arg(long, env = "CHECK_CALLED_AE")]
    pub check_called_ae: bool,

    /// Maximum number of associations; further ones are rejected (transient)
    #[arg(long, env = "MAX_ASSOCIATIONS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_associations: u32,

    /// Maximum number of associations from one address
    #[arg(long, env = "MAX_ASSOCIATIONS_PER_PEER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_associations_per_peer: u32,

    /// Maximum length of a PDU that senders may send, 4KiB to 128KiB
    #[arg(long, env = "MAX_PDU_LENGTH", default_value = "128KiB", value_parser = pdu_length)]
    pub max_pdu_length: u32,

    /// Maximum size of a deflated data set once inflated
    #[arg(long, env = "INFLATE_LIMIT", default_value = "1GiB", value_parser = positive_size)]
    pub inflate_limit: ByteSize,

    /// Maximum size of the elements before the pixel data of an instance, not counting values that are skipped
    #[arg(long, env = "HEADER_LIMIT", default_value = "16MiB", value_parser = positive_size)]
    pub header_limit: ByteSize,

    /// Time that a connection may take to request an association (ARTIM timer, PS3.8 section 9.1.4)
    #[arg(long, env = "ARTIM_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub artim_timeout: Duration,

    /// Idle time-out of an association between two messages
    #[arg(long, env = "IDLE_TIMEOUT", default_value = "30m", value_parser = duration)]
    pub idle_timeout: Duration,

    /// Time that a sender may pause in the middle of a message
    #[arg(long, env = "RECEIVE_TIMEOUT", default_value = "60s", value_parser = duration)]
    pub receive_timeout: Duration,

    /// Time that one PDU may take to arrive in full
    #[arg(long, env = "PDU_TIMEOUT", default_value = "60s", value_parser = duration)]
    pub pdu_timeout: Duration,

    /// Time that NATS may take to acknowledge an instance before the C-STORE is refused
    /// [default: 5s, and 20s where STREAM_REPLICAS is more than 1]
    #[arg(long, env = "PUBLISH_TIMEOUT", value_parser = duration)]
    pub publish_timeout: Option<Duration>,

    /// Time that open associations may continue after SIGTERM, while new ones are rejected; `0s`: they are aborted after
    /// the current message
    #[arg(long, env = "DRAIN_TIMEOUT", default_value = "0s", value_parser = duration_or_zero)]
    pub drain_timeout: Duration,

    /// Settings of pseudonyms.
    #[command(flatten)]
    pub pseudonyms: PseudonymSettings,

    /// Settings of the instance store.
    #[command(flatten)]
    pub store: StoreSettings,
}

impl Settings {
    /// The name of this receiver: the one that was set, else the machine's, and where it listens unless that is the usual
    /// address, since two receivers on one machine are two.
    #[must_use]
    pub fn node_name(&self) -> String {
        let port = self.dicom_addr.0.or(self.tls.dicom_tls_addr);
        self.node_name.clone().unwrap_or_else(|| default_node_name(&host_name(), port))
    }

    /// How long the broker may take to acknowledge an instance.
    #[must_use]
    pub fn publish_timeout(&self, streams: &StreamSettings) -> Duration {
        let default = if streams.are_replicated() { ELECTION_TIMEOUT } else { PUBLISH_TIMEOUT };
        self.publish_timeout.unwrap_or(default)
    }

    /// Makes sure that somebody can be let in, and that the settings do not contradict each other.
    ///
    /// # Errors
    /// When there is no port, nobody is asked for the certificates that were named, or what is kept would name the
    /// patients that pseudonyms stand for.
    pub fn check(&self, allow: &AllowList) -> anyhow::Result<()> {
        ensure!(
            self.dicom_addr.0.is_some() || self.tls.dicom_tls_addr.is_some(),
            "there is no port for DICOM; set DICOM_ADDR, or DICOM_TLS_ADDR as well"
        );
        ensure!(
            !allow.names_certificates() || self.tls.dicom_tls_client_ca.is_some(),
            "SOURCES_FILE has an [[allow]] with a certificate, which nobody is asked for; set \
             DICOM_TLS_CLIENT_CA"
        );
        ensure!(
            self.pseudonyms.pseudonymise != Some(Pseudonymise::Keyed)
                || self.store.store_url == StoreUrl::None,
            "PSEUDONYMISE=keyed and STORE_URL contradict each other: an instance is kept byte for byte, so \
             that its file has the patient's name and ID; set STORE_URL=none, or leave PSEUDONYMISE out"
        );
        Ok(())
    }
}

/// Settings of DICOM TLS.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "DICOM receiver")]
pub struct TlsSettings {
    /// Address and port for associations over TLS [default: none]
    #[arg(long, env = "DICOM_TLS_ADDR")]
    pub dicom_tls_addr: Option<SocketAddr>,

    /// Certificate of the receiver with its chain, PEM
    #[arg(long, env = "DICOM_TLS_CERT")]
    pub dicom_tls_cert: Option<PathBuf>,

    /// Private key of DICOM_TLS_CERT, PEM, without a passphrase
    #[arg(long, env = "DICOM_TLS_KEY")]
    pub dicom_tls_key: Option<PathBuf>,

    /// CA certificates for client certificates, PEM; each sender then needs a certificate
    /// [default: none, no client certificate is required]
    #[arg(long, env = "DICOM_TLS_CLIENT_CA")]
    pub dicom_tls_client_ca: Option<PathBuf>,
}

impl TlsSettings {
    /// Reads the certificates, if there is a port for them.
    ///
    /// # Errors
    /// When a file is not named, can't be read, or holds something else, with the name of its setting.
    pub fn read(&self) -> anyhow::Result<Option<Tls>> {
        let file = |name, path: &Option<PathBuf>| path.as_deref().map(|it| Named::new(name, it));
        let certificate = file("DICOM_TLS_CERT", &self.dicom_tls_cert);
        let key = file("DICOM_TLS_KEY", &self.dicom_tls_key);
        let client_ca = file("DICOM_TLS_CLIENT_CA", &self.dicom_tls_client_ca);
        if self.dicom_tls_addr.is_none() {
            let useless = [certificate, key, client_ca].into_iter().flatten().next();
            return match useless {
                Some(file) => Err(anyhow!("{file} is of no use without DICOM_TLS_ADDR")),
                None => Ok(None),
            };
        }
        let missing = |name: &str| format!("DICOM_TLS_ADDR needs {name} as well");
        let papers = Papers {
            certificate: certificate.with_context(|| missing("DICOM_TLS_CERT"))?,
            key: key.with_context(|| missing("DICOM_TLS_KEY"))?,
            client_ca,
            protocols: &[],
        };
        Tls::read(papers).map(Some)
    }
}

/// Where to listen for plain DICOM, if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainAddr(pub Option<SocketAddr>);

impl FromStr for PlainAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            _ => text
                .parse()
                .map(|addr| Self(Some(addr)))
                .map_err(|error| format!("{error}; write it like 0.0.0.0:11112, or `none`")),
        }
    }
}

impl fmt::Display for PlainAddr {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(addr) => addr.fmt(to),
            None => to.write_str("none"),
        }
    }
}

/// The length of a PDU, in bytes: not less than what any sender can keep to.
fn pdu_length(text: &str) -> Result<u32, String> {
    let length = u32::try_from(positive_size(text)?.0).unwrap_or(u32::MAX);
    match (4096..=MAX_PDU_LENGTH).contains(&length) {
        true => Ok(length),
        false => Err("must be from 4KiB to 128KiB".to_owned()),
    }
}

/// A name of a receiver: as long as Linux lets a host name be, and nothing that a log or an event
/// would have to escape.
fn node_name(text: &str) -> Result<String, String> {
    let name = text.trim_matches(' ');
    let legal = (1..=64).contains(&name.len()) && name.bytes().all(|b| matches!(b, b' '..=b'~'));
    match legal {
        true => Ok(name.to_owned()),
        false => Err("must be 1 to 64 printable ASCII characters".to_owned()),
    }
}

/// A name for a receiver on `host` that listens on `addr`.
fn default_node_name(host: &str, addr: Option<SocketAddr>) -> String {
    let is_usual = |addr: &SocketAddr| addr.ip().is_unspecified() && addr.port() == USUAL_PORT;
    // Any free port is another one after the next start.
    match addr.filter(|addr| !is_usual(addr) && addr.port() != 0) {
        Some(addr) => format!("{host}/{addr}"),
        None => host.to_owned(),
    }
}

/// An AE title (PS3.5 section 6.2, VR AE): 1 to 16 characters of the default repertoire.
fn ae_title(text: &str) -> Result<String, String> {
    let title = text.trim_matches(' ');
    let legal = (1..=16).contains(&title.len())
        && title.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'\\');
    match legal {
        true => Ok(title.to_owned()),
        false => Err("must be 1 to 16 printable ASCII characters without backslash".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn an_ae_title_has_1_to_16_printable_characters() {
        assert_eq!(ae_title(" COLLIMATOR "), Ok("COLLIMATOR".to_owned()));
        assert!(ae_title(&"A".repeat(16)).is_ok());
        for bad in ["", "   ", "SEVENTEEN_LETTERS", "A\\B", "Ä", "A\tB"] {
            assert!(ae_title(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pdu_length_is_one_that_every_sender_can_keep_to() {
        assert_eq!((pdu_length("4KiB"), pdu_length("131072")), (Ok(4096), Ok(MAX_PDU_LENGTH)));
        for bad in ["4095", "129KiB", "5GiB", "0", "long"] {
            assert!(pdu_length(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_receiver_has_the_name_it_was_given_and_else_its_machines() {
        #[derive(Debug, Parser)]
        struct Program {
            #[command(flatten)]
            settings: Settings,
        }
        let settings = |arguments: &[&str]| {
            Program::try_parse_from([&["x"], arguments].concat()).map(|program| program.settings)
        };
        let named = settings(&["--node-name", " ward 3 "]).unwrap();
        assert_eq!(named.node_name(), "ward 3");
        let unnamed = Settings { node_name: None, ..named };
        assert_eq!(unnamed.node_name(), host_name());
        assert!(!host_name().is_empty());
        for (addr, name) in [
            ("0.0.0.0:11112", "host"),
            ("[::]:11112", "host"),
            ("127.0.0.1:0", "host"),
            ("0.0.0.0:11113", "host/0.0.0.0:11113"),
            ("10.0.0.1:11112", "host/10.0.0.1:11112"),
        ] {
            assert_eq!(default_node_name("host", addr.parse().ok()), name, "{addr}");
        }
        assert_eq!(default_node_name("host", None), "host");
        for bad in ["", " ", "Z\u{fc}rich", &"x".repeat(65)] {
            assert!(settings(&["--node-name", bad]).is_err(), "{bad:?}");
        }
    }
}
