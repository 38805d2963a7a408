//! Ports for servers of tests.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports that the kernel does not give to connections and to those who ask for any: a server may be dead for a while.
const PORTS: Range<u16> = 20_000..32_000;

/// Counts the ports from a random one on: processes that run at the same time seldom meet.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    // A random number of the standard library.
    AtomicU16::new(RandomState::new().build_hasher().finish() as u16)
});

/// A port that nobody listens on at the moment, and that this process gives to nobody else for long.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    PORTS
        .map(|_| PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a port that is free")
}
