//! The pauses inside series: kept with a completion and with a batch, and read again.

use crate::feed::{Feed, bookmark, instance};
use catalog::{Batch, CatalogReader, CatalogWriter};
use completion::{Consequences, Pauses};

async fn what_was_learnt_of_a_sender_is_kept(mut feed: Feed) {
    feed.receive([instance("2.1", "3.1")]).await;
    assert_eq!(feed.catalog.pauses().await.unwrap(), []);
    let reader = CatalogReader::open(&feed.settings).unwrap();
    assert_eq!(reader.senders().await.unwrap()[0].pauses, None);
    let mut pauses = Pauses::default();
    // More than a sample, so that there are two.
    for value in 0..700 {
        pauses.add(value * 10);
    }
    let kept =
        Consequences { pauses: vec![("MR1".to_owned(), pauses.clone())], ..Default::default() };
    feed.catalog.decide(&[], &[], &kept).await.unwrap();
    assert_eq!(feed.catalog.pauses().await.unwrap(), kept.pauses);
    pauses.add(90_000);
    let learnt =
        Consequences { pauses: vec![("MR1".to_owned(), pauses.clone())], ..Default::default() };
    let kept = learnt.pauses.clone();
    feed.catalog.record(&Batch::new(bookmark(9)), |_| learnt).await.unwrap();
    assert_eq!(reader.senders().await.unwrap()[0].pauses, Some(pauses));
    reader.close().await;
    feed.catalog.close().await;
    let catalog = CatalogWriter::own(&feed.settings).await.unwrap();
    assert_eq!(catalog.pauses().await.unwrap(), kept);
}

on_both!(what_was_learnt_of_a_sender_is_kept);
