//! An association as its acceptor has it: frames in, PDUs out, through one buffer of constant size.

use super::socket::Socket;
use crate::command::{CommandError, UnexpectedFragment};
use crate::framer::{Frame, Framer, FramingError};
use crate::negotiation::{self, MAX_ASSOCIATE_LENGTH};
use crate::p_data::{self, Kind, PDV_HEADER_LENGTH};
use crate::pdu::{A_ASSOCIATE_RQ, HEADER_LENGTH};
use dicom_ul::pdu::{AbortRQServiceProviderReason, AbortRQSource, AssociationRQ, Pdu, write_pdu};
use rustix::net::RecvFlags;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, error::Elapsed, timeout, timeout_at};

/// Bytes read at a time.
const READ_LENGTH: usize = 64 * 1024;

/// The memory of one association for what it receives. What is skipped is never written there, so the
/// kernel gives no memory for what is beyond `READ_LENGTH`; but it skips no more at a time than would fit,
/// and the values of a usual sender fill a PDU of 128 KiB.
const BUFFER_LENGTH: usize = 128 * 1024;

/// The first byte of a TLS hand-shake (RFC 8446 section 5.1), with which no PDU begins.
const TLS_HAND_SHAKE: u8 = 22;

/// From what length of its values on a message is skipped: a call of the kernel for each header and
/// each value costs less than copying what is in them.
const WORTH_SKIPPING: usize = 8 * 1024;

/// How long a peer may take to take an answer off our hands.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Why an association ends before it was released.
#[derive(Debug, thiserror::Error)]
pub enum AssociationError {
    /// The connection is gone, without A-RELEASE or A-ABORT.
    #[error("the connection was lost: {0}")]
    Lost(#[from] io::Error),
    /// Nothing came for too long.
    #[error("nothing came for {}", humantime::format_duration(*.0))]
    Silent(Duration),
    /// A PDU that does not come to an end.
    #[error("a PDU took longer than {} to arrive", humantime::format_duration(*.0))]
    Slow(Duration),
    /// The peer breaks the protocol.
    #[error(transparent)]
    Protocol(#[from] FramingError),
    /// A fragment that belongs to no message: of a context that was not accepted, of a data set
    /// that nobody announced, of a second command set before the end of the first.
    #[error("a fragment came out of order")]
    OutOfOrder,
    /// A command set that can't be answered.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The first PDU was no A-ASSOCIATE-RQ.
    #[error("no A-ASSOCIATE-RQ came first")]
    NoAssociate,
    /// The peer speaks TLS where that is not spoken.
    #[error("a TLS hand-shake came to the port for plain DICOM")]
    HandShake,
}

impl From<UnexpectedFragment> for AssociationError {
    fn from(_: UnexpectedFragment) -> Self {
        Self::OutOfOrder
    }
}

/// How an association is aborted by us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    /// What the peer is told (PS3.8 section 9.3.8).
    pub reason: AbortRQServiceProviderReason,
    /// In one word, for a counter.
    pub cause: &'static str,
}

impl AssociationError {
    /// The abort that this leads to, if there is still somebody to tell.
    #[must_use]
    pub fn abort(&self) -> Option<Abort> {
        use AbortRQServiceProviderReason as Reason;
        let (reason, cause) = match self {
            Self::Lost(_) => return None,
            Self::Silent(_) => (Reason::ReasonNotSpecified, "silent"),
            Self::Slow(_) => (Reason::ReasonNotSpecified, "slow_pdu"),
            Self::Protocol(FramingError::UnexpectedPdu(1..=7)) => {
                (Reason::UnexpectedPdu, "unexpected_pdu")
            }
            Self::Protocol(FramingError::UnexpectedPdu(_)) => {
                (Reason::UnrecognizedPdu, "unknown_pdu")
            }
            Self::Protocol(FramingError::PduTooLong { .. }) => {
                (Reason::InvalidPduParameter, "pdu_too_long")
            }
            Self::Protocol(FramingError::MalformedPdv) => {
                (Reason::InvalidPduParameter, "malformed_pdv")
            }
            Self::OutOfOrder => (Reason::UnexpectedPdu, "out_of_order"),
            Self::NoAssociate => (Reason::UnexpectedPdu, "no_associate_request"),
            Self::HandShake => (Reason::UnrecognizedPdu, "tls_on_plain_port"),
            Self::Command(_) => (Reason::InvalidPduParameter, "bad_command_set"),
        };
        Some(Abort { reason, cause })
    }
}

/// What came from the peer.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A piece of a message.
    Fragment {
        /// The presentation context it came through.
        context_id: u8,
        /// What it is part of.
        kind: Kind,
        /// Whether the command set or data set ends with it.
        last: bool,
        /// How many bytes it has.
        length: usize,
        /// Its bytes; none of one that was skipped.
        bytes: &'a [u8],
    },
    /// A-RELEASE-RQ.
    Release,
    /// A-ABORT.
    Abort,
}

