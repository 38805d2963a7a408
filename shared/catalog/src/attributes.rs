//! The levels of a search, and which attributes each has. The table of attributes is the contract's.

use contract::attributes::{self, ATTRIBUTES, Attribute, Qido};

/// What is searched for, and the level of an attribute in a search (PS3.4 section C.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// A study, with its patient.
    Study,
    /// A series.
    Series,
    /// An instance.
    Instance,
}

impl Level {
    /// All of them, the highest first.
    pub const ALL: [Self; 3] = [Self::Study, Self::Series, Self::Instance];

    /// The level that an attribute is of.
    #[must_use]
    pub fn of(attribute: &Attribute) -> Self {
        use attributes::Level;
        match attribute.level {
            Level::Patient | Level::Study | Level::DataSet => Self::Study,
            Level::Series => Self::Series,
            Level::Instance => Self::Instance,
        }
    }
}

/// The attributes of a level that QIDO-RS knows.
pub fn attributes_of(level: Level) -> impl Iterator<Item = &'static Attribute> {
    attributes_in(ATTRIBUTES, level)
}

/// The same of another table.
fn attributes_in(
    table: &'static [Attribute],
    level: Level,
) -> impl Iterator<Item = &'static Attribute> {
    table
        .iter()
        .filter(move |attribute| attribute.qido != Qido::Hidden && Level::of(attribute) == level)
}

/// Where an attribute is that belongs to the series of a study: asked of any of them.
pub(crate) const MODALITIES_IN_STUDY: &str = "ModalitiesInStudy";

#[cfg(test)]
mod tests {
    use super::*;
    use contract::attributes::keyword;

    #[test]
    fn an_attribute_that_is_added_is_known_at_its_level() {
        let laterality = Attribute {
            tag: 0x0020_0060,
            keyword: "Laterality",
            qido: Qido::Always,
            ..*keyword::BodyPartExamined
        };
        let table: &'static [Attribute] = [ATTRIBUTES, &[laterality]].concat().leak();
        for (level, known) in Level::ALL.into_iter().zip([false, true, false]) {
            assert_eq!(attributes_in(table, level).any(|it| *it == laterality), known, "{level:?}");
        }
        for name in ["Laterality", "00200060"] {
            assert_eq!(Attribute::find_in(table, name), Some(&laterality));
        }
    }
}
