//! What a machine gives to anyone who keeps instances as files: plain threads that receive nothing.

use crate::broker::{Broker, Sync};
use crate::input::Input;
use crate::lab::Lab;
use crate::publish;
use crate::table::median;
use anyhow::anyhow;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

/// Files a second that threads keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// Written and synced (`fdatasync`), and then an event published that the broker syncs.
    pub(crate) published: f64,
    /// Written, synced, renamed, and the folder synced; without an event.
    pub(crate) named: f64,
}

impl Kept {
    /// The median of each figure.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        Self {
            published: median(rounds.iter().map(|round| round.published)),
            named: median(rounds.iter().map(|round| round.named)),
        }
    }
}

/// Measures so many threads, each for `time` and one file at the least, on the disk that the receivers write to.
pub(crate) async fn keep(
    lab: &Lab,
    threads: usize,
    input: Input,
    time: Duration,
) -> anyhow::Result<Kept> {
    let folder = lab.folder()?;
    let broker = Broker::start(&lab.nats_server, folder.path(), Sync::Always).await?;
    let jetstream = publish::stream(&broker).await?;
    let (event, runtime) = (publish::event()?, Handle::current());
    let publish = move || {
        runtime.block_on(async {
            jetstream.publish(publish::SUBJECT, event.clone()).await?.await?;
            Ok(())
        })
    };
    let bytes = Arc::new(input.template()?.data_set);
    let files = folder.path().join("published");
    let written = bytes.clone();
    let published = rate(files, threads, time, move |path| {
        write(path, &written)?.sync_data()?;
        publish()
    });
    let published = spawn_blocking(published).await??;
    let named = rate(folder.path().join("named"), threads, time, move |path| {
        let part = path.with_extension("part");
        write(&part, &bytes)?.sync_all()?;
        fs::rename(&part, path)?;
        File::open(path.parent().unwrap_or(path))?.sync_all()?;
        Ok(())
    });
    let named = spawn_blocking(named).await??;
    Ok(Kept { published, named })
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<File> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Calls `keep` on threads, with the path of a new file each time.
fn rate(
    folder: PathBuf,
    threads: usize,
    time: Duration,
    keep: impl Fn(&Path) -> anyhow::Result<()> + Clone + Send + 'static,
) -> impl FnOnce() -> anyhow::Result<f64> {
    move || {
        let together = Arc::new(Barrier::new(threads));
        let started = (0..threads).map(|number| {
            // A folder each, as a store spreads what it writes.
            let folder = folder.join(number.to_string());
            fs::create_dir_all(&folder)?;
            let (together, keep) = (together.clone(), keep.clone());
            Ok(thread::spawn(move || {
                together.wait();
                let (began, mut count) = (Instant::now(), 0_u32);
                while count == 0 || began.elapsed() < time {
                    keep(&folder.join(format!("{count}.dcm")))?;
                    count += 1;
                }
                anyhow::Ok((count, began.elapsed()))
            }))
        });
        let (mut kept, mut wall) = (0.0, Duration::ZERO);
        for thread in started.collect::<anyhow::Result<Vec<_>>>()? {
            let ended = thread.join().map_err(|_| anyhow!("a thread has panicked"))?;
            let (count, took) = ended?;
            kept += f64::from(count);
            wall = wall.max(took);
        }
        Ok(kept / wall.as_secs_f64())
    }
}
