//! `model pull` against a hub that lives in this file: a small HTTP server on the loopback address, which can be told
//! to break off, to ignore ranges, to send other bytes than it announced, to ask for a token.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use patchdex::core::{Fault, Kind};
use patchdex::model::hub::{HubError, HubOptions, Progress, cached, pull};
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const GRAPH: &str = "onnx/model.onnx";

/// How the server deviates from a well-behaved hub.
#[derive(Clone, Default)]
struct Manner {
    /// Sends so many bytes of each large file, then closes the connection.
    break_off_after: Option<usize>,
    ignores_range: bool,
    refuses_range: bool,
    /// Sends large files with one byte changed.
    damages: bool,
    /// Answers 401 without this token.
    wants_token: Option<String>,
    /// Large files are redirected to this address instead of a path of this server.
    elsewhere: Option<String>,
    /// HEAD announces small files with one byte more than they have.
    overstates: bool,
    /// Answers everything so.
    status: Option<u16>,
}

struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
}

/// The server. Each connection carries one request.
struct Hub {
    address: String,
    manner: Arc<Mutex<Manner>>,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Hub {
    fn start(files: &[(&str, Vec<u8>)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (manner, log) = (Arc::<Mutex<Manner>>::default(), Arc::<Mutex<Vec<Request>>>::default());
        let files: Arc<HashMap<String, Vec<u8>>> =
            Arc::new(files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect());
        let (its_manner, its_log) = (manner.clone(), log.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (manner, log, files) = (its_manner.clone(), its_log.clone(), files.clone());
                std::thread::spawn(move || answer(stream, &manner, &log, &files));
            }
        });
        Self { address, manner, log }
    }

    fn with_model() -> Self {
        Self::start(&model_files())
    }