/// The acceptor's side of one association: its socket, and what was received and not yet taken.
#[derive(Debug)]
pub struct Acceptor {
    socket: Socket,
    framer: Framer,
    buffer: Box<[u8]>,
    /// What of the buffer has been read and not yet taken.
    unread: std::ops::Range<usize>,
    pdu_timeout: Duration,
    /// The number of the PDU that has begun to arrive, and when it did.
    arriving: Option<(u64, Instant)>,
}

impl Acceptor {
    /// For a socket on which nothing has been read yet; each PDU has `pdu_timeout` to arrive whole.
    #[must_use]
    pub fn new(socket: Socket, max_pdu_length: u32, pdu_timeout: Duration) -> Self {
        socket.send_at_once();
        let buffer = vec![0; BUFFER_LENGTH].into_boxed_slice();
        let framer = Framer::new(max_pdu_length);
        Self { socket, framer, buffer, unread: 0..0, pdu_timeout, arriving: None }
    }

    /// Reads the first PDU, which has to be an A-ASSOCIATE-RQ.
    ///
    /// # Errors
    /// When it is not, or the peer is gone or silent.
    pub async fn associate_request(
        &mut self,
        limit: Duration,
    ) -> Result<AssociationRQ, AssociationError> {
        let read = async {
            let mut pdu = vec![0; HEADER_LENGTH];
            self.socket.read_exact(&mut pdu).await?;
            let length = u32::from_be_bytes([pdu[2], pdu[3], pdu[4], pdu[5]]);
            match pdu[0] {
                A_ASSOCIATE_RQ => {}
                TLS_HAND_SHAKE => return Err(AssociationError::HandShake),
                _ => return Err(AssociationError::NoAssociate),
            }
            if length > MAX_ASSOCIATE_LENGTH {
                let limit = MAX_ASSOCIATE_LENGTH;
                return Err(FramingError::PduTooLong { length, limit }.into());
            }
            // Grows with what really arrives, not with what the peer claims.
            let body = (&mut self.socket).take(length.into()).read_to_end(&mut pdu).await?;
            match negotiation::read_request(&pdu) {
                Some(request) if body == length as usize => Ok(request),
                _ => Err(AssociationError::NoAssociate),
            }
        };
        timeout(limit, read).await.map_err(|_: Elapsed| AssociationError::Silent(limit))?
    }

    /// Whether the next frame begins a message of its own, as far as framing knows.
    #[must_use]
    pub fn is_inside_pdu(&self) -> bool {
        self.framer.is_inside_pdu() || !self.unread.is_empty()
    }

