//! `/v1/images`: pages, facts, files and small pictures; nothing that lies outside the collection's root.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::server::{PHOTOS, Reply, Server, id_of, own_collection};
use crate::workspace::{keys, photo};

fn get(path: &str) -> Reply {
    Server::shared().get(path)
}

fn paths(page: &Value) -> Vec<String> {
    page["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn pages_list_every_image_once_in_order_of_their_paths() {
    let mut sorted = PHOTOS.map(str::to_owned).to_vec();
    sorted.sort();
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(&format!("/v1/images?limit=4{after}&collection=photos")).ok();
        assert_eq!(page["total"], PHOTOS.len());
        listed.extend(paths(&page));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(listed, sorted);
    let page = get("/v1/images?where=year%20%3D%202014%20and%20width%20%3E%3D%201").ok();
    assert_eq!((page["total"].clone(), paths(&page).len()), (2.into(), 2));
    assert_eq!(page["images"][0]["metadata"], json!({"camera": "left", "year": 2014}));
    get("/v1/images?limit=0").problem(422, &["limit"]);
    get("/v1/images?limit=x").problem(400, &["limit"]);
    get("/v1/images?lmit=1").problem(400, &["lmit"]);
    get("/v1/images?after=*").problem(422, &["after"]);
    get("/v1/images?where=lens%20%3D%201").problem(422, &["lens"]);
    get("/v1/images?collection=other").problem(404, &["other"]);
}

#[test]
fn an_image_is_known_by_its_id_and_so_are_its_copies() {
    let image = get(&format!("/v1/images/{}", id_of("coffee.png"))).ok();
    assert_eq!(
        keys(&image),
        ["bytes", "copies", "height", "id", "links", "metadata", "patches", "path", "width"]
    );
    assert_eq!((&image["width"], &image["height"], &image["copies"]), (&600.into(), &400.into(), &json!([])));
    for id in ["0000000000000000", "x", "..%2f..%2fetc%2fpasswd", "coffee.png"] {
        for part in ["", "/file", "/thumbnail", "/crop?box=0,0,9,9"] {
            get(&format!("/v1/images/{id}{part}")).problem(404, &["no image"]);
        }
    }
    assert_eq!(get("/v1/images/../../etc/passwd").status, 404);
}

#[test]
fn the_file_is_sent_as_it_was_indexed_and_once() {
    let path = format!("/v1/images/{}/file", id_of("rocket.jpg"));
    let reply = get(&path);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("image/jpeg")));
    assert_eq!(reply.body, std::fs::read(photo("rocket.jpg")).unwrap());
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("content-disposition"), Some("inline; filename*=UTF-8''rocket.jpg"));
    assert!(reply.header("cache-control").unwrap().contains("max-age"));
    let tag = reply.header("etag").unwrap();
    for held in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let again = Server::shared().send("GET", &path, &[("if-none-match", &held)], b"");
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag)), "{held}");
    }
    assert_eq!(Server::shared().send("GET", &path, &[("if-none-match", "\"x\"")], b"").status, 200);
    assert_eq!(Server::shared().send("HEAD", &path, &[], b"").status, 200);
}

#[test]
fn small_pictures_keep_within_their_side_and_show_what_was_asked() {
    let size = |path: &str| {
        let reply = get(path);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("image/jpeg")), "{path}");
        let picture = patchdex::picture::decode(&reply.body, &Default::default()).unwrap();
        (picture.width, picture.height, reply.header("etag").unwrap().to_owned())
    };
    let id = id_of("coffee.png");
    let (width, height, tag) = size(&format!("/v1/images/{id}/thumbnail?px=150"));
    assert_eq!((width, height), (150, 100));
    let again = Server::shared().send(
        "GET",
        &format!("/v1/images/{id}/thumbnail?px=150"),
        &[("if-none-match", &tag)],
        b"",
    );
    assert_eq!(again.status, 304);
    assert_eq!(size(&format!("/v1/images/{id}/thumbnail")).0, 320);
    assert_eq!(size(&format!("/v1/images/{id}/thumbnail?px=2048")).0, 600, "nothing is enlarged");
    let (width, height, other) = size(&format!("/v1/images/{id}/crop?box=550,100,100,200&px=64"));
    assert_eq!((width, height), (16, 64), "the box is cut to the image");
    assert_ne!(tag, other);
    for (query, part) in
        [("px=1", "px"), ("px=99999", "px"), ("box=1,2,3&px=64", "box"), ("box=900,0,9,9", "outside")]
    {
        let route = if query.starts_with("px") { "thumbnail" } else { "crop" };
        get(&format!("/v1/images/{id}/{route}?{query}")).problem(422, &[part]);
    }
    get(&format!("/v1/images/{id}/crop")).problem(400, &["box"]);
}

#[test]
fn only_what_was_indexed_is_sent_and_only_from_inside_the_root() {
    let workspace = own_collection(&["coffee.png", "moon.png", "rocket.jpg"]);
    let at = |name: &str| workspace.at("photos").join(name);
    let server = Server::start(&[workspace.at("photos.pdx")]);
    let file = |name: &str| server.get(&format!("/v1/images/{}/file", id_of(name)));
    assert_eq!(file("coffee.png").status, 200);
    // The same bytes, but elsewhere.
    workspace.write("secret.png", std::fs::read(at("coffee.png")).unwrap());
    std::fs::remove_file(at("coffee.png")).unwrap();
    file("coffee.png").problem(404, &["coffee.png"]);
    symlink("../secret.png", at("coffee.png")).unwrap();
    file("coffee.png").problem(404, &["coffee.png"]);
    server.get(&format!("/v1/images/{}/thumbnail", id_of("coffee.png"))).problem(404, &[]);
    // Other bytes in the same place, as many and more.
    let mut bytes = std::fs::read(at("moon.png")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(at("moon.png"), &bytes).unwrap();
    file("moon.png").problem(409, &["changed"]);
    std::fs::write(at("moon.png"), b"secret").unwrap();
    file("moon.png").problem(409, &["changed"]);
    // No file at all.
    std::fs::remove_file(at("rocket.jpg")).unwrap();
    std::fs::create_dir(at("rocket.jpg")).unwrap();
    file("rocket.jpg").problem(404, &[]);
}
