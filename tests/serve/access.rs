//! Who may ask: addresses, tokens, names of the host, origins of pages.

use crate::server::{Server, collection};
use crate::workspace::{Run, Workspace, patchdex};

fn serve(more: &[&str]) -> Run {
    Run::of(patchdex().arg("serve").arg(collection()).args(more))
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    serve(&["--listen", "0.0.0.0:0"]).refused(2, &["--token-file", "--insecure"]);
    serve(&["--listen", "127.0.0.1:0", "--port", "0"]).refused(2, &["--port", "--listen"]);
    let workspace = Workspace::new();
    let empty = workspace.write("empty", " \n");
    serve(&["--token-file", empty.to_str().unwrap()]).refused(2, &["token"]);
    serve(&["--cors", "example.org/"]).refused(2, &["example.org/"]);
    let (one, two) = (collection(), format!("photos={}", collection().display()));
    Run::of(patchdex().arg("serve").args([one.as_os_str(), two.as_ref()])).refused(2, &["'photos'", "NAME="]);
    Run::of(patchdex().args(["serve", "none.pdx"])).refused(1, &["none.pdx"]);
}

#[test]
fn without_the_token_only_the_service_itself_is_told_of() {
    let workspace = Workspace::new();
    let token = workspace.write("token", "0123-secret\n");
    let server = Server::start(&[collection().to_str().unwrap(), "--token-file", token.to_str().unwrap()]);
    let get = |path: &str, headers: &[(&str, &str)]| server.send("GET", path, headers, b"");
    for headers in [
        &[][..],
        &[("authorization", "Bearer 0123-secreT")],
        &[("authorization", "Bearer 0123")],
        &[("authorization", "Basic 0123-secret")],
        &[("authorization", "0123-secret")],
    ] {
        for path in ["/v1/collections", "/v1/images", "/metrics", "/v1/nothing"] {
            let refused = get(path, headers);
            refused.problem(401, &["token"]);
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        }
        assert_eq!(get("/healthz", headers).status, 200);
        assert_eq!(get("/readyz", headers).status, 200);
    }
    let right = [("authorization", "Bearer 0123-secret"), ("host", "photos.example.org")];
    assert_eq!(get("/v1/collections", &right).status, 200);
    assert_eq!(get("/metrics", &right).status, 200);
}

#[test]
fn a_page_elsewhere_cannot_ask_by_a_name_of_its_own_or_read_the_answer() {
    let server = Server::shared();
    let foreign = server.send("GET", "/v1/collections", &[("host", "rebound.example.org")], b"");
    foreign.problem(403, &["localhost"]);
    let asked = server.send("GET", "/v1/collections", &[("origin", "https://example.org")], b"");
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (200, None));
}

#[test]
fn pages_of_a_named_origin_may_ask() {
    let server = Server::start(&[collection().to_str().unwrap(), "--cors", "https://example.org"]);
    let preflight = |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        server.send("OPTIONS", "/v1/search", &headers, b"")
    };
    let allowed = preflight("https://example.org");
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://example.org"));
    assert_eq!(preflight("https://example.com").header("access-control-allow-origin"), None);
}
