//! What axe-core finds on each page of the dashboard: nothing.

use crate::browsing_senders::a_sender_that_releases_too_early;
use crate::harness::Collimator;
use crate::harness::browser::{Browser, rows};
use crate::harness::node::node;
use serde_json::{Value, json};

/// Reports what axe-core finds on the page as it is, into a variable of it.
const RUN: &str = "window.found = undefined; axe.run().then(({ violations, passes }) => {
    const parts = (nodes) => nodes.map((node) => `${node.target}: ${node.failureSummary}`).join('; ');
    window.found = { rules: passes.length, wrong: violations.map((v) => `${v.id} (${v.impact}): ${parts(v.nodes)}`) };
}, (error) => { window.found = { rules: 0, wrong: [String(error)] }; })";

/// What axe-core finds wrong on the page.
async fn wrong(browser: &Browser) -> Value {
    browser.run(RUN).await;
    browser.waits_for("window.found").await;
    let found = browser.run("return window.found").await;
    let looked_at = found["rules"].as_u64().unwrap();
    assert!(looked_at > 10 || found["wrong"] != json!([]), "it has looked at nothing: {found}");
    found["wrong"].clone()
}

#[tokio::test]
async fn axe_finds_nothing_on_any_page_in_light_and_dark() {
    let Some(browser) = Browser::start().await else { return };
    let Some(node) = node().await else { return };
    let axe = std::fs::read_to_string(node.script("axe-core/axe.min.js")).unwrap();
    let collimator = Collimator::start_with(&[("QUIET_PERIOD", "1h")]).await;
    browser.watches(&collimator.api).await;
    browser.run(&axe).await;
    let each = async |pages: &[&str], state: &str| {
        for (width, height) in [(1400, 900), (390, 800)] {
            browser.resize(width, height).await;
            for scheme in ["light", "dark"] {
                browser.prefers(scheme).await;
                for page in pages {
                    browser.run(&format!("location.hash = '#/{page}'")).await;
                    browser
                        .waits_for("!document.querySelector('main section:not([hidden])').hidden")
                        .await;
                    let found = wrong(&browser).await;
                    assert_eq!(found, json!([]), "{page}, {state}, {scheme}, {width} pixels");
                }
            }
        }
    };
    let pages = ["", "series", "senders", "system"];
    each(&pages, "empty").await;

    let uid = a_sender_that_releases_too_early(&collimator).await;
    let jetstream = async_nats::jetstream::new(collimator.nats.clone());
    let subject = "dicom.instance.stored.07.MR.1.2.3";
    jetstream.publish(subject, "{\"".into()).await.unwrap().await.unwrap();
    browser.run("location.hash = '#/senders'").await;
    browser.waits_for(&format!("{}.includes('not trusted')", rows("sources"))).await;
    browser.run("location.hash = '#/system'").await;
    browser.waits_for(&format!("{}.includes('unreadable')", rows("dead"))).await;
    browser.run(&format!("location.hash = '#/series/{uid}'")).await;
    browser.waits_for(&format!("{}.includes('released')", rows("history"))).await;
    let one = format!("series/{uid}");
    each(&[&pages[..], &[&one]].concat(), "with series").await;

    // A question is asked on top of the page.
    browser.run("location.hash = '#/system'").await;
    browser.run("document.querySelector('#dead button').click()").await;
    browser.waits_for("document.querySelector('#sure').open").await;
    assert_eq!(wrong(&browser).await, json!([]), "the question");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
