//! Audit messages of the receiver (PS3.15 section A.5): which instances came from whom, and who was refused.

use super::transfers::Transfer;
use contract::event::{AssociationIdentity, Ending};
use shared::audit::{
    Action, ActiveParticipant, Auditor, Code, Draft, EventId, Outcome,
    ParticipantObjectIdentification as Object, SopClass, code,
};
use std::net::IpAddr;

/// How an association ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AssociationEnd<'a> {
    /// How.
    pub ending: Ending,
    /// Why, when it was aborted.
    pub cause: Option<&'a str>,
}

/// Instances of a study are about to come (PS3.15 A.5.3.3).
pub(crate) fn begin_transferring(
    auditor: &Auditor,
    association: &AssociationIdentity,
    study: &Transfer,
) {
    let mut draft = Draft::new(EventId::BeginTransferring, Action::Execute, Outcome::Success);
    draft.participants = between(auditor, association);
    draft.objects = objects(study);
    auditor.say(draft);
}

/// Instances of a study came (A.5.3.7). `end` is `None` for a study that is over before its association.
pub(crate) fn instances_transferred(
    auditor: &Auditor,
    association: &AssociationIdentity,
    study: &Transfer,
    end: Option<AssociationEnd<'_>>,
) {
    let Transfer { acknowledged, failed, .. } = study;
    let aborted = end.filter(|end| end.ending == Ending::Aborted);
    let outcome = match (*acknowledged, *failed, aborted) {
        (_, 0, None) => Outcome::Success,
        (0, ..) => Outcome::SeriousFailure,
        _ => Outcome::MinorFailure,
    };
    // Whether they were here before is for the indexer to find out; the standard wants "read" of a
    // receiver that does not know.
    let mut draft = Draft::new(EventId::InstancesTransferred, Action::Read, outcome);
    let mut description = format!("{acknowledged} stored, {failed} refused");
    if let Some(AssociationEnd { cause, .. }) = aborted {
        description += "; aborted: ";
        description += cause.unwrap_or("no cause");
    }
    draft.description = Some(description);
    draft.participants = between(auditor, association);
    draft.objects = objects(study);
    auditor.say(draft);
}

/// Who sends, and who receives.
fn between(auditor: &Auditor, association: &AssociationIdentity) -> Vec<ActiveParticipant> {
    let sender = ActiveParticipant::requestor(&association.calling_ae_title)
        .role(code::SOURCE)
        .from_address(&association.peer_address);
    let receiver = ActiveParticipant {
        alternative_user_id: Some(format!("AETITLE={}", association.called_ae_title)),
        ..auditor.itself().role(code::DESTINATION)
    };
    vec![sender, receiver]
}

fn objects(study: &Transfer) -> Vec<Object> {
    let mut objects = Vec::new();
    if !study.study_instance_uid.is_empty() {
        let class = |(uid, instances): (&String, &u64)| SopClass {
            uid: uid.clone(),
            number_of_instances: *instances,
        };
        objects.push(Object {
            accession: study.accessions.iter().cloned().collect(),
            sop_class: study.classes.iter().map(class).collect(),
            ..Object::study(&study.study_instance_uid)
        });
    }
    if !study.patient_id.is_empty() {
        objects.push(Object::patient(&study.patient_id));
    }
    objects
}

/// A connection or an association is refused (A.5.3.11), whatever its caller calls itself; `kind` is the type of
/// the event, and `cause` the label of a counter.
pub(crate) fn security_alert(
    auditor: &Auditor,
    peer: IpAddr,
    calling_ae_title: Option<&str>,
    cause: &str,
    kind: Code,
    why: impl ToString,
) {
    // Whoever is refused may call itself anything, and by something else each time.
    auditor.say_as((peer, cause), || {
        let mut draft = Draft::new(EventId::SecurityAlert, Action::Execute, Outcome::MinorFailure);
        let (address, why) = (peer.to_string(), why.to_string());
        draft.types.push(kind);
        draft.objects.push(Object::node(&address).detail("Alert Description", &why));
        draft.description = Some(why);
        let caller = ActiveParticipant::other(calling_ae_title.unwrap_or(&address));
        draft.participants = vec![auditor.itself(), caller.from_address(peer)];
        draft
    });
}
