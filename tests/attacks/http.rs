//! HTTP that is too much, too slow, or two things at once.

use super::is_in_order;
use crate::harness::raw_http::{RawAnswer, answer, connect, request, say};
use crate::harness::{Collimator, eventually};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// By how much memory may have grown: what an allocator keeps of some dozen buffers of half a megabyte.
const GROWTH: u64 = 16 * 1024 * 1024;

/// What is said without an end is said until nobody listens any more, or this much was said.
const ENOUGH: usize = 256 * 1024 * 1024;

fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    resident.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The most memory that it has taken since the last look, in bytes.
async fn most_memory_of(process: u32, meanwhile: impl Future<Output = ()>) -> u64 {
    let mut most = resident(process);
    tokio::pin!(meanwhile);
    loop {
        tokio::select! {
            () = &mut meanwhile => return most.max(resident(process)),
            () = tokio::time::sleep(Duration::from_millis(20)) => most = most.max(resident(process)),
        }
    }
}

const HEAD: &str = "POST /store HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n";

/// Says something again and again until nobody listens. Gives how much was said.
async fn says_without_end(api: &str, head: &str, piece: &[u8]) -> usize {
    let mut socket = connect(api).await;
    if socket.write_all(head.as_bytes()).await.is_err() {
        return 0;
    }
    let mut said = 0;
    while said < ENOUGH && socket.write_all(piece).await.is_ok() {
        said += piece.len();
    }
    said
}

#[tokio::test]
async fn what_has_no_end_is_cut_off_and_takes_no_memory() {
    let collimator = Collimator::start().await;
    let api = &*collimator.api;
    let process = collimator.process.id();
    // All that is made once is made.
    for _ in 0..20 {
        collimator.series().await;
    }
    let before = resident(process);
    let piece = vec![b' '; 64 * 1024];
    let chunk = [b"10000\r\n", &piece[..], b"\r\n"].concat();
    let header = [b"X: ", &vec![b'x'; 60_000][..], b"\r\n"].concat();
    let chunked = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
    let long = format!("{HEAD}Content-Length: 99999999999\r\n\r\n");
    let extended = format!("{chunked}1;");
    let trailers = format!("{chunked}0\r\n");
    let endless = [
        ("a body", &*long, &piece[..]),
        ("a chunked body", &chunked, &chunk),
        ("a chunk's extension", &extended, &piece),
        ("trailers", &trailers, &header),
        ("a header line", "GET /series HTTP/1.1\r\nX: ", &piece),
        ("header lines", "GET /series HTTP/1.1\r\n", &header),
        ("small header lines", "GET /series HTTP/1.1\r\n", b"X: y\r\n"),
        (
            "a target",
            "GET /series?PatientID=",
            b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ),
        ("a method", "", b"GETGETGETGETGETGETGETGETGETGETGETGETGET"),
        ("empty lines", "", &b"\r\n".repeat(10_000)),
    ];
    let all = async {
        for (what, head, piece) in endless {
            let said = says_without_end(api, head, piece).await;
            assert!(said < ENOUGH, "{what} is listened to without end");
            // Others are served meanwhile.
            assert_eq!(say(api, &request("GET", "/series", &[], b"")).await.unwrap().status, 200);
        }
    };
    let most = most_memory_of(process, all).await;
    let grown = most.saturating_sub(before);
    println!("resident memory {before}, then at most {most} bytes");
    assert!(grown < GROWTH, "grown by {grown} bytes");
    assert!(collimator.is_ready().await);
}

