//! What a flag, the environment, the file and the default each are worth, and what is refused.

use super::*;
use crate::nats_user::NatsUser;
use crate::settings::{CommonSettings, LogFormat, NatsSettings, duration};
use clap::CommandFactory as _;
use std::net::IpAddr;
use std::time::Duration;
use tempfile::NamedTempFile;

/// What a file of these tests may have.
const SETTINGS: &str = "\
[parts]
#limit = 5
#period = \"10s\"
#folder = \"\"
#hosts = [\"localhost\"]
#addresses = []
#insecure = false
#audit = true
#cargo_manifest_dir = \"\"
#of_another_program = \"\"
[nats]
#nats_user = \"\"
#nats_password_file = \"\"
#nats_creds_file = \"\"
[health]
#log_format = \"\"
#rust_log = \"info\"
";

#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Program {
    #[command(subcommand)]
    command: Option<Other>,
    #[command(flatten)]
    parts: Parts,
    #[command(flatten)]
    common: CommonSettings,
}

#[derive(Debug, clap::Subcommand)]
enum Other {
    Look(Box<Parts>),
    Print { words: Vec<String> },
}

#[derive(Debug, clap::Args)]
struct Parts {
    #[arg(long, env = "LIMIT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10))]
    limit: u32,
    #[arg(long, env = "PERIOD", default_value = "10s", value_parser = duration)]
    period: Duration,
    #[arg(long, env = "FOLDER")]
    folder: Option<String>,
    #[arg(long, env = "HOSTS", default_value = "localhost", value_delimiter = ',')]
    hosts: Vec<String>,
    #[arg(long, env = "ADDRESSES", value_delimiter = ',')]
    addresses: Vec<IpAddr>,
    #[arg(long, env = "INSECURE")]
    insecure: bool,
    #[arg(long, env = "AUDIT", default_value_t = true, action = clap::ArgAction::Set)]
    audit: bool,
    /// Cargo sets it for tests.
    #[arg(long, env = "CARGO_MANIFEST_DIR")]
    manifest: Option<String>,
    #[command(flatten)]
    nats: NatsUser,
}

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn argv(file: &NamedTempFile, arguments: &[&str]) -> Vec<OsString> {
    let config = format!("--config={}", file.path().display());
    let all = [&["x"], arguments, &[config.as_str()]].concat();
    all.into_iter().map(OsString::from).collect()
}

fn read(text: &str, arguments: &[&str]) -> Program {
    let file = file(text);
    parse(argv(&file, arguments), &Known::of(SETTINGS)).unwrap()
}

/// The line that refuses a file, without its name.
fn refusal(text: &str, arguments: &[&str]) -> String {
    let file = file(text);
    let refusal = parse::<Program>(argv(&file, arguments), &Known::of(SETTINGS)).unwrap_err();
    let Refusal::Error(line) = refusal else { panic!("{refusal:?}") };
    assert!(!line.contains('\n'), "{line}");
    line.replace(&format!("COLLIMATOR_CONFIG {}: ", file.path().display()), "")
}

#[test]
fn a_value_of_each_kind_comes_from_the_file() {
    let all = "[parts]\nlimit = 7\nperiod = '1m 30s'\nfolder = '--a b,c'\nhosts = ['a', 'b']\n\
               addresses = ['::1']\ninsecure = true\naudit = false\nof_another_program = 1\n\
               [health]\nlog_format = 'json'\nrust_log = ''\n";
    let Program { parts, common, .. } = read(all, &[]);
    assert_eq!((parts.limit, parts.period), (7, Duration::from_secs(90)));
    assert_eq!(parts.folder.as_deref(), Some("--a b,c"));
    assert_eq!((parts.hosts.len(), parts.addresses.len()), (2, 1));
    assert!(parts.insecure && !parts.audit);
    assert_eq!((common.log_format, common.rust_log.as_str()), (Some(LogFormat::Json), ""));
    let Program { parts, .. } = read("parts.insecure = false\nparts.limit = 0x0a", &[]);
    assert!(!parts.insecure && parts.audit && parts.limit == 10 && parts.folder.is_none());
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let all =
        "[parts]\nlimit = 7\nperiod = '1s'\nhosts = ['a']\ncargo_manifest_dir = 'of the file'";
    let parts = read(all, &["--limit", "8", "--hosts=b"]).parts;
    assert_eq!((parts.limit, parts.period), (8, Duration::from_secs(1)));
    assert_eq!(parts.hosts, ["b"], "not both");
    assert_eq!(parts.manifest.as_deref(), Some(env!("CARGO_MANIFEST_DIR")));
    assert_eq!(read(all, &["--manifest=x"]).parts.manifest.as_deref(), Some("x"));
}

