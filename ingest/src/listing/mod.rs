//! Peers that list instances: storage commitment (Push Model, PS3.4 annex J), performed procedure steps (MPPS, section F.7) and
//! notifications of availability (IAN, annex R). Takes their lists as evidence of completeness, and reports on requests for
//! commitment. Runs only where SOURCES_FILE has a source with one of them.

pub(crate) mod availability;
pub(crate) mod commitment;
pub(crate) mod performed_step;
mod references;
mod reporter;
mod transactions;

pub(crate) use references::{MAX_LENGTH, NotTaken, unreadable};
pub(crate) use reporter::Reporter;
pub(crate) use transactions::Transactions;

use contract::event::ListKind;
use shared::senders::{ReportTo, SenderEntry};
use std::collections::HashMap;
use std::sync::Arc;

/// The SOP class of a service that lists instances.
fn sop_class_uid(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Commitment => commitment::PUSH_MODEL,
        ListKind::Mpps => performed_step::PERFORMED_STEP,
        ListKind::Ian => availability::NOTIFICATION,
    }
}

/// A peer that may list instances.
#[derive(Debug)]
struct Peer {
    /// The SOP classes that are taken of it beside storage.
    services: Vec<&'static str>,
    /// Where reports go that can't use the association of the request.
    report_to: Option<ReportTo>,
}

/// Who may list instances, and what is open of it. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    /// By the AE title by which they call.
    peers: Arc<HashMap<String, Peer>>,
    /// Reports that an open association will make.
    pub(crate) transactions: Transactions,
}

impl Listing {
    /// Of the sources that may.
    pub(crate) fn of(senders: &[SenderEntry]) -> Self {
        let peer = |sender: &SenderEntry| {
            let services: Vec<_> = sender.lists().map(sop_class_uid).collect();
            let peer = Peer { services, report_to: sender.report_to.clone() };
            (!peer.services.is_empty()).then(|| (sender.ae_title.clone(), peer))
        };
        let peers = senders.iter().filter_map(peer).collect();
        Self { peers: Arc::new(peers), transactions: Transactions::default() }
    }

    /// Whether anybody may ask for commitments, so that there are reports.
    pub(crate) fn reports(&self) -> bool {
        self.peers.values().any(|peer| peer.services.contains(&commitment::PUSH_MODEL))
    }

    /// The SOP classes beside storage that are taken of a peer.
    pub(crate) fn services(&self, calling_ae_title: &str) -> &[&'static str] {
        self.peers.get(calling_ae_title).map_or(&[], |peer| &peer.services)
    }

    fn report_to(&self, calling_ae_title: &str) -> Option<&ReportTo> {
        self.peers.get(calling_ae_title)?.report_to.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use contract::event::AssociationIdentity;
    use dimse::data_set::Writer;
    use dimse::identifier::Encoding;

    pub(super) fn identity() -> AssociationIdentity {
        AssociationIdentity {
            association_id: "a".into(),
            calling_ae_title: "MR1".into(),
            called_ae_title: String::new(),
            peer_address: String::new(),
            node_name: "node".into(),
            tls: None,
        }
    }

    /// A reference to an MR image.
    pub(super) fn instance(number: usize) -> Writer {
        let mut item = Writer::new(Encoding::Explicit);
        item.uid(0x0008_1150, "1.2.840.10008.5.1.4.1.1.4");
        item.uid(0x0008_1155, &format!("1.5.{number}"));
        item
    }

    /// A series and the references to its instances, in one of its sequences.
    pub(super) fn series(
        uid: &str,
        sequence: u32,
        instances: impl IntoIterator<Item = Writer>,
    ) -> Writer {
        let mut item = Writer::new(Encoding::Explicit);
        item.uid(0x0020_000e, uid);
        item.sequence(sequence, instances);
        item
    }
}