    /// The next frame; `limit` is for each wait for bytes. Can be cancelled without loss.
    ///
    /// # Errors
    /// When the peer is gone, silent, or breaks the protocol.
    pub async fn next(&mut self, limit: Duration) -> Result<Incoming<'_>, AssociationError> {
        self.next_or_skipped(0, limit).await
    }

    /// As [`Acceptor::next`], where so many bytes of what comes are of no use: the kernel throws long values
    /// away, if it can, and they are never copied.
    ///
    /// # Errors
    /// As [`Acceptor::next`].
    pub async fn next_or_skipped(
        &mut self,
        skippable: u64,
        limit: Duration,
    ) -> Result<Incoming<'_>, AssociationError> {
        let most = usize::try_from(skippable).unwrap_or(usize::MAX);
        let skips = most >= WORTH_SKIPPING && self.socket.can_skip();
        loop {
            let start = self.unread.start;
            let (taken, frame) = self.framer.next(&self.buffer[self.unread.clone()])?;
            self.unread.start += taken;
            if let Some(frame) = frame {
                return Ok(self.with_bytes(frame, start));
            }
            // Nothing is left, or the start of a header.
            let left = self.framer.value_left().min(most);
            let skips = skips && self.values_are_long();
            if skips && left > 0 {
                let skipped = self.receive(left, RecvFlags::TRUNC, limit).await?;
                if let Some(frame) = self.framer.skip(skipped) {
                    return Ok(without_bytes(frame));
                }
            }
            // No further than to where the next value begins, if that can be skipped as well.
            let most = if skips { HEADER_LENGTH + PDV_HEADER_LENGTH } else { READ_LENGTH };
            self.read_more(most, limit).await?;
        }
    }

    /// Whether it costs less to skip a value than to copy it with what follows.
    fn values_are_long(&self) -> bool {
        self.framer.value_length() >= WORTH_SKIPPING
    }

    fn with_bytes(&self, frame: Frame, start: usize) -> Incoming<'_> {
        match frame {
            Frame::Fragment { context_id, kind, last, bytes } => {
                let bytes = &self.buffer[start + bytes.start..start + bytes.end];
                Incoming::Fragment { context_id, kind, last, length: bytes.len(), bytes }
            }
            other => without_bytes(other),
        }
    }

    /// When the PDU that has begun to arrive has to be there; `None` between two.
    fn pdu_deadline(&mut self) -> Option<Instant> {
        let number = match (self.framer.is_inside_pdu(), self.unread.is_empty()) {
            (true, _) => self.framer.pdus(),
            // What is there is the start of the next one's header.
            (false, false) => self.framer.pdus() + 1,
            (false, true) => {
                self.arriving = None;
                return None;
            }
        };
        let since = match self.arriving {
            Some((same, since)) if same == number => since,
            _ => Instant::now(),
        };
        self.arriving = Some((number, since));
        Some(since + self.pdu_timeout)
    }

    /// Reads up to `most` bytes behind those that are left.
    async fn read_more(&mut self, most: usize, limit: Duration) -> Result<(), AssociationError> {
        self.unread.end += self.receive(most, RecvFlags::empty(), limit).await?;
        Ok(())
    }

    /// Waits for bytes and puts up to `most` of them behind those that are unread, or with
    /// [`RecvFlags::TRUNC`] nowhere. Gives how many came.
    async fn receive(
        &mut self,
        most: usize,
        flags: RecvFlags,
        limit: Duration,
    ) -> Result<usize, AssociationError> {
        // Only the start of a header can be left, so this moves a few bytes at most.
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        let deadline = self.pdu_deadline();
        let silent = Instant::now() + limit;
        let free = &mut self.buffer[self.unread.end..];
        let most = most.min(free.len());
        let received = self.socket.receive(&mut free[..most], flags);
        let received = timeout_at(deadline.map_or(silent, |at| at.min(silent)), received);
        let received = received.await.map_err(|_: Elapsed| match deadline {
            Some(at) if at < silent => AssociationError::Slow(self.pdu_timeout),
            _ => AssociationError::Silent(limit),
        })??;
        match received {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            received => Ok(received),
        }
    }

    /// Sends a PDU.
    ///
    /// # Errors
    /// When the peer is gone or takes nothing.
    pub async fn send(&mut self, pdu: &Pdu) -> Result<(), AssociationError> {
        let mut bytes = Vec::with_capacity(1024);
        write_pdu(&mut bytes, pdu).map_err(io::Error::other)?;
        self.send_bytes(&bytes).await
    }

    /// Sends a command set, in as many PDUs as the peer's maximum length asks for.
    ///
    /// # Errors
    /// When the peer is gone or takes nothing.
    pub async fn send_command(
        &mut self,
        context_id: u8,
        command_set: &[u8],
        peer_max_pdu_length: u32,
    ) -> Result<(), AssociationError> {
        let mut pdus = Vec::with_capacity(HEADER_LENGTH + PDV_HEADER_LENGTH + command_set.len());
        p_data::put_set(&mut pdus, context_id, Kind::Command, command_set, peer_max_pdu_length);
        self.send_bytes(&pdus).await
    }

    /// Sends a command set and the data set that follows it.
    ///
    /// # Errors
    /// When the peer is gone or takes nothing.
    pub async fn send_message(
        &mut self,
        context_id: u8,
        command_set: &[u8],
        data_set: &[u8],
        peer_max_pdu_length: u32,
    ) -> Result<(), AssociationError> {
        let mut pdus = Vec::with_capacity(command_set.len() + data_set.len() + 256);
        p_data::put_set(&mut pdus, context_id, Kind::Command, command_set, peer_max_pdu_length);
        p_data::put_set(&mut pdus, context_id, Kind::DataSet, data_set, peer_max_pdu_length);
        self.send_bytes(&pdus).await
    }

    /// Sends bytes that are whole PDUs.
    async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), AssociationError> {
        let sent = async {
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        };
        timeout(SEND_TIMEOUT, sent)
            .await
            .map_err(|_: Elapsed| AssociationError::Silent(SEND_TIMEOUT))??;
        Ok(())
    }

    /// Tells the peer that the association is over (PS3.8 section 9.3.8), if it still listens.
    pub async fn abort(&mut self, reason: AbortRQServiceProviderReason) {
        let abort = Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) };
        if let Err(error) = self.send(&abort).await {
            tracing::debug!(%error, "A-ABORT could not be sent");
        }
        self.close().await;
    }

    /// Ends our side of the connection.
    pub async fn close(&mut self) {
        if let Err(error) = self.socket.shutdown().await {
            tracing::trace!(%error, "closing");
        }
    }
}

fn without_bytes(frame: Frame) -> Incoming<'static> {
    match frame {
        Frame::Release => Incoming::Release,
        Frame::Abort => Incoming::Abort,
        Frame::Fragment { context_id, kind, last, bytes } => {
            Incoming::Fragment { context_id, kind, last, length: bytes.len(), bytes: &[] }
        }
    }
}
