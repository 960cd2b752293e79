//! Collections by name, and new commits while others search.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::server::{Server, collection, id_of, own_collection};
use crate::workspace::keys;

fn commit(server: &Server) -> Value {
    server.get("/v1/collections").ok()["collections"][0]["commit"].clone()
}

#[test]
fn collections_are_listed_and_asked_by_their_names() {
    let other = own_collection(&["coffee.png", "moon.png"]);
    let named = format!("small={}", other.at("photos.pdx").display());
    let server = Server::start(&[collection().to_str().unwrap(), &named]);
    let list = server.get("/v1/collections").ok();
    let names: Vec<&str> =
        list["collections"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["photos", "small"]);
    assert_eq!(
        keys(&list["collections"][1]),
        [
            "columns",
            "commit",
            "dim",
            "images",
            "mapped_bytes",
            "metric",
            "model",
            "name",
            "patches",
            "preparation"
        ]
    );
    assert_eq!(
        list["collections"][0]["columns"],
        json!(["bytes", "camera", "height", "image", "width", "year"])
    );
    let ask = |collection: Option<&str>| {
        let mut asked = json!({"image": "moon.png", "top": 1});
        if let Some(collection) = collection {
            asked["collection"] = collection.into();
        }
        server.post("/v1/search", &asked)
    };
    ask(None).problem(422, &["collection", "photos, small"]);
    assert_eq!(ask(Some("small")).ok()["searched_images"], 2);
    assert_eq!(ask(Some("photos")).ok()["searched_images"], 6);
    let crop = ask(Some("small")).ok()["hits"][0]["links"]["crop"].as_str().unwrap().to_owned();
    assert!(crop.ends_with("&collection=small"), "{crop}");
    assert_eq!(server.get(&crop).status, 200);
    server.post("/v1/collections/none/reload", &json!({})).problem(404, &["none"]);
}

#[test]
fn what_lies_otherwise_in_memory_is_answered_alike() {
    let asked = json!({"image": "moon.png", "boxes": [[100, 100, 200, 200]]});
    let hits = |server: &Server| server.post("/v1/search", &asked).ok()["hits"].clone();
    let copied = Server::start(&[collection().to_str().unwrap(), "--residency", "copied"]);
    assert_eq!(hits(&copied), hits(Server::shared()));
}

#[test]
fn a_new_commit_is_served_without_a_request_that_fails() {
    let workspace = own_collection(&["coffee.png", "moon.png", "rocket.jpg"]);
    let server = Server::start(&[workspace.at("photos.pdx").to_str().unwrap(), "--threads", "2"]);
    assert_eq!(commit(&server), 1);
    let (is_over, searches) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = server.post("/v1/search", &json!({"image": "coffee.png"})).ok();
                    let images = answer["searched_images"].as_u64().unwrap();
                    assert!(images == 2 || images == 3, "{images}");
                    searches.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        workspace.run(["remove", "photos.pdx", "rocket.jpg"]).done();
        let reloaded = server.post("/v1/collections/photos/reload", &json!({})).ok();
        assert_eq!(reloaded["collection"]["images"], 2);
        assert_eq!(commit(&server), 2);
        workspace.run(["add", "photos.pdx", "photos"]).done();
        // By itself.
        server.until("the third commit", |server| commit(server) == 3);
        workspace.run(["compact", "photos.pdx"]).done();
        server.until("the compacted one", |server| commit(server) == 4);
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(searches.into_inner() > 0);
    let reloaded = server.post("/v1/collections/photos/reload", &json!({})).ok();
    assert_eq!(reloaded["changed"], false);
    assert_eq!(server.get(&format!("/v1/images/{}", id_of("rocket.jpg"))).status, 200);
}

#[test]
fn what_cannot_be_opened_leaves_the_commit_before_in_service() {
    let workspace = own_collection(&["coffee.png", "moon.png"]);
    let server = Server::start(&[workspace.at("photos.pdx")]);
    std::fs::write(workspace.at("photos.pdx/manifest.json"), "{").unwrap();
    let refused = server.post("/v1/collections/photos/reload", &json!({}));
    let problem = refused.problem(500, &["log"]);
    assert!(!problem.to_string().contains("manifest"), "{problem}");
    assert_eq!(server.post("/v1/search", &json!({"image": "coffee.png"})).status, 200);
}

#[test]
fn imported_vectors_are_asked_by_vectors_only() {
    let workspace = own_collection(&["coffee.png"]);
    workspace.run(["export", "photos.pdx", "all.npy"]).done();
    workspace.run(["import", "all.npy", "--out", "imported.pdx"]).done();
    let server = Server::start(&[workspace.at("imported.pdx")]);
    assert_eq!(server.get("/v1/collections").ok()["collections"][0]["model"], Value::Null);
    let row = vec![0.5; 384];
    assert_eq!(
        server.post("/v1/search", &json!({"vectors": [row], "top": 2})).ok()["results"][0]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    server.post("/v1/search", &json!({"image": "x"})).problem(422, &["imported"]);
}
