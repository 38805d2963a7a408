//! What is PostgreSQL's alone: a server that is elsewhere, and may go away or be another one.

use crate::feed::{bookmark, instance, second};
use catalog::{Batch, CatalogError, CatalogSettings, CatalogWriter, Inspected, Received, inspect};
use completion::Consequences;
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use test_database::TestDatabase;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A batch of one instance, after which INSTANCES is read up to its sequence.
fn batch(sequence: u64) -> Batch {
    let (at, event) = (second(sequence), instance("2.1", &format!("3.{sequence}")));
    let instances = vec![Received { sequence, at, event: Box::new(event) }];
    Batch { instances, ..Batch::new(bookmark(sequence)) }
}

/// Writes one, as the indexer does that begins again after each failure.
async fn record(catalog: &CatalogWriter, sequence: u64) -> Result<(), CatalogError> {
    catalog.begin_again().await?;
    catalog.record(&batch(sequence), |_| Consequences::default()).await.map(drop)
}

async fn own(url: &str) -> Result<CatalogWriter, CatalogError> {
    CatalogWriter::own(&CatalogSettings { database_url: url.to_owned() }).await
}

async fn last_sequence(catalog: &CatalogWriter) -> u64 {
    catalog.bookmark().await.unwrap().unwrap().last_sequence
}

/// The host and port of a database's server.
fn authority(url: &str) -> &str {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0
}

#[tokio::test]
async fn the_first_server_that_takes_writes_is_used() {
    let Some(database) = TestDatabase::postgres() else { return };
    let server = authority(database.url());
    // Nobody listens on port 1.
    let url = database.url().replace(server, &format!("127.0.0.1:1,{server}"));
    let catalog = own(&format!("{url}?target_session_attrs=read-write")).await.unwrap();
    record(&catalog, 1).await.unwrap();
    let nobody = own(&database.url().replace(server, "127.0.0.1:1")).await.unwrap_err();
    assert!(nobody.is_passing(), "{nobody}");
}

#[tokio::test]
async fn a_server_that_only_reads_is_left_until_it_writes() {
    let Some(database) = TestDatabase::postgres() else { return };
    let catalog = own(database.url()).await.unwrap();
    record(&catalog, 1).await.unwrap();
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    let name = database.url().rsplit('/').next().unwrap();
    let read_only =
        |value| format!("alter database {name} set default_transaction_read_only = {value}");
    // As a server that has become a stand-by: sessions that were there are ended.
    other.execute(sqlx::AssertSqlSafe(read_only("on"))).await.unwrap();
    end_other_sessions(&mut other).await;
    for _ in 0..2 {
        let refused = record(&catalog, 2).await.unwrap_err();
        assert!(refused.is_passing(), "{refused}");
    }
    let refused = record(&catalog, 2).await.unwrap_err().to_string();
    assert!(refused.contains("takes no writes"), "{refused}");
    other.execute(sqlx::AssertSqlSafe(read_only("off"))).await.unwrap();
    record(&catalog, 2).await.unwrap();
    assert_eq!(last_sequence(&catalog).await, 2);
}

/// Ends the sessions of all others on this database.
async fn end_other_sessions(connection: &mut PgConnection) {
    let ended = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    connection.execute(ended).await.unwrap();
}

#[tokio::test]
async fn a_lost_session_costs_one_try() {
    let Some(database) = TestDatabase::postgres() else { return };
    let catalog = own(database.url()).await.unwrap();
    record(&catalog, 1).await.unwrap();
    end_other_sessions(&mut PgConnection::connect(database.url()).await.unwrap()).await;
    let lost = record(&catalog, 2).await.unwrap_err();
    assert!(lost.is_passing(), "{lost}");
    assert_eq!(last_sequence(&catalog).await, 1);
    record(&catalog, 2).await.unwrap();
}

