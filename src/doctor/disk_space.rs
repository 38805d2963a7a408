//! The disks under DATA_DIR and STORE_URL: whether they have room for what the streams may grow to and for instances, and
//! whether what is synced to them takes as long as that takes.

use super::finding::Finding;
use crate::pipeline::PipelineSettings;
use anyhow::Context as _;
use bytesize::ByteSize;
use shared::disk;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Less than that is no room: a catalogue and a broker at work need as much at a time.
const LEAST: ByteSize = ByteSize::mib(256);

/// Syncs that are timed.
const SYNCS: usize = 9;

/// What is written before each: about an event.
const BLOCK: [u8; 4096] = [0; 4096];

/// No disk has what it was told to keep as soon as that: somebody on the way to it does not ask it to.
const TOO_SOON: Duration = Duration::from_micros(15);

/// A sender on one association then gets no more than twenty instances a second.
const TOO_LATE: Duration = Duration::from_millis(50);

/// Looks at it. It reads and writes, so it is not for an async thread.
pub(super) fn examine(settings: &PipelineSettings) -> Vec<Finding> {
    let folder = existing(&settings.data_dir);
    let advice = "set DATA_DIR to a folder that can be written, on a disk with room";
    let failed = |error: anyhow::Error| Finding::trouble("disk", format!("{error:#}"), advice);
    let mut findings = vec![
        free_space(settings, &folder).unwrap_or_else(failed),
        syncs("fsync", "DATA_DIR", &folder).unwrap_or_else(failed),
    ];
    if let Some(folder) = settings.ingest.store.store_url.folder() {
        findings.extend(store(settings, folder));
    }
    findings
}

/// The disk under the instance store.
fn store(settings: &PipelineSettings, folder: &Path) -> [Finding; 2] {
    const ADVICE: &str = "set STORE_URL to a folder that can be written";
    let folder = existing(folder);
    let failed =
        |check| move |error: anyhow::Error| Finding::trouble(check, format!("{error:#}"), ADVICE);
    let reserve = settings.ingest.store.store_reserve;
    let free = disk::free(&folder).with_context(|| folder.display().to_string()).map(|free| {
        let says = format!("{} has {} free", folder.display(), free.display().iec());
        match free < reserve {
            false => Finding::ok("store", says),
            true => Finding::trouble(
                "store",
                format!("{says}, less than STORE_RESERVE, {}", reserve.display().iec()),
                "make room: senders are refused",
            ),
        }
    });
    [
        free.unwrap_or_else(failed("store")),
        syncs("store fsync", "STORE_URL", &folder).unwrap_or_else(failed("store fsync")),
    ]
}

/// The folder itself, or the one in which it will be made.
fn existing(folder: &Path) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let found = folder.ancestors().find(|folder| folder.is_dir());
    found.map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

fn free_space(settings: &PipelineSettings, folder: &Path) -> anyhow::Result<Finding> {
    let what = || folder.display().to_string();
    let free = disk::free(folder).with_context(what)?;
    let named = format!("{} has {} free", folder.display(), free.display().iec());
    if free < LEAST {
        let advice = "make room: without, nothing is received";
        return Ok(Finding::trouble("disk", named, advice));
    }
    // The events of a foreign broker are on its own disk.
    let wanted = settings.streams.instances_max_bytes;
    let store = settings.nats_folder();
    let store = if store.is_dir() { &store } else { folder };
    if settings.nats_url.is_none() {
        let fitting = match store == folder {
            true => ByteSize(free.0 / 4 * 3).min(wanted),
            false => {
                crate::disk::fitting(wanted, store).with_context(|| store.display().to_string())?
            }
        };
        if fitting < wanted {
            let (fitting, wanted) = (fitting.display().iec(), wanted.display().iec());
            let says = format!(
                "{named}: senders are refused from {fitting} of unread events on, \
                 INSTANCES_MAX_BYTES is {wanted}"
            );
            let advice = "make room or set DATA_DIR to a larger disk, or set it lower";
            return Ok(Finding::warning("disk", says, advice));
        }
    }
    Ok(Finding::ok("disk", named))
}

/// Times how long it takes to have a little on disk, in a file without a name. `setting` names the folder.
fn syncs(check: &'static str, setting: &str, folder: &Path) -> anyhow::Result<Finding> {
    if is_in_memory(folder) {
        let says = format!("{} is in memory, and gone with the power", folder.display());
        let advice = format!("set {setting} to a folder on a disk");
        return Ok(Finding::warning(check, says, advice));
    }
    let took =
        time_syncs(folder).with_context(|| format!("{} can't be written", folder.display()))?;
    let says = format!("a sync of {} takes {took:.2?}", folder.display());
    Ok(match took {
        _ if took < TOO_SOON => Finding::warning(
            check,
            format!("{says}, which is too soon to be true"),
            "see that the disk, its driver and the virtual machine pass syncs on; else what was \
             answered with Success may go with the power",
        ),
        _ if took > TOO_LATE => Finding::warning(
            check,
            says,
            format!("each instance waits for one: set {setting} to a faster disk"),
        ),
        _ => Finding::ok(check, says),
    })
}

/// The median.
fn time_syncs(folder: &Path) -> io::Result<Duration> {
    let mut file: File = tempfile::tempfile_in(folder)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&BLOCK)?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[SYNCS / 2])
}

/// Whether nothing in it outlives the power.
#[cfg(target_os = "linux")]
fn is_in_memory(folder: &Path) -> bool {
    /// `f_type` of tmpfs and ramfs (statfs(2)).
    const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];
    rustix::fs::statfs(folder).is_ok_and(|disk| IN_MEMORY.contains(&disk.f_type))
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_folder: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_is_looked_at_where_it_will_be() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(existing(&folder.path().join("data/nats")), folder.path());
        assert_eq!(existing(folder.path()), folder.path());
    }

    #[test]
    fn a_sync_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(time_syncs(folder.path()).unwrap() > Duration::ZERO);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
