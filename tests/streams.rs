//! The streams on the oldest server that is supported and on the newest.

use crate::harness::pipeline::{COLLIMATOR, nats_server_of};
use async_nats::jetstream;
use bytesize::ByteSize;
use collimator::embedded_nats::{EmbeddedNats, NATS_SERVER, Pin};
use jetstream::stream::{Compression, DiscardPolicy, PersistenceMode, StorageType};
use shared::durability::{self, MonitorSettings};
use shared::nats_version::{self, NatsVersion};
use shared::settings::StreamSettings;
use shared::stream::{DEAD, INSTANCES, SERIES, ensure_streams, inspect, position};
use std::path::Path;
use std::time::Duration;

const OLDEST: Pin = Pin {
    version: "2.14.0",
    sha256_x86_64: "7d76b288d30ee6e897bcf0bc5077105ef8b0adf2f44de28c062a1ce6edc820fe",
    sha256_aarch64: "878200e1329db70e21ca6d0b0f61010676a7ca7ac5c16a2d6ecaf150d2897af4",
};

async fn broker(pin: Pin, folder: &Path) -> EmbeddedNats {
    let server = nats_server_of(pin).await;
    let listen = "127.0.0.1:0".parse().unwrap();
    EmbeddedNats::start(&server, listen, folder, Some(Path::new(COLLIMATOR))).await.unwrap()
}

async fn streams_are_made_and_kept(pin: Pin) {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(pin, folder.path()).await;
    let client = async_nats::connect(broker.url().servers()).await.unwrap();
    let jetstream = jetstream::new(client.clone());
    let mut settings =
        StreamSettings { instances_max_bytes: ByteSize::mib(8), ..StreamSettings::default() };
    ensure_streams(&jetstream, &settings).await.unwrap();
    // An operator's word stays; ours is brought up to date; doing it twice changes nothing.
    let mut config = jetstream.get_stream(INSTANCES).await.unwrap().cached_info().config.clone();
    config.description = Some("of the radiology".to_owned());
    jetstream.update_stream(&config).await.unwrap();
    settings.instances_max_bytes = ByteSize::mib(16);
    // As an earlier version made it.
    let mut config = jetstream.get_stream(SERIES).await.unwrap().cached_info().config.clone();
    config.subjects = vec!["dicom.series.>".to_owned()];
    jetstream.update_stream(&config).await.unwrap();
    for _ in 0..2 {
        ensure_streams(&jetstream, &settings).await.unwrap();
    }
    let stream =
        async |name| jetstream.get_stream(name).await.unwrap().cached_info().config.clone();
    let instances = stream(INSTANCES).await;
    assert_eq!(instances.description.as_deref(), Some("of the radiology"));
    assert_eq!(instances.discard, DiscardPolicy::New);
    assert_eq!((instances.max_bytes, instances.max_age), (16 << 20, Duration::ZERO));
    assert_eq!(instances.storage, StorageType::File);
    assert_eq!(stream(SERIES).await.subjects, ["dicom.series.>", "dicom.study.>"]);
    for name in [SERIES, DEAD] {
        assert_eq!(stream(name).await.max_age, Duration::from_secs(30 * 24 * 60 * 60));
    }

    // What keeps more than it has to stays as well, and what keeps less does not.
    let (month, day) = (Duration::from_secs(30 * 24 * 60 * 60), Duration::from_secs(24 * 60 * 60));
    for (max_age, kept) in
        [(month * 12, month * 12), (Duration::ZERO, Duration::ZERO), (day, month)]
    {
        let mut config = stream(SERIES).await;
        (config.max_age, config.compression) = (max_age, Some(Compression::S2));
        config.duplicate_window = if max_age == day { day } else { day * 2 };
        jetstream.update_stream(&config).await.unwrap();
        ensure_streams(&jetstream, &settings).await.unwrap();
        let series = stream(SERIES).await;
        assert_eq!((series.max_age, series.compression), (kept, Some(Compression::S2)));
        assert_eq!(series.duplicate_window, config.duplicate_window);
    }

    // What would drop or refuse events that are acknowledged or could be is changed back.
    for name in [INSTANCES, SERIES, DEAD] {
        let mut config = stream(name).await;
        (config.max_messages_per_subject, config.max_messages) = (3, 1000);
        (config.max_message_size, config.no_ack) = (2000, true);
        jetstream.update_stream(&config).await.unwrap();
        let kept = inspect(&jetstream).await.unwrap();
        let (_, Some(kept)) = kept.iter().find(|(of, _)| *of == name).unwrap() else { panic!() };
        assert_eq!(
            kept.differs(&settings),
            ["max_msgs", "max_msgs_per_subject", "max_msg_size", "no_ack"]
        );
        ensure_streams(&jetstream, &settings).await.unwrap();
        let config = stream(name).await;
        assert_eq!((config.max_messages_per_subject, config.max_messages), (-1, -1));
        assert_eq!((config.max_message_size, config.no_ack), (-1, false));
    }

    let before = position(&client).await.unwrap();
    assert_eq!((before.first, before.last), (1, 0));
    let subject = "dicom.instance.stored.00.MR.1.2";
    jetstream.publish(subject, "{}".into()).await.unwrap().await.unwrap();
    let after = position(&client).await.unwrap();
    assert_eq!((after.last, after.created), (1, before.created));
    assert!(after.now > before.now);
}

#[tokio::test]
async fn on_the_oldest_server_that_is_supported() {
    assert_eq!(NatsVersion::parse(OLDEST.version), Some(nats_version::OLDEST));
    streams_are_made_and_kept(OLDEST).await;
}

#[tokio::test]
async fn a_stream_that_acknowledges_before_it_stores_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(NATS_SERVER, folder.path()).await;
    let client = async_nats::connect(broker.url().servers()).await.unwrap();
    let jetstream = jetstream::new(client.clone());
    let settings = StreamSettings::default();
    ensure_streams(&jetstream, &settings).await.unwrap();
    let mut config = jetstream.get_stream(INSTANCES).await.unwrap().cached_info().config.clone();
    jetstream.delete_stream(INSTANCES).await.unwrap();
    config.persist_mode = Some(PersistenceMode::Async);
    jetstream.create_stream(&config).await.unwrap();
    let error = format!("{:#}", ensure_streams(&jetstream, &settings).await.unwrap_err());
    assert!(error.contains("stream INSTANCES: persist_mode of it can't be kept"), "{error}");
    let monitor = MonitorSettings { nats_monitor_url: None };
    let shown = durability::look(&monitor, &client).await.to_string();
    assert!(shown.contains("acknowledges each event before it is stored"), "{shown}");
}

#[tokio::test]
async fn on_the_newest_server() {
    streams_are_made_and_kept(NATS_SERVER).await;
}
