//! Durable consumers, and what becomes of one whose state the broker can't read any more.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind, Stream};

/// Makes a durable consumer, or brings it up to date.
///
/// nats-server drops a consumer whose state file (`obs/<name>/o.dat` of the stream) it can't read, and makes none
/// of that name again while the file is there. One that it keeps in memory has no such file, and does as well:
/// it is gone after a restart of the server, and then its owner makes it anew where it was.
///
/// # Errors
/// When the broker does not answer, or can't make it in memory either.
pub async fn create(
    stream: &Stream,
    config: pull::Config,
) -> Result<Consumer<pull::Config>, ConsumerError> {
    let refused = match stream.create_consumer(config.clone()).await {
        Err(refused) if !config.memory_storage && is_of_its_store(&refused) => refused,
        made_or_failed => return made_or_failed,
    };
    let in_memory = pull::Config { memory_storage: true, ..config };
    let Ok(consumer) = stream.create_consumer(in_memory).await else { return Err(refused) };
    let info = consumer.cached_info();
    let (stream, consumer_name) = (&info.stream_name, &info.name);
    tracing::warn!(
        "NATS can't keep the consumer {consumer_name} of {stream} on its disk ({refused}), and keeps it in \
         memory; nothing is lost by that; to mend it, stop nats-server, delete the folder \
         streams/{stream}/obs/{consumer_name} in its store, and start it again"
    );
    Ok(consumer)
}

/// Whether the broker could not open what it keeps of the consumer.
fn is_of_its_store(error: &ConsumerError) -> bool {
    const OF_THE_STORE: [ErrorCode; 2] =
        [ErrorCode::CONSUMER_CREATE, ErrorCode::CONSUMER_STORE_FAILED];
    match error.kind() {
        ConsumerErrorKind::JetStream(error) => OF_THE_STORE.contains(&error.error_code()),
        _ => false,
    }
}
