//! What each user may publish: the table, and all subjects that are tried against it.

use std::collections::BTreeSet;

/// Requests of JetStream's API after `$JS.API.`, older forms included, as nats-server's source has them
/// (`server/jetstream_api.go`). `S` is a stream and `C` a consumer.
const REQUESTS: &[&str] = &[
    "INFO",
    "STREAM.NAMES",
    "STREAM.LIST",
    "STREAM.CREATE.S",
    "STREAM.UPDATE.S",
    "STREAM.INFO.S",
    "STREAM.DELETE.S",
    "STREAM.PURGE.S",
    "STREAM.SNAPSHOT.S",
    "STREAM.RESTORE.S",
    "STREAM.MSG.GET.S",
    "STREAM.MSG.DELETE.S",
    "STREAM.PEER.REMOVE.S",
    "STREAM.PEER.EVACUATE.S",
    "STREAM.CANCEL_MOVE.S",
    "STREAM.LEADER.STEPDOWN.S",
    "STREAM.TEMPLATE.CREATE.S",
    "STREAM.TEMPLATE.DELETE.S",
    "DIRECT.GET.S",
    "DIRECT.GET.S.dicom.x",
    "CONSUMER.CREATE.S",
    "CONSUMER.CREATE.S.C",
    "CONSUMER.CREATE.S.C.dicom.x",
    "CONSUMER.DURABLE.CREATE.S.C",
    "CONSUMER.NAMES.S",
    "CONSUMER.LIST.S",
    "CONSUMER.INFO.S.C",
    "CONSUMER.DELETE.S.C",
    "CONSUMER.PAUSE.S.C",
    "CONSUMER.RESET.S.C",
    "CONSUMER.UNPIN.S.C",
    "CONSUMER.MSG.NEXT.S.C",
    "CONSUMER.LEADER.STEPDOWN.S.C",
    "META.LEADER.STEPDOWN",
    "META.RESCUE",
    "SERVER.REMOVE",
    "SERVER.EVACUATE",
    "ACCOUNT.PURGE.COLLIMATOR",
    "ACCOUNT.STREAM.MOVE.COLLIMATOR.S",
    "ACCOUNT.STREAM.CANCEL_MOVE.COLLIMATOR.S",
];

/// What else JetStream and the server listen to.
const OTHERS: &[&str] = &[
    "$JS.ACK.S.C.1.1.1.1.1",
    "$JS.ACK._.hash.S.C.1.1.1.1.1.x",
    "$JS.FC.S.C.x",
    "$JS.SNAPSHOT.ACK.S.x",
    "$JS.SNAPSHOT.RESTORE.S.x",
    "$JS.COLLIMATOR.API.STREAM.DELETE.S",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.ACCOUNT.COLLIMATOR.CONNZ",
    "$SYS.REQ.USER.INFO",
];

/// Our own subjects.
pub(super) const EVENTS: &[&str] = &[
    "dicom.instance.stored.00.MR.1.2",
    "dicom.instance.receiving.MR.1.2",
    "dicom.association.released.MR1",
    "dicom.ingest.started.X",
    "dicom.clock.X",
    "dicom.evidence.asked.MR1",
    "dicom.evidence.answered.MR1",
    "dicom.evidence.wanted.MR1",
    "dicom.evidence.fetched.MR1",
    "dicom.evidence.listed.MR1",
    "dicom.request.register.1.2",
    "dicom.request.complete.1.2",
    "dicom.request.delete.1.2",
    "dicom.request.trust.MR1",
    "dicom.request.gone.X",
    "dicom.series.completed.MR.1.2",
    "dicom.series.deleted.MR.1.2",
    "dicom.series.kept.MR.1.2",
    "dicom.series.purged.MR.1.2",
    "dicom.study.completed.1.2",
    "dicom.dead.unreadable",
    "dicom.dead.webhook.ai",
    "dicom.audit.ingest.transferred",
    "dicom.audit.indexer.activity",
    "dicom.audit.api.query",
];

const STREAMS: [&str; 4] = ["INSTANCES", "SERIES", "DEAD", "AUDIT"];
const CONSUMERS: [&str; 7] =
    ["indexer", "asker", "fetcher", "committer", "webhook-ai", "syslog", "other"];

