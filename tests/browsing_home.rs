//! The page Home: how to send the first instance, and whether all is well.

use crate::harness::Collimator;
use crate::harness::browser::{Browser, rows};
use crate::harness::scu::Scu;
use collimator::synthetic::SyntheticStudy;

#[tokio::test]
async fn home_says_how_to_send_the_first_instance_and_then_what_came() {
    let Some(browser) = Browser::start().await else { return };
    let collimator = Collimator::start_with(&[("QUIET_PERIOD", "1h")]).await;
    browser.resize(1200, 900).await;
    browser.watches(&collimator.api).await;
    let text = |id: &str| format!("document.querySelector('#{id}').textContent");
    let port = collimator.dicom.port();
    let line =
        format!("dcmsend --aec COLLIMATOR --scan-directories --recurse 127.0.0.1 {port} FOLDER");
    browser.waits_for(&format!("{}.includes('{line}')", text("first-lines"))).await;
    browser.waits_for(&format!("{} === 'Ready to receive.'", text("verdict"))).await;
    browser.keeps("dashboard-first").await;

    let study = SyntheticStudy::new().series("MR", 3).size(16, 16);
    let [uid] = study.series_instance_uids().try_into().unwrap();
    let mut sender = Scu::for_mr(collimator.dicom).await;
    for image in study.instances().unwrap() {
        sender.stores(&image).await;
    }
    browser.waits_for("document.querySelector('#first').hidden").await;
    sender.release().await;
    collimator.lists(&uid, 3).await;
    // All of it survives a reload: it is the catalogue's.
    browser.run("location.reload()").await;
    browser.waits_for(&format!("{}.includes('MR\\t3\\treleased')", rows("completed"))).await;
    browser.waits_for(&format!("{} === '1'", text("today"))).await;
    browser.waits_for(&format!("{} === '3 instances'", text("day-more"))).await;
    let senders = format!("/^TEST_SCU\\t.+\\t1\\t3\\ttrusted$/.test({})", rows("senders"));
    browser.waits_for(&senders).await;
    let title = "document.querySelector('#chart-instances').getAttribute('aria-label')";
    browser.waits_for(&format!("{title}.includes('3 in all')")).await;
    browser.waits_for(&format!("{} === 'All is well.'", text("verdict"))).await;
    // What is not well is said with what to do.
    let jetstream = async_nats::jetstream::new(collimator.nats.clone());
    let subject = "dicom.instance.stored.07.MR.1.2.3";
    jetstream.publish(subject, "{\"".into()).await.unwrap().await.unwrap();
    let warned = format!("{}.includes('1 dead letter: ')", text("warnings"));
    browser.waits_for(&format!("(homeAsked = 0, {warned})")).await;
    browser.waits_for(&format!("{} === '1 thing to look at.'", text("verdict"))).await;
    browser.keeps("dashboard-home").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