#[tokio::test]
async fn what_is_too_much_is_refused_by_its_name() {
    let collimator = Collimator::start().await;
    let api = &*collimator.api;
    let json = [("Content-Type", &b"application/json"[..])];
    let lines: String = (0..10_000).map(|number| format!("X{number}: y\r\n")).collect();
    let spaces = vec![b' '; 65 * 1024];
    let chunked = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n10400\r\n");
    for (what, bytes, status) in [
        ("a body of 65 KiB", request("POST", "/store", &json, &spaces), 413),
        ("the same in a chunk", [chunked.as_bytes(), &spaces, b"\r\n0\r\n\r\n"].concat(), 413),
        ("a line of 1 MB", request("GET", "/series", &[("X", &vec![b'x'; 1 << 20])], b""), 431),
        ("10,000 lines", format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes(), 431),
        ("a target of 1 MB", request("GET", &format!("/{}", "x".repeat(1 << 20)), &[], b""), 431),
        ("a target of 100 kB", request("GET", &format!("/{}", "x".repeat(100_000)), &[], b""), 414),
    ] {
        let answer = say(api, &bytes).await;
        // Whoever speaks on may not hear why nobody listens any more.
        let Some(answer) = answer else { continue };
        is_in_order(&answer, what);
        let is_it = answer.status == status || [404, 414, 431].contains(&answer.status);
        assert!(is_it, "{what}: {answer:?}");
    }
    // Nothing is unpacked, so that nothing can blow up.
    let packed = [("Content-Type", &b"application/json"[..]), ("Content-Encoding", b"gzip")];
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\xff";
    let answer = say(api, &request("POST", "/store", &packed, gzip)).await.unwrap();
    assert_eq!(answer.status, 422, "{answer:?}");
    let answer = say(api, &request("GET", "/series", &[("Accept-Encoding", b"gzip")], b"")).await;
    assert_eq!(answer.unwrap().header("content-encoding"), None);
    assert!(collimator.is_ready().await);
}

/// All that is answered on one connection, up to its end.
async fn all_answers(api: &str, bytes: &[u8]) -> Vec<RawAnswer> {
    let mut socket = connect(api).await;
    socket.write_all(bytes).await.unwrap();
    // There is nothing to follow.
    socket.shutdown().await.unwrap();
    let mut reading = BufReader::new(socket);
    let mut answers = Vec::new();
    while let Ok(Some(answer)) = timeout(Duration::from_secs(30), answer(&mut reading)).await {
        answers.push(answer);
    }
    answers
}

#[tokio::test]
async fn no_request_is_smuggled_in_another_one() {
    let collimator = Collimator::start().await;
    let api = &*collimator.api;
    // It would be a series, if anybody took it for a request.
    let series = json!({
        "SeriesInstanceUID": "1.2.3", "StudyInstanceUID": "1.2", "PatientID": "p",
        "PatientName": "n", "InstancesCount": 1,
    });
    let body = series.to_string();
    let smuggled = format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len());
    let length = smuggled.len();
    for (what, frame) in [
        ("two lengths", "Content-Length: 0\r\nContent-Length: LENGTH\r\n\r\n"),
        ("two lengths, the other way", "Content-Length: LENGTH\r\nContent-Length: 0\r\n\r\n"),
        ("a list of lengths", "Content-Length: 0, LENGTH\r\n\r\n"),
        ("a signed length", "Content-Length: +0\r\n\r\n"),
        ("a length below nothing", "Content-Length: -1\r\n\r\n"),
        ("a hexadecimal length", "Content-Length: 0x0\r\n\r\n"),
        ("no chunks that we know", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("chunks not last", "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ("a space in front of the colon", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        ("a folded line", "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
        ("a tab in front of it", "\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a carriage return in it", "X: y\rContent-Length: 0\r\n\r\n"),
        ("a NUL in it", "X: \0\r\nContent-Length: 0\r\n\r\n"),
        ("a chunk of no length", "Transfer-Encoding: chunked\r\n\r\n-0\r\n\r\n"),
        (
            "a chunk of too much length",
            "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
        ),
        (
            "a length beside chunks",
            "Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunks beside a length",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        ),
    ] {
        let frame = frame.replace("LENGTH", &length.to_string());
        let answers = all_answers(api, format!("{HEAD}{frame}{smuggled}").as_bytes()).await;
        // Whatever is in front of us may take the bytes for a body: nothing after them is heard.
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert!(matches!(statuses[..], [] | [400] | [422]), "{what}: {statuses:?}");
        assert!(collimator.series().await.is_empty(), "{what} smuggled a series in");
    }
    // What has no version is no request; what is of 1.0 says no Host and no more than one thing.
    let answers = all_answers(api, b"GET /series\r\n").await;
    assert!(answers.iter().all(|answer| answer.status == 400), "{answers:?}");
    let answers =
        all_answers(api, b"GET /series HTTP/1.0\r\n\r\nGET /series HTTP/1.0\r\n\r\n").await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    for hosts in ["Host: 127.0.0.1\r\nHost: evil.example", "Host: evil.example\r\nHost: 127.0.0.1"]
    {
        let asked = format!("GET /series HTTP/1.1\r\n{hosts}\r\n\r\n");
        assert_eq!(say(api, asked.as_bytes()).await.unwrap().status, 400, "{hosts}");
    }
    let asked = "GET http://evil.example/series HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    assert_eq!(say(api, asked.as_bytes()).await.unwrap().status, 403);
    let asked = "HEAD /series?PatientNmae=Roe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    assert_eq!(say(api, asked.as_bytes()).await.unwrap().status, 422, "a filter that is misspelt");
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `GET /series` of a host, as a header block that needs no table (RFC 7541).
fn block(host: &str) -> Vec<u8> {
    let literal = |index: u8, value: &str| [&[index, value.len() as u8], value.as_bytes()].concat();
    // `:method: GET` and `:scheme: http` are known; `:path` and `:authority` by name.
    [vec![0x82, 0x86], literal(0x04, "/series"), literal(0x01, host)].concat()
}

/// The status of the first answer on a connection of HTTP/2.
async fn status_over_http2(api: &str, host: &str) -> Option<u8> {
    let mut socket = connect(api).await;
    let request = frame(HEADERS, 0x05, 1, &block(host));
    let said = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &request].concat();
    socket.write_all(&said).await.unwrap();
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        socket.read_exact(&mut payload).await.ok()?;
        if head[3] == HEADERS {
            // 200 is one of the table; others are told by their digits, perhaps in Huffman's code.
            return Some(payload[0]);
        }
    }
}

