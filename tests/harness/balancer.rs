//! HAProxy in front of receivers: a load balancer that passes the addresses of senders on.

use super::eventually;
use super::pipeline::free_addr;
use super::process::Process;
use super::tools::path_of;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A load balancer.
pub struct Balancer {
    /// Where senders connect to.
    pub addr: SocketAddr,
    _process: Process,
}

/// How the balancer finds out whether a receiver takes associations.
pub enum Check {
    /// It opens a connection to the DICOM port, says LOCAL and closes it.
    Connection,
    /// It asks for readiness at this address.
    Readiness(SocketAddr),
}

impl Balancer {
    /// In front of these receivers, which get associations in turn.
    pub async fn start(folder: &Path, receivers: &[(SocketAddr, Check)]) -> Self {
        let addr = free_addr();
        let mut configuration = format!(
            "defaults\n mode tcp\n timeout connect 2s\n timeout client 1m\n timeout server 1m\n \
             timeout check 2s\n retries 3\n option redispatch 1\n\
             frontend dicom\n bind {addr}\n default_backend receivers\n\
             backend receivers\n balance roundrobin\n"
        );
        let by_readiness = receivers.iter().any(|(_, check)| matches!(check, Check::Readiness(_)));
        if by_readiness {
            configuration += " option httpchk GET /health/ready\n";
        }
        for (number, (receiver, check)) in receivers.iter().enumerate() {
            write!(configuration, " server receiver{number} {receiver} send-proxy-v2 ").unwrap();
            match check {
                Check::Connection => configuration += "check-send-proxy",
                Check::Readiness(admin) => {
                    let (ip, port) = (admin.ip(), admin.port());
                    write!(configuration, "addr {ip} port {port}").unwrap();
                }
            }
            configuration += " check inter 100ms fall 1 rise 1\n";
        }
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, configuration).unwrap();
        let arguments = ["-db", "-f", file.to_str().unwrap()];
        let process = Process::start_with(&path_of("haproxy"), &arguments, folder, &[]);
        eventually("the balancer to pass something on", async || {
            // To its end, since each connection takes a turn of the receivers, at some time.
            let mut first = TcpStream::connect(addr).await.ok()?;
            first.shutdown().await.ok()?;
            first.read(&mut [0]).await.ok()
        })
        .await;
        Self { addr, _process: process }
    }
}
