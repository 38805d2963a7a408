//! A link between two parts that can be cut, or go dead.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

/// Passes connections on to a target, until they are cut.
pub struct Link {
    /// Where to connect to.
    pub addr: SocketAddr,
    cut: broadcast::Sender<Fault>,
}

/// What becomes of the connections that pass through a link.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// They end.
    Cut,
    /// They stay open, and nothing passes any more, as behind a firewall that has forgotten them.
    Dead,
}

impl Link {
    /// A link to `target`, which need not be there yet.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (cut, _) = broadcast::channel(1);
        let cuts = cut.clone();
        tokio::spawn(async move {
            loop {
                let Ok((mut near, _)) = listener.accept().await else { continue };
                let mut cut = cuts.subscribe();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    let _ = far.set_nodelay(true);
                    let _ = near.set_nodelay(true);
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        fault = cut.recv() => {
                            if fault == Ok(Fault::Dead) {
                                let _ = cut.recv().await;
                            }
                        }
                    }
                });
            }
        });
        Self { addr, cut }
    }

    /// Cuts all connections that pass through it now.
    pub fn cut(&self) {
        // Nobody may be connected.
        let _ = self.cut.send(Fault::Cut);
    }

    /// Has nothing pass any more through all connections that pass through it now. New ones work.
    pub fn die(&self) {
        let _ = self.cut.send(Fault::Dead);
    }
}
