//! HTTP connections, a limited number at a time, in all and of one address: further ones wait until one has
//! ended, and are answered meanwhile if they ask for health. One on which nothing happens ends soon, also
//! when the other side is gone without a word, or goes on for ever without asking for anything. With
//! certificates each begins with a TLS hand-shake.

use super::aborts::{Abort, Aborts};
use super::deadline::{Deadline, Limits};
use super::request_head;
use super::uploads::Uploads;
use crate::http::problem::{PROBLEM_JSON, Problem};
use poem::http::StatusCode;
use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use shared::connection_limit::{ConnectionLimit, Place, block};
use shared::tls::{NoTls, Tls, TlsStream};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::either::Either;

/// The longest that a TLS hand-shake may take, and that the answer to plain text may: as for DICOM.
const HAND_SHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is read of a request in plain text, which is all of most of them: with bytes unread a connection
/// ends by a reset, which overtakes the answer.
const PLAIN_TEXT: usize = 16 * 1024;

/// How long an answer takes at most before its first byte: a search waits 30 s for its turn, and then
/// has to be done.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the head of a request may take to arrive: most are one packet.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that wait for a place. When there are more, the one that has waited for longest is closed:
/// a request for health is answered as soon as it is there, so that whoever sends one at once gets through
/// among any number that send nothing.
const MAX_WAITING: usize = 64;

/// Requests for health that are answered at one time beside those that have a place.
const MAX_HEALTH: usize = 16;

/// Accepts as many connections as there may be.
pub struct LimitedAcceptor {
    acceptor: TcpAcceptor,
    connection_limit: ConnectionLimit,
    idle_timeout: Duration,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    health: Arc<Semaphore>,
    uploads: Uploads,
    /// Those in their hand-shake and those that wait for a place: no more than there are places, and
    /// [`MAX_WAITING`].
    arriving: JoinSet<Option<Accepted>>,
    /// Of those the ones that wait, longest first.
    waiting: VecDeque<AbortHandle>,
    aborts: Aborts,
}

/// A connection as poem takes it.
type Accepted = (Connection, LocalAddr, RemoteAddr, Scheme);

/// One as TCP has it.
struct Arrived {
    stream: TcpStream,
    local: LocalAddr,
    remote: RemoteAddr,
    tls: Option<Arc<Tls>>,
    idle_timeout: Duration,
    limits: Limits,
    uploads: Uploads,
}

/// What is spoken through.
type Stream = Either<TcpStream, TlsStream<TcpStream>>;

impl LimitedAcceptor {
    /// Those of `acceptor` that `connection_limit` has a place for, each for as long as the other side takes something of
    /// what it is sent within `idle_timeout`, and asks for something: within as much again, and the time that
    /// an answer may take, there has to be something to send.
    #[must_use]
    pub fn new(
        acceptor: TcpAcceptor,
        connection_limit: ConnectionLimit,
        idle_timeout: Duration,
    ) -> Self {
        let limits =
            Limits { silence: idle_timeout + ANSWER_TIMEOUT, head: HEAD_TIMEOUT.min(idle_timeout) };
        Self {
            acceptor,
            connection_limit,
            idle_timeout,
            limits,
            tls: None,
            health: Arc::new(Semaphore::new(MAX_HEALTH)),
            uploads: Uploads::default(),
            arriving: JoinSet::new(),
            waiting: VecDeque::new(),
            aborts: Aborts::default(),
        }
    }

    /// Which write nothing more once their response has failed.
    #[must_use]
    pub fn aborting(self, aborts: Aborts) -> Self {
        Self { aborts, ..self }
    }

    /// Without limits of time on connections on which one of these is under way.
    #[must_use]
    pub fn with_uploads(self, uploads: Uploads) -> Self {
        Self { uploads, ..self }
    }

    /// Over TLS and no other way, if there is one.
    #[must_use]
    pub fn over(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// One that is aborted when its response fails.
    fn watched(&self, (mut connection, local, remote, scheme): Accepted) -> Accepted {
        connection.abort = remote.as_socket_addr().map(|peer| self.aborts.of(*peer));
        (connection, local, remote, scheme)
    }

    /// Lets one wait for a place, in the stead of the one that has waited for longest if there are too many.
    fn waits(&mut self, arrived: Arrived, peer: IpAddr) {
        self.waiting.retain(|waiting| !waiting.is_finished());
        if self.waiting.len() >= MAX_WAITING
            && let Some(longest) = self.waiting.pop_front()
        {
            longest.abort();
        }
        let (connection_limit, health) = (self.connection_limit.clone(), self.health.clone());
        let waiting = arrived.waits(connection_limit, peer, health);
        self.waiting.push_back(self.arriving.spawn(waiting));
    }
}

impl Acceptor for LimitedAcceptor {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.acceptor.local_addr()
    }

