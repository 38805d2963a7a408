//! What an operator may set: the text of a value, of a senders file, of a command line.

use crate::Reader;
use clap::Parser;
use shared::senders::SendersFile;
use shared::settings::{duration, positive_size};

pub(crate) const READER: Reader = Reader { name: "settings", seeds, check };

/// All settings of two services, as their programs read them.
#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    ingest: ingest::Settings,
    #[command(flatten)]
    indexer: indexer::Settings,
}

fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(read) = duration(&text) {
        assert!(!read.is_zero());
    }
    if let Ok(read) = positive_size(&text) {
        assert!(i64::try_from(read.0).is_ok_and(|size| size > 0));
    }
    if let Err(error) = SendersFile::parse(&text) {
        let error = format!("{error:#}");
        assert!(!error.is_empty() && !error.contains('\n'), "{error:?} is no line");
    }
    let arguments = text.lines().take(20);
    let _ = Program::try_parse_from(std::iter::once("collimator").chain(arguments));
}

fn seeds() -> Vec<Vec<u8>> {
    let file = r#"
[[source]]
ae_title = "MR 1"
quiet_period = "1m 30s"
settle_period = "500ms"
expected_from = ["NumberOfSlices", "NumberOfTemporalPositions"]
retrieve_url = "http://pacs:8042/dicom-web/"
keep = false
"#;
    assert!(SendersFile::parse(file).is_ok());
    let line = "--dicom-addr\n127.0.0.1:11112\n--quiet-period\n3s\n--header-limit=1MiB";
    let arguments = std::iter::once("collimator").chain(line.lines());
    assert!(Program::try_parse_from(arguments).is_ok());
    [file, line, "1m 30s", "16MiB"].map(|text| text.as_bytes().to_vec()).to_vec()
}
