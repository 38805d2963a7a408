//! The parameters of lists of series that no other list has.

use crate::http::parameters::{choice_schema, choose, names, parameter};
use catalog::{Listed, SeriesOrder};
use contract::event::Source;

/// Which series by their state.
#[derive(Debug, Clone, Copy)]
pub struct State(pub Listed);

const STATES: [(&str, State); 3] = [
    ("complete", State(Listed::Complete)),
    ("receiving", State(Listed::Receiving)),
    ("all", State(Listed::All)),
];

parameter!(State, choice_schema(&names(&STATES), Some("complete")), |text| choose(&STATES, text));

/// What series are sorted by.
#[derive(Debug, Clone, Copy)]
pub struct Sort {
    /// The key.
    pub order: SeriesOrder,
    /// Whether the greatest comes first.
    pub descending: bool,
}

const fn sort(order: SeriesOrder, descending: bool) -> Sort {
    Sort { order, descending }
}

const SORTS: [(&str, Sort); 8] = [
    ("FirstCompletedAt", sort(SeriesOrder::FirstCompleted, false)),
    ("-FirstCompletedAt", sort(SeriesOrder::FirstCompleted, true)),
    ("CompletedAt", sort(SeriesOrder::Completed, false)),
    ("-CompletedAt", sort(SeriesOrder::Completed, true)),
    ("Arrival", sort(SeriesOrder::Arrival, false)),
    ("-Arrival", sort(SeriesOrder::Arrival, true)),
    ("StudyDate", sort(SeriesOrder::StudyDate, false)),
    ("-StudyDate", sort(SeriesOrder::StudyDate, true)),
];

parameter!(Sort, choice_schema(&names(&SORTS), None), |text| choose(&SORTS, text));

/// How a series came to be known.
#[derive(Debug, Clone, Copy)]
pub struct Origin(pub Source);

const SOURCES: [(&str, Origin); 2] =
    [("dicom", Origin(Source::Dicom)), ("api", Origin(Source::Api))];

parameter!(Origin, choice_schema(&names(&SOURCES), None), |text| choose(&SOURCES, text));
