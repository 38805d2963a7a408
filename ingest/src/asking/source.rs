//! A source that is asked: at few associations or requests at a time, and in turn.

use super::no_answer::NoAnswer;
use super::query::{self, Counted, QuerySource};
use super::web::{self, WebSource};
use anyhow::Context as _;
use contract::event::SourceAsked;
use shared::senders::{Ask, AskAt, SenderEntry};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Associations at one time to one source: some allow few.
const AT_ONCE: usize = 2;

/// A source, and how it fared lately.
#[derive(Debug)]
pub(super) struct Source {
    way: Way,
    places: Semaphore,
    /// When it last gave no answer, and why, if the next question would fare no better.
    failed: Mutex<Option<(Instant, NoAnswer)>>,
}

/// How it is asked.
#[derive(Debug)]
pub(super) enum Way {
    /// By C-FIND.
    Dimse(QuerySource),
    /// By QIDO-RS.
    Web(Box<WebSource>),
}

impl Way {
    /// What `ask` says.
    ///
    /// # Errors
    /// When a file that it names can't be read or holds something else.
    pub(super) fn of(ask: Ask) -> anyhow::Result<Self> {
        let Ask { at, tls, .. } = ask;
        Ok(match at {
            AskAt::Dimse { ae_title, host, port } => {
                let tls = tls.as_ref().map(web::config).transpose()?.map(Arc::new);
                Self::Dimse(QuerySource { ae_title, host, port: port.get(), tls })
            }
            AskAt::Web { url, token_file } => {
                Self::Web(Box::new(WebSource::new(url, token_file.as_deref(), tls.as_ref())?))
            }
        })
    }
}

/// What `of` makes of the `ask` of each sender, for those of which it makes anything, by the AE title by which they call.
///
/// # Errors
/// When `of` fails, with the name of the sender.
pub(super) fn by_title<T>(
    senders: &[SenderEntry],
    of: impl Fn(&Ask) -> Option<anyhow::Result<T>>,
) -> anyhow::Result<HashMap<String, T>> {
    let made = senders.iter().filter_map(|SenderEntry { ae_title, ask, .. }| {
        let made = of(ask.as_ref()?)?;
        let made = made.with_context(|| format!("SOURCES_FILE: ask of {ae_title}"));
        Some(made.map(|made| (ae_title.clone(), made)))
    });
    made.collect()
}

impl Source {
    /// What `ask` says.
    ///
    /// # Errors
    /// As [`Way::of`].
    pub(super) fn new(ask: Ask) -> anyhow::Result<Self> {
        let way = Way::of(ask)?;
        Ok(Self { way, places: Semaphore::new(AT_ONCE), failed: Mutex::new(None) })
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
        let counted = match &self.way {
            Way::Dimse(source) => query::count(source, ae_title, question).await,
            Way::Web(source) => source.count(question).await,
        };
        let failed = counted.as_ref().err().filter(|why| why.is_of_all());
        *self.failed() = failed.map(|why| (Instant::now(), *why));
        counted
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<(Instant, NoAnswer)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
