//! The ports for DICOM and HTTP: free, or held by a Collimator that answers on them.

use super::ANSWER_TIMEOUT;
use super::finding::Finding;
use crate::http_client::NoAnswer;
use crate::pipeline::{PipelineSettings, here};
use crate::readiness::Readiness;
use crate::send::{self, NoAssociation, SendSettings};
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// What a port is like.
enum Port {
    /// Somebody listens.
    Held,
    /// Nobody does, and we could.
    Free,
    /// Nobody does, and we can't, for this reason.
    Barred(String),
}

/// Looks at all.
pub(super) async fn examine(settings: &PipelineSettings) -> Vec<Finding> {
    let (dicom, dicom_tls, api) = tokio::join!(dicom(settings), dicom_tls(settings), api(settings));
    [dicom, dicom_tls, Some(api)].into_iter().flatten().collect()
}

async fn look(addr: SocketAddr) -> Port {
    if addr.port() != 0
        && matches!(timeout(ANSWER_TIMEOUT, TcpStream::connect(here(addr))).await, Ok(Ok(_)))
    {
        return Port::Held;
    }
    match TcpListener::bind(addr).await {
        Ok(_) => Port::Free,
        Err(error) => Port::Barred(error.to_string()),
    }
}

/// Of a port that nobody holds.
fn free(check: &'static str, addr: SocketAddr, port: &Port, setting: &str) -> Finding {
    match port {
        Port::Barred(error) => {
            let advice = format!("set {setting} to an address that this user may listen on");
            Finding::trouble(check, format!("{addr} can't be listened on: {error}"), advice)
        }
        _ => Finding::ok(check, format!("{addr} is free; nobody listens")),
    }
}

/// The port for plain DICOM, if there is to be one.
async fn dicom(settings: &PipelineSettings) -> Option<Finding> {
    const CHECK: &str = "dicom";
    let addr = settings.ingest.dicom_addr.0?;
    let found = match look(addr).await {
        // Who asks would be refused, and counted among the strangers.
        Port::Held if settings.senders.read().is_ok_and(|file| !file.allow.is_open()) => {
            Finding::ok(CHECK, format!("{addr} is held, and was not asked: we may not send to it"))
        }
        Port::Held => echo(CHECK, addr, &settings.ingest.ae_title).await,
        port => free(CHECK, addr, &port, "DICOM_ADDR"),
    };
    Some(found)
}

/// The port for DICOM over TLS, if there is to be one.
async fn dicom_tls(settings: &PipelineSettings) -> Option<Finding> {
    const CHECK: &str = "dicom tls";
    let addr = settings.ingest.tls.dicom_tls_addr?;
    Some(match look(addr).await {
        Port::Held => Finding::ok(CHECK, format!("{addr} is held, and was not asked")),
        port => free(CHECK, addr, &port, "DICOM_TLS_ADDR"),
    })
}

async fn echo(check: &'static str, addr: SocketAddr, ae_title: &str) -> Finding {
    let mut asked = SendSettings::new(here(addr).to_string(), Vec::new());
    (asked.called_ae, asked.timeout) = (ae_title.to_owned(), ANSWER_TIMEOUT);
    match timeout(2 * ANSWER_TIMEOUT, send::echo(&asked)).await {
        Ok(Ok(())) => Finding::ok(check, format!("{ae_title} on {addr} answers C-ECHO")),
        Ok(Err(error)) => {
            // Its advice is for `collimator send`, whose options nobody has here.
            let why = match error.downcast_ref::<NoAssociation>() {
                Some(none) => none.says.clone(),
                None => format!("{error:#}"),
            };
            Finding::trouble(
                check,
                format!("{addr} is held by somebody who does not answer C-ECHO ({why})"),
                "if that is no Collimator, stop it or set DICOM_ADDR; else see its log",
            )
        }
        Err(_elapsed) => Finding::trouble(
            check,
            format!("{addr} is held by somebody who does not answer"),
            "if that is no Collimator, stop it or set DICOM_ADDR; else see its log",
        ),
    }
}

async fn api(settings: &PipelineSettings) -> Finding {
    const CHECK: &str = "api";
    let addr = settings.api.api_addr;
    match look(addr).await {
        Port::Held => {}
        port => return free(CHECK, addr, &port, "API_ADDR"),
    }
    let readiness = match Readiness::ask(&settings.api).await {
        Ok(readiness) => readiness,
        Err(error) if matches!(error.downcast_ref(), Some(NoAnswer::Untrusted(_))) => {
            let says = format!("{addr} shows another certificate than that of API_TLS_CERT");
            let advice =
                "send SIGHUP to a Collimator that is to read it again; stop any other program";
            return Finding::trouble(CHECK, says, advice);
        }
        Err(error) => {
            let says = format!("{addr} is held by somebody who is no API of ours ({error:#})");
            return Finding::trouble(CHECK, says, "stop it, or set API_ADDR");
        }
    };
    match readiness.missing() {
        None => Finding::ok(CHECK, format!("{addr} answers, and all parts of it are ready")),
        Some(parts) => {
            let says = format!("{addr} answers that it is not ready, by {parts}");
            Finding::trouble(CHECK, says, "see what is said of these parts here, and its log")
        }
    }
}
