//! Splits a multipart body (RFC 2046 section 5.1) into its parts as it arrives: bytes in, pieces out.
//!
//! Own code, since `multer`, which the API's framework links, reads on for as long as its stream has bytes at hand: a
//! sender that is faster than the disk would fill the memory with its instance.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem::Finder;

/// Longest header of a part, in bytes; it is a line or two.
const MAX_HEADER: usize = 16 * 1024;

/// Longest preamble, in bytes: what stands before the first part, for people whose mail program knows no multipart.
const MAX_PREAMBLE: usize = 64 * 1024;

/// Longest transport padding behind a boundary, in bytes.
const MAX_PADDING: usize = 128;

/// Longest boundary (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// What comes next of a multipart body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A part begins; these are its header lines.
    Begins(Bytes),
    /// Some of the part's content.
    Content(Bytes),
    /// The part has ended.
    Ends,
    /// The last part has ended. What follows is of no interest.
    End,
}

/// The body is not what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// The boundary is not one.
    #[error("the boundary of Content-Type has to have 1 to {MAX_BOUNDARY} printable characters")]
    Boundary,
    /// No part begins.
    #[error("no part begins within {MAX_PREAMBLE} bytes; look at the boundary of Content-Type")]
    NoPart,
    /// The header of a part has no end.
    #[error("the header of a part has more than {MAX_HEADER} bytes")]
    Header,
}

/// A multipart body that is being read.
#[derive(Debug)]
pub(super) struct Multipart {
    /// Of CRLF, `--` and the boundary.
    delimiter: Finder<'static>,
    buffer: BytesMut,
    state: State,
    /// Whether the buffer begins where a line does, so that a delimiter needs no CRLF of its own.
    at_line: bool,
    /// Bytes before the first part.
    preamble: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    Header,
    Content,
    /// A delimiter was read behind the content of a part.
    Over {
        last: bool,
    },
    Ended,
}

/// What the buffer begins with.
enum Beginning {
    /// So many bytes that are part of no delimiter.
    Content(usize),
    /// A delimiter of this length.
    Delimiter { length: usize, last: bool },
    /// Nobody can tell yet.
    Unknown,
}

/// What follows a boundary.
enum Behind {
    /// The end of its line, so many bytes later.
    Line(usize),
    /// `--`: the last one.
    Last,
    /// Something else, so that it was none.
    Else,
    Unknown,
}

impl Multipart {
    /// A body whose parts are divided by this boundary.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn new(boundary: &str) -> Result<Self, Malformed> {
        let is_printable = boundary.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if boundary.is_empty() || boundary.len() > MAX_BOUNDARY || !is_printable {
            return Err(Malformed::Boundary);
        }
        let delimiter = format!("\r\n--{boundary}");
        Ok(Self {
            delimiter: Finder::new(delimiter.as_bytes()).into_owned(),
            buffer: BytesMut::new(),
            state: State::Preamble,
            at_line: true,
            preamble: 0,
        })
    }

    /// Takes the next bytes of the body.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.state != State::Ended {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next piece, if it is there.
    ///
    /// # Errors
    /// When the body can't be read any further.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, Malformed> {
        loop {
            match self.state {
                State::Ended => return Ok(Some(Piece::End)),
                State::Over { last } => {
                    self.state = if last { State::Ended } else { State::Header };
                    return Ok(Some(Piece::Ends));
                }
                State::Header => return self.header(),
                State::Preamble | State::Content => match self.beginning() {
                    Beginning::Unknown => return Ok(None),
                    Beginning::Content(length) => {
                        self.at_line = false;
                        let content = self.buffer.split_to(length);
                        if self.state == State::Content {
                            return Ok(Some(Piece::Content(content.freeze())));
                        }
                        self.preamble += length;
                        if self.preamble > MAX_PREAMBLE {
                            return Err(Malformed::NoPart);
                        }
                    }
                    Beginning::Delimiter { length, last } => {
                        self.buffer.advance(length);
                        self.state = match (self.state, last) {
                            (State::Content, last) => State::Over { last },
                            (_, true) => State::Ended,
                            (_, false) => State::Header,
                        };
                    }
                },
            }
        }
    }

    /// The header of a part, to the empty line behind it.
    fn header(&mut self) -> Result<Option<Piece>, Malformed> {
        let Some((length, end)) = header_end(&self.buffer) else {
            return match self.buffer.len() > MAX_HEADER {
                true => Err(Malformed::Header),
                false => Ok(None),
            };
        };
        if length > MAX_HEADER {
            return Err(Malformed::Header);
        }
        let header = self.buffer.split_to(end).freeze().slice(..length);
        (self.state, self.at_line) = (State::Content, true);
        Ok(Some(Piece::Begins(header)))
    }

    fn beginning(&self) -> Beginning {
        let (buffer, delimiter) = (&self.buffer[..], self.delimiter.needle());
        let at_line = &delimiter[2..];
        if self.at_line && buffer.len() < at_line.len() && at_line.starts_with(buffer) {
            return Beginning::Unknown;
        }
        if self.at_line && buffer.starts_with(at_line) {
            return delimited(buffer, at_line.len());
        }
        match self.delimiter.find(buffer) {
            Some(0) => delimited(buffer, delimiter.len()),
            Some(at) => Beginning::Content(at),
            None => {
                // What may be the beginning of one waits for the rest.
                let tail = buffer.len().saturating_sub(delimiter.len() - 1);
                let begins = |at: &usize| delimiter.starts_with(&buffer[*at..]);
                match (tail..buffer.len()).find(begins).unwrap_or(buffer.len()) {
                    0 => Beginning::Unknown,
                    content => Beginning::Content(content),
                }
            }
        }
    }
}

