//! Orthanc as Debian ships it, with a storage of its own and anyone allowed to send.

use super::listening;
use crate::process::Program;
use std::path::Path;
use tokio::process::Command;

/// Starts it.
pub(crate) async fn start(
    binary: &Path,
    folder: &Path,
    (dicom, http): (u16, u16),
    no_delay: bool,
) -> anyhow::Result<Program> {
    let storage = folder.join("storage");
    let configuration = serde_json::json!({
        "Name": "BENCH",
        "StorageDirectory": storage,
        "IndexDirectory": storage,
        "DicomPort": dicom,
        "HttpPort": http,
        "RemoteAccessAllowed": false,
        "AuthenticationEnabled": false,
        "Plugins": [],
    });
    let path = folder.join("orthanc.json");
    std::fs::write(&path, configuration.to_string())?;
    let mut command = Command::new(binary);
    command.arg(path).env_remove("TCP_NODELAY");
    if no_delay {
        command.env("TCP_NODELAY", "1");
    }
    let mut program = Program::start(&mut command, &folder.join("orthanc.log"))?;
    listening(&mut program, dicom).await?;
    Ok(program)
}
