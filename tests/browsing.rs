//! What people see in a browser: the dashboard, and the documentation.

use crate::harness::browser::{Browser, LIVE, rows};
use crate::harness::cluster::Cluster;
use crate::harness::database::Database;
use crate::harness::pipeline::{Process, address, service, test_settings, with};
use crate::harness::scu::Scu;
use crate::harness::tools::{dcmsend, have};
use crate::harness::{Collimator, eventually, series_to_store};
use collimator::synthetic::SyntheticStudy;
use serde_json::{Value, json};

#[tokio::test]
async fn the_dashboard_shows_a_series_arrive_and_become_complete_and_why() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start_with(&[("QUIET_PERIOD", "1h")]).await;
    let study = SyntheticStudy::new().series("MR", 4).size(256, 256);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let images = study.instances().unwrap();
    browser.resize(1200, 900).await;
    browser.watches(&collimator.api).await;

    let mut sender = Scu::for_mr(collimator.dicom).await;
    sender.stores(&images[0]).await;
    browser.waits_for(&format!("{}.includes('MR\\tTEST_SCU\\t1')", rows("arriving"))).await;
    browser.waits_for(&format!("{}.includes('TEST_SCU\\t127.0.0.1')", rows("associations"))).await;
    for image in &images[1..] {
        sender.stores(image).await;
    }
    browser.waits_for(&format!("{}.includes('MR\\tTEST_SCU\\t4')", rows("arriving"))).await;
    browser.waits_for("document.querySelector('#rate').textContent > 0").await;
    browser.keeps("dashboard-arriving").await;
    sender.release().await;
    browser.waits_for(&format!("{}.includes('released')", rows("completed"))).await;
    browser.waits_for(&format!("{} === ''", rows("arriving"))).await;
    browser.waits_for(&format!("{}.includes('released')", rows("associations"))).await;
    browser.keeps("dashboard-completed").await;

    browser.run("document.querySelector('#completed a').click()").await;
    browser.waits_for(&format!("{}.includes('the sender released')", rows("history"))).await;
    browser.waits_for(&format!("location.hash === '#/series/{uid}'")).await;
    let evidence = "document.querySelector('#evidence-list').textContent.includes('released')";
    browser.waits_for(evidence).await;
    browser.keeps("dashboard-series").await;

    browser.run("location.hash = '#/health'").await;
    browser.waits_for("document.querySelector('#health-word').textContent === 'ready'").await;
    let one_process =
        "document.querySelector('#nodes-note').textContent.startsWith('One process ')";
    browser.waits_for(one_process).await;
    for more in ["nodes", "brokers"] {
        let hidden = format!("document.querySelector('#{more}-title').hidden");
        assert_eq!(browser.run(&format!("return {hidden}")).await, true, "{more} of one process");
    }
    browser.keeps("dashboard-health").await;

    browser.prefers_dark().await;
    browser.resize(390, 800).await;
    for page in ["", "series", "health", &format!("series/{uid}")] {
        browser.run(&format!("location.hash = '#/{page}'")).await;
        browser.waits_for("!document.querySelector('main section:not([hidden])').hidden").await;
        let wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
        assert_eq!(browser.run(&format!("return {wide}")).await, false, "{page} on a phone");
    }
    // A table that scrolls sideways says so by a shade.
    let shade = "getComputedStyle(document.querySelector('.scroll')).backgroundAttachment";
    assert_eq!(browser.run(&format!("return {shade}.includes('local')")).await, true);
    browser.run("location.hash = '#/'").await;
    browser.waits_for("!document.querySelector('#now').hidden").await;
    browser.keeps("dashboard-phone-dark").await;
    let complaints = browser.complaints().await;
    // Paths that this version of the API does not have are left out of the page, not complained of.
    let bad: Vec<_> = complaints.iter().filter(|said| !said.contains("status of 404")).collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[tokio::test]
async fn what_dcmsend_sends_is_seen_to_arrive_and_to_be_complete() {
    if !have("dcmsend") {
        return;
    }
    let Some(browser) = Browser::start().await else { return };
    let settings = [("QUIET_PERIOD", "1h"), ("SETTLE_PERIOD", "3s")];
    let collimator = Collimator::start_with(&settings).await;
    let folder = tempfile::tempdir().unwrap();
    SyntheticStudy::new().series("MR", 200).size(256, 256).write_to(folder.path()).unwrap();
    browser.resize(1200, 900).await;
    browser.watches(&collimator.api).await;
    let watch = async {
        browser.waits_for(&format!("{}.includes('MR\\tDCMSEND')", rows("arriving"))).await;
        browser.waits_for(&format!("{}.includes('MR\\tDCMSEND\\t200')", rows("arriving"))).await;
        browser.keeps("dashboard-dcmsend").await;
    };
    let folders = [folder.path()];
    tokio::join!(dcmsend(collimator.dicom, &folders), watch);
    browser.waits_for(&format!("{}.includes('released')", rows("completed"))).await;
    browser.waits_for(&format!("{} === ''", rows("arriving"))).await;
}

