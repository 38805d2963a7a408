//! One association as its requestor: which presentation contexts it proposes, and C-STORE over it.

use std::{collections::HashSet, io::SeekFrom, time::Duration};

use anyhow::{anyhow, bail, ensure};
use dicom_ul::{
    ClientAssociationOptions, Pdu,
    association::{AsyncClientAssociation, Error},
    pdu::{AbortRQSource, PDataValue, PDataValueType},
};
use indicatif::ProgressBar;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    SendSettings,
    command::{self, C_ECHO_RSP, C_STORE_RSP, Response},
    files::{Context, Instance},
};

/// Their ids are the odd numbers from 1 to 255 (PS3.8 9.3.2.2).
const MAX_PRESENTATION_CONTEXTS: usize = 128;
/// A response has some hundred bytes.
const MAX_RESPONSE_LENGTH: usize = 16 * 1024;

/// PDU type, reserved byte and length; length, context id and control header of its one PDV
/// (PS3.8 9.3.5).
const P_DATA_HEADER_LENGTH: usize = 12;
const PDV_LENGTH_FIELD: u32 = 4;
const PDV_HEADER_LENGTH: u32 = 2;

/// Why an instance was not answered.
pub(super) enum Failure {
    /// It can't be sent, now or later.
    Instance(String),
    /// The association is lost; the instance can be sent again over another one.
    Association(anyhow::Error),
}

/// As many of the first instances as one association has presentation contexts for.
pub(super) fn next_batch(instances: &[Instance]) -> &[Instance] {
    let mut contexts = HashSet::new();
    for (index, instance) in instances.iter().enumerate() {
        contexts.insert(&instance.context);
        if contexts.len() > MAX_PRESENTATION_CONTEXTS {
            return &instances[..index];
        }
    }
    instances
}

/// The distinct contexts of a batch, in order of first use.
fn presentation_contexts(batch: &[Instance]) -> Vec<&Context> {
    let mut seen = HashSet::new();
    let contexts = batch.iter().map(|instance| &instance.context);
    contexts.filter(|context| seen.insert(*context)).collect()
}

/// Said of an instance whose presentation context the receiver did not accept.
pub(super) fn context_refused(context: &Context) -> String {
    format!(
        "presentation context refused by the receiver (SOP class {}, transfer syntax {})",
        context.sop_class_uid, context.transfer_syntax_uid
    )
}

/// An open association. Dropping it without a release closes the socket, which aborts it.
pub(super) struct Association {
    inner: AsyncClientAssociation<TcpStream>,
    peer: String,
    timeout: Duration,
    /// Bytes of data set that go into one P-DATA PDU.
    fragment_length: usize,
    /// The PDU that is being sent: all that is ever in memory of a data set.
    buffer: Vec<u8>,
    last_message_id: u16,
}

impl Association {
    /// Requests an association for everything in `batch`; `None` if the receiver accepts not one
    /// of its presentation contexts.
    pub(super) async fn open(
        settings: &SendSettings,
        batch: &[Instance],
    ) -> anyhow::Result<Option<Self>> {
        Self::open_for(settings, &presentation_contexts(batch)).await
    }

    /// Requests an association for presentation contexts; `None` if the receiver accepts not one.
    pub(super) async fn open_for(
        settings: &SendSettings,
        contexts: &[&Context],
    ) -> anyhow::Result<Option<Self>> {
        let mut options = ClientAssociationOptions::new()
            .calling_ae_title(&settings.calling_ae)
            .called_ae_title(&settings.called_ae)
            .max_pdu_length(settings.max_pdu)
            .connection_timeout(settings.timeout)
            .read_timeout(settings.timeout)
            .write_timeout(settings.timeout);
        for context in contexts {
            options = options.with_presentation_context(
                context.sop_class_uid.as_str(),
                vec![context.transfer_syntax_uid.as_str()],
            );
        }
        let mut inner = match options.establish_async(settings.to.as_str()).await {
            Ok(inner) => inner,
            Err(Error::NoAcceptedPresentationContexts { .. }) => return Ok(None),
            Err(error) => return Err(explain(error, settings)),
        };
        // With Nagle's algorithm the end of each instance waits 40 ms for a delayed ACK.
        inner.inner_stream().set_nodelay(true)?;
        let max_pdu = inner.acceptor_max_pdu_length().min(settings.max_pdu);
        Ok(Some(Self {
            inner,
            peer: settings.peer(),
            timeout: settings.timeout,
            fragment_length: fragment_length(max_pdu)?,
            buffer: Vec::new(),
            last_message_id: 0,
        }))
    }

