//! A syslog message (RFC 5424 section 6) with an audit message in it (PS3.15 section A.6).

use jiff::Timestamp;
use shared::settings::host_name;

/// Security and authorization messages, as PS3.15 A.6 wants it (RFC 5424 section 6.2.1).
const FACILITY: u8 = 10;

/// What is in MSG, as PS3.15 A.6 calls it.
const MSGID: &str = "DICOM+RFC3881";

/// Before text in UTF-8 (RFC 5424 section 6.4).
const BOM: &str = "\u{feff}";

/// Longest HOSTNAME, APP-NAME and PROCID (RFC 5424 section 6).
const MAX_HOSTNAME: usize = 255;
const MAX_APP_NAME: usize = 48;
const MAX_PROCID: usize = 128;

/// How urgent it is: the two that PS3.15 A.6 has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Something was not done as it was wanted.
    Warning = 4,
    /// As most are.
    Notice = 5,
}

/// Who sends it: HOSTNAME, APP-NAME and PROCID.
#[derive(Debug, Clone)]
pub(crate) struct Originator(String);

impl Originator {
    /// This process.
    pub(crate) fn here() -> Self {
        Self::new(&host_name(), "collimator", &std::process::id().to_string())
    }

    fn new(hostname: &str, app_name: &str, process: &str) -> Self {
        let hostname = field(hostname, MAX_HOSTNAME);
        Self(format!("{hostname} {} {}", field(app_name, MAX_APP_NAME), field(process, MAX_PROCID)))
    }

    /// A message of it about what happened `at` that time, as RFC 5425 section 4.3 sends it: its length
    /// in octets, a space, and the message.
    pub(crate) fn frame(&self, severity: Severity, at: Timestamp, xml: &str) -> String {
        let pri = FACILITY * 8 + severity as u8;
        // No more digits of a second than six (section 6.2.3.1).
        let message = format!("<{pri}>1 {at:.6} {} {MSGID} - {BOM}{xml}", self.0);
        format!("{} {message}", message.len())
    }
}

/// A field of the header: printable ASCII without spaces, or the value for none.
fn field(text: &str, longest: usize) -> String {
    let printable = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    match text.is_empty() {
        true => "-".to_owned(),
        false => text.chars().take(longest).map(printable).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(sender: &Originator, at: &str) -> String {
        sender.frame(Severity::Notice, at.parse().unwrap(), "<ä/>")
    }

    #[test]
    fn a_frame_is_the_length_in_octets_and_the_message() {
        let sender = Originator::new("radiology.example.org", "collimator", "4711");
        let frame = frame(&sender, "2026-02-03T04:05:16.123456789Z");
        let (length, message) = frame.split_once(' ').unwrap();
        assert_eq!(
            message,
            "<85>1 2026-02-03T04:05:16.123456Z radiology.example.org collimator 4711 DICOM+RFC3881 - \
             \u{feff}<ä/>"
        );
        // Octets, of which the last part has 3 + 5.
        assert_eq!(length, (message.chars().count() + 3).to_string());
        let warning = sender.frame(Severity::Warning, Timestamp::UNIX_EPOCH, "");
        assert!(warning.contains(" <84>1 1970-01-01T00:00:00.000000Z "), "{warning}");
    }

    #[test]
    fn a_header_is_of_printable_ascii_within_its_limits() {
        let long = "x".repeat(300);
        let sender = Originator::new("Röntgen 1\n", "", &long);
        assert_eq!(sender.0, format!("R_ntgen_1_ - {}", &long[..128]));
    }
}
