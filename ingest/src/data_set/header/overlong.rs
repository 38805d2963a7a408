//! Values of which only the beginning is kept, each with the hash of all of its bytes.

use super::Tag;
use std::collections::BTreeMap;
use std::fmt;

/// Where a value stands: in the data set itself, or in an item of a sequence, by the sequence's tag and the
/// place of the item among those that are kept. What is in the items that were left out is one value more of
/// each tag.
pub type Slot = (Option<(Tag, usize)>, Tag);

/// The hashes of the values that are longer than what is kept of one. Ordinary headers have none, and
/// cost nothing here.
#[derive(Default)]
pub struct Overlong(BTreeMap<Slot, blake3::Hasher>);

impl Overlong {
    /// More bytes of a value of which no more are kept than these.
    pub(super) fn update(&mut self, place: Slot, kept: &[u8], more: &[u8]) {
        let hasher = self.0.entry(place).or_insert_with(|| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(kept);
            hasher
        });
        hasher.update(more);
    }

    /// The hash of the whole value, if only its beginning was kept.
    #[must_use]
    pub fn hash(&self, place: Slot) -> Option<blake3::Hash> {
        self.0.get(&place).map(blake3::Hasher::finalize)
    }

    /// The hash of each, in the order of their places.
    pub fn hashes(&self) -> impl Iterator<Item = (Slot, blake3::Hash)> {
        self.0.iter().map(|(place, hasher)| (*place, hasher.finalize()))
    }
}

impl PartialEq for Overlong {
    fn eq(&self, other: &Self) -> bool {
        self.hashes().eq(other.hashes())
    }
}

impl Eq for Overlong {}

impl fmt::Debug for Overlong {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_map().entries(self.hashes()).finish()
    }
}
