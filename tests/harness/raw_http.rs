//! HTTP as bytes, for what no client can be made to send.

use super::DEADLINE;
use serde_json::Value;
use std::fmt::Write as _;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer as it came.
#[derive(Debug)]
pub struct RawAnswer {
    /// Its status.
    pub status: u16,
    /// Its header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body; nothing of one that is endless.
    pub body: Vec<u8>,
}

impl RawAnswer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Its body as JSON; null when there is none.
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Connects to an API.
pub async fn connect(api: &str) -> TcpStream {
    let addr = api.strip_prefix("http://").unwrap();
    let socket = TcpStream::connect(addr).await.unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// A request with these header lines, on a connection of its own.
pub fn request(method: &str, target: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Vec<u8> {
    let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n").into_bytes();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request.extend(b"Host: 127.0.0.1\r\n");
    }
    for (name, value) in headers {
        request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    if !body.is_empty() {
        request.extend(format!("Content-Length: {}\r\n", body.len()).into_bytes());
    }
    request.extend(b"\r\n");
    request.extend(body);
    request
}

/// Sends bytes and gives the answer, if there is one before the connection ends.
pub async fn say(api: &str, bytes: &[u8]) -> Option<RawAnswer> {
    let (mut reading, mut writing) = connect(api).await.into_split();
    // The other side may have answered, and hung up, before it has heard all of it.
    let said = async { drop(writing.write_all(bytes).await) };
    let mut reading = BufReader::new(&mut reading);
    let heard = async {
        let heard = match bytes.starts_with(b"HEAD ") {
            true => timeout(DEADLINE, head(&mut reading)).await,
            false => timeout(DEADLINE, answer(&mut reading)).await,
        };
        heard.expect("no answer in time")
    };
    tokio::join!(said, heard).1
}

/// The next answer of a connection.
pub async fn answer(reading: &mut BufReader<impl AsyncRead + Unpin>) -> Option<RawAnswer> {
    let mut answer = head(reading).await?;
    let length = answer.header("content-length").map(|length| length.parse().unwrap());
    match length {
        Some(length) => {
            answer.body = vec![0; length];
            reading.read_exact(&mut answer.body).await.ok()?;
        }
        None if answer.header("content-type") == Some("text/event-stream") => {}
        None if answer.header("transfer-encoding") == Some("chunked") => {
            answer.body = chunks(reading).await?;
        }
        None => {}
    }
    Some(answer)
}

/// All of the next answer but its body.
async fn head(reading: &mut BufReader<impl AsyncRead + Unpin>) -> Option<RawAnswer> {
    let mut line = String::new();
    reading.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut headers = Vec::new();
    loop {
        let mut line = Vec::new();
        reading.read_until(b'\n', &mut line).await.ok().filter(|read| *read > 0)?;
        let line = String::from_utf8_lossy(&line).into_owned();
        if line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    Some(RawAnswer { status, headers, body: Vec::new() })
}

/// A chunked body (RFC 9112 section 7.1), put together.
async fn chunks(reading: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reading.read_line(&mut line).await.ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reading.read_exact(&mut chunk).await.ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

/// All bytes but letters and digits as `%` and two digits (RFC 3986 section 2.1).
pub fn percent(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte.is_ascii_alphanumeric() {
            true => text.push(char::from(*byte)),
            false => write!(text, "%{byte:02X}").unwrap(),
        }
    }
    text
}
