//! When a series, and when a study, is complete: pure state machines over the broker's time. They read no
//! clock, and know neither the catalogue nor the broker. `docs/completeness.md` draws them.

mod asking;
pub mod clock;
pub mod debounce;
mod decisions;
mod effect;
mod lists;
mod open_series;
mod pauses;
mod senders;
pub mod studies;

pub use asking::{
    AskedFor, AskedSource, Asking, MAX_FETCHED, MAX_NAMED, Phase, Question, SILENT_AFTER,
};
pub use decisions::{
    Completed, Completion, Consequences, Decided, Deletion, Disproof, Late, Lesson, StudyCompletion,
};
pub use effect::{Effect, Known};
pub use lists::List;
pub use open_series::{OpenSeries, Share};
pub use pauses::{PauseSummary, Pauses};
pub use senders::{Hint, OnDisagreement, Rules, Senders};
