//! Health, metrics, request ids, compression, and the end.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::server::{Form, Server, collection, read_reply, request};
use crate::workspace::patchdex;

#[test]
fn health_and_figures_are_told() {
    let server = Server::shared();
    assert_eq!(server.get("/healthz").ok()["status"], "ok");
    assert_eq!(server.get("/readyz").ok()["status"], "ready");
    let metrics = server.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(metrics.body).unwrap();
    for line in [
        "patchdex_images{collection=\"photos\"} 6",
        "patchdex_commit{collection=\"photos\"} 1",
        "# TYPE patchdex_request_seconds histogram",
        "patchdex_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"}",
        "patchdex_queue_depth ",
    ] {
        assert!(text.contains(line), "'{line}' is not in {text}");
    }
}

#[test]
fn the_service_says_what_it_answers() {
    let server = Server::shared();
    let api = server.get("/openapi.json").ok();
    assert_eq!(api["openapi"], "3.1.0");
    let docs = server.get("/docs");
    assert_eq!((docs.status, docs.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let page = String::from_utf8(docs.body).unwrap();
    assert!(page.contains("openapi.json") && !page.contains("http://") && !page.contains("https://"));
    let problem = server.get("/v1/nothing").problem(404, &[]);
    let kind = server.get(problem["type"].as_str().unwrap());
    assert_eq!(String::from_utf8(kind.body).unwrap(), "404 There is no such thing\n");
    server.get("/problems/none").problem(404, &["invalid"]);
}

#[test]
fn an_answer_has_the_id_of_its_request() {
    let id = |given: &str| {
        let reply = Server::shared().send("GET", "/healthz", &[("x-request-id", given)], b"");
        reply.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id("trace-1.2_3"), "trace-1.2_3");
    assert_ne!(id("not fit"), "not fit");
    assert_eq!(id("not fit").len(), 16);
}

#[test]
fn long_answers_are_compressed_for_those_who_take_it() {
    let zipped = Server::shared().send("GET", "/v1/images", &[("accept-encoding", "gzip")], b"");
    assert_eq!((zipped.status, zipped.header("content-encoding")), (200, Some("gzip")));
    assert_eq!(zipped.body[..2], [0x1f, 0x8b]);
    let plain = Server::shared().get("/v1/images");
    assert!(plain.header("content-encoding").is_none() && plain.body.len() > zipped.body.len());
}

#[test]
fn what_runs_is_finished_before_the_service_ends() {
    let mut server = Server::start(&[collection().to_str().unwrap(), "--threads", "1"]);
    let form = Form::of_photo("motorcycle_left.png").text("options", r#"{"turned": true}"#);
    let mut stream = server.connect();
    stream.write_all(&request("POST", "/v1/search", &[("content-type", Form::TYPE)], &form.bytes())).unwrap();
    server.until("it runs", |server| server.figure("patchdex_running ") == Some(1.0));
    server.signal("-TERM");
    assert_eq!(read_reply(&mut stream, "POST").status, 200);
    assert_eq!(server.code(), Some(0));
}

#[test]
fn the_grace_has_an_end() {
    let mut server = Server::start(&[collection().to_str().unwrap(), "--grace-ms", "100"]);
    let mut stream = server.connect();
    stream
        .write_all(&request(
            "POST",
            "/v1/search",
            &[("content-length", "9"), ("content-type", "application/json")],
            b"",
        ))
        .unwrap();
    server.until("the connection is there", |server| server.figure("patchdex_connections ") >= Some(2.0));
    server.signal("-INT");
    assert_eq!(server.code(), Some(0));
}

#[test]
fn the_log_has_a_json_object_for_each_request() {
    let mut command = patchdex();
    command.arg("serve").arg(collection()).args(["--port", "0", "--log", "json"]);
    command.stderr(Stdio::piped());
    let mut server = Server::of(command);
    server.send("GET", "/v1/images/0?x=secret", &[("x-request-id", "mine")], b"").problem(400, &[]);
    server.signal("-TERM");
    let log = server.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line["message"] == "request").unwrap();
    assert_eq!(
        (&line["request_id"], &line["status"], &line["path"]),
        (&"mine".into(), &400.into(), &"/v1/images/0".into())
    );
    assert!(!log.contains("secret"), "what is asked is nobody's business: {log}");
}
