//! `collimator store verify`: whether the instance store has what the catalogue says, and what it has beside that.

use crate::output;
use crate::pipeline::PipelineSettings;
use anyhow::{Context as _, bail};
use catalog::{CatalogReader, KeptFile};
use clap::{Args, Subcommand};
use contract::event::StoredObject;
use serde::Serialize;
use std::collections::HashSet;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use store::{InStore, Standing, StoreInspector};

/// Rows that are read at once.
const PAGE: u32 = 1_000;

/// Places of each kind that are named; the others are counted.
const MOST_NAMED: usize = 10_000;

/// Places of each kind that a person reads.
const MOST_SHOWN: usize = 20;

/// A file that is younger may be named by an event that is not indexed yet.
const YOUNG: Duration = Duration::from_secs(60 * 60);

/// What is done with the instance store.
#[derive(Debug, Clone, Subcommand)]
pub enum StoreCommand {
    /// Compare the instance store with the catalogue; exits with 1 when anything is missing or damaged
    Verify(Box<VerifySettings>),
}

/// What is compared: the store and the catalogue of these settings.
#[derive(Debug, Clone, Args)]
pub struct VerifySettings {
    /// Work out the hash of about so many files only, spread over all; of the others look at the length [default: all]
    #[arg(long, value_name = "N")]
    sample: Option<u64>,

    /// Link a file that is missing or damaged to the same one in the spool or in a series folder, where its hash is right
    #[arg(long)]
    repair: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    pipeline: PipelineSettings,
}

/// Places of one kind.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Places {
    count: u64,
    /// The first of them.
    places: Vec<String>,
}

impl Places {
    fn add(&mut self, place: impl Into<String>) {
        self.count += 1;
        if self.places.len() < MOST_NAMED {
            self.places.push(place.into());
        }
    }
}

/// What was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    /// Instances that have a file by the catalogue.
    instances: u64,
    /// Folders of revisions that are there by it.
    folders: u64,
    /// Files and manifests that are not there.
    missing: Places,
    /// Files of another length or hash.
    damaged: Places,
    /// What is there and the catalogue does not name.
    foreign: Places,
    /// The same of the last hour, which may not be indexed yet.
    young: u64,
    /// What was missing or damaged and is there again.
    repaired: Places,
}

/// Compares them, and prints what differs.
///
/// # Errors
/// When there is no store, one of the two can't be read, or the result can't be printed.
pub async fn run(StoreCommand::Verify(settings): StoreCommand) -> anyhow::Result<ExitCode> {
    let Some(store) = StoreInspector::of(&settings.pipeline.ingest.store) else {
        bail!("there is no instance store to verify; set STORE_URL as the receivers have it");
    };
    let url = &settings.pipeline.ingest.store.store_url;
    store.check().with_context(|| format!("{url} is no instance store"))?;
    let place = settings.pipeline.catalog();
    let catalog = CatalogReader::open(&place)?;
    let what = || format!("cannot read {}", place.name().unwrap_or_default());
    catalog.check().await.with_context(what)?;
    let repair = settings.repair;
    let mut verifying = Verifying {
        store,
        catalog,
        repair,
        hash_each: 1,
        seen: 0,
        named: HashSet::new(),
        report: Report::default(),
    };
    if let Some(sample) = settings.sample {
        let all = verifying.catalog.count_kept_files().await?;
        verifying.hash_each = if sample == 0 { u64::MAX } else { all.div_ceil(sample).max(1) };
    }
    verifying.verify().await?;
    verifying.catalog.close().await;
    let Report { missing, damaged, .. } = &verifying.report;
    let code = match missing.count + damaged.count {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    };
    let text = match settings.json {
        true => format!("{}\n", serde_json::to_string_pretty(&verifying.report)?),
        false => verifying.report.text(),
    };
    output::answer(text, code)
}

/// Both, and what is known of them so far.
struct Verifying {
    store: StoreInspector,
    catalog: CatalogReader,
    repair: bool,
    /// Of so many files one is read whole.
    hash_each: u64,
    seen: u64,
    /// A short hash of each place that the catalogue names: millions of them are in memory.
    named: HashSet<[u8; 16]>,
    report: Report,
}

