//! `POST /v1/search` and `/v1/search/batch`: the hits of the command line, and what makes no sense is named.

use serde_json::{Value, json};

use crate::server::{Form, Reply, Server, collection, id_of};
use crate::workspace::{Run, Workspace, hit_images, keys, patchdex, photo, rows_of, write_rows};

/// What the command line answers, as JSON.
fn told(arguments: &[&str]) -> Value {
    Run::of(patchdex().arg("query").arg(collection()).args(arguments).arg("--json")).done().json()
}

/// The answer without its times, what only the service says, and how the image was called.
fn bare(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().remove("timing_ms").unwrap();
    if let Some(query) = answer.get_mut("query") {
        query["image"] = Value::Null;
    }
    let hits = match answer.get_mut("hits") {
        Some(hits) => vec![hits],
        None => answer["results"].as_array_mut().unwrap().iter_mut().collect(),
    };
    for hit in hits.into_iter().flat_map(|hits| hits.as_array_mut().unwrap()) {
        for name in ["links", "number"] {
            hit.as_object_mut().unwrap().remove(name);
        }
    }
    answer
}

fn search(asked: &Value) -> Reply {
    Server::shared().post("/v1/search", asked)
}

#[test]
fn a_picture_finds_what_the_command_line_finds() {
    let left = photo("motorcycle_left.png");
    let form = Form::of_photo("motorcycle_left.png").text("boxes", "[[300,190,170,150]]");
    let answer = Server::shared().form(&form.text("options", r#"{"top": 4, "expand": 0}"#)).ok();
    assert_eq!(answer["query"]["image"], "motorcycle_left.png");
    let hit = &answer["hits"][0];
    assert_eq!(keys(&hit["links"]), ["crop", "file", "image", "thumbnail"]);
    assert_eq!(hit["id"], id_of("motorcycle_left.png"));
    let same = told(&[left.to_str().unwrap(), "--box", "300,190,170,150", "--top", "4", "--expand", "0"]);
    assert_eq!(bare(answer), bare(same));
}

#[test]
fn an_image_of_the_collection_is_asked_by_path_and_by_id() {
    let asked = |image: &str| json!({"image": image, "boxes": [[300, 190, 170, 150]], "not_boxes": [[0, 0, 90, 90]], "top": 3});
    let by_path = search(&asked("motorcycle_left.png")).ok();
    assert_eq!(hit_images(&by_path)[..2], ["motorcycle_left.png", "motorcycle_right.png"]);
    let by_id = search(&asked(&id_of("motorcycle_left.png"))).ok();
    let same = told(&[
        "--indexed",
        "motorcycle_left.png",
        "--box",
        "300,190,170,150",
        "--not-box",
        "0,0,90,90",
        "--top",
        "3",
    ]);
    assert_eq!(bare(by_path), bare(same.clone()));
    assert_eq!(bare(by_id), bare(same));
}

#[test]
fn a_hit_says_how_large_its_image_is_its_number_in_an_export_and_how_alike_its_patches_are() {
    let workspace = Workspace::new();
    Run::of(patchdex().arg("export").arg(collection()).arg(workspace.at("all.coco.json"))).done();
    let coco = std::fs::read_to_string(workspace.at("all.coco.json")).unwrap();
    let coco: Value = serde_json::from_str(&coco).unwrap();
    let asked = json!({"image": "motorcycle_left.png", "boxes": [[300, 190, 170, 150]], "heat_maps": true});
    let answer = search(&asked).ok();
    for hit in answer["hits"].as_array().unwrap() {
        let images = coco["images"].as_array().unwrap();
        let image = images.iter().find(|image| image["file_name"] == hit["image"]).unwrap();
        assert_eq!(
            [&hit["number"], &hit["width"], &hit["height"]],
            ["id", "width", "height"].map(|name| &image[name])
        );
    }
    let best = &answer["hits"][0];
    let map = &best["heat_map"];
    let sides = [&map["box"][2], &map["box"][3], &best["width"], &best["height"]].map(Value::as_f64);
    assert_eq!(sides[..2], sides[2..]);
    let (rows, columns) = (map["rows"].as_u64().unwrap() as usize, map["columns"].as_u64().unwrap() as usize);
    let similarity: Vec<i64> =
        map["similarity"].as_array().unwrap().iter().map(|one| one.as_i64().unwrap()).collect();
    assert_eq!(similarity.len(), rows * columns);
    // The box itself was asked for: patches in its middle are what is looked for, those in the corner are not.
    let at = |x: f64, y: f64| {
        let share = |part: f64, name: &str| part / best[name].as_f64().unwrap();
        let (row, column) = (share(y, "height") * rows as f64, share(x, "width") * columns as f64);
        similarity[row as usize * columns + column as usize]
    };
    assert!(at(385.0, 265.0) > 990 && at(4.0, 4.0) < 700, "{} {}", at(385.0, 265.0), at(4.0, 4.0));
    assert!(search(&json!({"image": "motorcycle_left.png"})).ok()["hits"][0]["heat_map"].is_null());
}

#[test]
fn conditions_and_a_mask_are_taken() {
    let answer = search(&json!({"image": "motorcycle_left.png", "where": "camera = 'right'"})).ok();
    assert_eq!(
        (answer["searched_images"].clone(), hit_images(&answer)),
        (1.into(), vec!["motorcycle_right.png"])
    );
    assert_eq!(answer["hits"][0]["metadata"], json!({"camera": "right", "year": 2014}));
    let small = patchdex::picture::Picture { width: 2, height: 2, rgb: vec![255; 12] }.to_png();
    let form = Form::of_photo("coffee.png").file("mask", "mask.png", &small);
    Server::shared().form(&form).problem(422, &["mask", "2x2"]);
}

#[test]
fn vectors_find_what_the_command_line_finds() {
    let workspace = Workspace::new();
    Run::of(patchdex().arg("export").arg(collection()).arg(workspace.at("all.npy"))).done();
    let (rows, dim) = rows_of(&workspace.at("all.npy"));
    let asked = &rows[..2 * dim];
    write_rows(&workspace.at("two.npy"), asked, dim);
    let vectors: Vec<&[f32]> = asked.chunks(dim).collect();
    let answer = search(&json!({"vectors": vectors, "rows": "prepared", "top": 3})).ok();
    let file = workspace.at("two.npy");
    let same = Run::of(patchdex().arg("query").arg(collection()).arg("--vectors").arg(file).args([
        "--prepared",
        "--top",
        "3",
        "--json",
    ]));
    let mut found = answer.clone();
    found["timing_ms"] = Value::Null;
    let mut same = same.done().json();
    same["timing_ms"] = Value::Null;
    assert_eq!(bare(found), bare(same));
    assert!(answer["results"][0][0]["links"]["crop"].as_str().unwrap().contains("/crop?box="));
    search(&json!({"vectors": [[1, 2, 3]]})).problem(422, &["3 numbers"]);
    let many = vec![vectors[0]; 1000];
    search(&json!({"vectors": many, "top": 100_000})).problem(422, &["too many"]);
}

#[test]
fn what_makes_no_sense_is_named() {
    let named = "motorcycle_left.png";
    for (asked, parts) in [
        (json!({"image": named, "tpo": 3}), vec!["tpo", "top"]),
        (json!({"image": named, "top": 0}), vec!["top"]),
        (json!({"image": named, "exact": true, "ef": 9}), vec!["exact", "ef"]),
        (json!({"image": named, "boxes": [[9000, 0, 5, 5]]}), vec!["outside"]),
        (json!({"image": named, "boxes": [[0, 0, 5]]}), vec!["boxes[0]"]),
        (json!({"image": named, "where": "lens = 3"}), vec!["lens", "camera"]),
        (json!({"image": named, "where": "camera ="}), vec!["condition"]),
        (json!({"top": 3}), vec!["image"]),
    ] {
        let problem = search(&asked).problem(422, &parts);
        let said = problem["detail"].as_str().unwrap();
        assert!(!said.contains(env!("CARGO_TARGET_TMPDIR")), "a path of the server: {said}");
    }
    search(&json!({"image": "none.png"})).problem(404, &["none.png", "'photos'"]);
    search(&json!({"image": named, "collection": "other"})).problem(404, &["other", "photos"]);
    let form = || Form::of_photo("coffee.png");
    let refused = |form: Form, part: &str| Server::shared().form(&form).problem(422, &[part]);
    refused(form().text("box", "[]"), "box");
    refused(form().text("boxes", "[[1,2,3,4]]").text("boxes", "[]"), "twice");
    refused(form().text("options", r#"{"tpo": 1}"#), "tpo");
    refused(Form::default().text("boxes", "[]"), "image");
    refused(Form::default().file("image", "a.png", b"no picture"), "image: not an image");
    refused(form().text("boxes", "[[1,2,3,4]]").file("mask", "m.png", b""), "exclude");
    Server::shared().form(&form().text("boxes", "[[1,2")).problem(400, &["boxes"]);
}

#[test]
fn what_is_no_search_is_a_problem_of_its_own() {
    let send = |content_type: &str, body: &[u8]| {
        Server::shared().send("POST", "/v1/search", &[("content-type", content_type)], body)
    };
    send("text/plain", b"hello").problem(415, &["multipart/form-data"]);
    send("application/json", b"{\"image\"").problem(400, &[]);
    send("application/json; charset=utf-8", b"[]").problem(400, &[]);
    send("multipart/form-data", b"x").problem(400, &["boundary"]);
    send(Form::TYPE, b"--end\r\ncontent-disposition: form-data; name=\"image\"\r\n\r\nabc").problem(400, &[]);
    Server::shared().send("PUT", "/v1/search", &[], b"").problem(405, &["PUT"]);
    Server::shared().get("/v1/nothing").problem(404, &["/v1/nothing"]);
}

#[test]
fn many_searches_in_one_request_are_answered_in_their_order() {
    let names = ["coffee.png", "none.png", "moon.png", "rocket.jpg"];
    let searches: Vec<Value> =
        names.iter().map(|name| json!({"image": name, "top": 1, "expand": 0})).collect();
    let answer = Server::shared().post("/v1/search/batch", &json!({"searches": searches})).ok();
    let answers = answer["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 4);
    for (name, answer) in names.iter().zip(answers) {
        match *name {
            "none.png" => {
                assert_eq!(answer["problem"]["status"], 404);
                assert!(answer["problem"]["instance"].is_string());
            }
            name => assert_eq!(hit_images(&answer["answer"]), [name]),
        }
    }
    let refused = |searches: Value| Server::shared().post("/v1/search/batch", &json!({"searches": searches}));
    refused(json!([])).problem(422, &["searches"]);
    refused(json!(3)).problem(422, &["searches"]);
}
