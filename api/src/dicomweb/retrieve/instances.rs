//! The instances that a retrieval is for, as the catalogue has them: one after the other, a page of them in memory.

use blake3::Hasher;
use catalog::{CatalogError, CatalogReader, StoredInstance, StoredOrder, StoredSearch};
use contract::uid::StudyInstanceUid;
use std::collections::{BTreeSet, VecDeque};

/// Instances that are read from the catalogue at a time.
const PAGE: u32 = 1000;

/// Which instances: those of a study, of a series of it, or one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) study: StudyInstanceUid,
    pub(crate) series: Option<String>,
    pub(crate) instance: Option<String>,
}

/// The instances of a target, series by series.
#[derive(Debug)]
pub(crate) struct Instances {
    catalog: CatalogReader,
    target: Target,
    order: StoredOrder,
    /// Those that are not begun; nothing before they are known.
    series: Option<VecDeque<String>>,
    /// The one that is being read, and its last instance so far.
    current: Option<(StoredSearch, Option<StoredInstance>)>,
    page: VecDeque<StoredInstance>,
}

impl Instances {
    /// As people look at them.
    pub(crate) fn of(catalog: &CatalogReader, target: &Target) -> Self {
        Self::ordered(catalog, target, StoredOrder::Number)
    }

    fn ordered(catalog: &CatalogReader, target: &Target, order: StoredOrder) -> Self {
        let series = target.series.clone().map(|series| VecDeque::from([series]));
        let (catalog, target) = (catalog.clone(), target.clone());
        Self { catalog, target, order, series, current: None, page: VecDeque::new() }
    }

    /// The next one, kept or not.
    pub(crate) async fn next(&mut self) -> Result<Option<StoredInstance>, CatalogError> {
        loop {
            if let Some(next) = self.page.pop_front() {
                return Ok(Some(next));
            }
            if let Some((search, after)) = &mut self.current {
                let page = self.catalog.stored_instances(search, after.as_ref(), PAGE).await?;
                *after = page.last().cloned();
                if (page.len() as u64) < u64::from(PAGE) {
                    self.current = None;
                }
                self.page = page.into();
                continue;
            }
            let series = match &mut self.series {
                Some(series) => series,
                none => {
                    let found = self.catalog.series_of_study(&self.target.study).await?;
                    none.insert(found.into())
                }
            };
            let Some(series) = series.pop_front() else { return Ok(None) };
            let Target { study, instance, .. } = self.target.clone();
            let order = self.order;
            self.current = Some((StoredSearch { study, series, instance, order }, None));
        }
    }
}

/// What there is of a target, before anything is served.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Instances in the catalogue.
    pub(crate) catalogued: u64,
    /// Those of them that are in the instance store.
    pub(crate) kept: u64,
    /// Their transfer syntaxes.
    pub(crate) transfer_syntaxes: BTreeSet<String>,
    /// The first of them.
    pub(crate) first: Option<StoredInstance>,
    /// Of the hashes of them all.
    content: Hasher,
}

impl Survey {
    /// Looks at each instance.
    pub(crate) async fn of(catalog: &CatalogReader, target: &Target) -> Result<Self, CatalogError> {
        let mut survey = Self {
            catalogued: 0,
            kept: 0,
            transfer_syntaxes: BTreeSet::new(),
            first: None,
            content: Hasher::new(),
        };
        // In any order that is always the same: here the cheapest.
        let mut instances = Instances::ordered(catalog, target, StoredOrder::Arrival);
        while let Some(instance) = instances.next().await? {
            survey.catalogued += 1;
            let Some(object) = instance.object() else { continue };
            survey.kept += 1;
            survey.content.update(object.blake3.as_bytes());
            if !survey.transfer_syntaxes.contains(&instance.transfer_syntax_uid) {
                survey.transfer_syntaxes.insert(instance.transfer_syntax_uid.clone());
            }
            survey.first.get_or_insert(instance);
        }
        Ok(survey)
    }

    /// The entity tag of what is made of all of them and of `how` it is made.
    pub(crate) fn tag(&self, how: &str) -> String {
        let mut content = self.content.clone();
        content.update(how.as_bytes());
        format!("\"{}\"", &content.finalize().to_hex()[..32])
    }
}