#[tokio::test]
async fn nothing_is_written_to_a_server_that_may_have_forgotten_what_was_read() {
    let Some(database) = TestDatabase::postgres() else { return };
    let catalog = own(database.url()).await.unwrap();
    record(&catalog, 1).await.unwrap();
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    other
        .execute("insert into outbox (subject, message_id, time, payload) values ('dicom.series.completed.MR.2.1', '2.1:1', 0, '{}')")
        .await
        .unwrap();
    let [waiting] = &catalog.waiting_announcements(10).await.unwrap()[..] else { panic!("none") };
    catalog.check_begun().unwrap();
    end_other_sessions(&mut other).await;
    // It is not the one who writes that notices.
    catalog.count_waiting_announcements().await.unwrap_err();
    assert_eq!(catalog.count_waiting_announcements().await.unwrap(), 1);
    let write = |sequence| {
        let catalog = catalog.clone();
        async move { catalog.record(&batch(sequence), |_| Consequences::default()).await.map(drop) }
    };
    let refused = [
        catalog.check_begun().unwrap_err(),
        write(2).await.unwrap_err(),
        catalog.announced(&[waiting.id]).await.unwrap_err(),
    ];
    for refused in refused {
        assert!(refused.is_passing() && refused.to_string().contains("anew"), "{refused}");
    }
    assert_eq!(last_sequence(&catalog).await, 1);
    catalog.begin_again().await.unwrap();
    catalog.check_begun().unwrap();
    write(2).await.unwrap();
    // The id may be of another one by now.
    catalog.announced(&[waiting.id]).await.unwrap_err();
    let waiting = catalog.waiting_announcements(10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    catalog.announced(&[waiting[0].id]).await.unwrap();
    assert_eq!(catalog.count_waiting_announcements().await.unwrap(), 0);
}

#[tokio::test]
async fn who_writes_waits_for_nobody_for_long() {
    let Some(database) = TestDatabase::postgres() else { return };
    let catalog = own(database.url()).await.unwrap();
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    other.execute("begin; select from bookmark for update").await.unwrap();
    let busy = record(&catalog, 1).await.unwrap_err();
    assert!(busy.is_passing(), "{busy}");
    other.execute("rollback").await.unwrap();
    record(&catalog, 1).await.unwrap();
}

/// Stands between a client and its server. Armed, it cuts the connection off at the next commit: before the server has
/// it, or after.
struct Cutter {
    is_armed: Arc<AtomicBool>,
    port: u16,
}

impl Cutter {
    async fn before(server: &str, forwards_commit: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_armed = Arc::new(AtomicBool::new(false));
        let (armed, server) = (is_armed.clone(), server.to_owned());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass_on(client, server, armed.clone(), forwards_commit));
            }
        });
        Self { is_armed, port }
    }
}

async fn pass_on(client: TcpStream, server: TcpStream, armed: Arc<AtomicBool>, forwards: bool) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    });
    let mut bytes = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
        let is_commit = bytes[..length].windows(7).any(|it| it == b"commit\0");
        if is_commit && armed.swap(false, Ordering::Relaxed) {
            // The client hears nothing any more; what is on its way still reaches the server.
            answers.abort();
            let _ = answers.await;
            if forwards {
                to_server.write_all(&bytes[..length]).await.unwrap();
                to_server.shutdown().await.unwrap();
            }
            return;
        }
        if to_server.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn what_became_of_a_commit_that_was_cut_off_is_in_the_bookmark() {
    let Some(database) = TestDatabase::postgres() else { return };
    let server = authority(database.url());
    for (forwards_commit, became) in [(true, 2), (false, 1)] {
        let Some(database) = TestDatabase::postgres() else { return };
        let cutter = Cutter::before(server, forwards_commit).await;
        let through = format!("127.0.0.1:{}", cutter.port);
        let catalog = own(&database.url().replace(server, &through)).await.unwrap();
        record(&catalog, 1).await.unwrap();
        cutter.is_armed.store(true, Ordering::Relaxed);
        let unknown = record(&catalog, 2).await.unwrap_err();
        assert!(unknown.is_passing(), "{unknown}");
        // A session that has not ended yet still has the lock: what it does comes before.
        let settled = "begin; select from bookmark where shard = 0 for update; rollback";
        PgConnection::connect(database.url()).await.unwrap().execute(settled).await.unwrap();
        assert_eq!(last_sequence(&catalog).await, became, "forwarded: {forwards_commit}");
        record(&catalog, 3).await.unwrap();
    }
}

#[tokio::test]
async fn an_inspection_makes_nothing() {
    let Some(database) = TestDatabase::postgres() else { return };
    let settings = CatalogSettings { database_url: database.url().to_owned() };
    assert_eq!(inspect(&settings).await.unwrap(), Inspected::Absent);
    assert_eq!(inspect(&settings).await.unwrap(), Inspected::Absent);
    let catalog = own(database.url()).await.unwrap();
    record(&catalog, 1).await.unwrap();
    let Inspected::Seen(seen) = inspect(&settings).await.unwrap() else { panic!("not seen") };
    assert_eq!((seen.version, seen.is_other), (Some(seen.known), false));
}

#[tokio::test]
async fn one_writer_at_a_time_has_the_lease_and_the_one_before_writes_nothing() {
    let Some(database) = TestDatabase::postgres() else { return };
    let settings = CatalogSettings { database_url: database.url().to_owned() };
    let take = |holder: &'static str| CatalogWriter::take(&settings, holder);
    let first = take("first").await.unwrap().unwrap();
    record(&first, 1).await.unwrap();
    assert!(take("second").await.unwrap().is_none(), "it is renewed");
    // As if nobody had renewed it for a while.
    let expire = "update bookmark set expires_at = clock_timestamp() - interval '1 s'";
    PgConnection::connect(database.url()).await.unwrap().execute(expire).await.unwrap();
    let second = take("second").await.unwrap().unwrap();
    let (of_first, of_second) = (first.lease(), second.lease());
    assert_eq!(of_first.catalog_id, of_second.catalog_id);
    assert!(of_first.epoch < of_second.epoch);
    for refused in [record(&first, 2).await.unwrap_err(), first.renew().await.unwrap_err()] {
        assert!(matches!(&refused, CatalogError::Superseded(by) if by == "second"), "{refused}");
    }
    assert_eq!(last_sequence(&second).await, 1);
    first.close().await;
    second.renew().await.unwrap();
    record(&second, 2).await.unwrap();
    // What is given back is free at once.
    second.close().await;
    assert!(take("third").await.unwrap().is_some());
}