/// What a buffer begins with that begins with the text of a delimiter of this length.
fn delimited(buffer: &[u8], length: usize) -> Beginning {
    match behind(&buffer[length..]) {
        Behind::Line(end) => Beginning::Delimiter { length: length + end, last: false },
        Behind::Last => Beginning::Delimiter { length: length + 2, last: true },
        // A longer word: it is content.
        Behind::Else => Beginning::Content(length),
        Behind::Unknown => Beginning::Unknown,
    }
}

fn behind(rest: &[u8]) -> Behind {
    if rest.starts_with(b"--") {
        return Behind::Last;
    }
    let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match &rest[padding..] {
        _ if padding > MAX_PADDING => Behind::Else,
        [b'\n', ..] => Behind::Line(padding + 1),
        [b'\r', b'\n', ..] => Behind::Line(padding + 2),
        [] | [b'\r'] => Behind::Unknown,
        [b'-'] if padding == 0 => Behind::Unknown,
        _ => Behind::Else,
    }
}

/// The length of the lines before the first empty one, and where that ends.
fn header_end(buffer: &[u8]) -> Option<(usize, usize)> {
    let mut line = 0;
    while let Some(length) = memchr::memchr(b'\n', &buffer[line..]) {
        let end = line + length + 1;
        if matches!(&buffer[line..end], b"\n" | b"\r\n") {
            return Some((line, end));
        }
        line = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The header and the content of each part.
    type Parts = Vec<(String, Vec<u8>)>;

    /// All parts and whether the body has ended, of one that comes in pieces of these lengths.
    fn parts(boundary: &str, body: &[u8], lengths: &[usize]) -> Result<(Parts, bool), Malformed> {
        let mut multipart = Multipart::new(boundary)?;
        let (mut parts, mut rest) = (Vec::new(), body);
        let mut lengths = lengths.iter().copied().cycle();
        loop {
            match multipart.next()? {
                Some(Piece::Begins(header)) => {
                    parts.push((String::from_utf8(header.to_vec()).unwrap(), Vec::new()));
                }
                Some(Piece::Content(bytes)) => parts.last_mut().unwrap().1.extend(bytes),
                Some(Piece::Ends) => {}
                Some(Piece::End) => return Ok((parts, true)),
                None if rest.is_empty() => return Ok((parts, false)),
                None => {
                    let length = lengths.next().unwrap().clamp(1, rest.len());
                    multipart.push(&rest[..length]);
                    rest = &rest[length..];
                }
            }
        }
    }

    /// The same however it comes.
    fn contents(body: &[u8]) -> Vec<Vec<u8>> {
        let whole = parts("b", body, &[usize::MAX]).unwrap();
        for lengths in [&[1][..], &[2], &[3, 1], &[7]] {
            assert_eq!(parts("b", body, lengths).unwrap(), whole, "{lengths:?}");
        }
        assert!(whole.1, "it has no end");
        whole.0.into_iter().map(|(_, content)| content).collect()
    }

    #[test]
    fn parts_are_what_is_between_two_boundaries_byte_for_byte() {
        for (body, expected) in [
            (&b"--b\r\n\r\nx\r\n--b--"[..], &[&b"x"[..]][..]),
            (b"--b\r\n\r\nx\r\n--b--\r\nepilogue\r\n--b\r\n\r\ny\r\n--b--", &[b"x"]),
            (b"preamble\r\n--b \t\r\nA: 1\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\n", &[b"x", b"y"]),
            (b"\r\n--b\r\n\r\n\r\n--b--", &[b""]),
            (b"--b\r\nA: 1\r\n\r\n--b\r\n\r\n--b--", &[b"", b""]),
            // Line ends that are content.
            (b"--b\r\n\r\nx\r\n\r\n--b--", &[b"x\r\n"]),
            (b"--b\r\n\r\n\n\rx\r\r\n--b--", &[b"\n\rx\r"]),
            (b"--b\r\n\r\nx\n--b\r\r\n--b--", &[b"x\n--b\r"]),
            // What only begins like a boundary.
            (b"--b\r\n\r\nx\r\n--bc\r\n--\r\n--b--", &[b"x\r\n--bc\r\n--"]),
            (b"--b\r\n\r\n--bc\r\n--b--", &[b"--bc"]),
            (b"--b\r\n\r\nx\r\n--b-\r\n--b--", &[b"x\r\n--b-"]),
            // Lines that end with LF alone, outside of the content.
            (b"--b\nA: 1\n\nx\r\n--b\n\ny\r\n--b--", &[b"x", b"y"]),
            (b"--b--", &[]),
        ] {
            assert_eq!(contents(body), expected, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn header_lines_come_as_they_are() {
        let body = b"--b\r\nA: 1\r\nB: 2\r\n\r\nx\r\n--b--";
        let (parts, _) = parts("b", body, &[1]).unwrap();
        assert_eq!(parts[0].0, "A: 1\r\nB: 2\r\n");
    }

    #[test]
    fn a_body_that_is_cut_off_has_no_end() {
        let body = b"--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--";
        for length in 0..body.len() {
            assert!(!parts("b", &body[..length], &[5]).unwrap().1, "{length}");
        }
    }

    #[test]
    fn what_has_no_end_is_given_up() {
        let header = [b"--b\r\nA: ".to_vec(), vec![b'1'; MAX_HEADER]].concat();
        assert_eq!(parts("b", &header, &[1000]), Err(Malformed::Header));
        assert_eq!(parts("b", &vec![b'x'; 2 * MAX_PREAMBLE], &[1000]), Err(Malformed::NoPart));
        for boundary in ["", "\u{fc}", "a\r\n", &"b".repeat(71)] {
            assert_eq!(parts(boundary, b"", &[1]), Err(Malformed::Boundary));
        }
    }

    #[test]
    fn no_more_is_kept_than_what_may_be_a_boundary() {
        let mut multipart = Multipart::new("b").unwrap();
        multipart.push(b"--b\r\n\r\n");
        assert!(matches!(multipart.next(), Ok(Some(Piece::Begins(_)))));
        for _ in 0..1000 {
            multipart.push(&[b'\r'; 10_000]);
            assert!(matches!(multipart.next(), Ok(Some(Piece::Content(_)))));
            assert_eq!(multipart.next(), Ok(None));
            assert!(multipart.buffer.len() < 5);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_in_a_part_comes_out_of_it(
            contents in prop::collection::vec("[\r\n b-]{0,12}", 1..4),
            lengths in prop::collection::vec(1_usize..9, 1..4),
        ) {
            // One that none of them has in it.
            let boundary = "bbb--bbb--bbb";
            let mut body = String::new();
            for content in &contents {
                body += &format!("\r\n--{boundary}\r\n\r\n{content}");
            }
            body += &format!("\r\n--{boundary}--");
            let (parts, ended) = parts(boundary, body.as_bytes(), &lengths).unwrap();
            prop_assert!(ended);
            let found: Vec<_> = parts.into_iter().map(|(_, it)| String::from_utf8(it).unwrap()).collect();
            prop_assert_eq!(found, contents);
        }
    }
}