    fn behaves(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// `METHOD path` of every request since the last call of this.
    fn take_log(&self) -> Vec<String> {
        self.log
            .lock()
            .unwrap()
            .drain(..)
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    /// The values of a header over all requests.
    fn sent(&self, header: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().filter_map(|request| request.headers.get(header).cloned()).collect()
    }

    fn options(&self, cache: &Path) -> HubOptions {
        HubOptions { endpoint: self.address.clone(), cache: cache.to_owned(), token: None, offline: false }
    }
}

fn answer(
    mut stream: TcpStream,
    manner: &Mutex<Manner>,
    log: &Mutex<Vec<Request>>,
    files: &HashMap<String, Vec<u8>>,
) {
    let Some(request) = read_request(&stream) else { return };
    let manner = manner.lock().unwrap().clone();
    let (path, is_head) = (request.path.clone(), request.method == "HEAD");
    let token = request.headers.get("authorization").cloned();
    let from = request
        .headers
        .get("range")
        .map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap());
    log.lock().unwrap().push(request);
    let small = |status: &str, headers: &str, body: &[u8]| {
        let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}");
        if !headers.contains("Content-Length") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend_from_slice(if is_head { &[] } else { body });
        bytes
    };
    let is_store = path.starts_with("/store/");
    if manner.wants_token.is_some() && !is_store && token != manner.wants_token.map(|t| format!("Bearer {t}"))
    {
        let _ = stream.write_all(&small("401 Unauthorized", "X-Error-Code: GatedRepo\r\n", b""));
        return;
    }
    let reply = if let Some(status) = manner.status {
        small(&format!("{status} Trouble"), "", b"")
    } else if path == "/api/models/o/n/revision/main" {
        let siblings: Vec<_> = files.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
        let body = serde_json::json!({"id": "o/n", "sha": COMMIT, "siblings": siblings});
        small("200 OK", "Content-Type: application/json\r\n", body.to_string().as_bytes())
    } else if let Some(bytes) = path.strip_prefix("/store/").and_then(|name| files.get(name)) {
        let mut bytes = bytes.clone();
        if manner.damages {
            bytes[7] ^= 1;
        }
        let from = if manner.ignores_range { None } else { from };
        if from.is_some() && manner.refuses_range {
            small("416 Range Not Satisfiable", "", b"")
        } else {
            let (status, range) = match from {
                Some(from) => {
                    let (last, all) = (bytes.len() - 1, bytes.len());
                    ("206 Partial Content", format!("Content-Range: bytes {from}-{last}/{all}\r\n"))
                }
                None => ("200 OK", String::new()),
            };
            let body = &bytes[from.unwrap_or(0)..];
            let headers = format!("{range}ETag: \"of-the-store\"\r\nContent-Length: {}\r\n", body.len());
            let kept = manner.break_off_after.unwrap_or(body.len()).min(body.len());
            small(status, &headers, &body[..kept])
        }
    } else if let Some((name, bytes)) = path
        .strip_prefix(&format!("/o/n/resolve/{COMMIT}/"))
        .and_then(|name| files.get(name).map(|bytes| (name, bytes)))
    {
        if name.contains(".onnx") {
            let store = manner.elsewhere.unwrap_or_default();
            let headers = format!(
                "Location: {store}/store/{name}\r\nX-Linked-Etag: \"{}\"\r\nX-Linked-Size: {}\r\n\
                 X-Repo-Commit: {COMMIT}\r\nETag: \"not-this-one\"\r\n",
                sha256(bytes),
                bytes.len()
            );
            small("302 Found", &headers, b"Found")
        } else {
            let announced = bytes.len() + usize::from(manner.overstates && is_head);
            let etag = format!("{:040x}", bytes.len());
            small("200 OK", &format!("ETag: W/\"{etag}\"\r\nContent-Length: {announced}\r\n"), bytes)
        }
    } else {
        small("404 Not Found", "X-Error-Code: RepoNotFound\r\n", b"{\"error\":\"Repository not found\"}")
    };
    let _ = stream.write_all(&reply);
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect();
    Some(Request { method, path, headers })
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn graph_bytes() -> Vec<u8> {
    (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn model_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", b"{\"patch_size\": 14}".to_vec()),
        ("preprocessor_config.json", b"{}".to_vec()),
        ("README.md", b"read me".to_vec()),
        (".gitattributes", b"not wanted".to_vec()),
        (GRAPH, graph_bytes()),
        ("onnx/model.onnx_data", b"external data".to_vec()),
        ("onnx/model_quantized.onnx", b"int8 graph".to_vec()),
    ]
}

fn quiet(_: Progress) {}

fn pull_main(options: &HubOptions) -> Result<PathBuf, HubError> {
    pull("o/n", "main", None, options, &mut quiet)
}

/// Every file below the cache with `end` at the end of its name.
fn files_ending(cache: &Path, end: &str) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(cache).into_iter().flatten().map(walkdir::DirEntry::into_path);
    all.filter(|path| path.to_string_lossy().ends_with(end) && !path.is_dir()).collect()
}

#[test]
fn a_fresh_pull_lays_the_cache_out_as_huggingface_hub_does() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    let mut seen = Vec::new();
    let mut note = |at: Progress| seen.push((at.file.to_owned(), at.done_bytes, at.total_bytes));
    let folder = pull("o/n", "main", None, &hub.options(home.path()), &mut note).unwrap();

    let repo = home.path().join("models--o--n");
    assert_eq!(folder, repo.join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read(folder.join(GRAPH)).unwrap(), graph_bytes());
    assert_eq!(std::fs::read(folder.join("onnx/model.onnx_data")).unwrap(), b"external data");
    assert_eq!(std::fs::read(folder.join("config.json")).unwrap(), b"{\"patch_size\": 14}");
    assert!(folder.join("README.md").is_file());
    assert!(!folder.join(".gitattributes").exists());
    assert!(!folder.join("onnx/model_quantized.onnx").exists());
    assert_eq!(std::fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    let blob = repo.join("blobs").join(sha256(&graph_bytes()));
    assert_eq!(std::fs::read(&blob).unwrap(), graph_bytes());
    #[cfg(unix)]
    assert_eq!(
        std::fs::read_link(folder.join(GRAPH)).unwrap(),
        Path::new("../../../blobs").join(sha256(&graph_bytes()))
    );
    assert!(files_ending(home.path(), ".incomplete").is_empty());

    assert_eq!(seen.first().unwrap().0, "config.json");
    let size = graph_bytes().len() as u64;
    assert_eq!(seen.last().unwrap(), &(GRAPH.to_owned(), size, size), "the graph comes last");
    let options = hub.options(home.path());
    assert_eq!(cached(&options), [("o/n".to_owned(), COMMIT.to_owned(), folder)]);
}