#[test]
fn each_command_takes_what_it_has() {
    let all = "[parts]\nlimit = 7\n[health]\nlog_format = 'json'";
    let Program { command: Some(Other::Look(parts)), parts: own, common } = read(all, &["look"])
    else {
        panic!()
    };
    assert_eq!((parts.limit, own.limit, common.log_format), (7, 5, Some(LogFormat::Json)));
    let file = file(all);
    let mut argv = argv(&file, &["print"]);
    argv.extend(["--", "--limit=3"].map(OsString::from));
    let program: Program = parse(argv, &Known::of(SETTINGS)).unwrap();
    assert!(matches!(program.command, Some(Other::Print { words }) if words == ["--limit=3"]));
}

#[test]
fn each_setting_has_its_origin() {
    let file =
        file("[parts]\nlimit = 7\n\nhosts = ['a', 'b']\naddresses = ['::1']\ninsecure = false");
    let argv = argv(&file, &["--audit=false", "--addresses=::2"]);
    let layers = Layers::of(Program::command(), &argv, &Known::of(SETTINGS)).unwrap().unwrap();
    let settings = layers.settings();
    let of = |key: &str| {
        let setting = settings.iter().find(|setting| setting.key == key).unwrap();
        (setting.value.as_deref(), setting.origin)
    };
    assert_eq!(of("limit"), (Some("7"), Origin::File { line: 2 }));
    assert_eq!(of("hosts"), (Some("[\"a\", \"b\"]"), Origin::File { line: 4 }));
    assert_eq!(of("insecure"), (Some("false"), Origin::File { line: 6 }));
    assert_eq!(of("audit"), (Some("false"), Origin::Flag));
    assert_eq!(of("addresses"), (Some("[\"::2\"]"), Origin::Flag));
    assert_eq!(of("period"), (Some("\"10s\""), Origin::Default));
    assert_eq!(of("folder"), (None, Origin::Default));
    assert_eq!(of("cargo_manifest_dir").1, Origin::Environment);
    assert_eq!(of("log_format"), (None, Origin::Default), "of all commands");
}

