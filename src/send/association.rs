//! One association as its requestor: which presentation contexts it proposes, and C-STORE over it.

use std::{collections::HashSet, io::SeekFrom};

use anyhow::anyhow;
use dimse::{
    command::Response,
    net::{Scu, ScuError, StoreError},
    proposal::{MAX_PRESENTATION_CONTEXTS, Proposal},
    requestor::RequestorError,
};
use indicatif::ProgressBar;
use tokio::{fs::File, io::AsyncSeekExt};

use super::{
    SendSettings,
    files::{Context, Instance},
};

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
    scu: Scu,
    peer: String,
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
        let proposed = |context: &&Context| {
            (context.sop_class_uid.clone(), vec![context.transfer_syntax_uid.clone()])
        };
        let proposal = Proposal {
            calling_ae_title: settings.calling_ae.clone(),
            called_ae_title: settings.called_ae.clone(),
            contexts: contexts.iter().map(proposed).collect(),
            max_pdu_length: settings.max_pdu,
        };
        let opened = Scu::open(&settings.to, &proposal, settings.timeout).await;
        let mut scu = opened.map_err(|error| explain(error, settings))?;
        if scu.negotiated().contexts.is_empty() {
            scu.abort().await;
            return Ok(None);
        }
        Ok(Some(Self { scu, peer: settings.peer() }))
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
        let sop_class_uid = &instance.context.sop_class_uid;
        let (sop_instance_uid, length) = (&instance.sop_instance_uid, instance.data_set_length);
        let sent = |bytes| bar.inc(bytes);
        let stored = self
            .scu
            .store(context_id, sop_class_uid, sop_instance_uid, &mut data_set, length, sent)
            .await;
        stored.map_err(|error| match error {
            StoreError::DataSet(error) => unreadable(error),
            StoreError::Association(error) => Failure::Association(
                anyhow::Error::new(error).context(format!("association with {} lost", self.peer)),
            ),
        })
    }

    /// Asks whether anybody is there, in an association that was opened for this context.
    pub(super) async fn echo(&mut self, context: &Context) -> anyhow::Result<Response> {
        let context_id = self.accepted(context).ok_or_else(|| anyhow!(context_refused(context)))?;
        Ok(self.scu.echo(context_id).await?)
    }

    /// Ends the association in order. Every instance is answered by then, so a receiver that does
    /// not play along loses nothing.
    pub(super) async fn release(self) {
        let _ = self.scu.release().await;
    }

    /// The id of the presentation context for it, if the receiver accepted one.
    fn accepted(&self, context: &Context) -> Option<u8> {
        self.scu.negotiated().context_id(&context.sop_class_uid, &context.transfer_syntax_uid)
    }
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
fn explain(error: ScuError, settings: &SendSettings) -> anyhow::Error {
    let SendSettings { to, called_ae, calling_ae, timeout, .. } = settings;
    let (says, advice) = match error {
        ScuError::Connect(source) => (
            format!("cannot connect to {to} ({source})"),
            "start a C-STORE SCP there, or name another one with --to HOST:PORT".to_owned(),
        ),
        ScuError::Silent(_) | ScuError::NotTaken(_) => (
            format!("{to} did not answer within {timeout:?}"),
            "check that a C-STORE SCP listens there, or allow more time with --timeout".to_owned(),
        ),
        ScuError::Requestor(RequestorError::Rejected(rejection)) => (
            format!("{to} rejected the association ({})", rejection.source),
            format!(
                "check --called-ae {called_ae} and --calling-ae {calling_ae} against what it expects"
            ),
        ),
        ScuError::Requestor(RequestorError::NoAnswer(pdu)) => {
            let answer = pdu.short_description();
            return anyhow!("{to} answered the association request with {answer}");
        }
        ScuError::Requestor(error @ RequestorError::PduTooShort(_)) => return error.into(),
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
}
