//! Where things are, as clients reach them: below `PUBLIC_URL`, or the host that was asked.

use crate::dicomweb::qido::ROOT;
use catalog::StoredInstance;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use poem::Request;
use poem::http::header;
use std::net::SocketAddr;
use url::Url;

/// What is written as it is in a segment of a path: UIDs are.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// URLs of DICOMweb, as one client sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Urls {
    base: String,
}

impl Urls {
    /// As the client of `request` sees them, unless a setting says how all do.
    pub(crate) fn of(request: &Request, public_url: Option<&Url>) -> Self {
        let base = match public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => match request.header(header::HOST).filter(|host| is_host(host)) {
                Some(host) => format!("{}://{}", request.scheme(), with_port(host, request)),
                // A path without a host is a place too.
                None => String::new(),
            },
        };
        Self { base: base + ROOT }
    }

    pub(crate) fn study(&self, study: &str) -> String {
        format!("{}/studies/{}", self.base, utf8_percent_encode(study, ESCAPED))
    }

    pub(crate) fn series(&self, study: &str, series: &str) -> String {
        format!("{}/series/{}", self.study(study), utf8_percent_encode(series, ESCAPED))
    }

    pub(crate) fn of_instance(&self, study: &str, series: &str, instance: &str) -> String {
        let series = self.series(study, series);
        format!("{series}/instances/{}", utf8_percent_encode(instance, ESCAPED))
    }

    pub(crate) fn instance(&self, study: &str, instance: &StoredInstance) -> String {
        self.of_instance(study, &instance.series_instance_uid, &instance.sop_instance_uid)
    }
}

/// The host with the port that was asked, where the client leaves it out and has come to this address itself: some do
/// (dicomweb-client 0.61). What has come by a proxy was asked for on a port of that.
fn with_port(host: &str, request: &Request) -> String {
    let ours = request.local_addr().as_socket_addr().copied();
    let is_direct = |addr: &SocketAddr| {
        let ip = addr.ip().to_canonical();
        host == "localhost" && ip.is_loopback() || host.parse() == Ok(ip)
    };
    match ours.filter(is_direct) {
        Some(addr) => format!("{host}:{}", addr.port()),
        None => host.to_owned(),
    }
}

/// Whether it can stand in a URL as it is.
fn is_host(host: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    !host.is_empty() && host.len() <= 256 && host.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_below_the_public_one_or_the_host_that_was_asked() {
        let asked = |host: &str, public: Option<&str>| {
            let request = Request::builder().header(header::HOST, host).finish();
            let public = public.map(|url| Url::parse(url).unwrap());
            Urls::of(&request, public.as_ref()).of_instance("1.2", "3/4", "5 6")
        };
        let path = "/dicom-web/studies/1.2/series/3%2F4/instances/5%206";
        assert_eq!(asked("a.example:8000", None), format!("http://a.example:8000{path}"));
        assert_eq!(asked("\"<", None), path);
        let public = Some("https://b.example/collimator/");
        assert_eq!(asked("a", public), format!("https://b.example/collimator{path}"));
    }
}