/// What each user may publish of all these, and nothing else; after a `!` what it may not all the same.
pub(super) const MAY: [(&str, &[&str]); 4] = [
    (
        "ingest",
        &[
            "dicom.instance.>",
            "dicom.association.>",
            "dicom.ingest.>",
            "dicom.audit.ingest.*",
            "dicom.evidence.answered.*",
            "dicom.evidence.listed.*",
            "$JS.API.STREAM.INFO.*",
            "$JS.API.CONSUMER.MSG.NEXT.INSTANCES.asker",
            "$JS.ACK.INSTANCES.asker.>",
            "dicom.evidence.fetched.*",
            "$JS.API.CONSUMER.MSG.NEXT.INSTANCES.fetcher",
            "$JS.ACK.INSTANCES.fetcher.>",
            "$JS.API.CONSUMER.MSG.NEXT.INSTANCES.committer",
            "$JS.ACK.INSTANCES.committer.>",
        ],
    ),
    (
        "indexer",
        &[
            "dicom.evidence.asked.*",
            "dicom.evidence.wanted.*",
            "dicom.series.>",
            "dicom.study.>",
            "dicom.clock.X",
            "dicom.dead.unreadable",
            "dicom.audit.indexer.*",
            "$JS.API.STREAM.INFO.*",
            "$JS.API.STREAM.CREATE.*",
            "$JS.API.STREAM.UPDATE.*",
            "$JS.API.STREAM.PURGE.INSTANCES",
            "$JS.API.STREAM.MSG.GET.INSTANCES",
            "$JS.API.STREAM.MSG.GET.SERIES",
            "$JS.API.DIRECT.GET.INSTANCES",
            "$JS.API.DIRECT.GET.INSTANCES.>",
            "$JS.API.CONSUMER.CREATE.INSTANCES.*",
            "$JS.API.CONSUMER.INFO.INSTANCES.*",
            "$JS.API.CONSUMER.MSG.NEXT.INSTANCES.*",
            "$JS.API.CONSUMER.DELETE.INSTANCES.*",
            "$JS.API.CONSUMER.CREATE.SERIES.*",
            "$JS.API.CONSUMER.MSG.NEXT.SERIES.*",
            "$JS.ACK.INSTANCES.>",
        ],
    ),
    (
        "api",
        &[
            "dicom.request.>",
            "dicom.dead.webhook.>",
            "dicom.audit.api.*",
            "$JS.API.STREAM.INFO.*",
            "$JS.API.STREAM.MSG.GET.DEAD",
            "$JS.API.STREAM.MSG.DELETE.DEAD",
            "$JS.API.CONSUMER.CREATE.INSTANCES.*",
            "$JS.API.CONSUMER.CREATE.SERIES.*",
            "$JS.API.CONSUMER.CREATE.DEAD.*",
            "$JS.API.CONSUMER.CREATE.AUDIT.syslog",
            "$JS.API.CONSUMER.INFO.>",
            "$JS.API.CONSUMER.LIST.*",
            "$JS.API.CONSUMER.MSG.NEXT.INSTANCES.*",
            "$JS.API.CONSUMER.MSG.NEXT.SERIES.*",
            "$JS.API.CONSUMER.MSG.NEXT.DEAD.*",
            "$JS.API.CONSUMER.MSG.NEXT.AUDIT.syslog",
            "$JS.API.CONSUMER.DELETE.INSTANCES.*",
            "$JS.API.CONSUMER.DELETE.SERIES.*",
            "$JS.API.CONSUMER.DELETE.DEAD.*",
            "$JS.ACK.SERIES.>",
            "$JS.ACK.AUDIT.syslog.>",
            "!$JS.API.CONSUMER.CREATE.INSTANCES.indexer",
            "!$JS.API.CONSUMER.MSG.NEXT.INSTANCES.indexer",
            "!$JS.API.CONSUMER.DELETE.INSTANCES.indexer",
            "!$JS.API.CONSUMER.CREATE.INSTANCES.asker",
            "!$JS.API.CONSUMER.MSG.NEXT.INSTANCES.asker",
            "!$JS.API.CONSUMER.DELETE.INSTANCES.asker",
            "!$JS.API.CONSUMER.CREATE.INSTANCES.fetcher",
            "!$JS.API.CONSUMER.MSG.NEXT.INSTANCES.fetcher",
            "!$JS.API.CONSUMER.DELETE.INSTANCES.fetcher",
        ],
    ),
    ("tap", &[]),
];

/// All subjects, with each stream and each consumer in its place.
pub(super) fn subjects() -> BTreeSet<String> {
    let requests = REQUESTS.iter().map(|request| format!("$JS.API.{request}"));
    let templates = requests.chain(OTHERS.iter().chain(EVENTS).map(|other| (*other).to_owned()));
    let filled = |template: String, place: &'static str, names: &'static [&'static str]| {
        let filled = move |name: &&str| {
            let tokens =
                template.split('.').map(|token| if token == place { *name } else { token });
            tokens.collect::<Vec<_>>().join(".")
        };
        names.iter().map(filled)
    };
    templates
        .flat_map(|template| filled(template, "S", &STREAMS))
        .flat_map(|template| filled(template, "C", &CONSUMERS))
        .collect()
}

/// Whether a subject is one of a pattern with the wildcards of NATS.
fn matches(pattern: &str, subject: &str) -> bool {
    let (mut wanted, mut tokens) = (pattern.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), tokens.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(wanted), Some(token)) if wanted == "*" || wanted == token => {}
            _ => return false,
        }
    }
}

pub(super) fn may(patterns: &[&str], subject: &str) -> bool {
    let denied = |pattern: &&str| pattern.strip_prefix('!').is_some_and(|p| matches(p, subject));
    patterns.iter().any(|pattern| matches(pattern, subject)) && !patterns.iter().any(denied)
}
