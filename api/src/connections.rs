//! HTTP connections, a limited number at a time: further ones wait to be accepted until one has ended,
//! and one on which nothing happens ends soon, also when the other side is gone without a word, or goes
//! on for ever without asking for anything. With certificates each begins with a TLS hand-shake.

use crate::problem::{PROBLEM_JSON, Problem};
use poem::http::StatusCode;
use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use shared::tls::{NoTls, Tls, TlsStream};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::either::Either;

/// The longest that a TLS hand-shake may take, and that the answer to plain text may: as for DICOM.
const HAND_SHAKE: Duration = Duration::from_secs(10);

/// What is read of a request in plain text, which is all of most of them: with bytes unread a connection
/// ends by a reset, which overtakes the answer.
const PLAIN_TEXT: usize = 16 * 1024;

/// How long an answer takes at most before its first byte: a search waits 30 s for its turn, and then
/// has to be done.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Accepts as many connections as there may be.
pub struct Limited {
    acceptor: TcpAcceptor,
    room: Arc<Semaphore>,
    patience: Duration,
    longest_silence: Duration,
    tls: Option<Arc<Tls>>,
    /// Those in their hand-shake, each with its place: no more than there are places.
    hand_shakes: JoinSet<Option<Accepted>>,
}

/// A connection as poem takes it.
type Accepted = (Connection, LocalAddr, RemoteAddr, Scheme);

impl Limited {
    /// At most `most` of what `acceptor` accepts at one time, each for as long as the other side takes
    /// something of what it is sent within `patience`, and asks for something: within as much again, and
    /// the time that an answer may take, there has to be something to send.
    #[must_use]
    pub fn new(acceptor: TcpAcceptor, most: u32, patience: Duration) -> Self {
        let room = Arc::new(Semaphore::new(most as usize));
        let longest_silence = patience + ANSWER_TIME;
        let hand_shakes = JoinSet::new();
        Self { acceptor, room, patience, longest_silence, tls: None, hand_shakes }
    }

    /// Over TLS and no other way, if there is one.
    #[must_use]
    pub fn over(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// The next connection, once there is a place for it.
    async fn next(
        room: &Arc<Semaphore>,
        acceptor: &mut TcpAcceptor,
    ) -> io::Result<(OwnedSemaphorePermit, TcpStream, LocalAddr, RemoteAddr)> {
        let place = room.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, local, remote, _http) = acceptor.accept().await?;
        Ok((place, stream, local, remote))
    }
}

impl Acceptor for Limited {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.local_addr()
    }

    async fn accept(&mut self) -> io::Result<Accepted> {
        let Self { acceptor, room, patience, longest_silence, tls, hand_shakes } = self;
        loop {
            let (place, stream, local, remote) = tokio::select! {
                Some(ended) = hand_shakes.join_next() => match ended {
                    Ok(Some(accepted)) => return Ok(accepted),
                    _ => continue,
                },
                next = Self::next(room, acceptor) => next?,
            };
            end_when_stuck(&stream, *patience);
            let longest_silence = *longest_silence;
            let Some(tls) = tls.clone() else {
                let connection = Connection::new(Either::Left(stream), longest_silence, place);
                return Ok((connection, local, remote, Scheme::HTTP));
            };
            let limit = HAND_SHAKE.min(*patience);
            hand_shakes.spawn(async move {
                let stream = encrypted(&tls, stream, &remote, limit).await?;
                let connection = Connection::new(Either::Right(stream), longest_silence, place);
                Some((connection, local, remote, Scheme::HTTPS))
            });
        }
    }
}

/// The connection after its hand-shake; nothing when there is none, and the other side was told.
async fn encrypted(
    tls: &Tls,
    stream: TcpStream,
    remote: &RemoteAddr,
    limit: Duration,
) -> Option<TlsStream<TcpStream>> {
    let error = match tls.accept(stream, limit, at_once).await {
        Ok(stream) => return Some(stream),
        Err(error) => error,
    };
    tracing::debug!(peer = %remote, %error, "no HTTPS");
    if let NoTls::PlainText(stream) = error {
        // Whether it hears that is its own affair.
        let _ = timeout(limit, refuse_plain_text(stream)).await;
    }
    None
}

/// Sends what there is, though what was sent before is not acknowledged yet: the end of a hand-shake and
/// an answer are short, and awaited.
fn at_once(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    stream
}

