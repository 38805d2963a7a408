//! Where a nats-server listens that is started with a file of the project, as its first lines say.
#![cfg(target_os = "linux")]

use crate::harness::eventually;
use crate::harness::pipeline::{Process, free_addr};
use crate::harness::restricted::project_files;
use crate::harness::tls::Authority;
use collimator::embedded_nats::Finder;
use std::collections::BTreeSet;
use std::fs;

/// The addresses and ports on which a process accepts connections, as the kernel has them: those of IPv4 and
/// IPv6 in hexadecimal.
fn listens(process: u32) -> BTreeSet<(String, u16)> {
    const LISTEN: &str = "0A";
    let sockets = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let sockets: BTreeSet<String> = sockets
        .filter_map(|entry| {
            fs::read_link(entry.ok()?.path()).ok()?.into_os_string().into_string().ok()
        })
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables =
        ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/net/{table}")).unwrap());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    lines
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (addr, port) = fields.get(1)?.split_once(':')?;
            let is_it = fields.get(3)? == &LISTEN && sockets.contains(*fields.get(9)?);
            is_it.then(|| (addr.to_owned(), u16::from_str_radix(port, 16).unwrap()))
        })
        .collect()
}

/// Where a server listens for clients and for monitoring, started with a file and these arguments.
async fn both(file: &str, more: &[&str]) -> [String; 2] {
    let folder = project_files();
    let identity = Authority::new(folder.path(), "ours").issue("nats");
    let server = Finder::new(None, folder.path()).find_or_fetch().await.unwrap();
    let (port, monitoring) = (free_addr().port(), free_addr().port());
    let (clients, monitors) = (port.to_string(), monitoring.to_string());
    let file = folder.path().join(file);
    let arguments =
        [&["-c", file.to_str().unwrap(), "-p", &clients, "-m", &monitors], more].concat();
    let settings = [
        ("NATS_STORE_DIR", folder.path().join("nats").display().to_string()),
        ("NATS_TLS_SERVER_CERT", identity.certificate.display().to_string()),
        ("NATS_TLS_SERVER_KEY", identity.key.display().to_string()),
    ];
    let process = Process::start_with(&server, &arguments, folder.path(), &settings);
    let found = eventually("both ports", async || {
        let found = listens(process.id());
        (found.len() == 2).then_some(found)
    })
    .await;
    [port, monitoring].map(|port| found.iter().find(|found| found.1 == port).unwrap().0.clone())
}

/// 127.0.0.1 as the kernel writes it, on a machine of either byte order.
fn loopback() -> String {
    format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]))
}

#[tokio::test]
async fn each_file_listens_on_loopback_unless_an_address_is_named() {
    for file in ["nats.conf", "nats-users.conf", "nats-tls.conf"] {
        assert_eq!(both(file, &[]).await, [loopback(), loopback()], "{file}");
    }
}

#[tokio::test]
async fn the_monitoring_of_a_server_for_other_machines_stays_on_loopback() {
    let [clients, monitoring] = both("nats-tls.conf", &["-a", "0.0.0.0"]).await;
    assert_ne!(clients, loopback());
    assert_eq!(monitoring, loopback());
}

#[test]
fn the_container_listens_on_its_own_network() {
    // Loopback in a container is nobody else's.
    let compose = include_str!("../docker-compose.yml");
    assert!(compose.contains(r#""/etc/nats/nats-users.conf", "-a", "0.0.0.0"]"#));
}
