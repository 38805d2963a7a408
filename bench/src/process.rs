//! Processes that are measured: what they and their children use, and that none of them outlives the
//! measurement.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How often the memory of a process is looked at while it is measured.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long an orderly end may take.
const END: Duration = Duration::from_secs(30);

/// The unit of CPU times in /proc: 100 in a second, whatever the kernel's own clock does (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// A program that runs until this is dropped, in a process group of its own, so that what it has
/// started ends with it.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    id: u32,
}

impl Program {
    /// Starts it. What it says goes to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        let output = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} can't be started"))?;
        let id = child.id().context("it has ended already")?;
        Ok(Self { child, id })
    }

    /// What it and its children have used so far.
    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.id)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Asks it to end (SIGTERM) and waits until it has, for as long as an orderly end may take.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(id, Signal::TERM)?;
        timeout(END, self.child.wait()).await.context("it does not end")??;
        Ok(())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.id).ok().and_then(Pid::from_raw) {
            // It fails when all of them have ended, which is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What processes have used, by the name of their program.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Usage {
    /// CPU time in seconds, of those that have ended and were waited for too.
    pub(crate) cpu: BTreeMap<String, f64>,
    /// Bytes that were resident at the most (VmHWM).
    pub(crate) peak: BTreeMap<String, u64>,
    /// Bytes that are resident (VmRSS).
    pub(crate) resident: BTreeMap<String, u64>,
}

impl Usage {
    /// Of a process and all below it.
    pub(crate) fn of(root: u32) -> Self {
        let mut usage = Self::default();
        usage.add(root);
        usage
    }

    fn add(&mut self, process: u32) {
        let folder = Path::new("/proc").join(process.to_string());
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let Some((name, ticks)) = stat(&read("stat")) else { return };
        *self.cpu.entry(name.clone()).or_default() += ticks as f64 / TICKS_PER_SECOND;
        let status = read("status");
        *self.peak.entry(name.clone()).or_default() += kilobytes(&status, "VmHWM:");
        *self.resident.entry(name).or_default() += kilobytes(&status, "VmRSS:");
        for thread in std::fs::read_dir(folder.join("task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(thread.path().join("children"));
            for child in children.unwrap_or_default().split_whitespace() {
                child.parse().into_iter().for_each(|child| self.add(child));
            }
        }
    }

    /// Both together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        other.cpu.into_iter().for_each(|(name, cpu)| *self.cpu.entry(name).or_default() += cpu);
        other.peak.into_iter().for_each(|(name, peak)| *self.peak.entry(name).or_default() += peak);
        let resident = other.resident.into_iter();
        resident.for_each(|(name, bytes)| *self.resident.entry(name).or_default() += bytes);
        self
    }

    /// CPU seconds since an earlier look.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> BTreeMap<String, f64> {
        let before = |name| earlier.cpu.get(name).copied().unwrap_or(0.0);
        self.cpu.iter().map(|(name, cpu)| (name.clone(), cpu - before(name))).collect()
    }
}

/// The program's name and its CPU time in ticks, of a process' `stat` (proc(5)).
fn stat(line: &str) -> Option<(String, u64)> {
    let (start, fields) = line.rsplit_once(')')?;
    let name = start.split_once('(')?.1.to_owned();
    // utime, stime, cutime and cstime are fields 14 to 17; the first after the name is the third.
    let ticks = fields.split_whitespace().skip(11).take(4);
    Some((name, ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum()))
}

/// A line of a process' `status`, in bytes.
fn kilobytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0) * 1024
}

/// CPU seconds of the children of this process that have ended.
pub(crate) fn ended_children() -> f64 {
    let line = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = line.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(13).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// CPU seconds of this thread, exact to the nanosecond where the kernel keeps count.
pub(crate) fn this_thread() -> f64 {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

/// Looks at the memory of processes until it is asked what the most was: those that end meanwhile
/// count too, as dcmtk's child for each association does.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: mpsc::Sender<()>,
    watching: JoinHandle<BTreeMap<String, u64>>,
}

impl Watch {
    /// Begins to look.
    pub(crate) fn over(roots: Vec<u32>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let watching = std::thread::spawn(move || {
            let mut most = BTreeMap::<String, u64>::new();
            loop {
                let stopped = stopped.recv_timeout(LOOK_EVERY);
                let usages = roots.iter().map(|root| Usage::of(*root));
                let usage = usages.fold(Usage::default(), Usage::and);
                for (name, peak) in usage.peak {
                    let known = most.entry(name).or_default();
                    *known = peak.max(*known);
                }
                if stopped != Err(RecvTimeoutError::Timeout) {
                    return most;
                }
            }
        });
        Self { stop, watching }
    }

    /// The most that was resident at one time, by program.
    pub(crate) fn peak(self) -> BTreeMap<String, u64> {
        let _ = self.stop.send(());
        self.watching.join().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_whatever_a_program_is_called() {
        let line = "7 (a) b) c) S 1 7 7 0 -1 0 1 2 3 4 100 20 3 4 20 0 9 0 5 6 7\n";
        assert_eq!(stat(line), Some(("a) b) c".to_owned(), 127)));
    }

    #[tokio::test]
    async fn a_program_is_counted_with_its_children_and_ends_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $! ; wait"]);
        let log = folder.path().join("log");
        let program = Program::start(&mut command, &log).unwrap();
        let until = std::time::Instant::now() + END;
        let child = loop {
            let said = std::fs::read_to_string(&log).unwrap();
            let usage = program.usage();
            if said.ends_with('\n') && usage.peak.get("sleep").is_some_and(|peak| *peak > 0) {
                assert!(usage.resident.contains_key("sh"));
                break said.trim().to_owned();
            }
            assert!(std::time::Instant::now() < until, "{usage:?}");
            tokio::task::yield_now().await;
        };
        drop(program);
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        while !(state().is_empty() || state().contains(") Z ")) {
            assert!(std::time::Instant::now() < until, "{}", state());
            tokio::task::yield_now().await;
        }
    }
}