/// Answers a request in plain text that this is no place for it. Not by a redirect: what it brought, such
/// as a token, could be read on the way, and whoever sends it should notice.
async fn refuse_plain_text(mut stream: TcpStream) -> io::Result<()> {
    let _whatever_came = stream.read(&mut [0; PLAIN_TEXT]).await?;
    let detail = "this port speaks HTTPS: ask for https:// instead of http://";
    let problem = Problem::new(StatusCode::BAD_REQUEST, detail);
    let body = serde_json::to_string(&problem)?;
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: {PROBLEM_JSON}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Ends a connection whose other side takes nothing of what it was sent (RFC 5482). Who listens to
/// events is written to every few seconds; without this, one that was unplugged would be written to
/// until the buffers of the operating system are full, or its tries are up, which may be hours.
fn end_when_stuck(stream: &TcpStream, patience: Duration) {
    #[cfg(target_os = "linux")]
    {
        let milliseconds = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds) {
            tracing::debug!(%error, "no time limit on what is not taken");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, patience);
}

/// How long we had nothing to say. The server ends a connection that is idle, but waits for the end of
/// a request that has begun, which may never come.
struct Silence {
    longest: Duration,
    since: Instant,
    /// Fires at the earliest end that was known when it was set.
    alarm: Pin<Box<Sleep>>,
}

impl Silence {
    fn new(longest: Duration) -> Self {
        let since = Instant::now();
        Self { longest, since, alarm: Box::pin(sleep_until(since + longest)) }
    }

    fn is_broken(&mut self) {
        self.since = Instant::now();
    }

    /// Ready once it has been too long.
    fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.alarm.as_mut().poll(context).is_ready() {
            let end = self.since + self.longest;
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(end);
        }
        Poll::Pending
    }
}

/// A connection, and its place among them.
pub struct Connection {
    stream: Either<TcpStream, TlsStream<TcpStream>>,
    silence: Silence,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// On which there may be silence for so long.
    fn new(
        stream: Either<TcpStream, TlsStream<TcpStream>>,
        longest_silence: Duration,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { stream, silence: Silence::new(longest_silence), _place: place }
    }

    /// Notes that something was sent.
    fn sent(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(_))) {
            self.silence.is_broken();
        }
        written
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whatever it sends.
        if self.silence.poll_ended(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use poem::web::Json;
    use poem::{Body, Server, handler};
    use serde_json::Value;
    use std::net::SocketAddr;
    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};

    #[tokio::test]
    async fn one_that_takes_nothing_more_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
        let mut limited = Limited::new(acceptor, 1, Duration::from_millis(500));
        let _deaf = TcpStream::connect(addr).await.unwrap();
        let (mut connection, ..) = limited.accept().await.unwrap();
        let told = async {
            loop {
                if let Err(error) = connection.write_all(&[b'x'; 64 * 1024]).await {
                    break error;
                }
            }
        };
        let error = timeout(Duration::from_secs(30), told).await.expect("it waits for ever");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// Says that it is there, five times in more time than there may be silence; or takes a body.
    #[handler]
    async fn answers(body: Option<Json<Value>>) -> Body {
        let _ = body;
        let told = futures_util::stream::unfold(0, async |told| {
            sleep(Duration::from_millis(300)).await;
            (told < 5).then_some((Ok::<_, io::Error>(":\n"), told + 1))
        });
        Body::from_bytes_stream(told)
    }

    /// A server with one place, in which there may be silence for a second.
    async fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let idle = Duration::from_millis(200);
        let limited = Limited::new(TcpAcceptor::from_tokio(listener).unwrap(), 1, idle);
        let limited = Limited { longest_silence: Duration::from_secs(1), ..limited };
        tokio::spawn(Server::new_with_acceptor(limited).idle_timeout(idle).run(answers));
        addr
    }

    /// What comes of a whole request, once there is a place for it.
    async fn answer(addr: SocketAddr) -> String {
        let mut socket = TcpStream::connect(addr).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        socket.write_all(request).await.unwrap();
        let mut answer = String::new();
        let read = socket.read_to_string(&mut answer);
        timeout(Duration::from_secs(30), read).await.expect("no place becomes free").unwrap();
        answer
    }

    #[tokio::test]
    async fn a_request_that_never_ends_holds_no_place_for_ever() {
        let addr = server().await;
        let body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                     Content-Length: 99\r\n\r\n{";
        let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        for begun in [&b"GET / HTT"[..], b"GET / HTTP/1.1\r\nX: ", body, http2, b"P", b""] {
            let mut silent = TcpStream::connect(addr).await.unwrap();
            silent.write_all(begun).await.unwrap();
            assert!(answer(addr).await.starts_with("HTTP/1.1 200"));
        }
    }

    #[tokio::test]
    async fn a_request_that_comes_byte_by_byte_holds_no_place_for_ever() {
        let addr = server().await;
        let mut slow = TcpStream::connect(addr).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        let drips = async {
            while slow.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let (told, ()) = tokio::join!(answer(addr), drips);
        assert!(told.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn an_answer_that_takes_its_time_is_told_to_its_end() {
        let told = answer(server().await).await;
        assert_eq!(told.matches(":\n").count(), 5, "{told}");
    }
}
