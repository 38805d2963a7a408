//! One association, from its request to its end: messages are taken one by one, and an instance is
//! answered with Success only once the broker has acknowledged its event.

use crate::admission::{self, Accepted, AcceptedContext};
use crate::attributes;
use crate::dimse::{self, MAX_COMMAND_LENGTH, Operation, Request, Status};
use crate::framer::Kind;
use crate::header::{Header, HeaderError, HeaderReader};
use crate::instance::{Arrival, Refusal};
use crate::publisher::Publisher;
use crate::settings::Settings;
use crate::wire::{Incoming, Wire, WireError};
use dicom_ul::pdu::{AbortRQServiceProviderReason, AssociationRJ, Pdu};
use jiff::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

/// What all associations have in common.
#[derive(Debug)]
pub struct Service {
    /// What the receiver was told.
    pub settings: Settings,
    /// Where events go.
    pub publisher: Publisher,
    /// Cancelled when the receiver is to stop.
    pub stop: CancellationToken,
}

/// How an association ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Released,
    AbortedByPeer,
    Stopped,
}

/// Serves one association on a socket that was just accepted.
pub async fn serve(service: Arc<Service>, socket: TcpStream, peer: IpAddr) {
    let id = uuid::Uuid::new_v4().to_string();
    // At the level of errors, so that whatever is logged says of which association.
    let span = tracing::error_span!(
        "association",
        association = %id,
        %peer,
        calling_ae = tracing::field::Empty,
    );
    negotiate_and_serve(&service, socket, peer, id).instrument(span).await;
}

/// Turns a caller away: `answer` says why.
pub async fn reject(service: &Service, socket: TcpStream, answer: AssociationRJ) {
    let mut wire = Wire::new(socket, admission::MAX_PDU_LENGTH);
    if wire.associate_request(service.settings.artim_timeout).await.is_ok() {
        refuse_association(&mut wire, answer).await;
    }
}

async fn refuse_association(wire: &mut Wire, answer: AssociationRJ) {
    tracing::warn!(result = ?answer.result, reason = %answer.source, "association rejected");
    if let Err(error) = wire.send(&Pdu::AssociationRJ(answer)).await {
        tracing::debug!(%error, "A-ASSOCIATE-RJ could not be sent");
    }
    wire.close().await;
}

async fn negotiate_and_serve(service: &Service, socket: TcpStream, peer: IpAddr, id: String) {
    let mut wire = Wire::new(socket, admission::MAX_PDU_LENGTH);
    let request = match wire.associate_request(service.settings.artim_timeout).await {
        Ok(request) => request,
        Err(error) => {
            tracing::debug!(%error, "no association was asked for");
            if let Some(reason) = error.abort_reason() {
                wire.abort(reason).await;
            }
            return;
        }
    };
    let settings = &service.settings;
    let called_ae = settings.check_called_ae.then_some(settings.ae_title.as_str());
    let accepted = match admission::admit(&request, called_ae) {
        Ok(accepted) => accepted,
        Err(answer) => return refuse_association(&mut wire, answer).await,
    };
    Span::current().record("calling_ae", &accepted.calling_ae_title);
    let answer = Pdu::AssociationAC(accepted.answer.clone());
    let mut association =
        Association { service, wire, accepted, peer, id, stores: 0, acknowledged: 0 };
    association.run(answer).await;
}

struct Association<'a> {
    service: &'a Service,
    wire: Wire,
    accepted: Accepted,
    peer: IpAddr,
    id: String,
    /// C-STOREs so far: the ordinal of the latest.
    stores: u64,
    /// Of these, how many were answered with Success.
    acknowledged: u64,
}

