//! Addresses of web servers in settings, which a wrong one stops at the start.

use async_nats::rustls::pki_types::ServerName;
use url::{Host, Url};

/// Reads an `http` or `https` URL.
///
/// # Errors
/// What is wrong, for clap to show. It does not repeat the URL, which may hold a secret.
pub fn web_url(text: &str) -> Result<Url, String> {
    const HOW: &str = "write it like `http://HOST:PORT` or `https://HOST`";
    let behind = |scheme: &str| {
        let (start, rest) = text.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let Some(rest) = behind("http://").or_else(|| behind("https://")) else {
        return Err(format!("must begin with http:// or https://; {HOW}"));
    };
    let url = Url::parse(text).map_err(|error| format!("{error}; {HOW}"))?;
    // `http://8222` would be the host 0.0.32.30.
    let is_host = match url.host() {
        Some(Host::Domain(name)) => is_host(name),
        Some(Host::Ipv4(ip)) => rest.contains(&ip.to_string()),
        Some(Host::Ipv6(_)) => true,
        None => false,
    };
    let has_blank = rest.contains(|c: char| c.is_whitespace() || c.is_control());
    if !is_host || has_blank || rest.starts_with(['/', '\\']) {
        return Err(format!("the host is neither a name nor an address; {HOW}"));
    }
    if url.port() == Some(0) {
        return Err(format!("a port is a number from 1 to 65535; {HOW}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user and password".to_owned());
    }
    Ok(url)
}

/// Reads an `http` or `https` URL that a path is put behind.
///
/// # Errors
/// As [`web_url`].
pub fn base_url(text: &str) -> Result<Url, String> {
    let url = web_url(text)?;
    match url.query().or(url.fragment()) {
        None => Ok(url),
        Some(_) => Err("must end with the host, the port or a path".to_owned()),
    }
}

/// Whether it is the name of a host (RFC 1123 section 2.1, underscores allowed) or an IPv4 address.
pub(crate) fn is_host(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_server_is_a_host_by_name_or_address_with_or_without_a_port() {
        for (text, read) in [
            ("http://127.0.0.1:8222", "http://127.0.0.1:8222/"),
            ("http://localhost:8222/", "http://localhost:8222/"),
            ("HTTPS://nats_1.example.org/monitor", "https://nats_1.example.org/monitor"),
            ("http://[::1]:8222", "http://[::1]:8222/"),
            ("http://nats.example.org.:80", "http://nats.example.org./"),
        ] {
            assert_eq!(base_url(text).unwrap().as_str(), read, "{text}");
        }
        assert!(web_url("http://ai/hook?key=1").is_ok());
    }

    #[test]
    fn what_is_no_web_server_is_refused_in_one_line_without_repeating_it() {
        for text in [
            "",
            " ",
            "8222",
            "sesame",
            "sesame:8222",
            "127.0.0.1:8222",
            "nats://sesame:8222",
            "ftp://sesame",
            "file:///sesame",
            "http:",
            "http://",
            "http://:8222",
            "http:///jsz",
            "http://sesame:99999",
            "http://sesame:0",
            "http://sesame:port",
            "http://sesame:8222:8222",
            "http://256.1.1.1",
            "http://1.2.3",
            "http://8222",
            "http://sesame..org",
            "http://.sesame",
            "http://-sesame",
            "http://sesame-.org",
            "http://ses ame",
            "http://ses\name",
            "http://sesame\t:8222",
            "http://a,http://sesame",
            "http://a,b",
            "http://[::1",
            "http://::1:8222",
            "http://u:sesame@a",
            "http://sesame@a",
            "http://a?sesame",
            "http://a/#sesame",
        ] {
            let error = base_url(text).unwrap_err();
            assert!(!error.contains("sesame") && !error.contains('\n'), "{text:?}: {error}");
        }
    }
}
