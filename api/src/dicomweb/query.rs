//! The query of a QIDO-RS request (PS3.18 sections 8.3.4 and 10.6.1): the search, and
//! the attributes to return.

use crate::http::matching::{MAX_UIDS, is_attribute, matching, with_lists};
use catalog::{Attribute, Level, LevelSearch, Matching, attributes_of, keyword};
use contract::attributes::{Qido, REQUEST_ATTRIBUTES};
use std::collections::HashSet;

/// The most results of one answer; the rest can be asked for by `offset`.
pub const MAX_RESULTS: u32 = 1000;

/// What is said when fuzzy matching is asked for, in the words of the standard.
pub const FUZZY: &str =
    "The fuzzymatching parameter is not supported. Only literal matching has been performed.";

/// The same of the other ways of matching that may be asked for (PS3.18 section 8.3.4.1).
pub const EMPTY_VALUES: &str =
    "The emptyvaluematching parameter is not supported. Only literal matching has been performed.";
/// See [`EMPTY_VALUES`].
pub const MULTIPLE_VALUES: &str = "The multiplevaluematching parameter is not supported. Only \
     literal matching has been performed.";

/// What is said when something was passed over that is not supported as a key.
pub const PASSED_OVER: &str =
    "Attributes that are not supported as matching keys or return keys were ignored.";

/// A query that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The search.
    pub search: LevelSearch,
    /// Whether we, not the client, decided how many results there are at most.
    pub is_cut: bool,
    /// What the client is to be warned of.
    pub warnings: Vec<&'static str>,
}

/// What is wrong with a query: the parameter, and why.
pub type Wrong = (String, &'static str);

/// The attributes that are returned at a level, asked for or not.
fn always(level: Level) -> impl Iterator<Item = &'static Attribute> {
    attributes_of(level).filter(|attribute| attribute.qido == Qido::Always)
}

/// A resource: what is listed, and the study and series that its path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What is listed.
    pub level: Level,
    /// The study in which.
    pub study: Option<String>,
    /// The series in which.
    pub series: Option<String>,
}

impl Query {
    /// Understands the parameters of a resource.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn new(resource: &Resource, parameters: &[(String, String)]) -> Result<Self, Wrong> {
        let mut query = Self::of(resource);
        let mut seen = HashSet::new();
        for (name, value) in &with_lists(parameters) {
            let wrong = |why| (plain(name), why);
            if value.len() > MAX_UIDS {
                return Err(wrong("is too long"));
            }
            if name != "includefield" && !seen.insert(name) {
                return Err(wrong("is there twice"));
            }
            let asked = |warning| match value.as_str() {
                "true" => Ok(Some(warning)),
                "false" => Ok(None),
                _ => Err("must be true or false"),
            };
            match name.as_str() {
                "limit" => query.limit(number(value).map_err(wrong)?),
                "offset" => query.search.offset = number(value).map_err(wrong)?,
                "fuzzymatching" => query.warn(asked(FUZZY).map_err(wrong)?),
                "emptyvaluematching" => query.warn(asked(EMPTY_VALUES).map_err(wrong)?),
                "multiplevaluematching" => query.warn(asked(MULTIPLE_VALUES).map_err(wrong)?),
                // The same as the header; see the answer.
                "accept" => {}
                "includefield" => value.split(',').for_each(|name| query.include(name)),
                name if is_attribute(name) => query.matching(name, value).map_err(wrong)?,
                _ => return Err(wrong("is no attribute by keyword or tag, and no parameter")),
            }
        }
        Ok(query)
    }

    fn of(resource: &Resource) -> Self {
        let mut attributes: Vec<&Attribute> = Vec::new();
        let mut matching = Vec::new();
        let uids = [
            (&resource.study, keyword::StudyInstanceUID),
            (&resource.series, keyword::SeriesInstanceUID),
        ];
        for (uid, attribute) in uids {
            if let Some(uid) = uid {
                matching.push((attribute, Matching::Equals(uid.clone())));
                attributes.push(attribute);
            }
        }
        // Of the levels above, what the path does not name already.
        let named = [resource.study.is_some(), resource.series.is_some(), false];
        for (level, named) in Level::ALL.into_iter().zip(named) {
            if level <= resource.level && (!named || level == resource.level) {
                attributes.extend(always(level));
            }
        }
        let search = LevelSearch {
            level: resource.level,
            matching,
            requested: Vec::new(),
            attributes,
            offset: 0,
            limit: MAX_RESULTS,
            with_objects: false,
        };
        Self { search, is_cut: true, warnings: Vec::new() }
    }

    fn warn(&mut self, warning: impl Into<Option<&'static str>>) {
        if let Some(warning) = warning.into()
            && !self.warnings.contains(&warning)
        {
            self.warnings.push(warning);
        }
    }

    fn limit(&mut self, limit: u32) {
        self.is_cut = limit > MAX_RESULTS;
        self.search.limit = limit.min(MAX_RESULTS);
    }

    /// Tells an attribute too.
    fn include(&mut self, name: &str) {
        let level = self.search.level;
        if name == "all" {
            for level in Level::ALL {
                if level <= self.search.level {
                    attributes_of(level).for_each(|attribute| self.tell(attribute));
                }
            }
            return;
        }
        match Attribute::find(name).filter(|attribute| Level::of(attribute) <= level) {
            Some(attribute) => self.tell(attribute),
            // It is always told, or not known.
            None => self.warn(PASSED_OVER),
        }
    }

    fn tell(&mut self, attribute: &'static Attribute) {
        if !self.search.attributes.contains(&attribute) {
            self.search.attributes.push(attribute);
        }
    }

    /// Searches by an attribute; what has no value is told and matches everything.
    fn matching(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        if let Some((sequence, inner)) = name.split_once('.') {
            return self.requested(sequence, inner, value);
        }
        let level = self.search.level;
        let found = Attribute::find(name).map(|attribute| match level {
            // What is asked of a study by modality can only mean this.
            Level::Study if attribute == keyword::Modality => keyword::ModalitiesInStudy,
            _ => attribute,
        });
        let Some(attribute) =
            found.filter(|found| Level::of(found) <= level && found.is_matching_key())
        else {
            self.warn(PASSED_OVER);
            return Ok(());
        };
        self.tell(attribute);
        if let Some(matching) = matching(attribute, value)? {
            self.search.matching.push((attribute, matching));
        }
        Ok(())
    }

    /// Searches by an attribute of the items of a sequence.
    fn requested(&mut self, sequence: &str, inner: &str, value: &str) -> Result<(), &'static str> {
        let is_ours = Attribute::find(sequence) == Some(keyword::RequestAttributesSequence);
        let known = REQUEST_ATTRIBUTES
            .iter()
            .find(|attribute| inner == attribute.keyword || inner == attribute.hex_tag());
        let (true, true, Some(attribute)) = (is_ours, self.search.level >= Level::Series, known)
        else {
            self.warn(PASSED_OVER);
            return Ok(());
        };
        // An item's are text of a single value, as that of the request itself is.
        if let Some(matching) = matching(keyword::StudyID, value)? {
            self.search.requested.push((attribute.keyword, matching));
        }
        Ok(())
    }
}

