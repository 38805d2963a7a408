//! Our own sender: each association is a thread that writes what was encoded before, and waits for
//! each C-STORE-RSP. It costs little more than the copy into the socket, so it is never what bounds
//! a receiver.

use super::Sent;
use super::message::{Association, Message};
use crate::input::Input;
use crate::process::this_thread;
use anyhow::anyhow;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Sends instances over so many associations, each for `time` and one at the least.
pub(crate) fn send(
    port: u16,
    associations: usize,
    input: Input,
    time: Duration,
) -> anyhow::Result<Sent> {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut opened = Vec::new();
    for _ in 0..associations {
        let association = Association::open(to)?;
        let template = input.template()?;
        let message = Message::new(&template, association.longest_pdu, true)?;
        opened.push((association, message, template.data_set.len() as u64));
    }
    let together = Arc::new(Barrier::new(associations));
    let threads: Vec<_> = opened
        .into_iter()
        .map(|(association, message, length)| {
            let together = together.clone();
            thread::spawn(move || {
                together.wait();
                store(association, message, time)
                    .map(|(count, wall, cpu)| (count, length, wall, cpu))
            })
        })
        .collect();
    let mut sent = Sent { instances: 0, bytes: 0, wall: Duration::ZERO, cpu: 0.0 };
    for thread in threads {
        let ended = thread.join().map_err(|_| anyhow!("the sender has panicked"))?;
        let (count, length, wall, cpu) = ended?;
        sent.instances += count;
        sent.bytes += count * length;
        sent.wall = sent.wall.max(wall);
        sent.cpu += cpu;
    }
    Ok(sent)
}

fn store(
    mut association: Association,
    mut message: Message,
    time: Duration,
) -> anyhow::Result<(u64, Duration, f64)> {
    let (began, cpu, mut count) = (Instant::now(), this_thread(), 0);
    while count == 0 || began.elapsed() < time {
        message.renew(count);
        association.socket.write_all(&message.bytes)?;
        association.success()?;
        count += 1;
    }
    let used = (count, began.elapsed(), this_thread() - cpu);
    association.release()?;
    Ok(used)
}
