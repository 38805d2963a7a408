//! A link between two parts that can be cut, go dead, or be blocked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

/// Passes connections on to a target, until they are cut.
pub struct Link {
    /// Where to connect to.
    pub addr: SocketAddr,
    cut: broadcast::Sender<Fault>,
    blocked: Arc<AtomicBool>,
    accepting: AbortHandle,
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
        let blocked = Arc::new(AtomicBool::new(false));
        let blocks = blocked.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((mut near, _)) = listener.accept().await else { continue };
                let mut cut = cuts.subscribe();
                let is_blocked = blocks.load(Ordering::Relaxed);
                tokio::spawn(async move {
                    if is_blocked {
                        // It stays open, and is not passed on.
                        let _ = cut.recv().await;
                        return;
                    }
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
        Self { addr, cut, blocked, accepting: accepting.abort_handle() }
    }

    /// Cuts all connections that pass through it now.
    pub fn cut(&self) {
        // Nobody may be connected.
        let _ = self.cut.send(Fault::Cut);
    }

    /// Has nothing pass any more, also through connections that are still to come.
    pub fn block(&self) {
        self.blocked.store(true, Ordering::Relaxed);
        self.die();
    }

    /// Passes connections on again. Those from before end.
    pub fn unblock(&self) {
        self.blocked.store(false, Ordering::Relaxed);
        self.cut();
    }

    /// Has nothing pass any more through all connections that pass through it now. New ones work.
    pub fn die(&self) {
        let _ = self.cut.send(Fault::Dead);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // What passes through it ends too, since nobody can cut it any more.
        self.accepting.abort();
    }
}