fn number(value: &str) -> Result<u32, &'static str> {
    value.parse().map_err(|_| "must be a number that is not negative")
}

/// The name of a parameter, where it looks like one.
fn plain(name: &str) -> String {
    let is_plain = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    if is_plain { name.to_owned() } else { "query".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(level: Level, parameters: &[(&str, &str)]) -> Result<Query, Wrong> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let parameters: Vec<_> = parameters.iter().map(owned).collect();
        Query::new(&Resource { level, study: None, series: None }, &parameters)
    }

    #[test]
    fn a_key_that_is_there_twice_is_a_list() {
        let text = |text: &str| Matching::Equals(text.to_owned());
        let twice =
            [("00080061", "CT"), ("ModalitiesInStudy", "MR,US"), ("ModalitiesInStudy", "SR")];
        let query = query(Level::Study, &twice).unwrap().search;
        let [one, several] = query.matching.as_slice() else { panic!("{:?}", query.matching) };
        assert_eq!(one.1, text("CT"));
        assert_eq!(several.1, Matching::Any(["MR", "US", "SR"].map(text).to_vec()));
    }

    #[test]
    fn what_is_no_parameter_is_refused_and_what_is_no_key_is_passed_over() {
        for (name, value) in [
            ("limit", "-1"),
            ("offset", "x"),
            ("fuzzymatching", "yes"),
            ("StudyDate", "today"),
            ("patient", "7"),
            ("emptyvaluematching", "yes"),
            ("PatientID", &"7".repeat(1025)),
            ("'; drop table series; --", "7"),
        ] {
            query(Level::Study, &[(name, value)]).unwrap_err();
        }
        query(Level::Study, &[("limit", "7"), ("limit", "8")]).unwrap_err();
        query(Level::Study, &[("includefield", "all"), ("includefield", "StudyID")]).unwrap();
        for name in ["fuzzymatching", "emptyvaluematching", "multiplevaluematching"] {
            let asked = query(Level::Study, &[(name, "true"), ("PatientID", "7")]).unwrap();
            assert_eq!((asked.warnings.len(), asked.search.matching.len()), (1, 1), "{name}");
            assert!(query(Level::Study, &[(name, "false")]).unwrap().warnings.is_empty());
        }
        for name in ["PatientAge", "00101010", "SeriesNumber", "NumberOfStudyRelatedSeries"] {
            let query = query(Level::Study, &[(name, "7")]).unwrap();
            assert_eq!((query.warnings, query.search.matching.len()), (vec![PASSED_OVER], 0));
        }
    }

    #[test]
    fn our_own_limit_is_told_from_the_clients() {
        assert!(query(Level::Series, &[]).unwrap().is_cut);
        let ten = query(Level::Series, &[("limit", "10")]).unwrap();
        assert_eq!((ten.is_cut, ten.search.limit), (false, 10));
        let many = query(Level::Series, &[("limit", "999999")]).unwrap();
        assert_eq!((many.is_cut, many.search.limit), (true, MAX_RESULTS));
    }
}
