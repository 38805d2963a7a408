//! `indexer replay`: a catalogue rebuilt from the streams.
//!
//! The instances are recorded as they were, and what was decided of series is taken from the
//! record, not decided again: a completion or a deletion names the sequence of INSTANCES up to which it was
//! decided, and that is where it is written down.

use crate::record::{Decisions, Found, Place, Playing, Rebuilding, Report};
use crate::settings::Settings;
use anyhow::Context as _;
use async_nats::Client;
use catalog::{CatalogSettings, NewCatalog, SeriesBookmark};
use clap::Args;
use shared::senders::SendersSettings;
use shared::settings::NatsSettings;
use shared::stream::{self, SERIES};
use std::ffi::OsString;
use store::StoreSettings;

/// What `indexer replay` is told.
#[derive(Debug, Clone, Args)]
pub struct ReplaySettings {
    /// Where to rebuild the catalogue: a file, which must not exist, or an empty database, as `postgres://` and user,
    /// hosts and database
    #[arg(long, value_name = "FILE or URL")]
    pub into: OsString,
    /// Those of the indexer whose catalogue it is
    #[command(flatten)]
    pub indexer: Settings,
    /// What differs by sender
    #[command(flatten)]
    pub senders: SendersSettings,
    /// Its instance store: what is complete by the record and not kept is listed to be
    #[command(flatten)]
    pub store: StoreSettings,
    /// Where its streams are
    #[command(flatten)]
    pub nats: NatsSettings,
}

/// Rebuilds a catalogue from the streams as they stand. Nobody uses it before it is whole.
///
/// # Errors
/// When there is a catalogue already or it can't be made, or the broker does not give its streams.
pub async fn run(settings: &ReplaySettings, nats: &Client) -> anyhow::Result<Report> {
    let place = CatalogSettings::named(&settings.into);
    let named = place.name()?;
    let senders = settings.indexer.senders(settings.senders.read()?)?;
    let end = stream::position(nats).await?;
    let mut decisions = Decisions::after(nats, 0).await?;
    let what = || format!("cannot write {named}");
    let new = NewCatalog::begin(&place).await.with_context(what)?;
    let keeps = settings.store.store_url.is_some();
    let catalog = new.writer.clone().listing_to_keep(keeps);
    let rebuilding = Rebuilding::new(catalog.clone(), senders, end.created);
    let mut playing = Playing::after(nats, rebuilding, 0).await?;

    let (mut known, mut unreadable) = (0, 0);
    while let Some(Found { sequence, at, decision }) = decisions.next().await? {
        match decision.map(|decision| (Place::of(&decision, at, &end), decision)) {
            // An indexer is at work, and has decided this since.
            Some((Place::Later, _)) => break,
            Some((place, decision)) => playing.decision(decision, place, &end).await?,
            None => unreadable += 1,
        }
        known = sequence;
    }
    playing.up_to(end.last).await?.report.unreadable = unreadable;
    if settings.indexer.study_quiet_period()?.is_none() {
        catalog.forget_open_studies().await?;
    }
    // A file that only an earlier revision has may be gone by now, and rightly so.
    catalog.forget_earlier_to_keep().await?;
    let (stream_created, _) = stream::extent(nats, SERIES).await?;
    catalog.has_taken_up(SeriesBookmark { stream_created, last_sequence: known }).await?;
    let report = playing.end().finish(end.last).await?;
    new.put_in_place().await.with_context(what)?;
    Ok(report)
}
