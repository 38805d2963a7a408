//! The PROXY protocol, versions 1 and 2: the header in which a load balancer passes the sender's address on. It is read
//! to its last byte and no further, so that TLS or DICOM begins right behind it.

use proxy_header::{Error, ParseConfig, Protocol, ProxyHeader};
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, error::Elapsed, timeout, timeout_at};

/// The first byte of a header of version 2. One of version 1 begins with `P`, a PDU or TLS with neither.
const VERSION_2: u8 = b'\r';

/// The part of a header of version 2 that every one has, in bytes. It ends in the length of the rest.
const FIXED_LENGTH: usize = 16;

/// Longest rest of a header of version 2, in bytes: addresses take up to 216, and the remainder is for the values that
/// a proxy may add. (One of version 1 has up to 107 bytes in all.)
const MAX_REST: usize = 4096;

/// Whose connection a proxy has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A sender's with this address; of IPv4, never in the form of IPv6.
    Sender(IpAddr),
    /// The proxy's own (the command LOCAL), as for a health check, or one whose sender has no address.
    Proxy,
}

/// Why a connection from a proxy goes no further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoHeader {
    /// It was closed before the first byte, as by a health check.
    #[error("the proxy closed the connection without a PROXY header")]
    Closed,
    /// The header did not come in time.
    #[error("no PROXY header within {}", humantime::format_duration(*.0))]
    Silent(Duration),
    /// Something else came.
    #[error(
        "no valid PROXY header from a proxy of PROXY_FROM; configure it to send one (HAProxy: send-proxy-v2)"
    )]
    Invalid,
}

impl NoHeader {
    /// The label of a counter; `None` of a health check.
    #[must_use]
    pub(crate) fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Closed => None,
            Self::Silent(_) => Some("silent"),
            Self::Invalid => Some("proxy_header"),
        }
    }
}

/// Reads the header, within `limit`.
///
/// # Errors
/// When there is none.
pub(crate) async fn read_header(
    from: &mut (impl AsyncRead + Unpin),
    limit: Duration,
) -> Result<Origin, NoHeader> {
    timeout(limit, receive(from)).await.map_err(|_: Elapsed| NoHeader::Silent(limit))?
}

/// Whether anything comes until `deadline`.
pub(crate) async fn is_used(socket: &TcpStream, deadline: Instant) -> bool {
    matches!(timeout_at(deadline, socket.peek(&mut [0])).await, Ok(Ok(1..)))
}

async fn receive(from: &mut (impl AsyncRead + Unpin)) -> Result<Origin, NoHeader> {
    let mut header = Vec::new();
    loop {
        match ProxyHeader::parse(&header, ParseConfig::default()) {
            Ok((header, _)) => return origin(&header),
            Err(Error::BufferTooShort) => {}
            Err(_) => return Err(NoHeader::Invalid),
        }
        let begin = header.len();
        header.resize(begin + missing(&header)?, 0);
        match from.read_exact(&mut header[begin..]).await {
            Ok(_) => {}
            Err(_) if begin == 0 => return Err(NoHeader::Closed),
            Err(error) => {
                tracing::debug!(%error, "a PROXY header was cut short");
                return Err(NoHeader::Invalid);
            }
        }
    }
}

/// How many bytes are certain to follow those of a header that is not whole.
fn missing(header: &[u8]) -> Result<usize, NoHeader> {
    let Some(&VERSION_2) = header.first() else { return Ok(1) };
    if header.len() < FIXED_LENGTH {
        return Ok(FIXED_LENGTH - header.len());
    }
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    // One that is all there and too short for its addresses is not to be waited for.
    match header.len() == FIXED_LENGTH && (1..=MAX_REST).contains(&rest) {
        true => Ok(rest),
        false => Err(NoHeader::Invalid),
    }
}

