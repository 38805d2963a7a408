//! Plays decisions of SERIES that the catalogue lacks, after a backup was restored or the file moved away. It is
//! played into the catalogue before anything is decided: a series goes on with the revision after the
//! last that was announced, and nothing is announced twice.

use super::place::Place;
use super::playing::Playing;
use super::rebuilding::Rebuilding;
use super::tape::{Decisions, Found};
use crate::decision::Decision;
use async_nats::Client;
use catalog::{Bookmark, CatalogError, CatalogWriter, SeriesBookmark};
use completion::Senders;
use shared::stream::{self, Position, SERIES};

/// Brings the catalogue up to what SERIES says. `position` is where INSTANCES stands, and `bookmark` how
/// far that is in the catalogue; gives how far it is then.
///
/// # Errors
/// When the broker does not give its streams, or the catalogue can't be written.
pub async fn take_up(
    nats: &Client,
    catalog: &CatalogWriter,
    senders: &Senders,
    position: &Position,
    mut bookmark: Bookmark,
) -> anyhow::Result<Bookmark> {
    let (stream_created, last) = stream::extent(nats, SERIES).await?;
    let known = match catalog.series_bookmark().await? {
        Some(known) if known.stream_created == stream_created && known.last_sequence <= last => {
            known.last_sequence
        }
        // Another stream, or one that has lost its tail: all of it may be new.
        _ => 0,
    };
    if known < last {
        let noted;
        (bookmark, noted) = play(nats, catalog, senders, position, bookmark, known).await?;
        if noted > 0 {
            tracing::warn!(
                noted,
                "SERIES has what was decided by another catalogue: the next revisions follow it"
            );
        }
    }
    catalog.has_taken_up(SeriesBookmark { stream_created, last_sequence: last }).await?;
    Ok(bookmark)
}

/// Writes down that everything in SERIES is in the catalogue. True as long as it has taken up all, and
/// nobody else announces.
///
/// # Errors
/// When the broker does not answer, or the catalogue can't be written.
pub async fn has_taken_up_all(nats: &Client, catalog: &CatalogWriter) -> anyhow::Result<()> {
    let (stream_created, last_sequence) = stream::extent(nats, SERIES).await?;
    let bookmark = SeriesBookmark { stream_created, last_sequence };
    if catalog.series_bookmark().await? != Some(bookmark) {
        catalog.has_taken_up(bookmark).await?;
    }
    Ok(())
}

/// Plays what the catalogue lacks of SERIES after sequence `known`. Gives how far INSTANCES is in the
/// catalogue then, and of how much only the number could be written down.
async fn play(
    nats: &Client,
    catalog: &CatalogWriter,
    senders: &Senders,
    position: &Position,
    bookmark: Bookmark,
    known: u64,
) -> anyhow::Result<(Bookmark, u64)> {
    let last_sequence = bookmark.last_sequence;
    let mut decisions = Decisions::after(nats, known).await?;
    let (mut playing, mut noted) = (None, 0);
    while let Some(Found { at, decision, .. }) = decisions.next().await? {
        let Some(decision) = decision else { continue };
        if let Decision::Kept(fact) = &decision {
            // Its completion is in the catalogue by now.
            catalog.restore_kept(fact).await?;
            continue;
        }
        if is_known(catalog, &decision).await? {
            continue;
        }
        let playing = match &mut playing {
            Some(playing) => playing,
            none => {
                tracing::info!(
                    after = last_sequence,
                    "the catalogue lies behind SERIES: taking up"
                );
                let rebuilding =
                    Rebuilding::after(catalog.clone(), senders.clone(), bookmark.clone()).await?;
                none.insert(Playing::after(nats, rebuilding, last_sequence).await?)
            }
        };
        let place = Place::of(&decision, at, position);
        let is_passed = match place {
            Place::FormerStream => playing.played() > 0,
            Place::After(sequence) => sequence < playing.played(),
            Place::BeyondEnd | Place::Later => false,
        };
        if is_passed && matches!((&decision, place), (Decision::Purged(_), Place::FormerStream)) {
            // By its sequence nobody can tell any more which files it was of. `store verify` finds those that are gone.
            tracing::warn!("SERIES has a purge of before INSTANCES was made: passed over");
        } else if is_passed {
            // The rows have what came afterwards too, so they are not what it says.
            note(catalog, &decision).await?;
            noted += 1;
        } else {
            playing.decision(decision, place, position).await?;
        }
    }
    let Some(playing) = playing else { return Ok((bookmark, noted)) };
    let mut rebuilding = playing.end();
    let bookmark = rebuilding.commit().await?;
    let report = rebuilding.report;
    let (completions, deletions, studies) = (report.completions, report.deletions, report.studies);
    let (events, partial) = (report.events, report.partial.len());
    tracing::warn!(
        events,
        completions,
        deletions,
        studies,
        partial,
        "the catalogue lay behind SERIES, and has taken up what was announced since"
    );
    Ok((bookmark, noted))
}

async fn is_known(catalog: &CatalogWriter, decision: &Decision) -> Result<bool, CatalogError> {
    match decision {
        Decision::Completed(decision) => catalog.has_completion(decision).await,
        Decision::Deleted(decision) => catalog.has_deletion(decision).await,
        Decision::Study(decision) => catalog.has_study_completion(decision).await,
        Decision::Kept(_) => Ok(false),
        Decision::Purged(fact) => catalog.has_purge(fact).await,
    }
}

async fn note(catalog: &CatalogWriter, decision: &Decision) -> Result<(), CatalogError> {
    match decision {
        Decision::Completed(decision) => catalog.note_completion(decision).await,
        Decision::Deleted(decision) => catalog.note_deletion(decision).await,
        Decision::Study(decision) => catalog.note_study(decision).await,
        Decision::Kept(fact) => catalog.restore_kept(fact).await.map(drop),
        // What came later has a higher sequence.
        Decision::Purged(fact) => catalog.restore_purge(fact).await.map(drop),
    }
}
