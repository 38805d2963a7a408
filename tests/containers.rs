//! docker-compose.yml and the Dockerfile, as far as reading them tells: every container is hardened, every image
//! has an exact version, and every setting can be given. `tests/compose` runs them.

use serde_yaml::{Mapping, Value};
use std::path::Path;

pub fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The services of docker-compose.yml, with what they take over from others.
fn services() -> Vec<(String, Mapping)> {
    services_of("docker-compose.yml")
}

/// The same of another compose file.
pub fn services_of(file: &str) -> Vec<(String, Mapping)> {
    let mut compose: Value = serde_yaml::from_str(&read(file)).unwrap();
    // Again for what was taken over together with its own `<<`, three deep at most.
    for _ in 0..4 {
        compose.apply_merge().unwrap();
    }
    let services = compose["services"].as_mapping().unwrap().clone();
    let service = |(name, it): (Value, Value)| {
        (name.as_str().unwrap().to_owned(), it.as_mapping().unwrap().clone())
    };
    services.into_iter().map(service).collect()
}

pub fn strings(value: Option<&Value>) -> Vec<String> {
    let values = value.and_then(Value::as_sequence).into_iter().flatten();
    values.map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// Every package is built into the image's layer of dependencies, and goes to the container engine.
#[test]
fn each_package_of_the_workspace_is_in_the_dockerfile() {
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members: Vec<String> = serde_yaml::from_str(members).unwrap();
    assert!(members.len() > 5, "{members:?}");
    let (dockerfile, ignored) = (read("Dockerfile"), read(".dockerignore"));
    let packages = dockerfile.lines().find(|line| line.contains("for package in")).unwrap();
    let packages: Vec<_> = packages.split([' ', ';']).collect();
    for member in &members {
        let copied = format!("COPY {member}/Cargo.toml {member}/");
        assert!(dockerfile.lines().any(|line| line == copied), "{copied}");
        assert!(packages.contains(&&**member), "{member} has no empty package");
        let folder = member.split('/').next();
        let is_let_in =
            |line: &str| line.strip_prefix('!').is_some_and(|it| it.split('/').next() == folder);
        assert!(ignored.lines().any(is_let_in), "{member} is left out by .dockerignore");
    }
}

/// What an image's tag has to have in it: `2.15.0-alpine`, `v3.5.0`, and of Debian and PostgreSQL, which have two
/// numbers, `12.14-slim`.
pub fn has_an_exact_version(image: &str) -> bool {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    let Some((name, tag)) = image.rsplit_once(':') else { return false };
    let numbers = tag.trim_start_matches('v').split('-').next().unwrap_or_default();
    let numbers: Vec<_> = numbers.split('.').collect();
    let all = numbers.iter().all(|number| number.parse::<u32>().is_ok());
    all && numbers.len() >= if ["debian", "postgres"].contains(&name) { 2 } else { 3 }
}

#[test]
fn a_version_is_told_from_what_floats() {
    for exact in [
        "nats:2.15.0-alpine",
        "prom/prometheus:v3.5.0",
        "debian:12.14-slim",
        "postgres:17.6",
        "a:1.2.3@b:c",
    ] {
        assert!(has_an_exact_version(exact), "{exact}");
    }
    for floats in
        ["nats", "nats:latest", "nats:2.15-alpine", "debian:12-slim", "debian:bookworm-slim"]
    {
        assert!(!has_an_exact_version(floats), "{floats}");
    }
}

#[test]
fn each_image_has_an_exact_version() {
    let dockerfile = read("Dockerfile");
    let froms = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM "));
    let froms: Vec<_> = froms.filter_map(|from| from.split_whitespace().next()).collect();
    assert_eq!(froms.len(), 2, "{froms:?}");
    for image in froms {
        assert!(has_an_exact_version(image), "{image} in the Dockerfile");
    }
    for (name, service) in services() {
        match service.get("image") {
            Some(image) => {
                assert!(has_an_exact_version(image.as_str().unwrap()), "{name}: {image:?}")
            }
            None => assert_eq!(service["build"], ".", "{name}"),
        }
    }
}

#[test]
fn each_container_is_hardened() {
    assert_hardened(&services(), "nats-passwords", "ingest");
}

/// That no container may do more than it needs. `prepares` gives away what belongs to root, and ends; only `receives`
/// may be reached from other machines.
pub fn assert_hardened(services: &[(String, Mapping)], prepares: &str, receives: &str) {
    for (name, service) in services {
        assert_eq!(service.get("read_only"), Some(&Value::Bool(true)), "{name}: read_only");
        assert_eq!(strings(service.get("cap_drop")), ["ALL"], "{name}: cap_drop");
        let options = strings(service.get("security_opt"));
        assert_eq!(options, ["no-new-privileges:true"], "{name}: security_opt");
        assert!(service.contains_key("pids_limit"), "{name}: pids_limit");
        assert!(service.contains_key("logging"), "{name}: logging without a bound");
        let added = strings(service.get("cap_add"));
        let user = service.get("user").and_then(Value::as_str);
        if name == prepares {
            assert_eq!(added, ["CHOWN", "DAC_OVERRIDE"]);
            assert_eq!(service["network_mode"], "none");
            assert!(!service.contains_key("restart"), "it does not stay");
            continue;
        }
        assert!(added.is_empty(), "{name}: {added:?}");
        let nonroot = service
            .get("image")
            .and_then(Value::as_str)
            .is_some_and(|image| image.ends_with("-nonroot"));
        assert!(
            nonroot || user.is_some_and(|user| !user.starts_with("0") && user != "root"),
            "{name}: {user:?}"
        );
        for port in strings(service.get("ports")) {
            assert!(port.starts_with("127.0.0.1:") || name == receives, "{name} publishes {port}");
        }
        for unwanted in ["privileged", "devices", "pid", "ipc", "userns_mode"] {
            assert!(!service.contains_key(unwanted), "{name}: {unwanted}");
        }
    }
}

/// The settings of docs/settings.md, and whose each is. `src/main.rs` and `tests/starting.rs` hold that page to the programs.
pub fn settings() -> Vec<(String, String)> {
    let page = read("docs/settings.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        let [setting, _, whose, _] = cells.try_into().ok()?;
        Some((setting.trim_end_matches('`').to_owned(), whose.to_owned()))
    });
    let settings: Vec<(String, String)> = rows.collect();
    assert!(settings.len() > 40, "{settings:?}");
    settings
}

