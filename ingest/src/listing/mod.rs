//! Peers that list instances: Storage Commitment Service Class, Push Model (PS3.4 annex J). Takes their lists as evidence of
//! completeness, and reports on them. Runs only where SOURCES_FILE has a source with `commitment`.

pub(crate) mod commitment;
mod reporter;
mod transactions;

pub(crate) use reporter::Reporter;
pub(crate) use transactions::Transactions;

use shared::senders::{Commitment, ReportTo, SenderEntry};
use std::collections::HashMap;
use std::sync::Arc;

/// Who may list instances, and what is open of it. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    /// By the AE title by which they call: where reports go that can't use the association of the request.
    peers: Arc<HashMap<String, Option<ReportTo>>>,
    /// Reports that an open association will make.
    pub(crate) transactions: Transactions,
}

impl Listing {
    /// Of the sources that ask for commitments.
    pub(crate) fn of(senders: &[SenderEntry]) -> Self {
        let asking = senders.iter().filter(|it| it.commitment != Commitment::Off);
        let peers = asking.map(|it| (it.ae_title.clone(), it.report_to.clone())).collect();
        Self { peers: Arc::new(peers), transactions: Transactions::default() }
    }

    /// Whether anybody may.
    pub(crate) fn is_on(&self) -> bool {
        !self.peers.is_empty()
    }

    /// The SOP classes beside storage that are taken of a peer.
    pub(crate) fn services(&self, calling_ae_title: &str) -> &'static [&'static str] {
        match self.peers.contains_key(calling_ae_title) {
            true => &[commitment::PUSH_MODEL],
            false => &[],
        }
    }

    fn report_to(&self, calling_ae_title: &str) -> Option<&ReportTo> {
        self.peers.get(calling_ae_title)?.as_ref()
    }
}
