//! The primary of PostgreSQL is lost while the indexer commits, and its stand-by takes its place.

use crate::harness::database::Database;
use crate::harness::eventually;
use crate::harness::indexing::{Indexing, Published};
use crate::harness::pipeline::broker;
use crate::harness::tools::skip;
use sqlx::{Connection as _, PgConnection};
use test_database::KillableServer;

/// Fail-overs, unless the environment says how many: there and back.
const FAILOVERS: u64 = 2;

/// Events that are published before each, and once more after it.
const EVENTS: u64 = 1000;

fn failovers() -> u64 {
    std::env::var("COLLIMATOR_FAILOVERS").map_or(FAILOVERS, |failovers| failovers.parse().unwrap())
}

/// The `DATABASE_URL` of two servers.
fn url(one: &KillableServer, other: &KillableServer) -> String {
    format!(
        "postgres://collimator@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
        one.addr().port(),
        other.addr().port()
    )
}

async fn connect(server: &KillableServer) -> PgConnection {
    PgConnection::connect(&server.url()).await.unwrap()
}

async fn ask<T>(server: &KillableServer, query: &'static str) -> T
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    sqlx::query_scalar(query).fetch_one(&mut connect(server).await).await.unwrap()
}

/// How far INSTANCES is in the catalogue.
async fn last_sequence(server: &KillableServer) -> i64 {
    ask(server, "select last_sequence from bookmark").await
}

/// Waits until a stand-by has all that the primary has written.
async fn is_caught_up(primary: &KillableServer) {
    let query = "select coalesce(bool_and(replay_lsn = pg_current_wal_lsn()), false)
        from pg_stat_replication where state = 'streaming'";
    eventually("the stand-by to have all", async || {
        ask::<bool>(primary, query).await.then_some(())
    })
    .await;
}

/// From now on nothing is committed that the stand-by has not.
async fn waits_for_its_standby(primary: &KillableServer) {
    primary.commits_with_standby();
    let query = "select exists (select from pg_stat_replication where sync_state = 'sync')";
    eventually("the stand-by to be synchronous", async || {
        ask::<bool>(primary, query).await.then_some(())
    })
    .await;
}

fn name_series(number: u64) -> String {
    format!("2.25.8{number:03}")
}

#[tokio::test]
async fn a_primary_that_is_lost_in_the_middle_of_commits_costs_nothing_with_a_synchronous_standby()
{
    let Some(mut primary) = KillableServer::start() else {
        skip("PostgreSQL is not installed");
        return;
    };
    let mut standby = primary.standby();
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let nats = broker.url().to_string();
    let database = Database::at(url(&primary, &standby));
    let settings = [("QUIET_PERIOD", "1s"), ("SETTLE_PERIOD", "200ms")];
    let indexing = Indexing::start_on(database, &nats, &settings).await;
    let (mut sent, mut series) = (0, 0);
    for _ in 0..failovers() {
        waits_for_its_standby(&primary).await;
        let before = sent;
        for is_after in [false, true] {
            let name = name_series(series);
            let mut published = Published::new(&name, &name);
            published.sends(&nats, EVENTS).await;
            published.releases(&nats).await;
            sent += EVENTS;
            series += 1;
            if !is_after {
                // In the middle of it, wherever that is by now.
                indexing.has_more_than(before).await;
                let seen = last_sequence(&primary).await;
                primary.kill();
                // It shows what it has received once it has replayed that, and nobody writes to it yet.
                eventually(&format!("the stand-by to have {seen}"), async || {
                    (last_sequence(&standby).await >= seen).then_some(())
                })
                .await;
                standby.promote();
            }
        }
        std::mem::swap(&mut primary, &mut standby);
        indexing.has(sent).await;
        standby.follow(&primary);
    }
    indexing.completes_each_once(series as usize, EVENTS).await;
    assert!(!indexing.printed().contains("ERROR"), "{}", indexing.printed());
}

#[tokio::test]
async fn what_a_standby_lags_behind_is_read_again_and_nothing_is_announced_twice() {
    let Some(mut primary) = KillableServer::start() else {
        skip("PostgreSQL is not installed");
        return;
    };
    let mut standby = primary.standby();
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await;
    let nats = broker.url().to_string();
    let database = Database::at(url(&primary, &standby));
    let settings = [("QUIET_PERIOD", "1s"), ("SETTLE_PERIOD", "200ms")];
    let mut indexing = Indexing::start_on(database, &nats, &settings).await;
    let (grown, missed, last) = (name_series(0), name_series(1), name_series(2));

    let mut grows = Published::new(&grown, &grown);
    grows.sends(&nats, EVENTS).await;
    grows.releases(&nats).await;
    indexing.announces(1).await;
    is_caught_up(&primary).await;
    standby.stop();

    // All of it is announced, and the stand-by will never have heard of it: nor of who has the lease.
    grows.sends(&nats, EVENTS).await;
    grows.releases(&nats).await;
    indexing.announces(2).await;
    indexing.kill();
    indexing.start_again().await;
    let mut unheard = Published::new(&missed, &missed);
    unheard.sends(&nats, EVENTS).await;
    unheard.releases(&nats).await;
    indexing.announces(3).await;
    let seen = last_sequence(&primary).await;
    primary.kill();
    standby.start_again();
    let kept = last_sequence(&standby).await;
    assert!(kept < seen, "the stand-by lags behind");
    standby.promote();

    // Without a new event: nobody else tells it to look.
    indexing.has(3 * EVENTS).await;
    grows.sends(&nats, EVENTS).await;
    grows.releases(&nats).await;
    let mut new = Published::new(&last, &last);
    new.sends(&nats, EVENTS).await;
    new.releases(&nats).await;
    indexing.has(5 * EVENTS).await;
    let expected = [(&grown, 1), (&grown, 2), (&grown, 3), (&missed, 1), (&last, 1)];
    let expected = expected.map(|(series, revision)| format!("{series}:{revision}"));
    assert_eq!(indexing.announces(expected.len()).await, expected.into());
    let mut counts: Vec<_> = indexing
        .revisions()
        .await
        .iter()
        .map(|it| {
            (
                it["series_instance_uid"].as_str().unwrap().to_owned(),
                it["instances_count"].as_u64().unwrap(),
            )
        })
        .collect();
    counts.sort();
    let expected = [(grown.clone(), 1), (grown.clone(), 2), (grown, 3), (missed, 1), (last, 1)];
    assert_eq!(counts, expected.map(|(series, times)| (series, times * EVENTS)));
    assert!(!indexing.printed().contains("ERROR"), "{}", indexing.printed());
}
