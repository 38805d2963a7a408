//! What the operating system says of this process, by the names that every client of Prometheus gives
//! it.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// This process, as it is looked at each time that somebody asks.
#[derive(Debug)]
pub(crate) struct Process {
    /// Seconds since 1970.
    begun_at: f64,
}

impl Process {
    /// One that has just begun.
    pub(crate) fn begun_now() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { begun_at: since_1970.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut tell = |name: &str, help: &str, metric: &dyn EncodeMetric| {
            let to = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
            metric.encode(to)
        };
        tell(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970.",
            &ConstGauge::new(self.begun_at),
        )?;
        // Linux has it in /proc; elsewhere there is nothing to tell.
        if let Some(Usage { cpu_seconds, resident_bytes }) = usage() {
            let help = "CPU time of the process, its own and the kernel's for it.";
            tell("process_cpu_seconds", help, &ConstCounter::new(cpu_seconds))?;
            let help = "Memory of the process that is in RAM.";
            tell("process_resident_memory_bytes", help, &ConstGauge::new(resident_bytes))?;
        }
        if let Some(open) = open_files() {
            let help = "Open file descriptors, sockets among them.";
            tell("process_open_fds", help, &ConstGauge::new(open))?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            let help = "File descriptors that may be open.";
            tell("process_max_fds", help, &ConstGauge::new(most))?;
        }
        Ok(())
    }
}

struct Usage {
    cpu_seconds: f64,
    resident_bytes: u64,
}

fn usage() -> Option<Usage> {
    read_stat(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Reads a line of `/proc/PID/stat` (proc_pid_stat(5)).
fn read_stat(stat: &str) -> Option<Usage> {
    // The name of the program, in parentheses, may have spaces and parentheses of its own.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    // The first one here is field 3; utime and stime are 14 and 15, rss is 24.
    for _ in 3..14 {
        fields.next()?;
    }
    let mut field = || fields.next()?.parse::<u64>().ok();
    let ticks = field()? + field()?;
    for _ in 16..24 {
        fields.next()?;
    }
    let pages = fields.next()?.parse::<u64>().ok()?;
    Some(Usage {
        cpu_seconds: ticks as f64 / clock_ticks_per_second() as f64,
        resident_bytes: pages * page_size() as u64,
    })
}

fn open_files() -> Option<u64> {
    // The folder itself is open while it is read.
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(open.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "4711 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 19 20 9 22";
        let usage = read_stat(stat).unwrap();
        assert_eq!(usage.cpu_seconds, 300.0 / clock_ticks_per_second() as f64);
        assert_eq!(usage.resident_bytes, 9 * page_size() as u64);
        assert!(read_stat("").is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_something() {
        let usage = usage().unwrap();
        assert!(usage.resident_bytes > 100_000, "{}", usage.resident_bytes);
        assert!(open_files().unwrap() >= 3);
    }
}
