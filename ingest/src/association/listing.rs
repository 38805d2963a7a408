//! Lists of instances that come by N-services: N-CREATE and N-SET of performed procedure steps (PS3.4 section F.7.2), N-CREATE
//! of notifications of availability (section R.3.2). A list is on the record before it is answered with Success.

use super::{Answer, Association};
use crate::instance::refusal::Refusal;
use crate::listing::performed_step::MAY_NO_LONGER_BE_UPDATED;
use crate::listing::{MAX_LENGTH, NotTaken, unreadable};
use crate::publish::refused::PublishRefused;
use contract::event::{AssociationIdentity, InstancesListed, ListKind};
use dimse::Status;
use dimse::command::Request;
use dimse::data_set::DataSet;
use dimse::identifier::{Encoding, Unreadable};
use dimse::net::AssociationError;

/// Reads what a request of a service lists.
type Read<T> = fn(&Request, &DataSet<'_>, &AssociationIdentity) -> Result<T, NotTaken>;

impl Association<'_> {
    /// Takes what may be a list, and puts it on the record.
    pub(super) async fn notified(
        &mut self,
        context_id: u8,
        request: &Request,
        read: Read<Option<InstancesListed>>,
    ) -> Result<Answer, AssociationError> {
        let listed = match self.list(context_id, request, read).await? {
            Ok(Some(listed)) => listed,
            Ok(None) => return Ok(Answer::Success),
            Err(refusal) => return Ok(Answer::Failure(refusal)),
        };
        let (service, list, instances) = (listed.kind.as_str(), &listed.list_uid, listed.count());
        Ok(match self.intake.publisher.publish(&listed).await {
            Ok(()) => {
                tracing::info!(service, list, instances, "instances listed");
                Answer::Success
            }
            Err(PublishRefused::Duplicate) => Answer::Failure(again(listed.kind)),
            Err(error) => Answer::Failure(unpublished(error)),
        })
    }

    /// Reads the data set of a request, and from it what the request lists.
    pub(super) async fn list<T>(
        &mut self,
        context_id: u8,
        request: &Request,
        read: Read<T>,
    ) -> Result<Result<T, Refusal>, AssociationError> {
        let data_set = self.small_data_set(context_id, request, MAX_LENGTH).await?;
        let encoding = Encoding::of(&self.contexts[&context_id].transfer_syntax_uid);
        let list = || {
            let data_set = data_set.ok_or((Status::of(0x0213), "the data set is too long"))?;
            let encoding = encoding.ok_or(unreadable(Unreadable))?;
            read(request, &DataSet::new(&data_set, encoding), self.delivery.identity())
        };
        let refused = |(status, comment): NotTaken| Refusal::new(status, "list", comment);
        Ok(list().map_err(refused))
    }
}

/// A list that is not on the record: what a C-STORE calls out of resources has another Status here (PS3.7 section C.5.20).
pub(super) fn unpublished(error: PublishRefused) -> Refusal {
    Refusal { status: Status::of(0x0213), ..error.into() }
}

/// The broker remembers the list of a step that has ended, and a notification that was made, for the time in which it
/// recognises duplicates.
fn again(kind: ListKind) -> Refusal {
    match kind {
        ListKind::Mpps => Refusal {
            error_id: Some(MAY_NO_LONGER_BE_UPDATED),
            ..Refusal::new(
                Status::of(0x0110),
                "ended_step",
                "Performed Procedure Step Object may no longer be updated",
            )
        },
        ListKind::Ian | ListKind::Commitment => {
            Refusal::new(Status::of(0x0111), "list_repeated", "there is an instance of this UID")
        }
    }
}
