//! The page: its files, and what a browser makes of it.
//!
//! The checks in a browser are in `tests/page`; `tools/check_page.py` fetches their packages into the cache, and skips them where
//! there is no Node.js or no Chromium.

use std::path::Path;
use std::process::Command;

use crate::server::{Server, collection};
use crate::workspace::Workspace;

#[test]
fn the_page_and_its_files_come_with_a_strict_policy() {
    let server = Server::shared();
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/page.css", "text/css; charset=utf-8"),
        ("/page/page.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(media_type)), "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    server.get("/page/none.js").problem(404, &["none.js"]);
    server.get("/page/..%2fpage.rs").problem(404, &["page.rs"]);
}

#[test]
fn a_browser_finds_a_crop_that_is_dragged() {
    let workspace = Workspace::new();
    let token = workspace.write("token", "0123-secret\n");
    let locked = Server::start(&[collection().to_str().unwrap(), "--token-file", token.to_str().unwrap()]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/check_page.py");
    let run = Command::new("python3")
        .arg(script)
        .args([Server::shared().url(), locked.url(), "0123-secret".to_owned()])
        .output()
        .expect("python3 is installed");
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{stdout}\n{stderr}");
}
