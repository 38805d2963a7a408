//! A plain copy over loopback: what the machine gives to anyone who sends the same bytes and says
//! nothing of DICOM.

use crate::input::Input;
use crate::senders::message::Message;
use anyhow::anyhow;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// As long as the PDUs that our sender sends.
const PIECE: usize = 128 * 1024;

/// Bytes in a second over so many connections.
pub(crate) fn copy(connections: usize, input: Input, time: Duration) -> anyhow::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut threads = Vec::new();
    let began = Instant::now();
    for _ in 0..connections {
        let mut out = TcpStream::connect(listener.local_addr()?)?;
        let (mut into, _) = listener.accept()?;
        let message = Message::new(&input.template()?, PIECE as u32, true)?;
        thread::spawn(
            move || {
                while began.elapsed() < time && out.write_all(&message.bytes).is_ok() {}
            },
        );
        threads.push(thread::spawn(move || {
            let (mut buffer, mut bytes) = (vec![0; PIECE], 0);
            loop {
                match into.read(&mut buffer)? {
                    0 => return std::io::Result::Ok(bytes),
                    length => bytes += length as u64,
                }
            }
        }));
    }
    let mut bytes = 0;
    for thread in threads {
        bytes += thread.join().map_err(|_| anyhow!("the copy has panicked"))??;
    }
    Ok(bytes as f64 / began.elapsed().as_secs_f64())
}