#[test]
fn a_second_pull_asks_for_the_list_only() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    let options = hub.options(home.path());
    let first = pull_main(&options).unwrap();
    hub.take_log();
    assert_eq!(pull_main(&options).unwrap(), first);
    assert_eq!(hub.take_log(), ["GET /api/models/o/n/revision/main"]);
}

#[test]
fn content_that_the_cache_has_is_linked_without_a_download() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    let options = hub.options(home.path());
    let folder = pull_main(&options).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    hub.take_log();
    pull_main(&options).unwrap();
    assert!(!hub.take_log().iter().any(|line| line.starts_with("GET /o/n") || line.contains("/store/")));
    assert_eq!(std::fs::read(folder.join(GRAPH)).unwrap(), graph_bytes());
}

#[test]
fn a_variant_is_added_to_the_same_snapshot() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    let options = hub.options(home.path());
    let folder = pull_main(&options).unwrap();
    assert_eq!(pull("o/n", "main", Some("int8"), &options, &mut quiet).unwrap(), folder);
    assert_eq!(std::fs::read(folder.join("onnx/model_quantized.onnx")).unwrap(), b"int8 graph");
    let error = pull("o/n", "main", Some("q4"), &options, &mut quiet).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("fp32, fp16 or int8"), "{error}");
}

/// Breaks a pull off in the middle of the graph, then pulls again with the server behaving as told.
fn resume(manner: Manner) -> (Hub, Vec<String>) {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    let options = hub.options(home.path());
    hub.behaves(Manner { break_off_after: Some(100_000), ..Manner::default() });
    let error = pull_main(&options).unwrap_err();
    assert!(
        matches!(error, HubError::Interrupted { done_bytes: 100_000, total_bytes: 300_000, .. }),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::Io);
    assert_eq!(std::fs::metadata(&files_ending(home.path(), ".incomplete")[0]).unwrap().len(), 100_000);
    assert!(files_ending(home.path(), GRAPH).is_empty());
    assert!(cached(&options).is_empty());

    hub.behaves(manner);
    hub.take_log();
    let mut first = None;
    let mut note = |at: Progress| {
        if at.file == GRAPH {
            first.get_or_insert(at.done_bytes);
        }
    };
    let folder = pull("o/n", "main", None, &options, &mut note).unwrap();
    assert_eq!(first, Some(100_000), "progress counts what was there");
    assert_eq!(std::fs::read(folder.join(GRAPH)).unwrap(), graph_bytes());
    assert!(files_ending(home.path(), ".incomplete").is_empty());
    let ranges = hub.sent("range");
    (hub, ranges)
}

#[test]
fn a_broken_download_goes_on_where_it_ended() {
    let (hub, ranges) = resume(Manner::default());
    assert_eq!(ranges, ["bytes=100000-", "bytes=100000-"], "to the hub and to where it redirects");
    assert_eq!(hub.take_log().iter().filter(|line| line.contains("/store/")).count(), 1);
}

#[test]
fn a_server_that_ignores_ranges_sends_the_whole_file() {
    let (hub, _) = resume(Manner { ignores_range: true, ..Manner::default() });
    assert_eq!(hub.take_log().iter().filter(|line| line.contains("/store/")).count(), 1);
}

#[test]
fn a_server_that_refuses_the_range_is_asked_for_the_whole_file() {
    let (hub, _) = resume(Manner { refuses_range: true, ..Manner::default() });
    assert_eq!(hub.take_log().iter().filter(|line| line.contains("/store/")).count(), 2);
}