#[tokio::test]
async fn a_series_that_is_sent_again_does_not_seem_to_arrive_for_ever() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start().await;
    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let images = study.instances().unwrap();
    let send = async || {
        let mut sender = Scu::for_mr(collimator.dicom).await;
        for image in &images {
            sender.stores(image).await;
        }
        sender.release().await;
    };
    send().await;
    collimator.lists(&uid, 2).await;
    browser.watches(&collimator.api).await;
    send().await;
    browser.waits_for(&format!("{}.includes('MR\\tTEST_SCU')", rows("arriving"))).await;
    browser.waits_for(&format!("{} === ''", rows("arriving"))).await;
    browser.waits_for("document.querySelector('#arriving-count').textContent === '0'").await;
    // It was not complete again.
    assert_eq!(
        browser.run("return document.querySelector('#completed-count').textContent").await,
        "0"
    );
    assert_eq!(collimator.completions().await.len(), 1);
}

#[tokio::test]
async fn opened_in_the_middle_the_dashboard_begins_with_what_is_known() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start_with(&[("QUIET_PERIOD", "1h")]).await;
    let images = SyntheticStudy::new().series("MR", 8).size(16, 16).instances().unwrap();
    let mut sender = Scu::for_mr(collimator.dicom).await;
    for image in &images[..5] {
        sender.stores(image).await;
    }
    let receiving = format!("{}/series?State=receiving", collimator.api);
    eventually("five instances in the catalogue", async || {
        let series: Value = reqwest::get(&receiving).await.unwrap().json().await.unwrap();
        (series[0]["InstancesReceived"] == 5).then_some(())
    })
    .await;
    browser.resize(1200, 900).await;
    browser.open(&format!("{}/", collimator.api)).await;
    browser.waits_for(&format!("{}.includes('MR\\tTEST_SCU\\t5')", rows("arriving"))).await;
    // Of its association nothing is said any more, until an instance comes through it.
    sender.stores(&images[5]).await;
    browser.waits_for(&format!("{}.includes('MR\\tTEST_SCU\\t6')", rows("arriving"))).await;
    browser.waits_for(&format!("{}.includes('open\\t\\t\\tbefore ')", rows("associations"))).await;
    browser.waits_for("document.querySelector('#open').textContent === '1'").await;
    browser.keeps("dashboard-in-the-middle").await;

    // Now somebody has listened before, and one instance more is told than the page has heard of.
    sender.stores(&images[6]).await;
    browser.waits_for(&format!("{}.includes('MR\\tTEST_SCU\\t7')", rows("arriving"))).await;
    browser.open(&format!("{}/#/", collimator.api)).await;
    browser.run("location.reload()").await;
    browser.waits_for(&format!("{}.includes('MR\\tTEST_SCU\\t7')", rows("arriving"))).await;
    sender.stores(&images[7]).await;
    browser.waits_for(&format!("{}.includes('MR\\tTEST_SCU\\t8')", rows("arriving"))).await;
    // It is silent now, and the catalogue says that it is receiving all the same.
    let asked = "performance.getEntriesByType('resource')\
                 .filter(r => r.name.includes('State=receiving')).length";
    let before = browser.run(&format!("return {asked}")).await;
    browser.waits_for(&format!("{asked} > {before}")).await;
    browser.waits_for(&format!("{}.includes('MR\\tTEST_SCU\\t8')", rows("arriving"))).await;
    sender.release().await;
    browser.waits_for(&format!("{}.includes('released')", rows("completed"))).await;
    browser.waits_for(&format!("{} === ''", rows("arriving"))).await;
    browser.waits_for(&format!("{}.includes('released')", rows("associations"))).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_page_of_a_series_grows_while_it_is_receiving() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start_with(&[("QUIET_PERIOD", "1h")]).await;
    let study = SyntheticStudy::new().series("MR", 4).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let images = study.instances().unwrap();
    let mut sender = Scu::for_mr(collimator.dicom).await;
    sender.stores(&images[0]).await;
    let one = format!("{}/series/{uid}", collimator.api);
    eventually("the series", async || {
        reqwest::get(&one).await.ok().filter(|answer| answer.status() == 200)
    })
    .await;
    browser.resize(390, 800).await;
    browser.open(&format!("{}/#/series/{uid}", collimator.api)).await;
    let says = |what: &str| {
        format!(
            "document.querySelector('#one').innerText.replaceAll('\\n', ' ').includes('{what}')"
        )
    };
    browser.waits_for(&says("Instances 1 so far")).await;
    browser.waits_for(&says("1 instance (dots)")).await;
    browser.waits_for(LIVE).await;
    for image in &images[1..] {
        sender.stores(image).await;
    }
    browser.waits_for(&says("Instances 4 so far")).await;
    browser.waits_for(&says("4 instances (dots) and 0 completions")).await;
    browser.keeps("dashboard-series-receiving").await;
    sender.release().await;
    browser.waits_for(&says("State complete Instances 4 ")).await;
    browser.waits_for(&says("4 instances (dots) and 1 completion")).await;
    // What is written at the timeline can be read on a phone.
    let height = "document.querySelector('#timeline text').getBoundingClientRect().height";
    assert!(browser.run(&format!("return {height}")).await.as_f64().unwrap() > 12.0);
    browser.keeps("dashboard-series-phone").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_list_says_how_much_of_all_it_shows() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start().await;
    let client = reqwest::Client::new();
    for number in 1..=51 {
        let series = series_to_store(&format!("1.2.{number}"), "1.2", 3);
        let store = client.post(format!("{}/store", collimator.api)).json(&series);
        assert_eq!(store.send().await.unwrap().status(), 200);
    }
    let says =
        |what: &str| format!("document.querySelector('#series-note').textContent === '{what}'");
    browser.open(&format!("{}/#/series", collimator.api)).await;
    browser.waits_for(&says("The latest 50 of 51 series.")).await;
    browser.run("document.querySelector('#series-more').click()").await;
    browser.waits_for(&says("51 series, the latest first.")).await;
    // The address keeps it: opened again, all of it is there.
    browser.waits_for("location.hash === '#/series?rows=51'").await;
    browser.run("location.reload()").await;
    browser.waits_for(&says("51 series, the latest first.")).await;
    let lines = "csv(listing).trim().split('\\r\\n').length";
    assert_eq!(browser.run(&format!("return {lines}")).await, 52);
    browser.waits_for("document.querySelector('#series-csv').href.startsWith('blob:')").await;
    browser.run("document.querySelector('#series-list th[data-sort=CompletedAt] a').click()").await;
    browser.waits_for(&format!("{}.startsWith('1.2.1\\t')", rows("series-list"))).await;
    browser.waits_for("location.hash === '#/series?sort=CompletedAt'").await;
    browser.run("document.querySelector('#chips-days a').click()").await;
    browser.waits_for(&says("The first 50 series that match; there are more.")).await;
    browser.run("location.hash = '#/series'").await;
    browser.waits_for(&says("The latest 50 of 51 series.")).await;
    browser.run("document.querySelector('#search-text').value = 'Roe'").await;
    browser.run("document.querySelector('#search button').click()").await;
    browser.waits_for(&says("The latest 50 series that match; there are more.")).await;
    // What was not today has its date.
    let old = browser.run("return time('2020-01-02T12:00:00Z').textContent").await;
    assert!(old.as_str().unwrap().contains("2020"), "{old}");
}

