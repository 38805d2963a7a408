//! What an issuer serves over HTTP.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A server that answers what it is told to. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// Where it listens.
    pub url: String,
    answers: Arc<Mutex<HashMap<String, String>>>,
    /// It takes requests and says nothing.
    hangs: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    /// Listens on a free port. It has nothing yet.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, ..Self::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let server = serving.clone();
                tokio::spawn(async move { server.answer(socket).await });
            }
        });
        server
    }

    /// Serves this at a path from now on.
    pub fn serves(&self, path: &str, what: impl ToString) {
        self.answers.lock().unwrap().insert(path.to_owned(), what.to_string());
    }

    /// Answers nothing from now on, or does again.
    pub fn hangs(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// How many requests have come.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn answer(&self, socket: TcpStream) -> Option<()> {
        let mut socket = BufReader::new(socket);
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != "\r\n") {
            let mut line = String::new();
            socket.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            lines.push(line);
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let path = lines[0].split(' ').nth(1)?;
        let found = self.answers.lock().unwrap().get(path).cloned();
        let (status, body) = found.map_or((404, String::new()), |body| (200, body));
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} \r\ncontent-length: {length}\r\nconnection: close\r\n");
        socket.write_all(format!("{head}\r\n{body}").as_bytes()).await.ok()?;
        socket.shutdown().await.ok()
    }
}