impl Association<'_> {
    async fn run(&mut self, answer: Pdu) {
        let ended = match self.wire.send(&answer).await {
            Ok(()) => self.serve_messages().await,
            Err(error) => Err(error),
        };
        let (stores, acknowledged) = (self.stores, self.acknowledged);
        match ended {
            Ok(End::Released) => {
                if let Err(error) = self.wire.send(&Pdu::ReleaseRP).await {
                    tracing::debug!(%error, "A-RELEASE-RP could not be sent");
                }
                self.wire.close().await;
                tracing::info!(stores, acknowledged, "released");
            }
            Ok(End::AbortedByPeer) => tracing::warn!(stores, acknowledged, "aborted by the peer"),
            Ok(End::Stopped) => {
                self.wire.abort(AbortRQServiceProviderReason::ReasonNotSpecified).await;
                tracing::info!(stores, acknowledged, "aborted: stopping");
            }
            Err(error) => {
                tracing::warn!(stores, acknowledged, %error, "aborted");
                if let Some(reason) = error.abort_reason() {
                    self.wire.abort(reason).await;
                }
            }
        }
    }

    async fn serve_messages(&mut self) -> Result<End, WireError> {
        loop {
            let (context_id, command) = match self.command().await? {
                Ok(command) => command,
                Err(end) => return Ok(end),
            };
            let request = dimse::read_request(&command)?;
            self.serve_message(context_id, &request).await?;
        }
    }

    /// The bytes of the next command set and its presentation context, or how it all ended.
    async fn command(&mut self) -> Result<Result<(u8, Vec<u8>), End>, WireError> {
        let mut command = Vec::with_capacity(256);
        let mut of_context = None;
        loop {
            let begun = of_context.is_some() || self.wire.is_inside_pdu();
            let limit = match begun {
                true => self.service.settings.receive_timeout,
                false => self.service.settings.idle_timeout,
            };
            let incoming = tokio::select! {
                incoming = self.wire.next(limit) => incoming?,
                // Between two messages is where to stop; one that has begun is finished first.
                () = self.service.stop.cancelled(), if !begun => return Ok(Err(End::Stopped)),
            };
            match incoming {
                Incoming::Release if command.is_empty() => return Ok(Err(End::Released)),
                Incoming::Abort => return Ok(Err(End::AbortedByPeer)),
                Incoming::Fragment { context_id, kind: Kind::Command, last, bytes }
                    if self.accepted.contexts.contains_key(&context_id)
                        && of_context.is_none_or(|id| id == context_id)
                        && command.len() + bytes.len() <= MAX_COMMAND_LENGTH =>
                {
                    of_context = Some(context_id);
                    command.extend_from_slice(bytes);
                    if last {
                        return Ok(Ok((context_id, command)));
                    }
                }
                _ => return Err(WireError::OutOfOrder),
            }
        }
    }

    async fn serve_message(&mut self, context_id: u8, request: &Request) -> Result<(), WireError> {
        let outcome = match request.operation {
            Operation::Store => self.store(context_id, request).await?,
            Operation::Echo => {
                self.skip_data_set(context_id, request).await?;
                Ok(())
            }
            // There is nothing to cancel: every operation has ended once the next can be read.
            Operation::Cancel => return Ok(()),
            Operation::Other(_) => {
                self.skip_data_set(context_id, request).await?;
                Err(Refusal::new(
                    Status::UnrecognizedOperation,
                    "this is a C-STORE and C-ECHO SCP only",
                ))
            }
        };
        let (status, comment) = match outcome {
            Ok(()) => (Status::Success, String::new()),
            Err(refusal) => (refusal.status, refusal.comment),
        };
        self.answer(context_id, &dimse::write_response(request, status, &comment)).await
    }

    /// Receives one instance whole and has its event stored.
    async fn store(
        &mut self,
        context_id: u8,
        request: &Request,
    ) -> Result<Result<(), Refusal>, WireError> {
        self.stores += 1;
        let outcome = match request.has_data_set {
            false => Err(Refusal::new(Status::CannotUnderstand, "C-STORE without a data set")),
            true => {
                let (header, bytes) = self.data_set(context_id).await?;
                match header.map_err(Refusal::from) {
                    Ok(header) => self.publish(context_id, request, &header, bytes).await,
                    Err(refusal) => Err(refusal),
                }
            }
        };
        match &outcome {
            Ok(()) => self.acknowledged += 1,
            Err(Refusal { status, comment }) => tracing::warn!(
                ordinal = self.stores,
                sop_instance = request.sop_instance_uid,
                %status,
                reason = comment,
                "instance refused"
            ),
        }
        Ok(outcome)
    }

    /// Reads a data set to its end, whatever is wrong with it, and gives its header and length.
    async fn data_set(
        &mut self,
        context_id: u8,
    ) -> Result<(Result<Header, HeaderError>, u64), WireError> {
        let limit = self.service.settings.receive_timeout;
        let AcceptedContext { encoding, .. } = self.accepted.contexts[&context_id];
        let header_limit = self.service.settings.header_limit.0;
        let mut reader = HeaderReader::new(encoding, attributes::WANTED, header_limit);
        let (mut outcome, mut length) = (Ok(()), 0);
        loop {
            match self.wire.next(limit).await? {
                Incoming::Fragment { context_id: id, kind: Kind::DataSet, last, bytes }
                    if id == context_id =>
                {
                    length += bytes.len() as u64;
                    if outcome.is_ok() {
                        outcome = reader.push(bytes);
                    }
                    if last {
                        return Ok((outcome.and_then(|()| reader.finish()), length));
                    }
                }
                _ => return Err(WireError::OutOfOrder),
            }
        }
    }

    async fn skip_data_set(&mut self, context_id: u8, request: &Request) -> Result<(), WireError> {
        if request.has_data_set {
            let _ = self.data_set(context_id).await?;
        }
        Ok(())
    }

    async fn publish(
        &self,
        context_id: u8,
        request: &Request,
        header: &Header,
        bytes: u64,
    ) -> Result<(), Refusal> {
        let accepted = &self.accepted;
        let arrival = Arrival {
            header,
            request,
            bytes,
            transfer_syntax_uid: &accepted.contexts[&context_id].transfer_syntax_uid,
            calling_ae_title: &accepted.calling_ae_title,
            called_ae_title: &accepted.called_ae_title,
            peer: self.peer,
            association_id: &self.id,
            ordinal: self.stores,
            received_at: Timestamp::now(),
        };
        let event = arrival.event()?;
        self.service.publisher.publish(&event).await?;
        tracing::debug!(
            series = %event.series_instance_uid,
            sop_instance = %event.sop_instance_uid,
            ordinal = event.ordinal,
            bytes,
            "stored"
        );
        Ok(())
    }

    /// Sends a command set, in as many PDUs as the peer's maximum length asks for.
    async fn answer(&mut self, context_id: u8, command: &[u8]) -> Result<(), WireError> {
        // PS3.8 section 9.3.5: a PDU has one value here, with a header of six bytes.
        let room = self.accepted.peer_max_pdu_length as usize - 6;
        let mut pdus = Vec::with_capacity(command.len() + 12);
        let mut pieces = command.chunks(room).peekable();
        while let Some(piece) = pieces.next() {
            let control = if pieces.peek().is_none() { 0b11 } else { 0b01 };
            pdus.extend_from_slice(&[4, 0]);
            pdus.extend_from_slice(&(piece.len() as u32 + 6).to_be_bytes());
            pdus.extend_from_slice(&(piece.len() as u32 + 2).to_be_bytes());
            pdus.extend_from_slice(&[context_id, control]);
            pdus.extend_from_slice(piece);
        }
        self.wire.send_bytes(&pdus).await
    }
}
