//! The question itself: C-FIND of the Study Root Query/Retrieve Information Model (PS3.4 section C.6.2), at SERIES level
//! for the number of instances, and where a source leaves that empty at IMAGE level for each.

use super::no_answer::NoAnswer;
use contract::event::{SourceAnswered, SourceAsked};
use contract::uid::SopInstanceUid;
use dimse::Status;
use dimse::identifier::{
    self, EXPLICIT_VR_LITTLE_ENDIAN, Encoding, IMPLICIT_VR_LITTLE_ENDIAN, Key,
};
use dimse::net::{Scu, ScuError};
use dimse::proposal::Proposal;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

/// Study Root Query/Retrieve Information Model - FIND.
const STUDY_ROOT_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";

/// How long a source may take for all of it: later the rules do not wait for it any more.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// How long it may take to confirm the end of the association.
const RELEASE_LIMIT: Duration = Duration::from_secs(1);

/// Length of the PDUs that we take: a match has a few hundred bytes.
const MAX_PDU_LENGTH: u32 = 16 * 1024;

/// The most that a value of VR IS can say (PS3.5 section 6.2).
pub(super) const MAX_COUNT: u64 = (1 << 31) - 1;

pub(super) const SOP_INSTANCE_UID: u32 = 0x0008_0018;
pub(super) const QUERY_RETRIEVE_LEVEL: u32 = 0x0008_0052;
pub(super) const STUDY_INSTANCE_UID: u32 = 0x0020_000d;
pub(super) const SERIES_INSTANCE_UID: u32 = 0x0020_000e;
const NUMBER_OF_SERIES_RELATED_INSTANCES: u32 = 0x0020_1209;

/// A Query/Retrieve SCP.
#[derive(Debug)]
pub(super) struct QuerySource {
    /// Its AE title, as we call it.
    pub(super) ae_title: String,
    /// Name or address of its host.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// For TLS, if that is spoken.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl QuerySource {
    /// An association for one SOP class.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn open(
        &self,
        ae_title: &str,
        sop_class_uid: &str,
        limit: Duration,
    ) -> Result<Scu, ScuError> {
        let proposal = Proposal {
            calling_ae_title: ae_title.to_owned(),
            called_ae_title: self.ae_title.clone(),
            contexts: vec![(
                sop_class_uid.to_owned(),
                [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN].map(str::to_owned).into(),
            )],
            max_pdu_length: MAX_PDU_LENGTH,
        };
        let to = (self.host.as_str(), self.port);
        match &self.tls {
            None => Scu::open(to, &proposal, limit).await,
            Some(tls) => Scu::open_over_tls(to, tls.clone(), &proposal, limit).await,
        }
    }
}

/// How many instances a source has of a series.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) count: u64,
    /// Which they are, where each was asked for and they are not too many to name.
    pub(super) instances: Vec<SopInstanceUid>,
}

/// Asks a source, under our AE title.
pub(super) async fn count(
    source: &QuerySource,
    ae_title: &str,
    question: &SourceAsked,
) -> Result<Counted, NoAnswer> {
    let asked = async {
        let mut scu = source.open(ae_title, STUDY_ROOT_FIND, LIMIT).await?;
        let counted = Query::new(&scu, question)?.count(&mut scu).await?;
        Ok::<_, NoAnswer>((scu, counted))
    };
    let (scu, counted) = timeout(LIMIT, asked).await.map_err(|_| NoAnswer::Silent)??;
    // The answer is there, whatever becomes of the association.
    let released = timeout(RELEASE_LIMIT, scu.release()).await;
    tracing::debug!(?released, "asked");
    Ok(counted)
}

/// A question within an open association.
struct Query<'a> {
    question: &'a SourceAsked,
    context_id: u8,
    encoding: Encoding,
}

impl<'a> Query<'a> {
    fn new(scu: &Scu, question: &'a SourceAsked) -> Result<Self, NoAnswer> {
        let context = scu.negotiated().contexts.first().ok_or(NoAnswer::NoContext)?;
        let encoding = Encoding::of(&context.transfer_syntax).ok_or(NoAnswer::NoContext)?;
        Ok(Self { question, context_id: context.id, encoding })
    }