    /// Sends one instance and waits for its response; moves `bar` by the bytes that went out.
    pub(super) async fn store(
        &mut self,
        instance: &Instance,
        bar: &ProgressBar,
    ) -> Result<Response, Failure> {
        let context_id = self
            .accepted(&instance.context)
            .ok_or_else(|| Failure::Instance(context_refused(&instance.context)))?;
        let mut data_set = open_data_set(instance).await.map_err(unreadable)?;
        self.last_message_id = self.last_message_id.wrapping_add(1);
        let request = command::store_request(instance, self.last_message_id);
        self.send_request(request, context_id).await.map_err(|error| self.lost(error))?;
        let mut remaining = instance.data_set_length;
        while remaining > 0 {
            let length = remaining.min(self.fragment_length as u64);
            remaining -= length;
            let is_last = remaining == 0;
            let fragment = frame(&mut self.buffer, context_id, length as usize, is_last);
            if let Err(error) = data_set.read_exact(fragment).await {
                // The data set can't be ended in order any more, nor be left as it is.
                self.abort().await;
                return Err(unreadable(error));
            }
            self.write_buffer().await.map_err(|error| self.lost(error))?;
            bar.inc(length);
        }
        self.receive_response(C_STORE_RSP).await.map_err(|error| self.lost(error))
    }

    /// Asks whether anybody is there, in an association that was opened for this context.
    pub(super) async fn echo(&mut self, context: &Context) -> anyhow::Result<Response> {
        let context_id = self.accepted(context).ok_or_else(|| anyhow!(context_refused(context)))?;
        self.last_message_id = self.last_message_id.wrapping_add(1);
        self.send_request(command::echo_request(self.last_message_id), context_id).await?;
        self.receive_response(C_ECHO_RSP).await
    }

    /// Ends the association in order. Every instance is answered by then, so a receiver that does
    /// not play along loses nothing.
    pub(super) async fn release(self) {
        let _ = self.inner.release().await;
    }

    /// The id of the presentation context for it, if the receiver accepted one.
    fn accepted(&self, context: &Context) -> Option<u8> {
        let mut accepted = self.inner.presentation_contexts().iter();
        let found = accepted.find(|c| {
            c.abstract_syntax == context.sop_class_uid
                && c.transfer_syntax == context.transfer_syntax_uid
        });
        found.map(|c| c.id)
    }

    async fn send_request(&mut self, request: Vec<u8>, context_id: u8) -> anyhow::Result<()> {
        let command = PDataValue {
            presentation_context_id: context_id,
            value_type: PDataValueType::Command,
            is_last: true,
            data: request,
        };
        let data = vec![command];
        Ok(self.inner.send(&Pdu::PData { data }).await?)
    }

    /// dicom-ul's own writer gathers PDUs as large as the receiver allows, which may be 4 GiB,
    /// and blocks the thread when it is dropped.
    async fn write_buffer(&mut self) -> anyhow::Result<()> {
        let written = self.inner.inner_stream().write_all(&self.buffer);
        let limit = self.timeout;
        timeout(limit, written)
            .await
            .map_err(|_| anyhow!("the receiver took no data for {limit:?}"))??;
        Ok(())
    }

