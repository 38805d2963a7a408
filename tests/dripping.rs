//! Clients of the API that begin a request and never end it.

use crate::harness::{Collimator, DEADLINE, eventually};
use reqwest::{Client, Response};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// More than there are connections, in all and of one address.
const DRIPPING: usize = 300;

/// Opens as many connections that each go on sending a byte now and then, also when they are closed on.
async fn drips(api: &str, begun: &'static str) -> JoinSet<()> {
    let addr = api.split_once("://").unwrap().1.to_owned();
    let mut dripping = JoinSet::new();
    for _ in 0..DRIPPING {
        let mut stream = TcpStream::connect(&addr).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let addr = addr.clone();
        dripping.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                if stream.write_all(b"x").await.is_err()
                    && let Ok(again) = TcpStream::connect(&addr).await
                {
                    stream = again;
                }
            }
        });
    }
    dripping
}

fn client(from: Ipv4Addr) -> Client {
    let client = Client::builder().local_address(IpAddr::V4(from)).timeout(DEADLINE);
    client.pool_max_idle_per_host(0).build().unwrap()
}

/// An answer, of a try that is not among those that were closed to make room.
async fn answer(client: &Client, url: String) -> Response {
    eventually(&url, async || client.get(&url).send().await.ok()).await
}

#[tokio::test]
async fn health_is_answered_and_so_are_other_addresses_whatever_one_address_leaves_unsaid() {
    let collimator = Collimator::start().await;
    let (same, other) = (client(Ipv4Addr::LOCALHOST), client(Ipv4Addr::new(127, 0, 0, 2)));
    for begun in [
        "",
        "GET / HTT",
        "GET / HTTP/1.1\r\nX: ",
        "\r\n\r\n",
        "POST /store HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: 60000\r\n\r\n{",
    ] {
        let dripping = drips(&collimator.api, begun).await;
        for _ in 0..5 {
            for path in ["live", "ready"] {
                let answer = answer(&same, format!("{}/health/{path}", collimator.api)).await;
                assert_eq!(answer.status(), 200, "{path} beside {begun:?}");
            }
            let answer = answer(&other, format!("{}/series", collimator.api)).await;
            assert_eq!(answer.status(), 200, "beside {begun:?}");
        }
        drop(dripping);
    }
    // And once they are gone, everything is as before.
    assert_eq!(answer(&same, format!("{}/series", collimator.api)).await.status(), 200);
}
