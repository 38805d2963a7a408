//! A C-STORE-RQ as it goes over the wire, ready to be sent again and again with another SOP Instance
//! UID, and what comes back.

use crate::input::Template;
use anyhow::{Context as _, bail, ensure};
use dicom_dictionary_std::uids;
use dimse::Status;
use dimse::command::{Request, write_request};
use dimse::negotiation::MAX_PDU_LENGTH;
use dimse::p_data::{Kind, fragment_length, put_fragment, put_set};
use dimse::proposal::Proposal;
use dimse::requestor::{RELEASE_REQUEST, Received, Requestor};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of answers that are read at a time.
const READ_LENGTH: usize = 4096;

/// The one presentation context.
const CONTEXT: u8 = 1;

/// An association for MR images.
#[derive(Debug)]
pub(crate) struct Association {
    pub(crate) socket: TcpStream,
    /// The longest PDU to send: what dcmtk's senders have at the most, if the receiver takes it.
    pub(crate) longest_pdu: u32,
    requestor: Requestor,
}

impl Association {
    /// Asks for it.
    pub(crate) fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect_timeout(&to, SOCKET_TIMEOUT)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SOCKET_TIMEOUT))?;
        socket.set_write_timeout(Some(SOCKET_TIMEOUT))?;
        let mut requestor = Requestor::new(&Proposal {
            calling_ae_title: "BENCH".to_owned(),
            called_ae_title: "COLLIMATOR".to_owned(),
            contexts: vec![(
                uids::MR_IMAGE_STORAGE.to_owned(),
                vec![uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned()],
            )],
            max_pdu_length: MAX_PDU_LENGTH,
        });
        socket.write_all(&requestor.request()?)?;
        match receive(&mut socket, &mut requestor)? {
            Received::Accepted(negotiated) => {
                Ok(Self { socket, longest_pdu: negotiated.max_pdu_length, requestor })
            }
            other => bail!("{other:?} came instead of an answer"),
        }
    }

    /// Waits for the C-STORE-RSP, which has to say Success.
    pub(crate) fn success(&mut self) -> anyhow::Result<()> {
        match receive(&mut self.socket, &mut self.requestor).context("no C-STORE-RSP")? {
            Received::Response(response) if response.status == Status::Success => Ok(()),
            other => bail!("not stored: {other:?}"),
        }
    }

    /// Releases it.
    pub(crate) fn release(mut self) -> anyhow::Result<()> {
        self.socket.write_all(&RELEASE_REQUEST)?;
        receive(&mut self.socket, &mut self.requestor)?;
        Ok(())
    }
}

/// Waits for what comes next.
fn receive(socket: &mut TcpStream, requestor: &mut Requestor) -> anyhow::Result<Received> {
    let mut bytes = [0; READ_LENGTH];
    loop {
        if let Some(received) = requestor.poll()? {
            return Ok(received);
        }
        let length = socket.read(&mut bytes)?;
        ensure!(length > 0, "the receiver has closed the connection");
        requestor.receive(&bytes[..length]);
    }
}

/// A C-STORE-RQ with its data set.
#[derive(Debug)]
pub(crate) struct Message {
    /// All of its PDUs.
    pub(crate) bytes: Vec<u8>,
    serials: Vec<usize>,
    message_id: usize,
}

impl Message {
    /// Of an instance, in PDUs of the length that the receiver takes. Without `whole` the data set
    /// goes on after it.
    pub(crate) fn new(instance: &Template, longest_pdu: u32, whole: bool) -> anyhow::Result<Self> {
        let mut bytes = Vec::with_capacity(instance.data_set.len() * 101 / 100 + 1024);
        let command = write_request(&Request::store(0, uids::MR_IMAGE_STORAGE, &instance.uid));
        put_set(&mut bytes, CONTEXT, Kind::Command, &command, longest_pdu);
        let mut pieces = instance.data_set.chunks(fragment_length(longest_pdu)).peekable();
        while let Some(piece) = pieces.next() {
            put_piece(&mut bytes, whole && pieces.peek().is_none(), piece);
        }
        // The SOP Instance UID is in the command and in the beginning of the data set.
        let start = &bytes[..bytes.len().min(longest_pdu as usize)];
        let uid = instance.uid.as_bytes();
        let found = (0..start.len()).filter(|at| start[*at..].starts_with(uid));
        let end = uid.len() - Template::serial(0).len();
        let serials: Vec<_> = found.map(|at| at + end).collect();
        ensure!(serials.len() == 2, "the SOP Instance UID is in it {} times", serials.len());
        let id = [0, 0, 0x10, 1, 2, 0, 0, 0];
        let message_id = bytes.windows(id.len()).position(|bytes| bytes == id);
        Ok(Self { serials, message_id: message_id.context("no Message ID")? + id.len(), bytes })
    }

    /// Makes another instance of it.
    pub(crate) fn renew(&mut self, serial: u64) {
        let digits = Template::serial(serial);
        for at in &self.serials {
            self.bytes[*at..*at + digits.len()].copy_from_slice(digits.as_bytes());
        }
        let id = (serial as u16).to_le_bytes();
        self.bytes[self.message_id..self.message_id + 2].copy_from_slice(&id);
    }
}

/// One P-DATA-TF PDU with a piece of the data set.
pub(crate) fn put_piece(bytes: &mut Vec<u8>, last: bool, piece: &[u8]) {
    put_fragment(bytes, CONTEXT, Kind::DataSet, last, piece);
}