    async fn receive_response(&mut self, field: u16) -> anyhow::Result<Response> {
        let mut command = Vec::new();
        loop {
            self.acknowledge_at_once()?;
            let values = match self.inner.receive().await {
                Ok(Pdu::PData { data }) => data,
                Ok(Pdu::AbortRQ { .. }) => bail!("the receiver aborted it"),
                Ok(Pdu::ReleaseRQ) => bail!("the receiver wants to release it"),
                Ok(_) => bail!("the receiver sent another PDU than P-DATA"),
                Err(Error::Timeout { .. }) => bail!("no response within {:?}", self.timeout),
                Err(error) => return Err(error.into()),
            };
            for value in values {
                ensure!(
                    value.value_type == PDataValueType::Command,
                    "the receiver sent a data set"
                );
                command.extend(value.data);
                ensure!(command.len() <= MAX_RESPONSE_LENGTH, "its response is too long");
                if value.is_last {
                    return command::read_response(&command, field, self.last_message_id);
                }
            }
        }
    }

    /// DCMTK writes a response in two pieces with Nagle's algorithm on, so the second one waits
    /// 40 ms for the delayed ACK of the first. Linux forgets this setting: it is made anew for
    /// each response.
    fn acknowledge_at_once(&mut self) -> std::io::Result<()> {
        #[cfg(target_os = "linux")]
        self.inner.inner_stream().set_quickack(true)?;
        Ok(())
    }

    async fn abort(&mut self) {
        let source = AbortRQSource::ServiceUser;
        let _ = self.inner.send(&Pdu::AbortRQ { source }).await;
        let _ = self.inner.inner_stream().shutdown().await;
    }

    fn lost(&self, error: anyhow::Error) -> Failure {
        Failure::Association(error.context(format!("association with {} lost", self.peer)))
    }
}

/// Bytes of data set in a P-DATA PDU of at most `max_pdu` bytes after its own header; even, as
/// every fragment has to be (PS3.8 annex E).
fn fragment_length(max_pdu: u32) -> anyhow::Result<usize> {
    let length = max_pdu.saturating_sub(PDV_LENGTH_FIELD + PDV_HEADER_LENGTH) & !1;
    ensure!(length > 0, "the receiver takes PDUs of {max_pdu} bytes only: too short for any data");
    Ok(length as usize)
}

/// Makes `buffer` a P-DATA PDU with one PDV, and returns the room in it for `length` bytes of data
/// set. An odd end is padded with a zero byte: a deflated data set may have one (PS3.5 A.5).
fn frame(buffer: &mut Vec<u8>, context_id: u8, length: usize, is_last: bool) -> &mut [u8] {
    const P_DATA_TF: u8 = 0x04;
    const LAST_FRAGMENT: u8 = 0b10;
    let padding = length % 2;
    let pdv_length = (length + padding) as u32 + PDV_HEADER_LENGTH;
    buffer.truncate(P_DATA_HEADER_LENGTH + length);
    buffer.resize(P_DATA_HEADER_LENGTH + length + padding, 0);
    buffer[..2].copy_from_slice(&[P_DATA_TF, 0]);
    buffer[2..6].copy_from_slice(&(pdv_length + PDV_LENGTH_FIELD).to_be_bytes());
    buffer[6..10].copy_from_slice(&pdv_length.to_be_bytes());
    buffer[10] = context_id;
    buffer[11] = if is_last { LAST_FRAGMENT } else { 0 };
    &mut buffer[P_DATA_HEADER_LENGTH..][..length]
}

async fn open_data_set(instance: &Instance) -> std::io::Result<File> {
    let mut file = File::open(&instance.path).await?;
    file.seek(SeekFrom::Start(instance.data_set_offset)).await?;
    Ok(file)
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::Instance(format!("cannot be read: {error}"))
}

/// An association did not come about, as whoever asked for it by `collimator send` is told.
#[derive(Debug, thiserror::Error)]
#[error("{says}: {advice}")]
pub(crate) struct NoAssociation {
    /// What happened.
    pub(crate) says: String,
    /// What to do, in the options of that command.
    advice: String,
}

