//! An HTTP client that costs next to nothing, so that a load of it is a load of the server: HTTP/1.1
//! with kept connections, and bodies that are counted, not kept.

use anyhow::{Context as _, bail, ensure};
use std::net::Ipv4Addr;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// What is read of a body at a time.
const PIECE: usize = 64 * 1024;

/// A kept connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    piece: Vec<u8>,
    line: String,
}

impl Connection {
    /// Connects to a port of this machine.
    pub(crate) async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let stream = BufReader::with_capacity(PIECE, stream);
        Ok(Self { stream, piece: vec![0; PIECE], line: String::new() })
    }

    /// Gets something, which must be there; shows the body piece by piece and gives its length.
    pub(crate) async fn get(
        &mut self,
        path: &str,
        mut show: impl FnMut(&[u8]),
    ) -> anyhow::Result<u64> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let status = self.line().await?;
        ensure!(status.split(' ').nth(1) == Some("200"), "{path}: {status}");
        let (mut length, mut chunked) = (None, false);
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').context("a header without a name")?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.trim().parse::<u64>()?),
                "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
        match length {
            Some(length) => self.read(length, &mut show).await.map(|()| length),
            None if chunked => self.chunks(&mut show).await,
            None => bail!("{path}: a body without a length"),
        }
    }

    async fn chunks(&mut self, show: &mut impl FnMut(&[u8])) -> anyhow::Result<u64> {
        let mut total = 0;
        loop {
            let line = self.line().await?;
            let length = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
            let length = length.context("the length of a chunk")?;
            self.read(length, show).await?;
            ensure!(self.line().await?.is_empty(), "a chunk is longer than it says");
            total += length;
            if length == 0 {
                return Ok(total);
            }
        }
    }

    async fn read(&mut self, mut length: u64, show: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        while length > 0 {
            let most = length.min(PIECE as u64) as usize;
            let read = self.stream.read(&mut self.piece[..most]).await?;
            ensure!(read > 0, "the body ends early");
            show(&self.piece[..read]);
            length -= read as u64;
        }
        Ok(())
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        self.line.clear();
        ensure!(self.stream.read_line(&mut self.line).await? > 0, "the connection has ended");
        Ok(self.line.trim_end().to_owned())
    }
}
