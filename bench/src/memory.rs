//! `memory`: what `ingest` has resident with a hundred associations in mid-instance, and what one
//! instance of 2 GiB adds.

use crate::broker::{Broker, Sync};
use crate::input::Input;
use crate::lab::{Lab, free_port};
use crate::process::{Program, Usage};
use crate::programs::build;
use crate::receivers::ingest;
use crate::senders::message::{Association, Message, put_piece};
use crate::table::{megabytes, number};
use anyhow::Context as _;
use clap::Args;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

/// Pixel data in one PDU: what a receiver of 128 KiB takes, in whole kilobytes.
const PIECE: usize = 64 * 1024;

#[derive(Debug, Clone, Args)]
pub(crate) struct MemorySettings {
    /// Associations in mid-instance
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) associations: u16,
    /// MiB of the large instance, below 4096
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..4096))]
    pub(crate) large: u32,
    /// 64 MiB instead
    #[arg(long)]
    pub(crate) small: bool,
}

/// What `ingest` had resident, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// The most with all associations in mid-instance, and until they had ended.
    pub(crate) peak: u64,
    /// The most before and after the large instance.
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// Measures and prints.
pub(crate) async fn run(settings: &MemorySettings) -> anyhow::Result<bool> {
    measure(&Lab::enter().await?, settings).await?;
    Ok(true)
}

/// Both, each on a new process.
pub(crate) async fn measure(lab: &Lab, settings: &MemorySettings) -> anyhow::Result<Memory> {
    let large = if settings.small { 64 } else { settings.large } << 20;
    let (binary, folder) = (build("ingest").await?, lab.folder()?);
    let broker = Broker::start(&lab.nats_server, folder.path(), Sync::Always).await?;
    let (port, other) = (free_port()?, free_port()?);
    let program = ingest(&binary, folder.path(), &broker.url, port).await?;
    let (id, associations) = (program.id(), settings.associations);
    let start = resident(&Usage::of(id))?;
    let many = move || many(port, associations, id);
    let (resident, peak) = tokio::task::spawn_blocking(many).await??;
    drop(program);

    let program: Program = ingest(&binary, folder.path(), &broker.url, other).await?;
    let id = program.id();
    let one = move || one_large(other, large, id);
    let (before, after, seconds) = tokio::task::spawn_blocking(one).await??;
    println!(
        "ingest: {} MB resident at first, {} MB with {associations} associations in mid-instance, \
         {} MB at the most until they had ended
one instance of {} MiB, in {} s: {} MB at the most before, {} MB after, so it added {} MB
",
        megabytes(start),
        megabytes(resident),
        megabytes(peak),
        large >> 20,
        number(seconds),
        megabytes(before),
        megabytes(after),
        megabytes(after - before),
    );
    Ok(Memory { peak, before, after })
}

fn resident(usage: &Usage) -> anyhow::Result<u64> {
    usage.resident.values().next().copied().context("ingest has ended")
}

fn peak(process: u32) -> anyhow::Result<u64> {
    Usage::of(process).peak.values().next().copied().context("ingest has ended")
}

fn to(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// All associations have sent half of an instance: what is resident then, and the most until they
/// have sent the rest and were answered.
fn many(port: u16, associations: u16, ingest: u32) -> anyhow::Result<(u64, u64)> {
    let mut open = Vec::new();
    for _ in 0..associations {
        let mut association = Association::open(to(port))?;
        let message = Message::new(&Input::Mr.template()?, association.longest_pdu, true)?;
        // In the middle of a PDU, and of the pixel data.
        association.socket.write_all(&message.bytes[..message.bytes.len() / 2])?;
        open.push((association, message));
    }
    let resident = resident(&Usage::of(ingest))?;
    for (association, message) in &mut open {
        association.socket.write_all(&message.bytes[message.bytes.len() / 2..])?;
    }
    for (mut association, _) in open {
        association.success()?;
        association.release()?;
    }
    Ok((resident, peak(ingest)?))
}

/// A usual instance, and then a large one, made on the wire: the most that was resident before and
/// after, and how long it took.
fn one_large(port: u16, length: u32, ingest: u32) -> anyhow::Result<(u64, u64, f64)> {
    let mut association = Association::open(to(port))?;
    let longest = association.longest_pdu;
    let mut usual = Message::new(&Input::Mr.template()?, longest, true)?;
    for serial in 0..100 {
        usual.renew(serial);
        association.socket.write_all(&usual.bytes)?;
        association.success()?;
    }
    let (before, began) = (peak(ingest)?, Instant::now());
    let instance = Input::Mr.template()?.up_to_pixel_data(length)?;
    association.socket.write_all(&Message::new(&instance, longest, false)?.bytes)?;
    let piece = vec![0; PIECE.min(longest as usize / 2)];
    let (mut pdu, mut last) = (Vec::new(), Vec::new());
    put_piece(&mut pdu, false, &piece);
    put_piece(&mut last, true, &piece);
    let pieces = length as usize / piece.len();
    for _ in 1..pieces {
        association.socket.write_all(&pdu)?;
    }
    association.socket.write_all(&last)?;
    association.success()?;
    let seconds = began.elapsed().as_secs_f64();
    association.release()?;
    Ok((before, peak(ingest)?, seconds))
}
