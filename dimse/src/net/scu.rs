//! A service class user over TCP: an association that we request, with C-STORE, C-FIND and C-ECHO (PS3.7 sections
//! 9.1.1, 9.1.2 and 9.1.5).

use super::quick_ack::QuickAck;
use crate::command::{MOVE, Operation, RESPONSE_BIT, Request, Response, write_move, write_request};
use crate::p_data::{self, Kind, fragment_length};
use crate::proposal::{Negotiated, Proposal};
use crate::requestor::{ABORT, RELEASE_REQUEST, Received, Requestor, RequestorError};
use dicom_ul::pdu::WriteError;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::{error::Elapsed, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Bytes read at a time: responses have some hundred.
const READ_LENGTH: usize = 4096;

/// Why an association does not come about, or is lost.
#[derive(Debug, thiserror::Error)]
pub enum ScuError {
    /// Nobody listens there.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The hand-shake of TLS failed: the peer's certificate or ours is no good, or it speaks no TLS.
    #[error("no TLS: {0}")]
    Tls(io::Error),
    /// The request can't be encoded.
    #[error("the association can't be requested")]
    Proposal(#[source] Box<WriteError>),
    /// No connection or answer in time.
    #[error("no response within {0:?}")]
    Silent(Duration),
    /// The receiver does not read what is sent.
    #[error("the receiver took no data for {0:?}")]
    NotTaken(Duration),
    /// The connection is gone, without A-RELEASE or A-ABORT.
    #[error("the connection was lost: {0}")]
    Lost(#[from] io::Error),
    /// There is no association, or the receiver breaks the protocol.
    #[error(transparent)]
    Requestor(#[from] RequestorError),
    /// A-ABORT.
    #[error("the receiver aborted it")]
    Aborted,
    /// A-RELEASE-RQ, which is for us to send.
    #[error("the receiver wants to release it")]
    ReleaseRequested,
    /// Something else than a response.
    #[error("the receiver sent another PDU than P-DATA")]
    NotAResponse,
    /// A response to another operation.
    #[error("it answered with command {:#06x}", RESPONSE_BIT | .0.command_field())]
    OtherOperation(Operation),
    /// A response to another message.
    #[error("it answered message {answered} instead of {asked}")]
    OtherMessage {
        /// Message ID Being Responded To.
        answered: u16,
        /// Message ID of the request.
        asked: u16,
    },
}

/// Why an instance was not answered.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its data set can't be read. The association is aborted, since the data set can neither be ended in order nor be
    /// left as it is.
    #[error("the data set can't be read: {0}")]
    DataSet(io::Error),
    /// The association is lost.
    #[error(transparent)]
    Association(#[from] ScuError),
}

/// An open association. Dropping it without a release closes the socket, which aborts it.
#[derive(Debug)]
pub struct Scu {
    connection: Connection,
    negotiated: Negotiated,
    /// The PDU that is being sent: all that is ever in memory of a data set.
    buffer: Vec<u8>,
    last_message_id: u16,
}

impl Scu {
    /// Connects and requests an association. `limit` is for the connection, for each answer, and for the receiver to
    /// take a PDU. It may turn out that no presentation context was accepted.
    ///
    /// # Errors
    /// When there is no association.
    pub async fn open(
        to: impl ToSocketAddrs,
        proposal: &Proposal,
        limit: Duration,
    ) -> Result<Self, ScuError> {
        Self::open_by(to, Requestor::new(proposal), limit).await
    }

    /// The same for an association that `requestor` asks for.
    ///
    /// # Errors
    /// When there is no association.
    pub async fn open_by(
        to: impl ToSocketAddrs,
        requestor: Requestor,
        limit: Duration,
    ) -> Result<Self, ScuError> {
        Self::request(Box::new(connect(to, limit).await?), requestor, limit).await
    }

    /// The same over TLS (PS3.15 section B.12), with a peer whose certificate is of this name or address.
    ///
    /// # Errors
    /// When there is no association.
    pub async fn open_over_tls(
        (host, port): (&str, u16),
        tls: Arc<ClientConfig>,
        proposal: &Proposal,
        limit: Duration,
    ) -> Result<Self, ScuError> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| ScuError::Tls(io::Error::other(error)))?;
        let socket = connect((host, port), limit).await?;
        let encrypted = timeout(limit, TlsConnector::from(tls).connect(name, socket)).await;
        let encrypted = encrypted.map_err(|_: Elapsed| ScuError::Silent(limit))?;
        let socket = Box::new(encrypted.map_err(ScuError::Tls)?);
        Self::request(socket, Requestor::new(proposal), limit).await
    }

    async fn request(
        socket: Box<dyn Socket>,
        requestor: Requestor,
        limit: Duration,
    ) -> Result<Self, ScuError> {
        let mut connection = Connection { socket, requestor, limit };
        let request = connection.requestor.request();
        connection.send(&request.map_err(|error| ScuError::Proposal(Box::new(error)))?).await?;
        match connection.receive().await? {
            Received::Accepted(negotiated) => {
                Ok(Self { connection, negotiated, buffer: Vec::new(), last_message_id: 0 })
            }
            _ => Err(ScuError::NotAResponse),
        }
    }

    /// What the acceptor accepted.
    #[must_use]
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// C-STORE: sends an instance through a presentation context and waits for the response. Its data set is the next
    /// `length` bytes of `data_set`, encoded as negotiated; `sent` is called with the bytes of each fragment that
    /// went out.
    ///
    /// # Errors
    /// When the data set can't be read, or the association is lost.
    pub async fn store(
        &mut self,
        context_id: u8,
        sop_class_uid: &str,
        sop_instance_uid: &str,
        data_set: &mut (impl AsyncRead + Unpin),
        length: u64,
        mut sent: impl FnMut(u64),
    ) -> Result<Response, StoreError> {
        let request = Request::store(self.next_message_id(), sop_class_uid, sop_instance_uid);
        self.send_request(context_id, &request).await?;
        let longest = fragment_length(self.negotiated.max_pdu_length) as u64;
        let mut remaining = length;
        while remaining > 0 {
            let length = remaining.min(longest);
            remaining -= length;
            let (buffer, length) = (&mut self.buffer, length as usize);
            let fragment = p_data::frame(buffer, context_id, Kind::DataSet, remaining == 0, length);
            if let Err(error) = data_set.read_exact(fragment).await {
                self.abort().await;
                return Err(StoreError::DataSet(error));
            }
            self.connection.send(&self.buffer).await?;
            sent(length as u64);
        }
        Ok(self.response(&request).await?)
    }

    /// C-FIND: asks for what matches an identifier, and hands over the identifier of each match as it comes. The
    /// response is the last one, which says how it ended. For how many matches there may be nothing is a bound here
    /// but the error that `matched` returns; then and after any error the association is of no use any more.
    ///
    /// # Errors
    /// When the association is lost, or by `matched`.
    pub async fn find<E: From<ScuError>>(
        &mut self,
        context_id: u8,
        sop_class_uid: &str,
        identifier: &[u8],
        mut matched: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Response, E> {
        let request = Request::find(self.next_message_id(), sop_class_uid);
        self.send_request(context_id, &request).await?;
        let mut pdus = Vec::with_capacity(2 * identifier.len());
        let longest = self.negotiated.max_pdu_length;
        p_data::put_set(&mut pdus, context_id, Kind::DataSet, identifier, longest);
        self.connection.send(&pdus).await?;
        loop {
            let response = self.response(&request).await?;
            if response.has_data_set {
                match self.connection.receive().await? {
                    Received::DataSet(data_set) if response.status.is_pending() => {
                        matched(&data_set)?;
                    }
                    Received::DataSet(_) => {}
                    Received::Abort => return Err(ScuError::Aborted.into()),
                    _ => return Err(ScuError::NotAResponse.into()),
                }
            }
            if !response.status.is_pending() {
                return Ok(response);
            }
        }
    }

    /// C-MOVE: has the peer send what matches an identifier to the AE of this title, and waits until it has. The response
    /// is the last one, which says how it ended (PS3.4 section C.4.2).
    ///
    /// # Errors
    /// When the association is lost.
    pub async fn retrieve(
        &mut self,
        context_id: u8,
        sop_class_uid: &str,
        destination: &str,
        identifier: &[u8],
    ) -> Result<Response, ScuError> {
        let message_id = self.next_message_id();
        let command_set = write_move(message_id, sop_class_uid, destination);
        let mut pdus = Vec::with_capacity(2 * (command_set.len() + identifier.len()));
        let longest = self.negotiated.max_pdu_length;
        p_data::put_set(&mut pdus, context_id, Kind::Command, &command_set, longest);
        p_data::put_set(&mut pdus, context_id, Kind::DataSet, identifier, longest);
        self.connection.send(&pdus).await?;
        let request = Request { operation: MOVE, ..Request::find(message_id, sop_class_uid) };
        loop {
            let response = self.response(&request).await?;
            // Which instances failed, in the last of them.
            if response.has_data_set {
                match self.connection.receive().await? {
                    Received::DataSet(_) => {}
                    Received::Abort => return Err(ScuError::Aborted),
                    _ => return Err(ScuError::NotAResponse),
                }
            }
            if !response.status.is_pending() {
                return Ok(response);
            }
        }
    }

    /// Sends a request of an N-service with its data set, and waits for the response.
    ///
    /// # Errors
    /// When the association is lost.
    pub async fn notify(
        &mut self,
        context_id: u8,
        request: &Request,
        data_set: &[u8],
    ) -> Result<Response, ScuError> {
        self.send_request(context_id, request).await?;
        let mut pdus = Vec::with_capacity(data_set.len() + data_set.len() / 8);
        let longest = self.negotiated.max_pdu_length;
        p_data::put_set(&mut pdus, context_id, Kind::DataSet, data_set, longest);
        self.connection.send(&pdus).await?;
        self.response(request).await
    }

    /// C-ECHO: asks whether anybody is there.
    ///
    /// # Errors
    /// When the association is lost.
    pub async fn echo(&mut self, context_id: u8) -> Result<Response, ScuError> {
        let request = Request::echo(self.next_message_id());
        self.send_request(context_id, &request).await?;
        self.response(&request).await
    }

    /// Ends the association in order, and waits for the receiver to confirm it.
    ///
    /// # Errors
    /// When it does not. Every request was answered by then, so nothing is lost.
    pub async fn release(mut self) -> Result<(), ScuError> {
        self.connection.send(&RELEASE_REQUEST).await?;
        match self.connection.receive().await? {
            Received::ReleaseResponse => Ok(self.connection.socket.shutdown().await?),
            Received::Abort => Err(ScuError::Aborted),
            _ => Err(ScuError::NotAResponse),
        }
    }

    /// Ends the association at once.
    pub async fn abort(&mut self) {
        let aborted = async {
            self.connection.send(&ABORT).await?;
            Ok::<_, ScuError>(self.connection.socket.shutdown().await?)
        };
        if let Err(error) = aborted.await {
            tracing::debug!(%error, "A-ABORT could not be sent");
        }
    }

    /// The Message ID of the next request.
    pub fn next_message_id(&mut self) -> u16 {
        self.last_message_id = self.last_message_id.wrapping_add(1);
        self.last_message_id
    }

    /// Sends bytes as they are: whatever the methods for whole messages do not send.
    ///
    /// # Errors
    /// When the receiver is gone or does not read.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ScuError> {
        self.connection.send(bytes).await
    }

    /// Waits for what comes next, as the answer to what was sent by [`send_bytes`](Self::send_bytes). Can be cancelled
    /// without loss.
    ///
    /// # Errors
    /// When the receiver is gone, silent, or breaks the protocol.
    pub async fn receive(&mut self) -> Result<Received, ScuError> {
        self.connection.receive().await
    }

    async fn send_request(&mut self, context_id: u8, request: &Request) -> Result<(), ScuError> {
        let command_set = write_request(request);
        let mut pdus = Vec::with_capacity(2 * command_set.len());
        let longest = self.negotiated.max_pdu_length;
        p_data::put_set(&mut pdus, context_id, Kind::Command, &command_set, longest);
        self.connection.send(&pdus).await
    }

    async fn response(&mut self, request: &Request) -> Result<Response, ScuError> {
        match self.connection.receive().await? {
            Received::Response(response) if response.operation != request.operation => {
                Err(ScuError::OtherOperation(response.operation))
            }
            Received::Response(Response { message_id, .. }) if message_id != request.message_id => {
                Err(ScuError::OtherMessage { answered: message_id, asked: request.message_id })
            }
            Received::Response(response) => Ok(response),
            Received::Abort => Err(ScuError::Aborted),
            Received::ReleaseRequest => Err(ScuError::ReleaseRequested),
            Received::Accepted(_) | Received::ReleaseResponse | Received::DataSet(_) => {
                Err(ScuError::NotAResponse)
            }
        }
    }
}

/// Connects to a peer.
async fn connect(to: impl ToSocketAddrs, limit: Duration) -> Result<QuickAck, ScuError> {
    let connected = timeout(limit, TcpStream::connect(to)).await;
    let socket = connected.map_err(|_: Elapsed| ScuError::Silent(limit))?;
    // DCMTK writes a response in two pieces with Nagle's algorithm on, so the second one would wait 40 ms for the
    // delayed ACK of the first.
    let socket = QuickAck(socket.map_err(ScuError::Connect)?);
    // With Nagle's algorithm the end of each instance waits 40 ms for a delayed ACK.
    socket.tcp().set_nodelay(true)?;
    Ok(socket)
}

/// What an association is spoken over: plain, or encrypted.
trait Socket: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> Socket for T {}

/// The connection under an association.
#[derive(Debug)]
struct Connection {
    socket: Box<dyn Socket>,
    requestor: Requestor,
    limit: Duration,
}

impl Connection {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), ScuError> {
        let written = async {
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        };
        let written = timeout(self.limit, written).await;
        Ok(written.map_err(|_: Elapsed| ScuError::NotTaken(self.limit))??)
    }

    async fn receive(&mut self) -> Result<Received, ScuError> {
        let received = async {
            let mut bytes = [0; READ_LENGTH];
            loop {
                if let Some(received) = self.requestor.poll()? {
                    return Ok(received);
                }
                match self.socket.read(&mut bytes).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    length => self.requestor.receive(&bytes[..length]),
                }
            }
        };
        timeout(self.limit, received).await.map_err(|_: Elapsed| ScuError::Silent(self.limit))?
    }
}
