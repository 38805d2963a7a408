//! Where NATS is: one server, or the servers of a cluster.

use crate::web_url::is_host;
use async_nats::{Client, ConnectError, ConnectOptions, ServerAddr};
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::str::FromStr;
use url::{Host, Url};

/// The servers of `NATS_URL`, one or more. A user name and a password in it are dropped, so it can be shown:
/// [`NatsUser`](crate::nats_user::NatsUser) says who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsUrl(Vec<ServerAddr>);

impl NatsUrl {
    /// The servers, as async-nats takes them: it tries them in random order.
    #[must_use]
    pub fn servers(&self) -> &[ServerAddr] {
        &self.0
    }

    /// Connects to one of them. Where all are `tls://`, nothing is said in plain text to the servers that these
    /// name either, whose addresses come without a scheme.
    ///
    /// # Errors
    /// Why there is no connection to any of them.
    pub async fn connect(&self, options: ConnectOptions) -> Result<Client, ConnectError> {
        let is_secure = self.0.iter().all(ServerAddr::tls_required);
        let options = if is_secure { options.require_tls(true) } else { options };
        options.connect(self.servers()).await
    }
}

impl FromStr for NatsUrl {
    type Err = String;

    /// Reads `nats://HOST:PORT` or `tls://HOST:PORT`, or several with commas between them. The scheme may be
    /// left out, and the port, which is then 4222.
    ///
    /// # Errors
    /// What is wrong, for clap to show; it has no password in it.
    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|server| address(server.trim())).collect::<Result<_, _>>().map(Self)
    }
}

impl From<SocketAddr> for NatsUrl {
    fn from(addr: SocketAddr) -> Self {
        let url = Url::parse(&format!("nats://{addr}")).ok();
        Self(url.and_then(|url| ServerAddr::from_url(url).ok()).into_iter().collect())
    }
}

impl Display for NatsUrl {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, server) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", server.as_url_str())?;
        }
        Ok(())
    }
}

fn address(server: &str) -> Result<ServerAddr, String> {
    const HOW: &str = "write it like `nats://HOST:4222` or `tls://HOST:4222`, several with commas \
                       between them, and `[...]` around an address of IPv6";
    if server.is_empty() {
        return Err(format!("a server is missing; {HOW}"));
    }
    if server.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("there is a blank in a server; {HOW}"));
    }
    let with_scheme = match server.contains("://") {
        true => server.to_owned(),
        false => format!("nats://{server}"),
    };
    let mut url = Url::parse(&with_scheme).map_err(|error| format!("{error}; {HOW}"))?;
    if !matches!(url.scheme(), "nats" | "tls") {
        return Err(format!("`{}` is no scheme of NATS; {HOW}", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("the host is missing; {HOW}"));
    }
    let has_more = !matches!(url.path(), "" | "/") || url.query().is_some();
    if has_more || url.fragment().is_some() || url.port() == Some(0) {
        return Err(format!("there is more in it than a host and a port from 1 to 65535; {HOW}"));
    }
    let is_v6 = matches!(url.host(), Some(Host::Ipv6(_)));
    if !is_v6 && !url.host_str().is_some_and(is_host) {
        return Err(format!("the host is neither a name nor an address; {HOW}"));
    }
    // Neither can fail, since there is a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_path("");
    ServerAddr::from_url(url).map_err(|error| format!("{error}; {HOW}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_or_several_are_taken_with_and_without_scheme_and_port() {
        for (text, shown) in [
            ("nats://a:4222", "nats://a:4222"),
            ("localhost", "nats://localhost"),
            ("10.0.0.7:4223", "nats://10.0.0.7:4223"),
            ("tls://nats.example.org", "tls://nats.example.org"),
            ("nats://a:1,tls://b:2, c", "nats://a:1,tls://b:2,nats://c"),
            ("nats://[::1]:4222/", "nats://[::1]:4222"),
            ("[::1]", "nats://[::1]"),
            ("NATS://Nats_1.example.org.:4222", "nats://Nats_1.example.org.:4222"),
            ("nats://10.0.0.7:", "nats://10.0.0.7"),
            ("tls://a,tls://b:2", "tls://a,tls://b:2"),
        ] {
            assert_eq!(text.parse::<NatsUrl>().unwrap().to_string(), shown, "{text}");
        }
        let addr: SocketAddr = "127.0.0.1:4222".parse().unwrap();
        assert_eq!(NatsUrl::from(addr).to_string(), "nats://127.0.0.1:4222");
    }

    #[test]
    fn what_is_no_server_is_refused_in_one_line_that_says_what_to_write() {
        for text in [
            "",
            " ",
            "http://localhost:4222",
            "https://localhost",
            "ws://localhost",
            "nats://",
            "nats:///jetstream",
            "nats://a:99999",
            "nats://a:0",
            "nats://a:b",
            "nats://a b",
            "nats://a:4222/stream",
            "nats://a:4222?tls=1",
            "nats://a:4222,",
            "nats://a,,b",
            "nats://a,http://b",
            "nats://256.1.1.1",
            "nats://1.2.3",
            "nats://1.2.3.4.5",
            "nats://0x7f.1",
            "nats://a..b",
            "nats://.a",
            "nats://-a",
            "nats://a-.b",
            "4222",
            ":4222",
            "nats://:4222",
            "nats://a:4222:4222",
            "nats://a:99999",
            "nats://a:-1",
            "nats://a:0x10",
            "nats://a/b",
            "//a:4222",
            "nats:/a",
            "nats://a;nats://b",
            "a;b",
            "nats://a\nnats://b",
            "a\nb",
            "a\tb",
            "nats://a nats://b",
            "nats://a%20b",
            "nats://a%2eb",
            "nats://münchen",
            "nats://*",
            "nats://[::1",
            "nats://[::g]",
            "nats://[fe80::1%eth0]",
            "::1",
            "nats://::1:4222",
            "nats://u:p@",
            "nats://u:p@:4222",
            "nats://a#b",
            "$NATS",
            "\"nats://a\"",
        ] {
            let error = text.parse::<NatsUrl>().unwrap_err();
            assert!(error.contains("write it like `nats://HOST:4222`"), "{text}: {error}");
            assert!(!error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for text in ["nats://u:sesame@a:4222,u:sesame@b:1", "tls://sesame@a"] {
            assert!(!format!("{0} {0:?}", text.parse::<NatsUrl>().unwrap()).contains("sesame"));
        }
        let error = "http://u:sesame@a".parse::<NatsUrl>().unwrap_err();
        assert!(!error.contains("sesame"), "{error}");
    }
}
