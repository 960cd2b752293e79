//! The fixture: a server on a free port, requests to it, and one that all tests share which only ask.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::workspace::{Run, Workspace, patchdex, photo};

/// What takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);
/// The photographs of the shared collection.
pub const PHOTOS: [&str; 6] =
    ["motorcycle_left.png", "motorcycle_right.png", "coffee.png", "moon.png", "rocket.jpg", "chelsea.png"];

/// A process that serves, until it is dropped.
pub struct Server {
    child: Child,
    address: String,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Asserts success, and gives the JSON.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// Asserts a problem as RFC 9457 has it, of that status, whose detail has all of `parts`.
    #[track_caller]
    pub fn problem(&self, status: u16, parts: &[&str]) -> Value {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{body}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{body}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["instance"].as_str(), self.header("x-request-id"));
        assert!(problem["type"].as_str().unwrap().starts_with("/problems/"));
        for part in parts {
            assert!(problem["detail"].as_str().unwrap().contains(part), "'{part}' is not in {body}");
        }
        problem
    }
}

impl Server {
    /// Serves `arguments` on a free port.
    pub fn start<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Self {
        let mut command = patchdex();
        command.arg("serve").args(arguments).args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null());
        Self::of(command)
    }

    /// The process of `command`, which says where it listens.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}"));
        Self { address: address.to_owned(), child }
    }

    /// The one that serves collection `photos`, for tests which only ask.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| {
            // Nobody drops a static: the shell ends the server when its standard input ends, with the tests.
            let ours = patchdex();
            let mut command = Command::new("sh");
            command.args(["-c", r#""$@" & server=$!; read -r _; kill $server; wait"#, "sh"]);
            command.arg(ours.get_program()).arg("serve").arg(collection());
            command.args(["--listen", "127.0.0.1:0", "--threads", "2"]);
            for (name, value) in ours.get_envs().filter(|(_, value)| value.is_none()) {
                assert!(value.is_none());
                command.env_remove(name);
            }
            Self::of({
                command.stdin(Stdio::piped()).stderr(Stdio::null());
                command
            })
        })
    }

    /// Where its page is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Standard error of a server whose command has it piped, to its end.
    pub fn log(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.id().to_string()]).status().unwrap().success());
    }

    /// The exit code, which the process has soon.
    pub fn code(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < LIMIT, "still running");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A connection, to speak by hand.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Sends a request with those headers, and reads the answer.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut stream = self.connect();
        stream.write_all(&request(method, path, headers, body)).unwrap();
        read_reply(&mut stream, method)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, json: &Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], json.to_string().as_bytes())
    }

    /// Searches by a form.
    pub fn form(&self, form: &Form) -> Reply {
        self.send("POST", "/v1/search", &[("content-type", Form::TYPE)], &form.bytes())
    }

    /// A figure of `/metrics`: the line that starts so.
    pub fn figure(&self, start: &str) -> Option<f64> {
        let reply = self.get("/metrics");
        let text = String::from_utf8(reply.body).unwrap();
        text.lines().find_map(|line| line.strip_prefix(start)?.trim().parse().ok())
    }

    /// Waits until it is so.
    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < LIMIT, "not yet: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bytes of a request; where a header says nothing else, the connection ends with it.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        text += "host: localhost\r\n";
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("content-length: {}\r\n", body.len());
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

/// The answer on a connection that ends with it.
pub fn read_reply(stream: &mut TcpStream, method: &str) -> Reply {
    let mut bytes = Vec::new();
    // A server that does not read all that is sent may reset the connection after its answer.
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert!(!bytes.is_empty(), "{error}");
    }
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{bytes:?}"));
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_lowercase(), value.trim().to_owned())
    };
    let headers: Vec<(String, String)> = lines.map(header).collect();
    let reply = Reply { status, headers, body: bytes[end + 4..].to_vec() };
    let length = reply.header("content-length").map(|length| length.parse::<usize>().unwrap());
    match reply.header("transfer-encoding") {
        Some(_) => {
            let body = unchunked(&reply.body);
            Reply { body, ..reply }
        }
        None => {
            if method != "HEAD" && reply.status != 304 {
                assert_eq!(length, Some(reply.body.len()), "{head}");
            }
            reply
        }
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 2 + length + 2..];
    }
}

/// A multipart form.
#[derive(Default)]
pub struct Form(Vec<u8>);

impl Form {
    pub const TYPE: &'static str = "multipart/form-data; boundary=end";

    /// The form that asks for what a photograph shows.
    pub fn of_photo(name: &str) -> Self {
        Self::default().file("image", name, &std::fs::read(photo(name)).unwrap())
    }

    pub fn text(mut self, name: &str, text: &str) -> Self {
        let part = format!("--end\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
        self.0.extend_from_slice(part.as_bytes());
        self
    }

    pub fn file(mut self, name: &str, file: &str, bytes: &[u8]) -> Self {
        let head = format!(
            "--end\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\ncontent-type: \
             application/octet-stream\r\n\r\n"
        );
        self.0.extend_from_slice(head.as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        [&self.0, b"--end--\r\n".as_slice()].concat()
    }
}

/// The collection of the shared server, named `photos`.
pub fn collection() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            // In a static nothing would remove a temporary folder; this one is replaced by the next run.
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve");
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            let metadata =
                "image,camera,year\nmotorcycle_left.png,left,2014\nmotorcycle_right.png,right,2014\n";
            std::fs::write(folder.join("meta.csv"), metadata).unwrap();
            let mut command = patchdex();
            command.arg("index").args(PHOTOS.map(photo)).args(["--out", "photos.pdx", "--long-side", "224"]);
            Run::of(command.args(["--metadata", "meta.csv"]).current_dir(&folder)).done();
            folder.join("photos.pdx")
        })
        .clone()
}

/// A collection of copies of photographs, to be changed: the workspace with `photos/` and `photos.pdx`.
pub fn own_collection(names: &[&str]) -> Workspace {
    let workspace = Workspace::new();
    let photos = workspace.photos(names);
    workspace.index(photos, "photos.pdx", &[]).done();
    workspace
}

/// Id of a photograph.
pub fn id_of(name: &str) -> String {
    blake3::hash(&std::fs::read(photo(name)).unwrap()).to_hex()[..16].to_owned()
}
