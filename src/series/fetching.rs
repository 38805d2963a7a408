//! `collimator series get`: the files of a series, by WADO-RS (PS3.18 section 10.4). Each has its name only once it is whole, so
//! what was interrupted goes on where it was.

use super::client::Client;
use super::table::printable;
use crate::http_client::Answer;
use anyhow::{Context as _, bail, ensure};
use blake3::{Hash, Hasher};
use http::header::{CONTENT_LENGTH, ETAG};
use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::task::spawn_blocking;

/// Instances that are asked for at a time: as many as QIDO-RS gives.
const PAGE: usize = 1_000;

/// What is written as it is in the name of a file: UIDs are.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// How many digits of its BLAKE3 hash are the entity tag of a file.
const TAG_DIGITS: usize = 32;

/// SOP Instance UID (0008,0018) and Instance Availability (0008,0056).
const SOP_INSTANCE_UID: &str = "00080018";
const AVAILABILITY: &str = "00080056";

/// Downloads a series into a folder, the one of its UID unless another is named. Prints what is there then.
pub(super) async fn get(client: &Client, uid: &str, into: Option<PathBuf>) -> anyhow::Result<()> {
    let details = client.details(uid).await.with_context(|| printable(uid))?;
    let study = details.text("StudyInstanceUID");
    ensure!(!study.is_empty(), "the series names no study, without which nothing is retrieved");
    let series = ["dicom-web", "studies", &study, "series", uid, "instances"];
    let instances = client.instances(&series, PAGE).await?;
    let text = |instance: &Value, tag: &str| {
        instance[tag]["Value"][0].as_str().unwrap_or_default().to_owned()
    };
    let (kept, absent): (Vec<_>, Vec<_>) =
        instances.iter().partition(|instance| text(instance, AVAILABILITY) == "ONLINE");
    if kept.is_empty() {
        bail!(
            "no file of the series is kept: its instances came without STORE_URL or from a source \
             with keep = false, or their files were removed"
        );
    }
    let folder = into.unwrap_or_else(|| file_name(uid).into());
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut download =
        Download { client, folder: &folder, bar: bar(kept.len() as u64), bytes: 0, had: 0 };
    for instance in &kept {
        let sop = text(instance, SOP_INSTANCE_UID);
        let path = [&series[..], &[sop.as_str()]].concat();
        if let Err(error) = download.instance(&path, &sop).await {
            download.bar.finish_and_clear();
            let done = download.bar.position();
            let told = format!(
                "{done} of {} instances are in {}; the same command goes on from there",
                kept.len(),
                folder.display()
            );
            return Err(error.context(told));
        }
        download.bar.inc(1);
    }
    let Download { bar, bytes, had, .. } = download;
    bar.finish_and_clear();
    let fetched = kept.len() as u64 - had;
    println!(
        "{} instances in {}: {fetched} downloaded ({}), {had} were there",
        kept.len(),
        folder.display(),
        DecimalBytes(bytes)
    );
    if !absent.is_empty() {
        eprintln!("{} instances of the series have no file and are left out", absent.len());
    }
    Ok(())
}

/// A series that is being downloaded.
struct Download<'a> {
    client: &'a Client,
    folder: &'a Path,
    bar: ProgressBar,
    /// Bytes that came.
    bytes: u64,
    /// Files that were there.
    had: u64,
}

impl Download<'_> {
    /// Gets the file of an instance, if what is there is not the same.
    async fn instance(&mut self, path: &[&str], sop: &str) -> anyhow::Result<()> {
        let file = self.folder.join(format!("{}.dcm", file_name(sop)));
        let tag = tag_of(file.clone()).await.with_context(|| file.display().to_string())?;
        match self.client.file(path, tag.as_deref()).await? {
            None => self.had += 1,
            Some(answer) => self.save(answer, &file).await?,
        }
        Ok(())
    }

    /// Writes a file beside its place, and puts it there once it is whole.
    async fn save(&mut self, mut answer: Answer, file: &Path) -> anyhow::Result<()> {
        let header =
            |name| answer.headers().get(name).and_then(|it| it.to_str().ok()).map(str::to_owned);
        let (length, tag) = (header(CONTENT_LENGTH), header(ETAG));
        let of_file = || file.display().to_string();
        let part = file.with_extension("dcm.part");
        let mut to = BufWriter::new(tokio::fs::File::create(&part).await.with_context(of_file)?);
        let (mut hasher, mut came) = (Hasher::new(), 0);
        while let Some(piece) = answer.piece().await.map_err(|error| self.client.away(error))? {
            hasher.update(&piece);
            to.write_all(&piece).await.with_context(of_file)?;
            came += piece.len() as u64;
            self.bar.set_message(DecimalBytes(self.bytes + came).to_string());
        }
        to.flush().await.with_context(of_file)?;
        drop(to);
        let is_whole = length.is_none_or(|length| length == came.to_string())
            && tag.is_none_or(|tag| tag == tag_from(&hasher.finalize()));
        if !is_whole {
            tokio::fs::remove_file(&part).await.with_context(of_file)?;
            bail!("{} came cut short or damaged", file.display());
        }
        tokio::fs::rename(&part, file).await.with_context(of_file)?;
        self.bytes += came;
        Ok(())
    }
}

/// The progress bar. indicatif hides it when stderr is no terminal.
fn bar(instances: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(instances), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} instances, {msg}, {eta} left");
    // A bar in another dress is no reason to fail.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// The entity tag that the API gives to a file with this content; nothing where there is no file.
async fn tag_of(path: PathBuf) -> io::Result<Option<String>> {
    let hashed = spawn_blocking(move || {
        let mut hasher = Hasher::new();
        hasher.update_reader(fs::File::open(path)?)?;
        io::Result::Ok(hasher.finalize())
    });
    match hashed.await? {
        Ok(hash) => Ok(Some(tag_from(&hash))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn tag_from(hash: &Hash) -> String {
    format!("\"{}\"", &hash.to_hex()[..TAG_DIGITS])
}

/// A UID as a name: one of a sender that gives none has its other characters escaped.
fn file_name(uid: &str) -> String {
    match utf8_percent_encode(uid, ESCAPED).to_string() {
        name if name.starts_with('.') => format!("%2E{}", &name[1..]),
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_a_name_and_nothing_leads_out_of_the_folder() {
        assert_eq!(file_name("1.2.840"), "1.2.840");
        assert_eq!(file_name("../a b"), "%2E.%2Fa%20b");
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_has_no_tag_and_another_has_that_of_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.dcm");
        assert_eq!(tag_of(path.clone()).await.unwrap(), None);
        fs::write(&path, "content").unwrap();
        let hash = blake3::hash(b"content");
        assert_eq!(tag_of(path).await.unwrap(), Some(tag_from(&hash)));
    }
}