impl Verifying {
    async fn verify(&mut self) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let page = self.catalog.kept_files(&after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.sop_instance_uid);
            for instance in page {
                self.report.instances += 1;
                self.named.insert(short(&instance.object.key));
                self.instance(instance).await?;
            }
        }
        let mut after = (String::new(), 0);
        loop {
            let page = self.catalog.kept_places((&after.0, after.1), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = (last.series_instance_uid.clone(), last.revision);
            for kept in page {
                self.report.folders += 1;
                self.named.insert(short(&kept.place));
                self.folder(&kept.place).await?;
            }
        }
        self.beside().await
    }

    /// The file of an instance.
    async fn instance(&mut self, instance: KeptFile) -> anyhow::Result<()> {
        let standing = self.examine(&instance.object)?;
        if standing == Standing::Whole {
            return Ok(());
        }
        // It may have been corrected, purged or deleted meanwhile.
        if self.catalog.kept_file(&instance.sop_instance_uid).await?.as_ref() != Some(&instance) {
            return Ok(());
        }
        let KeptFile { sop_instance_uid, series_instance_uid, object } = &instance;
        if self.repair {
            for place in self.catalog.kept_places_of(series_instance_uid).await? {
                let copy = StoreInspector::in_folder(&place, sop_instance_uid, object);
                if self.is_relinked(&copy, object)? {
                    return Ok(());
                }
            }
        }
        self.note(standing, &object.key);
        Ok(())
    }

    /// The folder of a revision.
    async fn folder(&mut self, place: &str) -> anyhow::Result<()> {
        let Some(files) = self.store.folder(place).with_context(|| place.to_owned())? else {
            if self.is_gone(place).await? {
                return Ok(());
            }
            self.report.missing.add(format!("{place}/manifest.json"));
            return Ok(());
        };
        for (sop_instance_uid, object) in files {
            let standing = self.examine(&object)?;
            if standing == Standing::Whole || self.is_gone(place).await? {
                continue;
            }
            if self.repair
                && let Some(spooled) = self.catalog.kept_file(&sop_instance_uid).await?
                && spooled.object.blake3 == object.blake3
                && self.is_relinked(&spooled.object, &object)?
            {
                continue;
            }
            self.note(standing, &object.key);
        }
        Ok(())
    }

    /// Whether a folder was listed to be removed since its row was read.
    async fn is_gone(&self, place: &str) -> anyhow::Result<bool> {
        Ok(!self.catalog.places_in_use(&[place.to_owned()]).await?.is_empty())
    }

    /// What is there and was not named.
    async fn beside(&mut self) -> anyhow::Result<()> {
        let mut found: Vec<InStore> = Vec::new();
        let named = &self.named;
        let mut see = |it: InStore| {
            if !named.contains(&short(&it.place)) {
                found.push(it);
            }
        };
        self.store.spooled(&mut see)?;
        self.store.folders(&mut see)?;
        let now = SystemTime::now();
        for page in found.chunks(PAGE as usize) {
            let places: Vec<_> = page.iter().map(|it| it.place.clone()).collect();
            let in_use = self.catalog.places_in_use(&places).await?;
            for it in page.iter().filter(|it| !in_use.contains(&it.place)) {
                let age = now.duration_since(it.written_at).unwrap_or_default();
                match age < YOUNG {
                    true => self.report.young += 1,
                    false => self.report.foreign.add(&it.place),
                }
            }
        }
        Ok(())
    }

    fn examine(&mut self, object: &StoredObject) -> anyhow::Result<Standing> {
        let with_hash = self.seen.is_multiple_of(self.hash_each) && self.hash_each != u64::MAX;
        self.seen += 1;
        self.store.examine(object, with_hash).with_context(|| object.key.clone())
    }

    /// Puts a link to a file in the place of another, if its hash is right.
    fn is_relinked(&mut self, from: &StoredObject, to: &StoredObject) -> anyhow::Result<bool> {
        if self.store.examine(from, true).with_context(|| from.key.clone())? != Standing::Whole {
            return Ok(false);
        }
        self.store.link(&from.key, &to.key).with_context(|| to.key.clone())?;
        self.report.repaired.add(&to.key);
        Ok(true)
    }

    fn note(&mut self, standing: Standing, place: &str) {
        match standing {
            Standing::Whole => {}
            Standing::Missing => self.report.missing.add(place),
            Standing::Damaged => self.report.damaged.add(place),
        }
    }
}

impl Report {
    /// What a person reads: a line for each kind, and the first places.
    fn text(&self) -> String {
        let mut text = format!(
            "{} instances and {} folders of revisions are in the store by the catalogue\n",
            self.instances, self.folders
        );
        for (kind, places) in [
            ("missing", &self.missing),
            ("damaged", &self.damaged),
            ("foreign", &self.foreign),
            ("repaired", &self.repaired),
        ] {
            text += &format!("{kind:<9}{}\n", places.count);
            for place in places.places.iter().take(MOST_SHOWN) {
                text += &format!("  {}\n", place.replace(char::is_control, " "));
            }
            if places.count > MOST_SHOWN as u64 {
                text += "  ... (--json names more)\n";
            }
        }
        if self.young > 0 {
            text += &format!("{} of the last hour may not be indexed yet\n", self.young);
        }
        text
    }
}

fn short(place: &str) -> [u8; 16] {
    let mut short = [0; 16];
    blake3::Hasher::new().update(place.as_bytes()).finalize_xof().fill(&mut short);
    short
}