#[tokio::test]
async fn a_steady_sender_is_drawn_steadily() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start().await;
    browser.watches(&collimator.api).await;
    // Four instances a second, of which a series tells every 1.25 s, and a page that looks every second.
    let drawn = browser
        .run(
            "const start = performance.now();
             let at = 0;
             performance.now = () => start + at;
             Date.now = () => 1e12 + at;
             for (; at < 30000; at += 250) {
                 const data = { SeriesInstanceUID: '1', InstancesSeen: 1 + at / 250, BytesSeen: 0 };
                 if (at % 1250 === 0) seen(data, at === 0);
                 if (at % 1000 === 0) tick();
             }
             return document.querySelector('#rate-line polyline').getAttribute('points')
                 .split(' ').slice(-20).map((point) => (29 - point.split(',')[1]) / 28);",
        )
        .await;
    let drawn: Vec<f64> = serde_json::from_value(drawn).unwrap();
    let most = drawn.iter().copied().fold(0.0, f64::max);
    assert!(most > 0.5 && drawn.iter().all(|rate| *rate > 0.95 * most), "{drawn:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_all_nodes_and_says_which_one_died() {
    let Some(browser) = Browser::start().await else { return };
    let mut cluster = Cluster::start().await;
    let folder = tempfile::tempdir().unwrap();
    let database = Database::beside(folder.path());
    let mut settings = with(test_settings(folder.path()), &[("STREAM_REPLICAS", "3")]);
    settings.push(("NATS_URL", cluster.urls()));
    settings.push(("DATABASE_URL", database.url.clone()));
    let start = async |name| Process::start(&service(name).await, folder.path(), &settings);
    let mut first = start("indexer").await;
    first.indexes().await;
    let mut second = start("indexer").await;
    second.stands_by().await;
    let _ingests = (start("ingest").await, start("ingest").await);
    let mut api = start("api").await;
    let addr = api.says("where it is", |line| address(line, "api listens")).await;

    browser.resize(1200, 1100).await;
    browser.open(&format!("http://{addr}/#/health")).await;
    browser.waits_for(LIVE).await;
    browser.run("window.isSamePage = true").await;
    let note =
        |what: &str| format!("document.querySelector('#nodes-note').textContent === '{what}'");
    browser.waits_for(&note("5 nodes answer.")).await;
    // Each with who it is.
    let nodes = browser.run(&format!("return {}", rows("nodes"))).await;
    let nodes: Vec<_> = nodes.as_str().unwrap().split('|').collect();
    let (host, version) = (shared::settings::host_name(), env!("CARGO_PKG_VERSION"));
    let states = nodes.iter().zip(["api", "indexer", "indexer", "ingest", "ingest"]);
    let states = states.map(|(node, service)| {
        let rest = node.strip_prefix(&format!("{service}\t{host}\t"));
        let (state, rest) = rest.and_then(|rest| rest.split_once('\t')).expect(node);
        assert!(rest.starts_with(&format!("{version}\t")), "{node}");
        state
    });
    let mut states: Vec<_> = states.collect();
    states.sort_unstable();
    assert_eq!(states, ["active", "ready", "ready", "ready", "standby"], "{nodes:?}");
    browser
        .waits_for(&format!(
            "/INSTANCES\\t3\\tserver.\\tserver., server.\\|/.test({})",
            rows("brokers")
        ))
        .await;
    browser.keeps("dashboard-nodes").await;

    first.kill();
    let node_rows = rows("nodes");
    browser.waits_for(&note("4 nodes answer, 1 no longer does.")).await;
    browser.waits_for(&format!("{node_rows}.includes('\tno answer since ')")).await;
    browser
        .waits_for(&format!("{node_rows}.includes('\tactive') && !{node_rows}.includes('standby')"))
        .await;
    let killed = cluster.follower("INSTANCES").await;
    cluster.kill(killed);
    let lags = format!("/INSTANCES[^|]*server{killed} \\(/.test({})", rows("brokers"));
    browser.waits_for(&lags).await;
    browser.keeps("dashboard-nodes-killed").await;
    browser.prefers_dark().await;
    browser.resize(390, 1600).await;
    let wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
    assert_eq!(browser.run(&format!("return {wide}")).await, false, "on a phone");
    browser.keeps("dashboard-nodes-phone-dark").await;

    // Started again, it is no node that was lost.
    let mut first = start("indexer").await;
    first.stands_by().await;
    browser.waits_for(&note("5 nodes answer.")).await;
    assert_eq!(browser.run("return window.isSamePage").await, true, "it was loaded again");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_dead_letter_is_replayed_and_dropped_by_a_button() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start().await;
    let jetstream = async_nats::jetstream::new(collimator.nats.clone());
    let subject = "dicom.instance.stored.07.MR.1.2.3";
    jetstream.publish(subject, "{\"".into()).await.unwrap().await.unwrap();
    browser.resize(1200, 700).await;
    browser.open(&format!("{}/#/health", collimator.api)).await;
    browser.waits_for(&format!("{}.includes('unreadable')", rows("dead"))).await;
    browser.waits_for("document.querySelector('#dead-note').textContent === '1 in all.'").await;
    browser.waits_for("document.querySelector('#lag').textContent.includes('yet: 0.')").await;
    browser.keeps("dashboard-dead").await;
    let first =
        browser.run("return document.querySelector('#dead tbody tr').dataset.sequence").await;
    let agree =
        "document.querySelector('#sure').open && document.querySelector('#sure-yes').click()";
    // It asks first, and who thinks again changes nothing.
    browser.run("document.querySelector('#dead button').click()").await;
    browser.waits_for("document.querySelector('#sure-text').textContent.includes('Replay')").await;
    browser.run("document.querySelector('#sure-no').click()").await;
    assert_eq!(browser.run("return document.querySelector('#sure').open").await, false);
    browser.run("document.querySelector('#dead button').click()").await;
    browser.run(agree).await;
    browser
        .waits_for("document.querySelector('#dead-note').textContent.includes('replayed')")
        .await;
    // It can't be read now either.
    let another = format!("document.querySelector('#dead tbody tr')?.dataset.sequence > {first}");
    browser.waits_for(&another).await;
    browser.run("document.querySelector('#dead button:last-of-type').click()").await;
    browser.run(agree).await;
    browser.waits_for(&format!("{} === ''", rows("dead"))).await;
    browser.waits_for("document.querySelector('#dead-note').textContent.includes('dropped')").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn text_of_a_header_is_shown_as_text_and_can_be_searched() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start().await;
    let hostile = "<img src=x onerror=alert(1)>";
    for (uid, id, name) in [("1.2.3", hostile, "<b>Roe</b>^<i>Jim</i>"), ("1.2.4", "7", "Roe^Jane")]
    {
        let series = json!({
            "SeriesInstanceUID": uid, "PatientID": id, "PatientName": name,
            "StudyInstanceUID": "1.2", "InstancesCount": 3,
        });
        let store = reqwest::Client::new().post(format!("{}/store", collimator.api));
        assert_eq!(store.json(&series).send().await.unwrap().status(), 200);
    }
    browser.resize(1200, 700).await;
    browser.open(&format!("{}/#/series", collimator.api)).await;
    browser
        .waits_for(&format!("{}.includes('<img src=x onerror=alert(1)>')", rows("series-list")))
        .await;
    assert_eq!(
        browser.run("return document.querySelectorAll('main img, main b, main i').length").await,
        0
    );
    browser.keeps("dashboard-list").await;

    browser.run("document.querySelector('#search-text').value = 'Jane'").await;
    browser.run("document.querySelector('#search button').click()").await;
    let only_jane = format!("{}.startsWith('1.2.4\\tRoe, Jane')", rows("series-list"));
    browser.waits_for(&only_jane).await;
    assert_eq!(
        browser.run("return document.querySelectorAll('#series-list tbody tr').length").await,
        1
    );
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_dashboard_says_when_nothing_can_be_told_and_goes_on_by_itself() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start_with(&[("MAX_EVENT_SUBSCRIBERS", "1")]).await;
    let held = reqwest::get(format!("{}/events", collimator.api)).await.unwrap();
    browser.open(&format!("{}/", collimator.api)).await;
    browser.waits_for("document.querySelector('#link').dataset.state === 'away'").await;
    drop(held);
    browser.waits_for(LIVE).await;
}