#[test]
fn a_damaged_rest_of_an_earlier_call_is_fetched_again() {
    for left in [vec![9; 1000], vec![9; 300_000], vec![9; 300_001]] {
        let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
        let blobs = home.path().join("models--o--n/blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(blobs.join(format!("{}.incomplete", sha256(&graph_bytes()))), left).unwrap();
        let folder = pull_main(&hub.options(home.path())).unwrap();
        assert_eq!(std::fs::read(folder.join(GRAPH)).unwrap(), graph_bytes());
    }
}

#[test]
fn a_failed_checksum_leaves_nothing_behind() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    let options = hub.options(home.path());
    hub.behaves(Manner { damages: true, ..Manner::default() });
    let error = pull_main(&options).unwrap_err();
    assert!(matches!(error, HubError::Checksum { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(files_ending(home.path(), ".onnx").is_empty());
    assert!(files_ending(home.path(), ".incomplete").is_empty());
    assert!(files_ending(home.path(), &sha256(&graph_bytes())).is_empty());
    hub.behaves(Manner::default());
    pull_main(&options).unwrap();
}

#[test]
fn a_small_file_of_another_size_is_refused() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    hub.behaves(Manner { overstates: true, ..Manner::default() });
    let error = pull_main(&hub.options(home.path())).unwrap_err();
    assert!(matches!(error, HubError::Size { .. }), "{error}");
    assert!(files_ending(home.path(), "config.json").is_empty());
    assert!(files_ending(home.path(), ".incomplete").is_empty());
}

#[test]
fn two_pulls_at_once_do_not_write_one_file() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    let locks = home.path().join(".locks/models--o--n");
    std::fs::create_dir_all(&locks).unwrap();
    let lock = std::fs::File::create(locks.join(format!("{}.lock", sha256(&graph_bytes())))).unwrap();
    lock.lock().unwrap();
    assert_eq!(pull_main(&hub.options(home.path())).unwrap_err().kind(), Kind::Busy);
    drop(lock);
    pull_main(&hub.options(home.path())).unwrap();
}

#[test]
fn a_repository_that_does_not_exist_is_named() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    let error = pull("o/other", "main", None, &hub.options(home.path()), &mut quiet).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    let text = error.to_string();
    assert!(text.contains("o/other") && text.contains("HF_TOKEN") && text.contains("private"), "{text}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "an error leaves no folder");
}

#[test]
fn names_that_are_no_repository_are_refused_without_a_request() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    for (repo, revision) in [("gpt2", "main"), ("../../etc", "main"), ("o/n", "../main")] {
        let error = pull(repo, revision, None, &hub.options(home.path()), &mut quiet).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
    }
    let nowhere = HubOptions { endpoint: "huggingface.co".to_owned(), ..hub.options(home.path()) };
    assert!(matches!(pull_main(&nowhere), Err(HubError::Endpoint { .. })));
    assert!(hub.take_log().is_empty());
}

#[test]
fn a_missing_graph_is_answered_with_those_there_are() {
    let home = tempfile::tempdir().unwrap();
    let config = ("config.json", b"{}".to_vec());
    let hub =
        Hub::start(&[config.clone(), ("onnx/model_fp16.onnx", vec![1]), ("onnx/model_q4.onnx", vec![2])]);
    let error = pull_main(&hub.options(home.path())).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    let text = error.to_string();
    for part in ["no onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_q4.onnx", "--variant fp16"] {
        assert!(text.contains(part), "{text}");
    }
    let hub = Hub::start(&[config, ("model.safetensors", vec![1])]);
    let text = pull_main(&hub.options(home.path())).unwrap_err().to_string();
    assert!(text.contains("no ONNX file at all"), "{text}");
    let hub = Hub::start(&[(GRAPH, vec![1])]);
    let text = pull_main(&hub.options(home.path())).unwrap_err().to_string();
    assert!(text.contains("has no config.json"), "{text}");
}