#[tokio::test]
async fn nobody_takes_the_lease_from_a_writer_that_reads_or_writes_for_long() {
    let Some(database) = TestDatabase::postgres() else { return };
    let settings = CatalogSettings { database_url: database.url().to_owned() };
    let take = |holder: &'static str| CatalogWriter::take(&settings, holder);
    let first = take("first").await.unwrap().unwrap();
    record(&first, 1).await.unwrap();
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    let expire = "update bookmark set expires_at = clock_timestamp() - interval '1 s'";

    // A read that lasts until it is told to end.
    let long_reads = "create table told (); alter table instances rename to all_instances;
        create function is_told() returns boolean language plpgsql as $$ begin
            while not exists (select from told) loop perform pg_sleep(0.01); end loop;
            return true;
        end $$;
        create view instances as select * from all_instances where is_told()";
    other.execute(long_reads).await.unwrap();
    let renews = async {
        let reading = "select from pg_stat_activity where datname = current_database()
            and state = 'active' and query like '%from instances%' and pid <> pg_backend_pid()";
        while other.fetch_optional(reading).await.unwrap().is_none() {}
        other.execute(expire).await.unwrap();
        first.renew().await.unwrap();
        assert!(take("second").await.unwrap().is_none(), "it is renewed beside the read");
        other.execute("insert into told default values").await.unwrap();
    };
    let both = async { tokio::join!(first.witness(0, 1, true), renews) };
    let (witness, ()) = timeout(Duration::from_secs(60), both).await.unwrap();
    assert_eq!(witness.unwrap().unwrap().sequence, 1);

    // As if a write had begun longer ago than a lease lasts, and went on for another one.
    other.execute(expire).await.unwrap();
    other.execute("begin; select from bookmark for update").await.unwrap();
    let busy = first.renew().await.unwrap_err();
    assert!(busy.is_passing(), "{busy}");
    assert!(take("second").await.unwrap().is_none(), "it is not free while somebody writes");
    other.execute("rollback").await.unwrap();
    first.renew().await.unwrap();
    assert!(take("second").await.unwrap().is_none());

    // A write in which the lease ends, and which goes on for longer than until it is renewed again.
    let long_writes = "create function writes_long() returns trigger language plpgsql as $$ begin
            update bookmark set expires_at = clock_timestamp() - interval '1 s';
            perform pg_sleep(1.1);
            return null;
        end $$;
        create trigger long after update of last_sequence on bookmark for each row
        execute function writes_long()";
    other.execute(long_writes).await.unwrap();
    record(&first, 2).await.unwrap();
    assert!(take("second").await.unwrap().is_none(), "it is renewed with the commit");
}

/// The sessions of all others on this database, and since when each runs its last statement.
async fn other_statements(connection: &mut PgConnection) -> Vec<(i32, bool, String)> {
    let query = "select pid, coalesce(wait_event_type = 'Lock', false), coalesce(query_start::text, '')
        from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
        order by pid";
    sqlx::query_as(query).fetch_all(connection).await.unwrap()
}

async fn other_sessions(connection: &mut PgConnection) -> Vec<i32> {
    other_statements(connection).await.into_iter().map(|(pid, ..)| pid).collect()
}

#[tokio::test]
async fn a_renewal_that_meets_a_long_write_is_tried_again_in_its_session() {
    let Some(database) = TestDatabase::postgres() else { return };
    let settings = CatalogSettings { database_url: database.url().to_owned() };
    let catalog = CatalogWriter::take(&settings, "one").await.unwrap().unwrap();
    catalog.renew().await.unwrap();
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    let mut watch = PgConnection::connect(database.url()).await.unwrap();
    let sessions = other_sessions(&mut watch).await;
    other.execute("begin; select from bookmark for update").await.unwrap();
    let long_write = async {
        let mut first_try = None;
        // Until it waits for the lock once more.
        loop {
            let waiting =
                other_statements(&mut watch).await.into_iter().find(|(_, waits, _)| *waits);
            match (&first_try, waiting) {
                (None, Some((.., since))) => first_try = Some(since),
                (Some(first), Some((.., since))) if *first != since => break,
                _ => {}
            }
        }
        other.execute("rollback").await.unwrap();
    };
    let both = async { tokio::join!(async { catalog.renew().await.unwrap() }, long_write) };
    timeout(Duration::from_secs(60), both).await.unwrap();
    assert_eq!(other_sessions(&mut watch).await, sessions);
}

#[tokio::test]
async fn no_other_database_has_the_id_of_a_catalogue() {
    let (Some(one), Some(other)) = (TestDatabase::postgres(), TestDatabase::postgres()) else {
        return;
    };
    let (one, other) = (own(one.url()).await.unwrap(), own(other.url()).await.unwrap());
    assert_ne!(one.lease().catalog_id, other.lease().catalog_id);
}
