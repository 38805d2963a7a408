//! A source that is asked: at few associations at a time, and in turn.

use super::no_answer::NoAnswer;
use super::query::{self, Counted};
use contract::event::SourceAsked;
use shared::senders::Ask;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Associations at one time to one source: some allow few.
const AT_ONCE: usize = 2;

/// A source, and how it fared lately.
#[derive(Debug)]
pub(super) struct Source {
    ask: Ask,
    places: Semaphore,
    /// When it last gave no answer, and why, if the next question would fare no better.
    failed: Mutex<Option<(Instant, NoAnswer)>>,
}

impl Source {
    pub(super) fn new(ask: Ask) -> Self {
        Self { ask, places: Semaphore::new(AT_ONCE), failed: Mutex::new(None) }
    }

    /// Asks it, once it is the question's turn. Questions that wait while it turns out to be dead fail with the one that
    /// found out, or a thousand of them would take hours.
    pub(super) async fn count(
        &self,
        ae_title: &str,
        question: &SourceAsked,
    ) -> Result<Counted, NoAnswer> {
        let waits_since = Instant::now();
        let Ok(_place) = self.places.acquire().await else { return Err(NoAnswer::Silent) };
        if let Some((at, why)) = *self.failed()
            && at > waits_since
        {
            return Err(why);
        }
        let counted = query::count(&self.ask, ae_title, question).await;
        let failed = counted.as_ref().err().filter(|why| why.is_of_all());
        *self.failed() = failed.map(|why| (Instant::now(), *why));
        counted
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<(Instant, NoAnswer)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