#[test]
fn a_gated_repository_wants_the_licence_and_a_token() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    hub.behaves(Manner { wants_token: Some("secret".to_owned()), ..Manner::default() });
    let text = match pull_main(&hub.options(home.path())) {
        Err(error @ HubError::Gated { status: 401, with_token: false, .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(text.contains(&format!("{}/o/n", hub.address)) && text.contains("set HF_TOKEN"), "{text}");
    let wrong = HubOptions { token: Some("wrong".to_owned()), ..hub.options(home.path()) };
    assert!(matches!(pull_main(&wrong), Err(HubError::Gated { with_token: true, .. })));
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let (hub, store, home) = (Hub::with_model(), Hub::with_model(), tempfile::tempdir().unwrap());
    hub.behaves(Manner {
        wants_token: Some("secret".to_owned()),
        elsewhere: Some(store.address.clone()),
        ..Manner::default()
    });
    let options = HubOptions { token: Some("secret".to_owned()), ..hub.options(home.path()) };
    pull_main(&options).unwrap();
    let sent = hub.sent("authorization");
    assert_eq!(sent.len(), hub.take_log().len(), "every request to the hub carries it");
    assert!(sent.iter().all(|value| value == "Bearer secret"));
    assert!(store.sent("authorization").is_empty());
    assert_eq!(store.take_log(), ["GET /store/onnx/model.onnx_data", "GET /store/onnx/model.onnx"]);
}

#[test]
fn offline_answers_from_the_cache() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    let offline = HubOptions { offline: true, ..hub.options(home.path()) };

    let error = pull_main(&offline).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("lacks every file of o/n (revision main)"), "{error}");
    assert!(hub.take_log().is_empty());

    let folder = pull_main(&hub.options(home.path())).unwrap();
    hub.take_log();
    assert_eq!(pull_main(&offline).unwrap(), folder);
    assert_eq!(pull("o/n", COMMIT, None, &offline, &mut quiet).unwrap(), folder);
    let error = pull("o/n", "main", Some("fp16"), &offline, &mut quiet).unwrap_err();
    assert!(error.to_string().contains("lacks onnx/model_fp16.onnx of o/n"), "{error}");
    assert!(hub.take_log().is_empty());
}

#[test]
fn an_unreachable_hub_is_named_and_so_is_the_way_without_it() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    // A port that was just free and is closed now.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = HubOptions { endpoint: format!("http://{closed}"), ..hub.options(home.path()) };

    let error = pull_main(&away).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    let text = error.to_string();
    assert!(text.contains(&closed.to_string()) && text.contains("HF_ENDPOINT"), "{text}");
    assert!(!text.contains("HF_HUB_OFFLINE"), "{text}");

    let folder = pull_main(&hub.options(home.path())).unwrap();
    let text = pull_main(&away).unwrap_err().to_string();
    assert!(text.contains("HF_HUB_OFFLINE=1") && text.contains(&folder.display().to_string()), "{text}");

    hub.behaves(Manner { status: Some(503), ..Manner::default() });
    let error = pull_main(&hub.options(home.path())).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 503, cached: Some(_), .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    let blocked = home.path().join("hub");
    std::fs::write(&blocked, b"a file where the cache should be").unwrap();
    let error = pull_main(&hub.options(&blocked)).unwrap_err();
    assert!(matches!(error, HubError::Disk(_)), "{error}");
    assert!(error.to_string().contains(&blocked.display().to_string()), "{error}");
}

#[test]
fn the_command_prints_the_folder() {
    let (hub, home) = (Hub::with_model(), tempfile::tempdir().unwrap());
    let run = || {
        std::process::Command::new(env!("CARGO_BIN_EXE_patchdex"))
            .args(["model", "pull", "o/n"])
            .env("HF_ENDPOINT", &hub.address)
            .env("HF_HOME", home.path())
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_TOKEN")
            .env_remove("HF_HUB_OFFLINE")
            .env_remove("TRANSFORMERS_OFFLINE")
            .output()
            .unwrap()
    };
    let output = run();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    let folder = home.path().join("hub/models--o--n/snapshots").join(COMMIT);
    assert_eq!(stdout.trim_end(), folder.display().to_string());
    hub.behaves(Manner { status: Some(404), ..Manner::default() });
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
}
