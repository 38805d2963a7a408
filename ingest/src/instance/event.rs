//! The event of an instance that was received whole.

use super::identity::InstanceIdentity;
use super::pseudonyms::Pseudonyms;
use crate::data_set::attributes;
use crate::data_set::header::Header;
use contract::event::{AssociationIdentity, InstanceStored};
use contract::uid::StudyInstanceUid;
use jiff::Timestamp;

/// An instance that was received whole, and how it came.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    /// The header of its data set.
    pub header: &'a Header,
    /// Length of its data set in bytes.
    pub bytes: u64,
    /// Transfer syntax of the presentation context that it came through.
    pub transfer_syntax_uid: &'a str,
    /// The association that it came through.
    pub association: &'a AssociationIdentity,
    /// Its place among the C-STOREs of the association, from 1.
    pub ordinal: u64,
    /// Its place among the instances of its series that the association stored, from 1.
    pub series_ordinal: u64,
    /// What its patient is called by, where that is not as it says.
    pub pseudonyms: Option<&'a Pseudonyms>,
    /// When it was complete.
    pub received_at: Timestamp,
}

impl Arrival<'_> {
    /// The event of the instance.
    #[must_use]
    pub(crate) fn event(&self, identity: InstanceIdentity) -> InstanceStored {
        let InstanceIdentity {
            sop_class_uid,
            sop_instance_uid,
            study_instance_uid,
            series_instance_uid,
        } = identity;
        let (mut attributes, mut remarks) = attributes::decode(self.header);
        // Before the digest, with which anybody could try names otherwise.
        if let Some(pseudonyms) = self.pseudonyms {
            pseudonyms.replace(&mut attributes, &mut remarks);
        }
        let digest = attributes::digest(
            [
                &sop_class_uid,
                sop_instance_uid.as_str(),
                study_instance_uid.as_ref().map_or("", StudyInstanceUid::as_str),
                series_instance_uid.as_str(),
            ],
            &attributes,
            self.header,
        );
        let association = self.association.clone();
        InstanceStored {
            sop_instance_uid,
            sop_class_uid,
            series_instance_uid,
            study_instance_uid,
            attributes,
            remarks,
            transfer_syntax_uid: attributes::bounded_uid(self.transfer_syntax_uid).into_owned(),
            bytes: self.bytes,
            digest,
            object: None,
            calling_ae_title: association.calling_ae_title,
            called_ae_title: association.called_ae_title,
            peer_address: association.peer_address,
            association_id: association.association_id,
            node_name: association.node_name,
            ordinal: self.ordinal,
            series_ordinal: self.series_ordinal,
            received_at: self.received_at,
        }
    }
}
