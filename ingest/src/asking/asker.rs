//! Takes questions, asks, and publishes what came of it.

use super::no_answer::NoAnswer;
use super::query::Counted;
use super::source::{Source, by_title};
use crate::errands::{self, Outcomes};
use crate::settings::Settings;
use async_nats::jetstream::Context;
use async_nats::{Client, Message};
use contract::event::{SourceAnswered, SourceAsked};
use jiff::Timestamp;
use shared::errands::QUESTIONS;
use shared::metrics::Metrics;
use shared::senders::SenderEntry;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Questions of this receiver at one time, those that wait for their source included.
const AT_ONCE: usize = 16;

/// The word for an answer among the reasons why there is none.
const COUNTED: &str = "counted";

/// Asks the sources that can be asked. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// By the AE title by which they call.
    sources: Arc<HashMap<String, Source>>,
    ae_title: String,
    node_name: String,
    outcomes: Outcomes,
}

impl Asker {
    /// `None` where no source is asked.
    ///
    /// # Errors
    /// When a file that an `ask` names can't be read or holds something else.
    pub(crate) fn of(
        senders: &[SenderEntry],
        settings: &Settings,
        metrics: &Metrics,
    ) -> anyhow::Result<Option<Self>> {
        let sources = by_title(senders, |ask| Some(Source::new(ask.clone())))?;
        if sources.is_empty() {
            return Ok(None);
        }
        let outcomes = Outcomes::new(
            metrics,
            "questions",
            "Questions to sources how many instances they have, by what came of them",
            NoAnswer::ALL.map(NoAnswer::as_str).into_iter().chain([COUNTED]),
        );
        Ok(Some(Self {
            sources: Arc::new(sources),
            ae_title: settings.ae_title.clone(),
            node_name: settings.node_name(),
            outcomes,
        }))
    }

    /// Asks until told to stop. A question that is cut off by that is given to another receiver, or to this one when it
    /// starts again.
    pub(crate) async fn run(&self, jetstream: &Context, stop: &CancellationToken) {
        let nats = jetstream.client();
        errands::run(&nats, QUESTIONS, AT_ONCE, stop, |question| {
            let (asker, nats, jetstream) = (self.clone(), nats.clone(), jetstream.clone());
            async move { asker.answer(&nats, &jetstream, &question).await }
        })
        .await;
    }

    async fn answer(&self, nats: &Client, jetstream: &Context, question: &Message) {
        let asked: SourceAsked = match serde_json::from_slice(&question.payload) {
            Ok(asked) => asked,
            Err(error) => {
                let line = error.line();
                tracing::warn!(line, "a question to a source can't be read");
                return errands::acknowledge(nats, question).await;
            }
        };
        let counted = match self.sources.get(&asked.calling_ae_title) {
            Some(source) => source.count(&self.ae_title, &asked).await,
            None => Err(NoAnswer::NotConfigured),
        };
        let answered = self.event(asked, counted);
        match errands::publish(jetstream, &answered).await {
            Ok(()) => errands::acknowledge(nats, question).await,
            // It is asked again, unless its series is complete by then.
            Err(error) => tracing::warn!("the answer of a source is not published: {error}"),
        }
    }

    fn event(&self, asked: SourceAsked, counted: Result<Counted, NoAnswer>) -> SourceAnswered {
        let (series, source) = (&asked.series_instance_uid, &asked.calling_ae_title);
        let (count, instances, no_answer) = match counted {
            Ok(Counted { count, instances }) => {
                tracing::debug!(%series, source, count, "source asked");
                (Some(count), instances, None)
            }
            Err(why) => {
                let cause = why.as_str();
                tracing::warn!(%series, source, cause, "source gave no answer");
                (None, Vec::new(), Some(why))
            }
        };
        let outcome = no_answer.map_or(COUNTED, NoAnswer::as_str);
        self.outcomes.count(outcome);
        SourceAnswered {
            series_instance_uid: asked.series_instance_uid,
            calling_ae_title: asked.calling_ae_title,
            question_id: asked.question_id,
            count,
            instances,
            no_answer: no_answer.map(|why| why.as_str().to_owned()),
            node_name: self.node_name.clone(),
            answered_at: Timestamp::now(),
        }
    }
}