    async fn accept(&mut self) -> io::Result<Accepted> {
        loop {
            let (stream, local, remote, _http) = tokio::select! {
                Some(ended) = self.arriving.join_next() => match ended {
                    Ok(Some(accepted)) => return Ok(self.watched(accepted)),
                    _ => continue,
                },
                next = self.acceptor.accept() => next?,
            };
            end_when_stuck(&stream, self.idle_timeout);
            let peer = remote.as_socket_addr().map(|addr| block(addr.ip()));
            let peer = peer.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            let (tls, idle_timeout, limits) = (self.tls.clone(), self.idle_timeout, self.limits);
            let uploads = self.uploads.clone();
            let arrived = Arrived { stream, local, remote, tls, idle_timeout, limits, uploads };
            match self.connection_limit.take(peer) {
                Ok(place) if self.tls.is_none() => {
                    return Ok(self.watched(arrived.at_once(place)));
                }
                Ok(place) => drop(self.arriving.spawn(arrived.after_hand_shake(place))),
                Err(full) => {
                    tracing::debug!(peer = %arrived.remote, %full, "an HTTP connection waits");
                    self.waits(arrived, peer);
                }
            }
        }
    }
}

impl Arrived {
    /// In plain text.
    fn at_once(self, place: Place) -> Accepted {
        let Self { stream, local, remote, limits, uploads, .. } = self;
        let uploads = (uploads, remote.as_socket_addr().copied());
        let connection = Connection::new(Either::Left(stream), limits, uploads, Seat::Place(place));
        (connection, local, remote, Scheme::HTTP)
    }

    async fn after_hand_shake(self, place: Place) -> Option<Accepted> {
        let Self { stream, local, remote, tls, idle_timeout, limits, uploads } = self;
        let uploads = (uploads, remote.as_socket_addr().copied());
        let (stream, scheme) = opened(stream, tls, &remote, idle_timeout).await?;
        let connection = Connection::new(stream, limits, uploads, Seat::Place(place));
        Some((connection, local, remote, scheme))
    }

    /// Reads what it asks for; then it is answered if that is health, or else waits for a place.
    async fn waits(
        self,
        connection_limit: ConnectionLimit,
        peer: IpAddr,
        health: Arc<Semaphore>,
    ) -> Option<Accepted> {
        let Self { stream, local, remote, tls, idle_timeout, limits, uploads } = self;
        let uploads = (uploads, remote.as_socket_addr().copied());
        let (mut stream, scheme) = opened(stream, tls, &remote, idle_timeout).await?;
        let read = timeout(limits.head, request_head::read(&mut stream)).await.ok()?;
        let (bytes, end) = read.ok()?;
        let (seat, received) = match request_head::last_for_health(&bytes[..end]) {
            Some(last) => (Seat::Health(health.try_acquire_owned().ok()?), last),
            None => {
                // Twice as long: connections that are idle now are closed by then, and their places are free.
                let place = timeout(2 * idle_timeout, connection_limit.wait(peer)).await;
                (Seat::Place(place.ok()?), bytes)
            }
        };
        let connection = Connection::new(stream, limits, uploads, seat).with(received);
        Some((connection, local, remote, scheme))
    }
}

