//! The references to instances that a list is made of (PS3.3 table 10-11), whatever service it comes by, and how long one may be.

use contract::event::{AssociationIdentity, InstancesListed, ListKind, ListedInstances};
use contract::uid::{SeriesInstanceUid, SopInstanceUid, is_legal_uid};
use dimse::Status;
use dimse::data_set::DataSet;
use dimse::identifier::Unreadable;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Longest data set of a list, in bytes: 10,000 instances with UIDs of 64 characters.
pub(crate) const MAX_LENGTH: usize = 2 * 1024 * 1024;

pub(super) const REFERENCED_SOP_SEQUENCE: u32 = 0x0008_1199;
pub(super) const REFERENCED_SOP_CLASS_UID: u32 = 0x0008_1150;
pub(super) const REFERENCED_SOP_INSTANCE_UID: u32 = 0x0008_1155;
pub(super) const SERIES_INSTANCE_UID: u32 = 0x0020_000e;

/// Why a list is not taken: a Status of the N-services (PS3.7 annex C), and what to say.
pub(crate) type NotTaken = (Status, &'static str);

/// Of a data set that can't be read.
pub(crate) fn unreadable(_: Unreadable) -> NotTaken {
    (Status::of(0x0110), "the data set can't be read")
}

/// The UID of an element; `None` where it has none.
pub(super) fn uid<'a>(of: &DataSet<'a>, tag: u32) -> Result<Option<&'a str>, NotTaken> {
    Ok(of.text(tag).map_err(unreadable)?.filter(|uid| is_legal_uid(uid)))
}

/// References as they are read, by series and SOP class.
#[derive(Debug)]
pub(super) struct References {
    named: BTreeMap<(Option<SeriesInstanceUid>, String), Vec<SopInstanceUid>>,
    count: usize,
    /// The Status where a UID is none, which is not the same for each service.
    no_uid: Status,
}

impl References {
    /// None yet.
    pub(super) fn new(no_uid: Status) -> Self {
        Self { named: BTreeMap::new(), count: 0, no_uid }
    }

    /// Adds what the items of a sequence refer to, all of one series, where that is named.
    ///
    /// # Errors
    /// When an item refers to nothing, or there are too many.
    pub(super) fn add(
        &mut self,
        series: Option<&SeriesInstanceUid>,
        items: &[DataSet<'_>],
    ) -> Result<(), NotTaken> {
        self.count += items.len();
        if self.count > InstancesListed::MAX_INSTANCES {
            return Err((Status::of(0x0213), "more than 10,000 instances; name fewer at a time"));
        }
        for item in items {
            let class = uid(item, REFERENCED_SOP_CLASS_UID)?;
            let instance = uid(item, REFERENCED_SOP_INSTANCE_UID)?;
            let instance = instance.and_then(|uid| SopInstanceUid::parse(uid).ok());
            let (Some(class), Some(instance)) = (class, instance) else {
                return Err((self.no_uid, "a Referenced SOP Class or Instance UID is no UID"));
            };
            self.named.entry((series.cloned(), class.to_owned())).or_default().push(instance);
        }
        Ok(())
    }

    /// As [`References::add`], for a series that an item of another sequence names beside its instances.
    ///
    /// # Errors
    /// As [`References::add`], or when the series is none.
    pub(super) fn add_of_series(
        &mut self,
        series: &DataSet<'_>,
        items: &[DataSet<'_>],
    ) -> Result<(), NotTaken> {
        if items.is_empty() {
            return Ok(());
        }
        let series = uid(series, SERIES_INSTANCE_UID)?;
        let series = series.and_then(|uid| SeriesInstanceUid::parse(uid).ok());
        let none = (self.no_uid, "a Series Instance UID (0020,000E) is no UID");
        self.add(Some(&series.ok_or(none)?), items)
    }

    /// The list of them.
    ///
    /// # Errors
    /// When it is too long for one message of NATS.
    pub(super) fn finish(
        self,
        kind: ListKind,
        list_uid: &str,
        discontinued: bool,
        identity: &AssociationIdentity,
    ) -> Result<InstancesListed, NotTaken> {
        let of = |((series_instance_uid, sop_class_uid), sop_instance_uids)| ListedInstances {
            series_instance_uid,
            sop_class_uid,
            sop_instance_uids,
        };
        let listed = InstancesListed {
            kind,
            list_uid: list_uid.to_owned(),
            discontinued,
            calling_ae_title: identity.calling_ae_title.clone(),
            association_id: identity.association_id.clone(),
            node_name: identity.node_name.clone(),
            instances: self.named.into_iter().map(of).collect(),
            listed_at: Timestamp::now(),
        };
        let length = serde_json::to_vec(&listed).map_or(usize::MAX, |json| json.len());
        match length <= InstancesListed::MAX_BYTES {
            true => Ok(listed),
            false => Err((Status::of(0x0213), "the list is too long; name fewer series at a time")),
        }
    }
}
