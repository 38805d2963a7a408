//! What Collimator is compared with: the receivers that people run today, installed and started.

pub(crate) mod debian;
pub(crate) mod dicom_rs;
pub(crate) mod orthanc;
pub(crate) mod python;
pub(crate) mod storescp;

use crate::process::Program;
use anyhow::ensure;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How long a start may take.
const START: Duration = Duration::from_secs(60);

/// How often it is looked whether one listens.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until a program takes connections.
pub(crate) async fn listening(program: &mut Program, port: u16) -> anyhow::Result<()> {
    let began = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
        ensure!(!program.has_ended(), "it has ended");
        ensure!(began.elapsed() < START, "it does not come up");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