#[tokio::test]
async fn the_documentation_shows_every_operation_and_tries_one() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    collimator.receives(study.write_to(folder.path()).unwrap()).await;
    collimator.lists(&uid, 2).await;
    let spec: Value = reqwest::get(format!("{}/openapi.json", collimator.api))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let paths = spec["paths"].as_object().unwrap().values();
    let operations: usize = paths.map(|path| path.as_object().unwrap().len()).sum();

    browser.resize(1200, 1600).await;
    browser.open(&format!("{}/docs", collimator.api)).await;
    browser
        .waits_for(&format!("document.querySelectorAll('.opblock').length === {operations}"))
        .await;
    browser.keeps("swagger").await;
    let of = "#operations-Series-listSeries";
    let press = async |button: &str| {
        let found = format!("document.querySelector('{of} {button}')");
        browser.waits_for(&found).await;
        browser.run(&format!("{found}.click()")).await;
    };
    press(".opblock-summary-control").await;
    press(".try-out__btn").await;
    // All series at once would be more than it can show.
    let limit = format!("document.querySelector('{of} [data-param-name=limit] input')?.value");
    browser.waits_for(&format!("{limit} === '100'")).await;
    press(".execute").await;
    let answer = format!("document.querySelector('{of} .live-responses-table')?.innerText");
    browser.waits_for(&format!("{answer}?.includes('{uid}')")).await;
    // Nor can it colour many.
    let coloured = format!("document.querySelectorAll('{of} .highlight-code span').length");
    assert_eq!(browser.run(&format!("return {coloured}")).await, 0);
    browser.run(&format!("document.querySelector('{of}').scrollIntoView()")).await;
    browser.keeps("swagger-tried").await;
    let complaints = browser.complaints().await;
    // Swagger UI names no icon, so the browser looks for one.
    let bad: Vec<_> = complaints.iter().filter(|said| !said.contains("favicon.ico")).collect();
    assert!(bad.is_empty(), "{bad:?}");
}
