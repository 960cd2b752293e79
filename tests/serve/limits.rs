//! Limits: bodies, pixels, the queue, deadlines, clients that go away or are slow.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::server::{Form, Server, collection, id_of, read_reply, request};

/// A search that takes a while: four poses, each in several sizes.
fn long() -> Form {
    let form = Form::of_photo("motorcycle_left.png").text("boxes", "[[300,190,170,150],[10,10,40,40]]");
    form.text("options", r#"{"turned": true}"#)
}

fn one_session(more: &[&str]) -> Server {
    let collection = collection();
    let patient: &[&str] = if more.contains(&"--timeout-ms") { &[] } else { &["--timeout-ms", "120000"] };
    Server::start(&[&[collection.to_str().unwrap(), "--threads", "1"], patient, more].concat())
}

/// Sends a request and does not wait for its answer.
fn begin(server: &Server, form: &Form) -> std::net::TcpStream {
    let mut stream = server.connect();
    stream.write_all(&request("POST", "/v1/search", &[("content-type", Form::TYPE)], &form.bytes())).unwrap();
    stream
}

const RUNNING: &str = "patchdex_running ";

#[test]
fn bodies_and_pictures_that_are_too_large_are_refused() {
    let server = one_session(&["--max-body-bytes", "100K", "--max-pixels", "100000"]);
    server.form(&Form::of_photo("motorcycle_left.png")).problem(413, &[]);
    let long = json!({"image": "x".repeat(200 << 10)});
    server.post("/v1/search", &long).problem(413, &[]);
    server.post("/v1/search/batch", &long).problem(413, &[]);
    let wide = patchdex::picture::Picture { width: 1000, height: 101, rgb: vec![7; 303_000] }.to_png();
    server.form(&Form::default().file("image", "wide.png", &wide)).problem(422, &["1000x101", "100000"]);
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn a_search_too_many_is_refused_and_told_when_to_come_again() {
    let server = one_session(&["--queue", "1"]);
    let mut first = begin(&server, &long());
    server.until("the first search runs", |server| server.figure(RUNNING) == Some(1.0));
    let mut second = begin(&server, &Form::of_photo("coffee.png"));
    server.until("the second one waits", |server| server.figure("patchdex_queue_depth ") == Some(1.0));
    let refused = server.form(&Form::of_photo("coffee.png"));
    refused.problem(503, &["try again"]);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    // More than sockets hold: it is sent to its end, and the answer is read.
    let large = Form::default().file("image", "large.png", &vec![0; 20 << 20]);
    server.form(&large).problem(503, &["try again"]);
    assert_eq!(server.figure("patchdex_rejected_total{reason=\"full\"} "), Some(2.0));
    // What needs no session is answered all the while.
    assert_eq!(server.get("/v1/collections").status, 200);
    assert_eq!(read_reply(&mut first, "POST").status, 200);
    assert_eq!(read_reply(&mut second, "POST").status, 200);
    assert_eq!(server.form(&Form::of_photo("coffee.png")).status, 200);
}

#[test]
fn a_search_whose_client_went_away_is_not_begun() {
    let server = one_session(&[]);
    let mut first = begin(&server, &long());
    server.until("the first search runs", |server| server.figure(RUNNING) == Some(1.0));
    let second = begin(&server, &Form::of_photo("coffee.png"));
    server.until("the second one waits", |server| server.figure("patchdex_queue_depth ") == Some(1.0));
    drop(second);
    server.until("its place is free", |server| server.figure("patchdex_queue_depth ") == Some(0.0));
    assert_eq!(server.figure(RUNNING), Some(1.0), "the first one still runs");
    assert_eq!(read_reply(&mut first, "POST").status, 200);
    let gone = "patchdex_requests_total{method=\"POST\",route=\"/v1/search\",status=\"499\"} ";
    assert_eq!(server.figure(gone), Some(1.0));
    assert_eq!(server.form(&Form::of_photo("coffee.png")).status, 200);
    let begun = server.figure("patchdex_stage_seconds_count{stage=\"queue\"} ");
    assert_eq!(begun, Some(2.0), "the first search and the last");
}

#[test]
fn a_search_whose_client_goes_away_while_it_runs_ends_soon() {
    let server = one_session(&[]);
    let whole = Instant::now();
    assert_eq!(server.form(&long()).status, 200);
    let whole = whole.elapsed();
    let first = begin(&server, &long());
    server.until("it runs", |server| server.figure(RUNNING) == Some(1.0));
    let left = Instant::now();
    drop(first);
    server.until("it has ended", |server| server.figure(RUNNING) == Some(0.0));
    assert!(left.elapsed() < whole / 2, "{:?} of {whole:?}", left.elapsed());
    assert_eq!(server.figure("patchdex_rejected_total{reason=\"gone\"} "), Some(1.0));
    assert_eq!(server.form(&Form::of_photo("coffee.png")).status, 200);
}

#[test]
fn an_answer_that_is_not_there_in_time_is_a_problem() {
    let server = one_session(&["--timeout-ms", "300"]);
    let start = Instant::now();
    let late = server.form(&long());
    late.problem(504, &["time"]);
    assert!(start.elapsed() < Duration::from_secs(5) && late.header("retry-after").is_some());
    // A body that never comes.
    let mut slow = server.connect();
    let whole = request("POST", "/v1/search", &[("content-type", Form::TYPE)], &long().bytes());
    slow.write_all(&whole[..500]).unwrap();
    read_reply(&mut slow, "POST").problem(408, &[]);
}

#[test]
fn a_client_that_does_not_say_what_it_wants_is_hung_up_on() {
    let server = one_session(&["--header-timeout-ms", "200", "--max-connections", "2"]);
    let mut slow = server.connect();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: local").unwrap();
    let mut silent = server.connect();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    silent.read_to_end(&mut rest).unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("200"), "{rest:?}");
    // Both places are free again.
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn those_who_say_nothing_keep_nobody_out() {
    let server = one_session(&["--header-timeout-ms", "600000", "--max-connections", "3"]);
    let mut silent: Vec<_> = (0..3).map(|_| server.connect()).collect();
    // Who has spoken stays, though it has been there for longest. The last one's answer shows that all are there.
    for speaks in [2, 0] {
        silent[speaks].write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut head = [0; 12];
        silent[speaks].read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
    }
    assert_eq!(server.get("/healthz").status, 200);
    let mut rest = Vec::new();
    silent[1].read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    silent[0].write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    silent[0].read_to_end(&mut rest).unwrap();
    assert_eq!(String::from_utf8_lossy(&rest).matches("HTTP/1.1 200").count(), 1);
}

#[test]
fn a_client_that_does_not_read_its_answers_is_hung_up_on() {
    let server = one_session(&["--timeout-ms", "400"]);
    let mut deaf = server.connect();
    let file =
        format!("GET /v1/images/{}/file HTTP/1.1\r\nhost: localhost\r\n\r\n", id_of("motorcycle_left.png"));
    // More than any socket holds; the server stops reading when its answers are not taken.
    deaf.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let _ = deaf.write_all(file.repeat(100).as_bytes());
    server.until("it is hung up on", |server| server.figure("patchdex_connections ") == Some(1.0));
    let sent = server
        .figure("patchdex_requests_total{method=\"GET\",route=\"/v1/images/{id}/file\",status=\"200\"} ");
    assert!(sent >= Some(1.0) && sent < Some(100.0), "{sent:?}");
}
