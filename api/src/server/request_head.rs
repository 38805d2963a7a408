//! The head of a request (RFC 9112 section 2.1): where it ends, and whether it asks for health.

use shared::health;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest head that is looked through to its end; browsers send one or two KiB.
const MAX_HEAD: usize = 16 * 1024;

/// What everybody may ask at any time.
const HEALTH: [&str; 2] = [health::LIVE, health::READY];

/// Finds the empty line after a head, in bytes that come bit by bit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeadEnd {
    /// Line ends since the last other byte; empty lines before a head are none of it.
    line_ends: u8,
    has_begun: bool,
}

impl HeadEnd {
    /// Where the head ends in the next bytes; nothing when it goes on.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' => self.line_ends += u8::from(self.has_begun),
                b'\r' => {}
                _ => *self = Self { line_ends: 0, has_begun: true },
            }
            if self.line_ends == 2 {
                return Some(at + 1);
            }
        }
        None
    }
}

/// Reads until the head of a request has ended or is too long to be looked through. Gives what was read,
/// and where the head ends in it.
///
/// # Errors
/// When the other side has gone before.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Vec<u8>, usize)> {
    let (mut bytes, mut end) = (Vec::with_capacity(1024), HeadEnd::default());
    loop {
        let before = bytes.len();
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(at) = end.find(&bytes[before..]) {
            return Ok((bytes, before + at));
        }
        if bytes.len() >= MAX_HEAD {
            let length = bytes.len();
            return Ok((bytes, length));
        }
    }
}

/// The same request as the last one of its connection, if it asks for health.
pub(super) fn last_for_health(head: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(head).ok()?;
    let mut words = head.trim_start().lines().next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let path = target.split('?').next()?;
    if method != "GET" || !HEALTH.contains(&path) {
        return None;
    }
    let lines = head.trim_end();
    Some(format!("{lines}\r\nConnection: close\r\n\r\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_its_first_empty_line_however_it_comes() {
        let whole = b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        let end = whole.len() - 4;
        assert_eq!(HeadEnd::default().find(whole), Some(end));
        let mut by_byte = HeadEnd::default();
        let found = whole.iter().position(|byte| by_byte.find(&[*byte]).is_some());
        assert_eq!(found, Some(end - 1));
        assert_eq!(HeadEnd::default().find(b"GET / HTTP/1.1\nHost: a\n\n"), Some(24));
        for goes_on in
            [&b"\r\n\r\n\r\n"[..], b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX: \r\nY: "]
        {
            assert_eq!(HeadEnd::default().find(goes_on), None);
        }
    }

    #[test]
    fn health_is_told_from_all_other_requests() {
        let last = last_for_health(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(last, b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(last_for_health(b"GET /health/ready?x=1 HTTP/1.1\r\n\r\n").is_some());
        for other in
            ["GET / HTTP/1.1", "POST /health/live HTTP/1.1", "GET /health/livex HTTP/1.1", "x"]
        {
            assert_eq!(last_for_health(format!("{other}\r\n\r\n").as_bytes()), None, "{other}");
        }
    }
}
