//! Where NATS is: one server, or the servers of a cluster.

use async_nats::ServerAddr;
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::str::FromStr;
use url::Url;

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
                       between them";
    if server.is_empty() {
        return Err(format!("a server is missing; {HOW}"));
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
