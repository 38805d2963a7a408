//! The units of systemd: they parse, name programs and settings that exist, and are hardened.

use super::{assert_known, assert_setting, file};
use crate::harness::tools::have;
use std::fs;
use std::process::Command;

/// The units, and the service that each runs.
const UNITS: [(&str, &str); 4] = [
    ("collimator.service", "collimator"),
    ("collimator-ingest.service", "ingest"),
    ("collimator-indexer.service", "indexer"),
    ("collimator-api.service", "api"),
];

/// What `systemd-analyze security` may say of a unit at most, in tenths: 0 is no exposure, 100 all of it.
const MOST_EXPOSED: &str = "20";

fn read(unit: &str) -> String {
    fs::read_to_string(file("systemd").join(unit)).unwrap()
}

/// The values of a key in the section `[Service]`.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let (_, service) = unit.split_once("[Service]\n").unwrap();
    let service = service.split("\n[").next().unwrap();
    let pairs = service.lines().filter_map(|line| line.split_once('='));
    pairs.filter(|(it, _)| *it == key).map(|(_, value)| value).collect()
}

fn value<'a>(unit: &'a str, key: &str) -> &'a str {
    let all = values(unit, key);
    assert_eq!(all.len(), 1, "{key}: {all:?}");
    all[0]
}

#[test]
fn each_unit_runs_its_service_with_settings_that_it_has() {
    for (name, service) in UNITS {
        let unit = read(name);
        assert_eq!(value(&unit, "ExecStart"), format!("/usr/local/bin/{service}"), "{name}");
        for assignment in values(&unit, "Environment") {
            let (setting, _) = assignment.split_once('=').unwrap();
            if setting != "XDG_CACHE_HOME" {
                assert_setting(service, setting, name);
            }
        }
    }
    for service in ["indexer", "api"] {
        let postgres = read("postgres.conf");
        let (setting, _) =
            value(&postgres, "Environment").trim_matches('"').split_once('=').unwrap();
        assert_setting(service, setting, "postgres.conf");
    }
}

#[test]
fn the_file_of_settings_names_settings_and_sets_none() {
    let mut settings = 0;
    for line in read("collimator.env").lines().filter(|line| !line.is_empty()) {
        let line = line.strip_prefix('#').unwrap_or_else(|| panic!("{line} is set"));
        if !line.starts_with(' ') {
            let (name, value) = line.split_once('=').unwrap();
            assert_known(name, "collimator.env");
            assert!(!value.is_empty(), "{name}");
            settings += 1;
        }
    }
    assert!(settings > 5, "{settings}");
}

#[test]
fn a_credential_that_a_setting_names_is_loaded() {
    for name in UNITS.map(|(name, _)| name).into_iter().chain(["postgres.conf"]) {
        let unit = read(name);
        let loaded: Vec<_> = values(&unit, "LoadCredential");
        let loaded: Vec<_> = loaded.iter().map(|it| it.split(':').next().unwrap()).collect();
        let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        for assignment in values(&unit, "Environment") {
            for named in assignment.split("%d/").skip(1) {
                let named = named.split(is_end).next().unwrap();
                assert!(loaded.contains(&named), "{name}: {named} is not in {loaded:?}");
            }
        }
        let environment = values(&unit, "Environment").join(" ");
        for credential in loaded {
            assert!(environment.contains(&format!("%d/{credential}")), "{name}: {credential}");
        }
    }
}

#[test]
fn all_units_are_hardened_alike() {
    let hardening = |unit: &str| {
        let (_, after) = unit.split_once("# What the process may not do.").unwrap();
        after.split_once("[Install]").unwrap().0.to_owned()
    };
    let of_all = hardening(&read(UNITS[0].0));
    assert!(of_all.contains("ProtectSystem=strict") && of_all.contains("NoNewPrivileges=yes"));
    for (name, service) in UNITS {
        let unit = read(name);
        assert_eq!(hardening(&unit), of_all, "{name}");
        // The receiver alone may have a port below 1024.
        let bounds =
            if ["collimator", "ingest"].contains(&service) { "CAP_NET_BIND_SERVICE" } else { "" };
        assert_eq!(value(&unit, "CapabilityBoundingSet"), bounds, "{name}");
    }
    assert_eq!(value(&read("collimator-ingest.service"), "DynamicUser"), "yes");
}

#[test]
fn a_stop_leaves_time_for_what_a_service_waits_for() {
    // SHUTDOWN_GRACE, and as long an open association as collimator.env proposes for DRAIN_TIMEOUT.
    let (grace, drain) = (10, 60);
    assert!(read("collimator.env").contains(&format!("\n#DRAIN_TIMEOUT={drain}s\n")));
    for (name, service) in UNITS {
        let unit = read(name);
        let limit: u64 = value(&unit, "TimeoutStopSec").trim_end_matches('s').parse().unwrap();
        let receives = ["collimator", "ingest"].contains(&service);
        assert!(limit > grace + if receives { drain } else { 0 }, "{name}: {limit}");
    }
}

#[test]
fn systemd_understands_the_units() {
    if !have("systemd-analyze") {
        return;
    }
    // Somewhere the programs are there.
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in UNITS {
        let unit = read(name).replace("ExecStart=/usr/local/bin/", "ExecStart=/bin/true ");
        fs::write(folder.path().join(name), unit).unwrap();
        let drop_in = folder.path().join(format!("{name}.d"));
        if ["collimator-indexer.service", "collimator-api.service"].contains(&name) {
            fs::create_dir(&drop_in).unwrap();
            fs::copy(file("systemd/postgres.conf"), drop_in.join("postgres.conf")).unwrap();
        }
    }
    let units = UNITS.map(|(name, _)| folder.path().join(name));
    let verified = Command::new("systemd-analyze").arg("verify").args(&units).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && said.is_empty(), "{said}");
    let threshold = format!("--threshold={MOST_EXPOSED}");
    let security = ["security", "--offline=yes", "--no-pager", &threshold];
    for unit in units {
        let judged = Command::new("systemd-analyze").args(security).arg(&unit).output().unwrap();
        assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
    }
}