/// What to do about an association that did not come about.
fn explain(error: Error, settings: &SendSettings) -> anyhow::Error {
    let SendSettings { to, called_ae, calling_ae, timeout, .. } = settings;
    let (says, advice) = match error {
        Error::Connect { source, .. } => (
            format!("cannot connect to {to} ({source})"),
            "start a C-STORE SCP there, or name another one with --to HOST:PORT".to_owned(),
        ),
        Error::Timeout { .. } => (
            format!("{to} did not answer within {timeout:?}"),
            "check that a C-STORE SCP listens there, or allow more time with --timeout".to_owned(),
        ),
        Error::Rejected { association_rj, .. } => (
            format!("{to} rejected the association ({})", association_rj.source),
            format!(
                "check --called-ae {called_ae} and --calling-ae {calling_ae} against what it expects"
            ),
        ),
        Error::UnexpectedPdu { pdu, .. } => {
            let answer = pdu.short_description();
            return anyhow!("{to} answered the association request with {answer}");
        }
        error => {
            let says = format!("no association with {to}: check that a C-STORE SCP listens there");
            return anyhow::Error::new(error).context(says);
        }
    };
    NoAssociation { says, advice }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(class: usize, transfer_syntax: usize) -> Instance {
        Instance {
            path: "an instance".into(),
            context: Context {
                sop_class_uid: format!("2.25.1.{class}"),
                transfer_syntax_uid: format!("2.25.2.{transfer_syntax}"),
            },
            sop_instance_uid: "2.25.3".to_owned(),
            data_set_offset: 0,
            data_set_length: 1,
        }
    }

    #[test]
    fn each_pair_of_class_and_transfer_syntax_is_one_context() {
        let batch = [(1, 1), (2, 1), (1, 1), (1, 2)].map(|(c, t)| instance(c, t));
        assert_eq!(next_batch(&batch).len(), 4);
        let contexts = presentation_contexts(&batch);
        assert_eq!(contexts, [0, 1, 3].map(|i| &batch[i].context));
    }

    #[test]
    fn an_association_has_at_most_128_contexts() {
        let instances: Vec<_> = (0..300).map(|i| instance(i / 2, i % 2)).collect();
        let mut rest = &instances[..];
        let mut batches = Vec::new();
        while !rest.is_empty() {
            let batch = next_batch(rest);
            batches.push(presentation_contexts(batch).len());
            rest = &rest[batch.len()..];
        }
        assert_eq!(batches, [128, 128, 44]);
    }

    #[test]
    fn instances_of_known_contexts_never_end_a_batch() {
        let mut instances: Vec<_> = (0..128).map(|i| instance(i, 0)).collect();
        instances.extend((0..1_000).map(|i| instance(i % 128, 0)));
        instances.push(instance(128, 0));
        assert_eq!(next_batch(&instances).len(), 1_128);
    }

    #[test]
    fn a_fragment_fits_the_pdu_of_the_receiver() {
        let mut buffer = Vec::new();
        for max_pdu in [8, 4_096, 16_383, 131_072] {
            let length = fragment_length(max_pdu).expect("room for data");
            frame(&mut buffer, 5, length, true);
            assert!(length.is_multiple_of(2) && buffer.len() - 6 <= max_pdu as usize);
            let length = length as u32;
            assert_eq!(buffer[2..6], (length + 6).to_be_bytes());
            assert_eq!(buffer[6..10], (length + 2).to_be_bytes());
            assert_eq!(buffer[10..12], [5, 2]);
        }
        assert!(fragment_length(7).is_err());
    }

    #[test]
    fn an_odd_end_is_padded_with_zero() {
        let mut buffer = Vec::new();
        frame(&mut buffer, 1, 8, false).fill(0xFF);
        frame(&mut buffer, 1, 3, true).fill(0xFF);
        assert_eq!(buffer[6..10], 6_u32.to_be_bytes());
        assert_eq!(buffer[P_DATA_HEADER_LENGTH..], [0xFF, 0xFF, 0xFF, 0]);
    }
}
