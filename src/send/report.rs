//! What became of the instances that were to be sent, and how it is told.

use std::{fmt, path::PathBuf, time::Duration};

use dimse::command::Response;

use super::files::Instance;

/// What is to be said about one file: why its instance was not stored, or how the receiver
/// changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The file that holds the instance.
    pub path: PathBuf,
    /// Status of the C-STORE response, if there was one (PS3.4 B.2.3).
    pub status: Option<u16>,
    /// The receiver's Error Comment (0000,0902), or our own words where it never came so far.
    pub reason: String,
}

impl Notice {
    pub(super) fn new(
        path: impl Into<PathBuf>,
        status: Option<u16>,
        reason: impl fmt::Display,
    ) -> Self {
        Self { path: path.into(), status, reason: reason.to_string() }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map(|s| format!(": Status 0x{s:04X}"));
        let reason = Some(&self.reason).filter(|r| !r.is_empty());
        let text = format!(
            "{}{}{}",
            self.path.display(),
            status.unwrap_or_default(),
            reason.map(|r| format!(": {r}")).unwrap_or_default(),
        );
        // Comments and UIDs are the peer's and the files' words: none of them may steer a terminal.
        f.write_str(&text.replace(char::is_control, "?"))
    }
}

/// What became of everything that was to be sent.
#[derive(Debug, Clone, Default)]
pub struct SendReport {
    /// Instances that the receiver answered with success or with a warning.
    pub stored: usize,
    /// Bytes of their data sets.
    pub stored_bytes: u64,
    /// Instances that the receiver stored with a warning Status (0xBxxx); counted in `stored`.
    pub warnings: Vec<Notice>,
    /// Instances that are not stored: refused, unreadable, or never sent.
    pub not_stored: Vec<Notice>,
    /// Files in folders that are no DICOM Part 10 files.
    pub skipped_not_dicom: usize,
    /// DICOMDIR files; they index a medium and are never stored.
    pub skipped_dicomdirs: usize,
    /// From the first association request to the last release.
    pub elapsed: Duration,
}

impl SendReport {
    /// Whether every instance that was to be sent is stored. If not, the process should fail.
    pub fn is_complete(&self) -> bool {
        self.not_stored.is_empty()
    }

    /// Instances that were to be sent.
    pub fn total(&self) -> usize {
        self.stored + self.not_stored.len()
    }

    pub(super) fn settle(&mut self, instance: &Instance, result: Result<Response, String>) {
        let notice = |status, reason| Notice::new(&instance.path, status, reason);
        match result {
            Ok(response) if response.status.is_stored() => {
                self.stored += 1;
                self.stored_bytes += instance.data_set_length;
                if response.status.is_warning() {
                    let notice = notice(Some(response.status.code()), response.error_comment);
                    self.warnings.push(notice);
                }
            }
            Ok(response) => {
                let notice = notice(Some(response.status.code()), response.error_comment);
                self.not_stored.push(notice);
            }
            Err(reason) => self.not_stored.push(notice(None, reason)),
        }
    }

    /// What went wrong on stderr, one line of summary on stdout.
    pub(super) fn print(&self, peer: &str) {
        match self.skipped_not_dicom {
            0 => {}
            1 => eprintln!("1 file skipped: not DICOM Part 10"),
            many => eprintln!("{many} files skipped: not DICOM Part 10"),
        }
        match self.skipped_dicomdirs {
            0 => {}
            1 => eprintln!("1 DICOMDIR skipped"),
            many => eprintln!("{many} DICOMDIRs skipped"),
        }
        for notice in &self.warnings {
            eprintln!("stored with a warning: {notice}");
        }
        for notice in &self.not_stored {
            eprintln!("not stored: {notice}");
        }
        println!(
            "sent {} of {} instances ({}) in {:.2} s to {peer}",
            self.stored,
            self.total(),
            human_bytes(self.stored_bytes),
            self.elapsed.as_secs_f64(),
        );
    }
}

fn human_bytes(bytes: u64) -> String {
    match bytes as f64 {
        small if small < 1e6 => format!("{:.1} kB", small / 1e3),
        medium if medium < 1e9 => format!("{:.1} MB", medium / 1e6),
        large => format!("{:.1} GB", large / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_never_steers_the_terminal() {
        let notice = Notice::new("a.dcm", Some(0xA700), "full\u{1b}[2J");
        assert_eq!(notice.to_string(), "a.dcm: Status 0xA700: full?[2J");
        let silent = Notice::new("a.dcm", Some(0xB000), "");
        assert_eq!(silent.to_string(), "a.dcm: Status 0xB000");
    }

    #[test]
    fn bytes_are_told_in_decimal_units() {
        assert_eq!(human_bytes(9_123_456), "9.1 MB");
        assert_eq!(human_bytes(20_480), "20.5 kB");
        assert_eq!(human_bytes(3_000_000_000), "3.0 GB");
    }
}