#[test]
fn what_is_not_understood_is_refused_with_its_line_and_key() {
    for (text, said) in [
        ("[parts]\n\nlimt = 1", "line 3: unknown setting limt; did you mean limit?"),
        ("\n[prats]\nlimit = 1", "line 2: unknown table [prats]; did you mean [parts]?"),
        ("limit = 1", "line 1: limit belongs in the table [parts]"),
        ("lmit = 1", "line 1: unknown setting lmit; did you mean limit?"),
        ("[health]\nlimit = 1", "line 2: limit belongs in the table [parts]"),
        (
            "[nats]\nnats_password = 'sesame'",
            "line 2: nats_password is not set here: set nats_password_file to the path of a file",
        ),
        ("[parts]\nlimit = 1.5", "line 2: limit must be a string, an integer, "),
        ("[parts.limit]\nx = 1", "line 1: limit must be a string, an integer, "),
        ("[parts]\nhosts = [['a']]", "line 2: hosts must be a string, an integer, "),
        ("[parts]\nlimit = [1]", "line 2: --limit takes one value, not a list"),
        ("[parts]\ninsecure = 'yes'", "line 2: --insecure must be true or false"),
        ("[parts]\nfolder = ''", "line 2: folder is empty"),
        ("[parts]\nhosts = []", "line 2: hosts is empty"),
        (
            "[parts]\nlimit = 11",
            "line 2: invalid value '11' for '--limit <LIMIT>': 11 is not in 1..=10",
        ),
        ("[parts]\nlimit = true", "line 2: invalid value 'true' for '--limit <LIMIT>'"),
        ("\n[parts]\nperiod = 10", "line 3: invalid value '10' for '--period <PERIOD>'"),
        ("[parts]\naddresses = ['a']", "line 2: invalid value 'a' for '--addresses <ADDRESSES>'"),
        ("[parts]\nlimit = 1\nlimit = 2", "line 3: duplicate key"),
        ("[parts]\nlimit = ", "line 2: "),
    ] {
        let line = refusal(text, &[]);
        assert!(line.starts_with(said), "{text}: {line}");
    }
    let nowhere = ["x", "--config", "/nowhere/a.toml"].map(OsString::from).to_vec();
    let refused = parse::<Program>(nowhere, &Known::of(SETTINGS)).unwrap_err();
    let Refusal::Error(line) = refused else { panic!("{refused:?}") };
    assert!(line.starts_with("COLLIMATOR_CONFIG /nowhere/a.toml: "), "{line}");
}

#[test]
fn settings_of_the_file_require_and_exclude_others() {
    let line = refusal("[nats]\nnats_user = 'a'", &[]);
    assert!(line.contains("--nats-password-file"), "{line}");
    let user = "[nats]\nnats_user = 'a'";
    assert!(read(user, &["--nats-password-file=b"]).parts.nats.is_set());
    let line =
        refusal("[nats]\nnats_user = 'a'\nnats_password_file = 'b'", &["--nats-creds-file=c"]);
    assert!(line.starts_with("line 2: ") && line.contains("cannot be used with"), "{line}");
}

#[test]
fn what_is_wrong_with_the_flags_is_no_fault_of_the_file() {
    let all = "[parts]\nlimit = 11";
    assert!(refusal(all, &["--no-such-flag", "--limit=3"]).contains("'--no-such-flag'"));
    assert!(refusal("[parts]\nlimit = 7", &["--limit=12"]).starts_with("invalid value '12'"));
    assert_eq!(read(all, &["--limit=3"]).parts.limit, 3);
    let file = file("[parts]\nlimt = 1");
    let help = parse::<Program>(argv(&file, &["--help"]), &Known::of(SETTINGS)).unwrap_err();
    assert!(matches!(help, Refusal::Help(_)));
}

#[test]
fn a_wrong_setting_shows_no_password() {
    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        nats: NatsSettings,
    }
    for url in ["http://u:sesame@a", "nats://u:sesame@a:99999,u:sesame@b", "u:sesame@a:b"] {
        let error = Program::try_parse_from(["x", "--nats-url", url]).unwrap_err();
        let line = one_line(&error.to_string());
        assert!(line.contains("--nats-url") && !line.contains("sesame"), "{line}");
    }
}

#[test]
fn a_wrong_setting_is_one_clear_line() {
    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        common: CommonSettings,
    }
    let error = Program::try_parse_from(["x", "--shutdown-grace", "soon"]).unwrap_err();
    let line = one_line(&error.to_string());
    assert!(line.contains("'soon' for '--shutdown-grace"), "{line}");
    assert!(!line.contains('\n'));
    let error = Program::try_parse_from(["x", "--no-such-flag"]).unwrap_err();
    assert!(one_line(&error.to_string()).contains("--no-such-flag"));
    let defaults = Program::try_parse_from(["x"]).unwrap();
    assert_eq!(defaults.common.shutdown_grace, Duration::from_secs(10));
}
