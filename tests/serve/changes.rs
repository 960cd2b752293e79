//! Images that come and go by requests, where the service is writable: jobs, and files that stay inside the root.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::server::{Reply, Server, id_of, own_collection};
use crate::workspace::{hit_images, photo};

fn put(server: &Server, path: &str, bytes: &[u8]) -> Reply {
    server.send("PUT", &format!("/v1/images?path={path}"), &[("content-type", "image/png")], bytes)
}

/// The job that an answer accepted, when it is over.
#[track_caller]
fn over(server: &Server, reply: &Reply) -> Value {
    assert_eq!(reply.status, 202, "{}", String::from_utf8_lossy(&reply.body));
    let place = reply.header("location").unwrap();
    let job = || server.get(place).ok();
    server.until("the job is over", |_| matches!(job()["state"].as_str(), Some("done" | "failed")));
    job()
}

#[test]
fn an_image_that_is_put_is_found_and_one_that_is_deleted_is_not() {
    let workspace = own_collection(&["coffee.png", "moon.png"]);
    let server = Server::start(&[workspace.at("photos.pdx").to_str().unwrap(), "--writable"]);
    let rocket = std::fs::read(photo("rocket.jpg")).unwrap();
    let job = over(&server, &put(&server, "2024/rocket.jpg", &rocket));
    assert_eq!(
        (&job["state"], &job["done"], &job["commit"]),
        (&"done".into(), &1.into(), &2.into()),
        "{job}"
    );
    assert_eq!(std::fs::read(workspace.at("photos/2024/rocket.jpg")).unwrap(), rocket);
    let answer = server.post("/v1/search", &json!({"image": id_of("rocket.jpg"), "top": 1})).ok();
    assert_eq!(hit_images(&answer), ["2024/rocket.jpg"]);
    // Once more, it is there.
    let job = over(&server, &put(&server, "2024/rocket.jpg", &rocket));
    assert_eq!((&job["state"], &job["done"]), (&"done".into(), &0.into()));
    let image = format!("/v1/images/{}", id_of("rocket.jpg"));
    let job = over(&server, &server.send("DELETE", &image, &[], b""));
    assert_eq!((&job["state"], &job["change"]), (&"done".into(), &"remove".into()));
    server.get(&image).problem(404, &[]);
    server.send("DELETE", &image, &[], b"").problem(404, &[]);
    assert!(workspace.at("photos/2024/rocket.jpg").is_file(), "the file stays");
    let jobs = server.get("/v1/jobs").ok();
    let ids: Vec<&Value> = jobs["jobs"].as_array().unwrap().iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, [1, 2, 3]);
    server.get("/v1/jobs/99").problem(404, &["99"]);
    workspace.run(["verify", "photos.pdx"]).done();
}

#[test]
fn nothing_is_written_outside_the_root_or_over_another_file() {
    let workspace = own_collection(&["coffee.png", "moon.png"]);
    let server = Server::start(&[workspace.at("photos.pdx").to_str().unwrap(), "--writable"]);
    let rocket = std::fs::read(photo("rocket.jpg")).unwrap();
    std::fs::create_dir(workspace.at("elsewhere")).unwrap();
    symlink("../elsewhere", workspace.at("photos/out")).unwrap();
    for path in [
        "../a.jpg",
        "/tmp/a.jpg",
        "a/../../a.jpg",
        "out/a.jpg",
        "out/b/a.jpg",
        ".hidden.jpg",
        "a//b.jpg",
        "",
        "a%00.jpg",
    ] {
        put(&server, path, &rocket).problem(422, &["path"]);
    }
    put(&server, "a.txt", &rocket).problem(422, &["ending"]);
    put(&server, "a.jpg", b"no picture").problem(422, &["not an image"]);
    put(&server, "coffee.png", &rocket).problem(409, &["replace"]);
    assert!(std::fs::read_dir(workspace.at("elsewhere")).unwrap().next().is_none());
    assert!(!workspace.at("photos/a.jpg").exists());
    let job = over(&server, &put(&server, "coffee.png&replace=true", &rocket));
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(server.get(&format!("/v1/images/{}", id_of("rocket.jpg"))).ok()["path"], "coffee.png");
    // A picture that breaks behind its header.
    let cut = &rocket[..rocket.len() / 2];
    let job = over(&server, &put(&server, "cut.jpg", cut));
    assert_eq!((&job["state"], &job["problem"]["status"]), (&"failed".into(), &422.into()), "{job}");
    assert!(job["problem"]["detail"].as_str().unwrap().contains("cut.jpg"), "{job}");
}

#[test]
fn a_service_changes_nothing_unless_it_was_told_that_it_may() {
    let server = Server::shared();
    put(server, "a.png", b"x").problem(403, &["--writable"]);
    server
        .send("DELETE", &format!("/v1/images/{}", id_of("coffee.png")), &[], b"")
        .problem(403, &["--writable"]);
    assert_eq!(server.get("/v1/jobs").ok(), json!({"jobs": []}));
}
