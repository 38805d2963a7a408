//! Where things are, as clients reach them: below `PUBLIC_URL`, or the host that was asked.

use catalog::StoredInstance;
use contract::dicomweb::DicomwebUrls;
use poem::Request;
use poem::http::header;
use std::net::SocketAddr;
use url::Url;

/// URLs of DICOMweb, as the client of `request` sees them, unless a setting says how all do.
pub(crate) fn urls_of(request: &Request, public_url: Option<&Url>) -> DicomwebUrls {
    match public_url {
        Some(url) => DicomwebUrls::of_api(url.as_str()),
        None => match request.header(header::HOST).filter(|host| is_host(host)) {
            Some(host) => {
                let host = with_port(host, request);
                DicomwebUrls::of_api(&format!("{}://{host}", request.scheme()))
            }
            // A path without a host is a place too.
            None => DicomwebUrls::of_api(""),
        },
    }
}

/// Where an instance of the store is, as [`urls_of`] has it.
pub(crate) fn url_of(urls: &DicomwebUrls, study: &str, instance: &StoredInstance) -> String {
    urls.instance(study, &instance.series_instance_uid, &instance.sop_instance_uid)
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
            urls_of(&request, public.as_ref()).instance("1.2", "3/4", "5 6")
        };
        let path = "/dicom-web/studies/1.2/series/3%2F4/instances/5%206";
        assert_eq!(asked("a.example:8000", None), format!("http://a.example:8000{path}"));
        assert_eq!(asked("\"<", None), path);
        let public = Some("https://b.example/collimator/");
        assert_eq!(asked("a", public), format!("https://b.example/collimator{path}"));
    }
}