/// What is spoken through, after the hand-shake if it is TLS.
async fn opened(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    remote: &RemoteAddr,
    idle_timeout: Duration,
) -> Option<(Stream, Scheme)> {
    let Some(tls) = tls else { return Some((Either::Left(stream), Scheme::HTTP)) };
    let stream = encrypted(&tls, stream, remote, HAND_SHAKE_TIMEOUT.min(idle_timeout)).await?;
    Some((Either::Right(stream), Scheme::HTTPS))
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
fn end_when_stuck(stream: &TcpStream, idle_timeout: Duration) {
    #[cfg(target_os = "linux")]
    {
        let milliseconds = u32::try_from(idle_timeout.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds) {
            tracing::debug!(%error, "cannot limit the time of unacknowledged data (TCP_USER_TIMEOUT)");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, idle_timeout);
}

/// Until when a connection counts.
enum Seat {
    Place(#[expect(dead_code, reason = "held")] Place),
    Health(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit),
}

/// A connection, and its place among them.
pub struct Connection {
    stream: Stream,
    /// What was received of it before, and how much of that was read.
    received: (Vec<u8>, usize),
    deadline: Deadline,
    abort: Option<Abort>,
    /// Whether something is being uploaded on it.
    uploads: (Uploads, Option<SocketAddr>),
    _seat: Seat,
}

impl Connection {
    fn new(
        stream: Stream,
        limits: Limits,
        uploads: (Uploads, Option<SocketAddr>),
        seat: Seat,
    ) -> Self {
        let (received, deadline) = ((Vec::new(), 0), Deadline::new(limits));
        Self { stream, received, deadline, abort: None, uploads, _seat: seat }
    }

    /// After these bytes were received.
    fn with(self, received: Vec<u8>) -> Self {
        Self { received: (received, 0), ..self }
    }

    /// Whether what is written would follow a response that failed.
    fn check(&self) -> io::Result<()> {
        match self.abort.as_ref().is_some_and(Abort::is_asked_for) {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    /// Notes that something was sent.
    fn sent(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(_))) {
            self.deadline.sent();
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
        let this = &mut *self;
        let (uploads, peer) = &this.uploads;
        if this.deadline.poll_ended(context, || uploads.has(*peer)).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let (received, read) = &mut this.received;
        let left = &received[*read..];
        if left.is_empty() {
            std::task::ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        } else {
            let some = left.len().min(buffer.remaining());
            buffer.put_slice(&left[..some]);
            *read += some;
        }
        this.deadline.received(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
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
    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};

    #[tokio::test]
    async fn one_that_takes_nothing_more_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
        let mut limited =
            LimitedAcceptor::new(acceptor, ConnectionLimit::new(1, 1), Duration::from_millis(500));
        let _deaf = TcpStream::connect(addr).await.unwrap();
        let (mut connection, ..) = limited.accept().await.unwrap();
        let writing = async {
            loop {
                if let Err(error) = connection.write_all(&[b'x'; 64 * 1024]).await {
                    break error;
                }
            }
        };
        let error = timeout(Duration::from_secs(30), writing).await.expect("it waits for ever");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// Says that it is there, five times in more time than there may be silence; or takes a body.
    #[handler]
    async fn answers(body: Option<Json<Value>>) -> Body {
        let _ = body;
        let answer = futures_util::stream::unfold(0, async |sent| {
            sleep(Duration::from_millis(300)).await;
            (sent < 5).then_some((Ok::<_, io::Error>(":\n"), sent + 1))
        });
        Body::from_bytes_stream(answer)
    }

    /// A server with one place, in which there may be silence for a second.
    async fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let idle = Duration::from_millis(200);
        let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
        let limits = Limits { silence: Duration::from_secs(1), head: Duration::from_secs(1) };
        let waits = Duration::from_secs(30);
        let limited = LimitedAcceptor {
            limits,
            ..LimitedAcceptor::new(acceptor, ConnectionLimit::new(1, 1), waits)
        };
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
        let (answer, ()) = tokio::join!(answer(addr), drips);
        assert!(answer.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn an_answer_that_takes_its_time_is_told_to_its_end() {
        let answer = answer(server().await).await;
        assert_eq!(answer.matches(":\n").count(), 5, "{answer}");
    }

    /// Takes a body for as long as it comes, and says how long it was.
    struct Uploading(Uploads);

    impl poem::Endpoint for Uploading {
        type Output = String;

        async fn call(&self, mut request: poem::Request) -> poem::Result<String> {
            let _upload = self.0.begin(request.remote_addr().as_socket_addr().copied());
            let body = request.take_body().into_bytes().await?;
            Ok(format!("{} bytes", body.len()))
        }
    }

    #[tokio::test]
    async fn an_upload_may_take_longer_than_there_may_be_silence() {
        const PIECES: usize = 30;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
        let limits =
            Limits { silence: Duration::from_millis(500), head: Duration::from_millis(500) };
        let waits = Duration::from_secs(30);
        let (limit, uploads) = (ConnectionLimit::new(1, 1), Uploads::default());
        let limited = LimitedAcceptor { limits, ..LimitedAcceptor::new(acceptor, limit, waits) };
        let limited = limited.with_uploads(uploads.clone());
        tokio::spawn(Server::new_with_acceptor(limited).run(Uploading(uploads.clone())));
        let mut socket = TcpStream::connect(addr).await.unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n\
             Content-Length: {PIECES}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..PIECES {
            sleep(Duration::from_millis(50)).await;
            socket.write_all(b"x").await.unwrap();
        }
        let mut answer = String::new();
        let read = socket.read_to_string(&mut answer);
        timeout(Duration::from_secs(30), read).await.unwrap().unwrap();
        assert!(answer.ends_with(&format!("{PIECES} bytes")), "{answer}");
        assert!(!uploads.has(socket.local_addr().ok()), "it is over");
    }
}
