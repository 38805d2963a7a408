//! What `deploy/` holds: systemd units, a cluster for compose, a Helm chart. As far as they can be tried without an engine, a
//! systemd or a Kubernetes, they are: by the programs that read them.

mod chart;
mod cluster;
mod units;

use crate::containers::settings;
use std::path::PathBuf;

/// A file of `deploy/`.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// Makes sure that a service has a setting of this name. `collimator` has those of all of them.
fn assert_setting(service: &str, name: &str, named_in: &str) {
    let whose = settings().into_iter().find(|(setting, _)| setting == name);
    let (_, whose) = whose.unwrap_or_else(|| panic!("{named_in}: {name} is no setting"));
    let has = |it: &str| it == service || it == "all" || service == "collimator";
    assert!(whose.split(", ").any(has), "{named_in}: {service} has no setting {name}");
}

/// Makes sure that some service has a setting of this name.
fn assert_known(name: &str, named_in: &str) {
    assert_setting("collimator", name, named_in);
}