#[test]
fn each_setting_of_a_service_can_be_given_to_its_container() {
    // What belongs to the image or the file itself: addresses within its network, its users, its folders.
    const ITS_OWN: [&str; 12] = [
        "NATS_PASSWORD_FILE",
        "NATS_USER",
        "NATS_URL",
        "NATS_CREDS_FILE",
        "NATS_INBOX_PREFIX",
        "NATS_TLS_CA",
        "NATS_TLS_CERT",
        "NATS_TLS_KEY",
        "DATABASE_URL",
        "DICOM_ADDR",
        "API_ADDR",
        "SHUTDOWN_GRACE",
    ];
    let settings = settings();
    for (name, service) in services() {
        let named = |whose: &str| whose.split(", ").any(|it| it == name || it == "all");
        if !service.contains_key("build") {
            continue;
        }
        let given = service["environment"].as_mapping().unwrap();
        for (setting, _) in settings.iter().filter(|(_, whose)| named(whose)) {
            let is_given = given.contains_key(setting.as_str());
            assert!(
                is_given || ITS_OWN.contains(&setting.as_str()),
                "docker-compose.yml does not hand {setting} to {name}"
            );
        }
    }
}

#[test]
fn settings_files_for_the_containers_stay_out_of_git_and_of_the_image() {
    assert!(read(".dockerignore").lines().any(|line| line == "container/config"));
    for (name, service) in services() {
        if service.contains_key("build") {
            let mounted = format!("./container/config/{name}:/config:ro");
            assert!(strings(service.get("volumes")).contains(&mounted), "{name}");
            let ignored = read(&format!("container/config/{name}/.gitignore"));
            assert_eq!(ignored, "*\n!.gitignore\n");
        }
    }
}
