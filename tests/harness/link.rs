//! A link between two parts that can be cut.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

/// Passes connections on to a target, until they are cut.
pub struct Link {
    /// Where to connect to.
    pub addr: SocketAddr,
    cut: broadcast::Sender<()>,
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
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        Self { addr, cut }
    }

    /// Cuts all connections that pass through it now.
    pub fn cut(&self) {
        // Nobody may be connected.
        let _ = self.cut.send(());
    }
}
