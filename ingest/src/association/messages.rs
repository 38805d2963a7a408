//! The messages of an association (PS3.7 section 9, PS3.8 annex E): command sets, and the fragments of data sets.

use super::{Association, End};
use dimse::command::{CommandAssembly, Request};
use dimse::net::{AssociationError, Incoming};
use dimse::p_data::Kind;
use tokio::time::{Instant, sleep_until};

/// What comes next of an association.
pub(super) enum Next {
    /// A command set, through this presentation context.
    Command { context_id: u8, command_set: Vec<u8> },
    /// A report is due.
    Report,
    /// No more messages.
    End(End),
}

/// A piece of a data set.
pub(super) struct Fragment<'a> {
    /// Its length in bytes.
    pub(super) length: usize,
    /// Its bytes; none of one that was skipped.
    pub(super) bytes: &'a [u8],
    /// Whether the data set ends with it.
    pub(super) last: bool,
}

impl Association<'_> {
    /// Waits for the next command set.
    pub(super) async fn next(&mut self) -> Result<Next, AssociationError> {
        let mut command = CommandAssembly::default();
        loop {
            let begun = command.has_begun() || self.acceptor.is_inside_pdu();
            let limit = match begun {
                true => self.intake.settings.receive_timeout,
                false => self.intake.settings.idle_timeout,
            };
            let due = self.owed.front().map(|owed| owed.due);
            let incoming = tokio::select! {
                incoming = self.acceptor.next(limit) => incoming?,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if !begun && due.is_some() => {
                    return Ok(Next::Report);
                }
                // Between two messages is where to stop; one that has begun is finished first.
                () = self.intake.stop.cancelled(), if !begun => return Ok(Next::End(End::Stopped)),
            };
            match incoming {
                Incoming::Release if command.is_empty() => return Ok(Next::End(End::Released)),
                Incoming::Abort => return Ok(Next::End(End::AbortedByPeer)),
                Incoming::Fragment { context_id, kind: Kind::Command, last, bytes, .. }
                    if self.contexts.contains_key(&context_id) =>
                {
                    if !command.has_begun() {
                        self.asked_at = std::time::Instant::now();
                    }
                    if let Some(command_set) = command.push(context_id, bytes, last)? {
                        return Ok(Next::Command { context_id, command_set });
                    }
                }
                _ => return Err(AssociationError::OutOfOrder),
            }
        }
    }

    /// The next fragment of a data set, of which so many bytes may be skipped.
    pub(super) async fn fragment(
        &mut self,
        context_id: u8,
        skippable: u64,
    ) -> Result<Fragment<'_>, AssociationError> {
        let limit = self.intake.settings.receive_timeout;
        let incoming = self.acceptor.next_or_skipped(skippable, limit).await?;
        match incoming {
            Incoming::Fragment { context_id: id, kind: Kind::DataSet, last, length, bytes }
                if id == context_id =>
            {
                Ok(Fragment { length, bytes, last })
            }
            _ => Err(AssociationError::OutOfOrder),
        }
    }

    /// A data set that is short enough to be read whole; `None` of a longer one, which is read past.
    pub(super) async fn small_data_set(
        &mut self,
        context_id: u8,
        request: &Request,
        longest: usize,
    ) -> Result<Option<Vec<u8>>, AssociationError> {
        let (mut bytes, mut last, mut fits) = (Vec::new(), !request.has_data_set, true);
        while !last {
            let fragment = self.fragment(context_id, 0).await?;
            last = fragment.last;
            fits &= bytes.len() + fragment.length <= longest;
            if fits {
                bytes.extend_from_slice(fragment.bytes);
            }
        }
        Ok(fits.then_some(bytes))
    }

    /// Reads past a data set that nobody asked for.
    pub(super) async fn skip_data_set(
        &mut self,
        context_id: u8,
        request: &Request,
    ) -> Result<(), AssociationError> {
        let mut last = !request.has_data_set;
        while !last {
            last = self.fragment(context_id, u64::MAX).await?.last;
        }
        Ok(())
    }
}