#[tokio::test]
async fn http2_is_no_way_around_the_guard_and_floods_of_it_end() {
    let collimator = Collimator::start().await;
    let api = &*collimator.api;
    const STATUS_200: u8 = 0x88;
    assert_eq!(status_over_http2(api, "127.0.0.1").await, Some(STATUS_200));
    let refused = status_over_http2(api, "evil.example").await;
    assert!(refused.is_some() && refused != Some(STATUS_200), "DNS rebinding: {refused:?}");

    let process = collimator.process.id();
    let before = resident(process);
    let flood = async |first: Vec<u8>, next: &dyn Fn(u32) -> Vec<u8>| {
        let mut socket = connect(api).await;
        let start = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &first].concat();
        let _ = socket.write_all(&start).await;
        for number in 0..200_000 {
            if socket.write_all(&next(number)).await.is_err() {
                return true;
            }
        }
        false
    };
    let all = async {
        let reset = |number: u32| {
            let stream = 2 * number + 1;
            let asked = frame(HEADERS, 0x05, stream, &block("127.0.0.1"));
            [asked, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        };
        assert!(flood(Vec::new(), &reset).await, "streams that are reset at once, without end");
        let part = [&[0x00, 1][..], b"x", &[0x7f, 0xe1, 0x0e], &[b'y'; 2000]].concat();
        let open = frame(HEADERS, 0, 1, &block("127.0.0.1"));
        let more = |_| frame(CONTINUATION, 0, 1, &part);
        assert!(flood(open, &more).await, "a header block without end");
    };
    let grown = most_memory_of(process, all).await.saturating_sub(before);
    assert!(grown < GROWTH, "grown by {grown} bytes");
    assert!(collimator.is_ready().await);
}

#[tokio::test]
async fn who_says_nothing_more_holds_no_place_and_many_requests_in_a_row_are_answered() {
    let settings = [("MAX_HTTP_CONNECTIONS", "20"), ("HTTP_IDLE_TIMEOUT", "1s")];
    let collimator = Collimator::start_with(&settings).await;
    let api = &*collimator.api;
    // All places are taken by those who connect and say nothing; the next one is served all the same.
    let mut silent: Vec<TcpStream> = Vec::new();
    for _ in 0..40 {
        silent.push(connect(api).await);
    }
    let began = Instant::now();
    assert_eq!(say(api, &request("GET", "/series", &[], b"")).await.unwrap().status, 200);
    println!("served after {:?}", began.elapsed());
    drop(silent);

    let one = "GET /series HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let (read, mut write) = connect(api).await.into_split();
    let many = tokio::spawn(async move {
        for _ in 0..2000 {
            write.write_all(one.as_bytes()).await.unwrap();
        }
        write
    });
    let mut read = BufReader::new(read);
    for number in 0..2000 {
        let answer = timeout(Duration::from_secs(30), answer(&mut read)).await.unwrap();
        assert_eq!(answer.map(|answer| answer.status), Some(200), "number {number}");
    }
    many.await.unwrap();
    eventually("readiness", async || collimator.is_ready().await.then_some(())).await;
}