fn origin(header: &ProxyHeader<'_>) -> Result<Origin, NoHeader> {
    match header.proxied_address() {
        None => Ok(Origin::Proxy),
        Some(sender) if sender.protocol == Protocol::Stream => {
            Ok(Origin::Sender(sender.source.ip().to_canonical()))
        }
        Some(_) => Err(NoHeader::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proxy_header::ProxiedAddress;

    /// What is made of these bytes, and how many of them are left for DICOM.
    async fn read(mut bytes: &[u8]) -> (Result<Origin, NoHeader>, usize) {
        let origin = receive(&mut bytes).await;
        (origin, bytes.len())
    }

    fn sender(address: &str) -> Origin {
        Origin::Sender(address.parse().unwrap())
    }

    fn version_2(source: &str) -> Vec<u8> {
        let to = if source.starts_with('[') { "[2001:db8::9]:11112" } else { "192.0.2.9:11112" };
        let address = ProxiedAddress::stream(source.parse().unwrap(), to.parse().unwrap());
        let mut bytes = Vec::new();
        ProxyHeader::with_address(address).encode_v2(&mut bytes).unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_header_names_the_sender_and_is_read_to_its_end() {
        let mut with_values = version_2("192.0.2.7:4711");
        // PP2_TYPE_NOOP of 300 bytes.
        with_values.extend([&[4, 1, 44][..], &[0; 300]].concat());
        with_values[14..16].copy_from_slice(&(12_u16 + 303).to_be_bytes());
        for (header, origin) in [
            (version_2("192.0.2.7:4711"), sender("192.0.2.7")),
            (version_2("[2001:db8::7]:4711"), sender("2001:db8::7")),
            (version_2("[::ffff:192.0.2.7]:4711"), sender("192.0.2.7")),
            (with_values, sender("192.0.2.7")),
            (b"PROXY TCP4 192.0.2.7 192.0.2.9 4711 11112\r\n".to_vec(), sender("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::7 ::1 4711 11112\r\n".to_vec(), sender("2001:db8::7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Origin::Proxy),
            // LOCAL; and PROXY without an address.
            (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(), Origin::Proxy),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0".to_vec(), Origin::Proxy),
        ] {
            let (read, left) = read(&[&header[..], b"DICOM"].concat()).await;
            assert_eq!((read.unwrap(), left), (origin, 5), "{header:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused_without_waiting_for_more() {
        let datagram = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c0123456789ab";
        let short_of_addresses = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x040123";
        let long_rest = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x10\x01";
        let other_version = b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c";
        let long_line = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
        for bytes in [
            &datagram[..],
            short_of_addresses,
            long_rest,
            other_version,
            &long_line,
            b"PROXY TCP4 192.0.2.7 nowhere 1 2\r\n",
            // An A-ASSOCIATE-RQ, and a TLS hand-shake.
            &[1, 0, 0, 0, 0, 200],
            &[22, 3, 1],
        ] {
            let mut endless = bytes.chain(tokio::io::repeat(b'0').take(300));
            let read = receive(&mut endless).await;
            assert!(matches!(read, Err(NoHeader::Invalid)), "{bytes:?}: {read:?}");
        }
    }

    #[tokio::test]
    async fn one_that_says_nothing_is_no_fault_and_one_that_stops_is() {
        assert_eq!(read(b"").await.0.unwrap_err().cause(), None);
        let header = version_2("192.0.2.7:4711");
        for length in 1..header.len() {
            let cut_short = read(&header[..length]).await.0.unwrap_err();
            assert_eq!(cut_short.cause(), Some("proxy_header"), "{length}");
        }
        let (mut silent, _open) = tokio::io::duplex(1);
        let waited = read_header(&mut silent, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(waited.cause(), Some("silent"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_within_bounds(
            version in 0..3_usize,
            length in any::<u16>(),
            bytes in proptest::collection::vec(any::<u8>(), 0..6000),
        ) {
            let begin = [&b""[..], b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11"][version];
            let length = if version == 2 { length.to_be_bytes().to_vec() } else { Vec::new() };
            let bytes = [begin, &length, &bytes].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (_, left) = runtime.block_on(read(&bytes));
            prop_assert!(bytes.len() - left <= FIXED_LENGTH + MAX_REST);
        }
    }
}