    async fn count(&self, scu: &mut Scu) -> Result<Counted, NoAnswer> {
        if self.question.names {
            return self.instances(scu).await;
        }
        let count = Key { tag: NUMBER_OF_SERIES_RELATED_INSTANCES, vr: *b"IS", value: "" };
        let keys = [self.level("SERIES"), self.study(), self.series(), count];
        let (mut highest, mut is_empty) = (0, false);
        let wanted = [SERIES_INSTANCE_UID, NUMBER_OF_SERIES_RELATED_INSTANCES];
        self.find(scu, &keys, wanted, |[series, count]| {
            if !self.is_of_series(series) {
                return Ok(());
            }
            match count.unwrap_or_default() {
                "" => is_empty = true,
                count => highest = highest.max(number(count)?),
            }
            Ok(())
        })
        .await?;
        match is_empty {
            true => self.instances(scu).await,
            false => Ok(Counted { count: highest, instances: Vec::new() }),
        }
    }

    /// Counts the matches at IMAGE level.
    async fn instances(&self, scu: &mut Scu) -> Result<Counted, NoAnswer> {
        let instance = Key { tag: SOP_INSTANCE_UID, vr: *b"UI", value: "" };
        let keys = [instance, self.level("IMAGE"), self.study(), self.series()];
        let mut counted = Counted::default();
        let mut names_all = true;
        let wanted = [SERIES_INSTANCE_UID, SOP_INSTANCE_UID];
        self.find(scu, &keys, wanted, |[series, instance]| {
            if !self.is_of_series(series) {
                return Ok(());
            }
            counted.count += 1;
            names_all &= counted.instances.len() < SourceAnswered::MAX_INSTANCES;
            match SopInstanceUid::parse(instance.unwrap_or_default()) {
                Ok(instance) if names_all => counted.instances.push(instance),
                Ok(_) => counted.instances = Vec::new(),
                Err(_) => return Err(NoAnswer::Unreadable),
            }
            Ok(())
        })
        .await?;
        if names_all {
            counted.instances.sort_unstable();
            counted.instances.dedup();
            counted.count = counted.instances.len() as u64;
        }
        Ok(counted)
    }

    async fn find<const N: usize>(
        &self,
        scu: &mut Scu,
        keys: &[Key<'_>],
        wanted: [u32; N],
        mut matched: impl FnMut([Option<&str>; N]) -> Result<(), NoAnswer>,
    ) -> Result<(), NoAnswer> {
        let identifier = identifier::write(keys, self.encoding);
        let matched = |identifier: &[u8]| {
            let read = identifier::read(identifier, self.encoding, wanted);
            matched(read.map_err(|_| NoAnswer::Unreadable)?)
        };
        let ended = scu.find(self.context_id, STUDY_ROOT_FIND, &identifier, matched).await?;
        match ended.status {
            Status::Success => Ok(()),
            _ => Err(NoAnswer::Refused),
        }
    }

    /// Some answer with more series than they are asked for.
    fn is_of_series(&self, series: Option<&str>) -> bool {
        series.is_none_or(|series| series == self.question.series_instance_uid.as_str())
    }

    fn level(&self, level: &'static str) -> Key<'static> {
        Key { tag: QUERY_RETRIEVE_LEVEL, vr: *b"CS", value: level }
    }

    fn study(&self) -> Key<'_> {
        let value = self.question.study_instance_uid.as_deref().unwrap_or_default();
        Key { tag: STUDY_INSTANCE_UID, vr: *b"UI", value }
    }

    fn series(&self) -> Key<'_> {
        let value = self.question.series_instance_uid.as_str();
        Key { tag: SERIES_INSTANCE_UID, vr: *b"UI", value }
    }
}

fn number(text: &str) -> Result<u64, NoAnswer> {
    let number = text.trim_start_matches('+').parse().ok();
    number.filter(|number| *number <= MAX_COUNT).ok_or(NoAnswer::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_number_that_the_standard_can_say() {
        for (text, read) in [
            ("0", Ok(0)),
            ("+17", Ok(17)),
            ("2147483647", Ok(MAX_COUNT)),
            ("2147483648", Err(NoAnswer::Unreadable)),
            ("-1", Err(NoAnswer::Unreadable)),
            ("17\\17", Err(NoAnswer::Unreadable)),
            ("many", Err(NoAnswer::Unreadable)),
        ] {
            assert_eq!(number(text), read, "{text}");
        }
    }
}
