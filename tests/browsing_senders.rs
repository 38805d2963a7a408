//! The page Senders: what each sender did, what it was told, and the button that trusts it again.

use crate::harness::browser::{Browser, rows};
use crate::harness::scu::Scu;
use crate::harness::{Collimator, eventually};
use collimator::synthetic::SyntheticStudy;
use dicom_dictionary_std::uids;
use serde_json::Value;

/// Sends two instances of a series, of which the second comes after the release that completed it; and one that is
/// refused. Returns the series.
pub async fn a_sender_that_releases_too_early(collimator: &Collimator) -> String {
    let study = SyntheticStudy::new().series("MR", 2).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    for (image, count) in study.instances().unwrap().iter().zip(1..) {
        let mut sender = Scu::for_mr(collimator.dicom).await;
        if count == 2 {
            let answer = sender.store(1, uids::MR_IMAGE_STORAGE, "1.2.3", &[8, 0]).await;
            assert_eq!(answer.status, 0xC000, "{answer:?}");
        }
        sender.stores(image).await;
        sender.release().await;
        if count == 1 {
            collimator.lists(&uid, 1).await;
        }
    }
    uid
}

#[tokio::test]
async fn senders_are_shown_with_what_they_were_told_and_one_is_trusted_again() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start_with(&[("QUIET_PERIOD", "1h")]).await;
    browser.resize(1400, 900).await;
    browser.open(&format!("{}/#/senders", collimator.api)).await;
    // Where nobody has sent anything it says what to do.
    browser.waits_for("!document.querySelector('#sources-empty').hidden").await;

    a_sender_that_releases_too_early(&collimator).await;
    let row = rows("sources");
    browser.waits_for(&format!("{row}.includes('released: not trusted')")).await;
    for said in ["TEST_SCU", "127.0.0.1", "not encrypted", "released "] {
        browser.waits_for(&format!("{row}.includes('{said}')")).await;
    }
    let refusals = rows("refusals");
    let told = "the data set ends in the middle of an element\\t1";
    browser.waits_for(&format!("{refusals}.includes('{told}')")).await;
    browser.waits_for(&format!("{refusals}.includes('0xC000')")).await;
    browser.keeps("dashboard-senders").await;

    // It asks first.
    let press =
        "document.querySelector('#sources button[aria-label=\"Trust again: TEST_SCU\"]').click()";
    let trusted = async || {
        let sources = reqwest::get(format!("{}/sources", collimator.api)).await.unwrap();
        let sources: Value = sources.json().await.unwrap();
        sources[0]["Released"]["Trusted"].as_bool().unwrap()
    };
    browser.run(press).await;
    browser.waits_for("document.querySelector('#sure').open").await;
    browser.keeps("dashboard-senders-asks").await;
    browser.run("document.querySelector('#sure-no').click()").await;
    browser.waits_for("!document.querySelector('#sure').open").await;
    assert!(!trusted().await);
    browser.run(press).await;
    browser.run("document.querySelector('#sure-yes').click()").await;
    eventually("the sender to be trusted", async || trusted().await.then_some(())).await;
    browser.waits_for(&format!("{row}.includes('all rules trusted')")).await;

    // On a phone the page is as wide as the screen, and its tables scroll.
    browser.resize(390, 800).await;
    let wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
    assert_eq!(browser.run(&format!("return {wide}")).await, false);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
