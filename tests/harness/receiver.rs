//! The receiver of a webhook: each delivery waits until the test says how it is answered.

use super::DEADLINE;
use serde_json::Value;
use std::collections::HashMap;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// One that takes what is posted to it.
pub struct Receiver {
    /// Where it listens.
    pub url: String,
    came: UnboundedReceiver<Delivery>,
}

/// A delivery that is not answered yet. When it is dropped, so is its connection.
pub struct Delivery {
    /// By lower-case name.
    pub headers: HashMap<String, String>,
    /// The event.
    pub body: Value,
    connection: BufReader<TcpStream>,
}

impl Receiver {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/collimator", listener.local_addr().unwrap());
        let (sender, came) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(receive(socket, sender.clone()));
            }
        });
        Self { url, came }
    }

    /// The next delivery.
    pub async fn gets(&mut self) -> Delivery {
        let came = timeout(DEADLINE, self.came.recv()).await;
        came.expect("a delivery in time").unwrap()
    }

    /// Whether something has come that was not looked at yet.
    pub fn has_more(&self) -> bool {
        !self.came.is_empty()
    }
}

async fn receive(socket: TcpStream, sender: UnboundedSender<Delivery>) -> Option<()> {
    let mut connection = BufReader::new(socket);
    let mut line = String::new();
    connection.read_line(&mut line).await.ok()?;
    assert!(line.starts_with("POST /collimator"), "{line}");
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    connection.read_exact(&mut body).await.ok()?;
    let body = serde_json::from_slice(&body).unwrap();
    sender.send(Delivery { headers, body, connection }).ok()
}

impl Delivery {
    /// Answers with a status, and headers.
    pub async fn gets_answer(mut self, status: u16, headers: &str) {
        let head = format!(
            "HTTP/1.1 {status} \r\ncontent-length: 0\r\nconnection: close\r\n{headers}\r\n"
        );
        self.connection.write_all(head.as_bytes()).await.unwrap();
        self.connection.shutdown().await.unwrap();
    }
}
