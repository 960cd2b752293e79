//! `patchdex query` on the photographs: the motorcycle of the stereo pair, the keys of the JSON answer, boxes at the
//! edge, nearly equal images as one hit, pages, and the same hits for any number of threads.

use std::path::PathBuf;

use patchdex::core::{Bbox, Pose, Posed};
use patchdex::picture::{self, Limits, Picture};
use serde_json::Value;

use crate::workspace::{Demo, Run, Workspace, box_of, hit_images, keys, patchdex, photo};

/// The engine, in the left picture.
const ENGINE: Bbox = Bbox { x: 300.0, y: 190.0, w: 170.0, h: 150.0 };

fn ask(image: &str, more: &[&str]) -> Run {
    let collection = Demo::shared().collection();
    Run::of(patchdex().arg("query").arg(collection).arg(photo(image)).args(more))
}

fn engine(more: &[&str]) -> Value {
    let fixed = ["--box", "300,190,170,150", "--json"];
    ask("motorcycle_left.png", &[&fixed, more].concat()).done().json()
}

#[test]
fn the_engine_is_found_in_both_pictures_of_the_stereo_pair() {
    let answer = engine(&[]);
    assert_eq!(hit_images(&answer)[..2], ["motorcycle_left.png", "motorcycle_right.png"]);
    let hits = answer["hits"].as_array().unwrap();
    let (left, right) = (box_of(&hits[0]), box_of(&hits[1]));
    assert!(left.iou(&ENGINE) >= 0.95, "{left}");
    // The engine's disparity is between 40 and 65 px: what is near lies further left in the right picture.
    let shifted = Bbox { x: ENGINE.x - 52.0, ..ENGINE };
    assert!(right.iou(&shifted) >= 0.5, "{right}");
    let scores: Vec<f64> = hits.iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
    assert!(scores[0] > 0.95 && scores[1] > scores[2] + 0.1, "{scores:?}");
}

#[test]
fn the_json_has_the_keys_that_were_promised() {
    let answer = engine(&[]);
    assert_eq!(keys(&answer), ["hits", "plan", "query", "searched", "searched_images", "timing_ms"]);
    assert_eq!(keys(&answer["query"]), ["box", "expanded", "image", "scales", "tokens"]);
    assert_eq!(keys(&answer["timing_ms"]), ["decode", "embed", "rerank", "search", "total"]);
    assert_eq!(answer["query"]["box"], serde_json::json!([300.0, 190.0, 170.0, 150.0]));
    assert_eq!(
        (&answer["plan"]["group_duplicates"], &answer["searched_images"]),
        (&false.into(), &17.into())
    );
    let hits = answer["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 10);
    for (at, hit) in hits.iter().enumerate() {
        assert_eq!(
            keys(hit),
            ["box", "height", "id", "image", "matches", "probability", "rank", "score", "scores", "width"]
        );
        assert_eq!(keys(&hit["scores"]), ["geometry", "maxsim", "vote"]);
        assert_eq!(hit["rank"], at + 1);
        let file = std::fs::read(photo(hit["image"].as_str().unwrap())).unwrap();
        assert_eq!(hit["id"], blake3::hash(&file).to_hex()[..16]);
        for found in hit["matches"].as_array().unwrap() {
            assert_eq!(keys(found), ["patch_box", "query_box", "similarity"]);
        }
    }
    let time = |key: &str| answer["timing_ms"][key].as_f64().unwrap();
    assert!(time("total") + 1.0 >= time("decode") + time("embed") + time("search") + time("rerank"));
}

#[test]
fn lines_of_json_are_the_hits_of_the_object() {
    let lines = ask("motorcycle_left.png", &["--box", "300,190,170,150", "--jsonl", "--top", "3"]).done();
    let hits: Vec<Value> = lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(hits.len(), 3);
    assert_eq!(Value::from(hits), engine(&["--top", "3"])["hits"]);
}

#[test]
fn the_hits_are_the_same_for_any_number_of_threads_and_an_exact_search_finds_the_same_first() {
    let hits = |more: &[&str]| engine(more)["hits"].clone();
    let one = hits(&["--threads", "1"]);
    for more in [&["--threads", "2"][..], &["--threads", "5"]] {
        assert_eq!(hits(more), one, "{more:?}");
    }
    let exact = engine(&["--exact", "--threads", "2"]);
    assert_eq!(exact["searched"][0]["index"], "exact");
    assert_eq!(hits(&["--exact"]), exact["hits"]);
    for at in 0..2 {
        assert_eq!(exact["hits"][at]["image"], one[at]["image"]);
        assert!(box_of(&exact["hits"][at]).iou(&box_of(&one[at])) > 0.9);
    }
}

#[test]
fn a_whole_image_finds_itself_whole() {
    let answer = ask("coffee.png", &["--json"]).done().json();
    assert_eq!(hit_images(&answer)[0], "coffee.png");
    let whole = Bbox::of_image(600, 400);
    assert_eq!(answer["query"]["box"], serde_json::json!([0.0, 0.0, 600.0, 400.0]));
    assert!(box_of(&answer["hits"][0]).iou(&whole) > 0.9, "{}", answer["hits"][0]["box"]);
    let best = &answer["hits"][0];
    let scores = ["vote", "maxsim", "geometry"].map(|stage| &best["scores"][stage]);
    let matches = best["matches"].as_array().unwrap().iter().map(|found| &found["similarity"]);
    for value in scores.into_iter().chain(matches).chain([&best["score"]]) {
        assert!((0.9..=1.0).contains(&value.as_f64().unwrap()), "{value}");
    }
}

#[test]
fn a_box_of_one_or_two_patches_is_found_where_it_is_and_in_the_other_picture_before_any_else() {
    for (x, y) in [(300, 190), (310, 200), (100, 300), (500, 380)] {
        let answer =
            ask("motorcycle_left.png", &["--box", &format!("{x},{y},30,30"), "--json"]).done().json();
        let images = hit_images(&answer);
        assert_eq!(images[..2], ["motorcycle_left.png", "motorcycle_right.png"], "{x},{y}");
        let (best, asked) = (&answer["hits"][0], Bbox::new(x as f32, y as f32, 30.0, 30.0));
        assert!(best["score"].as_f64().unwrap() > 0.95 && box_of(best).iou(&asked) > 0.9, "{best}");
    }
}

#[test]
fn several_boxes_are_several_looks_at_one_object() {
    let answer = engine(&["--box", "120,150,150,180"]);
    assert_eq!(answer["query"]["boxes"].as_array().unwrap().len(), 2);
    // Each in several sizes.
    let scales = answer["query"]["scales"].as_array().unwrap();
    assert!(scales.len() >= 4 && scales.iter().filter(|&scale| *scale == 1.0).count() == 2, "{scales:?}");
    let images = hit_images(&answer);
    assert!(images[..4].iter().all(|image| image.starts_with("motorcycle_")), "{images:?}");
    for asked in [ENGINE, Bbox::new(120.0, 150.0, 150.0, 180.0)] {
        let hits = answer["hits"].as_array().unwrap();
        let found =
            hits.iter().any(|hit| hit["image"] == "motorcycle_left.png" && box_of(hit).iou(&asked) > 0.8);
        assert!(found, "{asked}");
    }
}

/// The picture of the engine, held another way, and where the engine is in it.
fn held(work: &Workspace, pose: Pose) -> (PathBuf, String) {
    let left = std::fs::read(photo("motorcycle_left.png")).unwrap();
    let left = picture::decode(&left, &Limits::default()).unwrap();
    let file = work.at(format!("{pose:?}.png"));
    std::fs::write(&file, left.posed(pose).to_png()).unwrap();
    let engine = Posed { pose, width: left.width, height: left.height }.place(&ENGINE);
    (file, engine.to_string())
}

#[test]
fn a_mirrored_or_turned_thing_is_found_when_it_is_asked_for() {
    let work = Workspace::new();
    for (pose, option) in [
        (Pose { is_mirrored: true, quarter_turns: 0 }, "--mirrored"),
        (Pose { is_mirrored: false, quarter_turns: 1 }, "--turned"),
        (Pose { is_mirrored: false, quarter_turns: 3 }, "--turned"),
    ] {
        let (file, engine) = held(&work, pose);
        let asked = |more: &[&str]| {
            let fixed = ["--box", &engine, "--json"];
            ask(file.to_str().unwrap(), &[&fixed, more].concat()).done().json()
        };
        let (plain, answer) = (asked(&[]), asked(&[option]));
        assert_eq!(hit_images(&answer)[0], "motorcycle_left.png", "{pose:?}");
        let best = |answer: &Value| answer["hits"][0]["score"].as_f64().unwrap();
        assert!(best(&answer) > 0.9 && best(&plain) < 0.5, "{} {}", best(&answer), best(&plain));
        assert!(box_of(&answer["hits"][0]).iou(&ENGINE) > 0.9);
        // Matches are in the frame of the file.
        let asked: Bbox = engine.parse().unwrap();
        assert_eq!(box_of(&answer["query"]), asked);
        for found in answer["hits"][0]["matches"].as_array().unwrap() {
            let token: Bbox = serde_json::from_value(found["query_box"].clone()).unwrap();
            assert!(asked.intersection(&token).area() > 0.0, "{token}");
        }
    }
}

#[test]
fn a_mask_says_which_part_of_a_box_is_meant() {
    let work = Workspace::new();
    let header = picture::header(&std::fs::read(photo("motorcycle_left.png")).unwrap(), &Limits::default());
    let picture::Header { width, height, .. } = header.unwrap();
    let mask = |name: &str, width: u32, radius: f32| {
        let (cx, cy) = ENGINE.center();
        let inside = |at: u32| ((at % width) as f32 - cx).hypot((at / width) as f32 - cy) < radius;
        let rgb = (0..width * height).flat_map(|at| [if inside(at) { 255 } else { 0 }; 3]).collect();
        let file = work.at(name);
        std::fs::write(&file, Picture { width, height, rgb }.to_png()).unwrap();
        file.display().to_string()
    };
    let around = mask("mask.png", width, 70.0);
    let answer = ask("motorcycle_left.png", &["--mask", &around, "--json"]).done().json();
    assert_eq!(hit_images(&answer)[..2], ["motorcycle_left.png", "motorcycle_right.png"]);
    let asked = box_of(&answer["query"]);
    assert!(asked.iou(&Bbox::new(315.0, 195.0, 140.0, 140.0)) > 0.95, "{asked}");
    let boxed = ask("motorcycle_left.png", &["--box", &asked.to_string(), "--json"]).done().json();
    let tokens = |answer: &Value| answer["query"]["tokens"].as_u64().unwrap();
    assert!(tokens(&answer) < tokens(&boxed), "{} {}", tokens(&answer), tokens(&boxed));
    for (code, file, said) in [
        (2, mask("small.png", width - 1, 70.0), "the image's size"),
        (2, mask("black.png", width, 0.0), "white is the object"),
        (1, work.at("none.png").display().to_string(), "none.png"),
    ] {
        ask("motorcycle_left.png", &["--mask", &file]).refused(code, &[said]);
    }
}

#[test]
fn what_the_object_has_in_common_with_what_is_not_meant_does_not_count() {
    let right = |answer: &Value| {
        let hits = answer["hits"].as_array().unwrap();
        hits.iter()
            .find(|hit| hit["image"] == "motorcycle_right.png")
            .map_or(0.0, |hit| hit["score"].as_f64().unwrap())
    };
    let (plain, none) = (engine(&[]), engine(&["--not-box", "300,190,170,150"]));
    let beside = engine(&["--not-box", "20,20,80,80"]);
    assert!(right(&none) < 0.1 * right(&plain), "{} {}", right(&none), right(&plain));
    assert!(right(&beside) > 0.7 * right(&plain), "{} {}", right(&beside), right(&plain));
}

#[test]
fn an_image_of_the_collection_is_asked_without_a_model() {
    let ask_indexed = |named: &str, more: &[&str]| {
        let fixed = ["--indexed", named, "--onnxruntime", "/nowhere"];
        // A model that is not there, as one may be set for other commands.
        let mut command = patchdex();
        command.env("PATCHDEX_MODEL", "/nowhere").arg("query").arg(Demo::shared().collection());
        Run::of(command.args(fixed).args(more))
    };
    let engine = ["--box", "300,190,170,150", "--json"];
    let answer = ask_indexed("motorcycle_left.png", &engine).done().json();
    assert_eq!(hit_images(&answer)[..2], ["motorcycle_left.png", "motorcycle_right.png"]);
    assert!(box_of(&answer["hits"][0]).iou(&ENGINE) > 0.9);
    let id = answer["hits"][0]["id"].as_str().unwrap();
    assert_eq!(ask_indexed(id, &engine).done().json()["hits"], answer["hits"]);
    let work = Workspace::new();
    let page = work.at("answer.html");
    ask_indexed(id, &["--html", page.to_str().unwrap()]).done();
    assert!(std::fs::read_to_string(page).unwrap().contains("motorcycle_right.png"));
    ask_indexed("no.png", &[]).refused(1, &["has no image 'no.png'"]);
    ask_indexed(id, &["--raw"]).refused(2, &["--indexed"]);
    assert!(ask_indexed(id, &["--box", "600,300,500,500"]).done().stderr.contains("was cut to"));
    ask_indexed(id, &["--box", "9000,0,5,5"]).refused(2, &["outside the image"]);
}

#[test]
fn hits_have_a_probability_and_what_is_not_there_is_said() {
    let answer = engine(&[]);
    let probability = |at: usize| answer["hits"][at]["probability"].as_f64().unwrap();
    assert!(probability(0) > 0.99 && probability(1) > 0.8 && probability(2) < 0.5, "{}", probability(2));
    let likely = engine(&["--min-probability", "0.8"]);
    assert_eq!(hit_images(&likely), ["motorcycle_left.png", "motorcycle_right.png"]);
    // The cat, where there is no picture of it.
    let absent = |more: &[&str]| {
        let fixed = ["--box", "150,50,200,200", "--where", "image != 'chelsea.png'"];
        ask("chelsea.png", &[&fixed, more].concat()).done()
    };
    assert!(absent(&[]).stderr.contains("more likely not in this collection"));
    let none = absent(&["--min-probability", "0.5"]);
    assert!(none.stderr.contains("not in this collection") && none.stdout.is_empty(), "{}", none.stdout);
    ask("chelsea.png", &["--min-probability", "2"]).refused(2, &["from 0 to 1"]);
}

#[test]
fn an_explanation_goes_to_standard_error() {
    let plain = ask("motorcycle_left.png", &["--box", "300,190,170,150", "--explain"]).done();
    assert!(plain.stdout.starts_with("rank"), "{}", plain.stdout);
    assert_eq!(plain.stdout.lines().count(), 11);
    for word in ["tokens", "search", "rerank", "decode", "vote", "maxsim", "geometry"] {
        assert!(plain.stderr.contains(word), "{word}: {}", plain.stderr);
    }
    let silent = ask("motorcycle_left.png", &["--box", "300,190,170,150"]).done();
    assert_eq!((silent.stdout, silent.stderr.as_str()), (plain.stdout, ""));
}

#[test]
fn a_page_stands_alone_and_names_the_images() {
    let work = Workspace::new();
    let page = work.at("answer.html");
    let run =
        ask("motorcycle_left.png", &["--box", "300,190,170,150", "--json", "--html", page.to_str().unwrap()]);
    let run = run.done();
    run.json();
    assert!(run.stderr.contains("answer.html"), "{}", run.stderr);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("<!DOCTYPE html>"));
    for elsewhere in ["http://", "https://", "url(", "src=\"/", "<link", "@import"] {
        assert!(!text.contains(elsewhere), "{elsewhere}");
    }
    for named in [
        "motorcycle_left.png",
        "motorcycle_right.png",
        "data:image/",
        "probability over 99 %",
        "class=\"line\"",
    ] {
        assert!(text.contains(named), "{named}");
    }
    assert_eq!(text.matches("<symbol").count(), 1);
}

#[test]
fn a_page_that_cannot_be_written_is_named() {
    let work = Workspace::new();
    let page = work.at("no/such/folder/answer.html");
    let run = ask("coffee.png", &["--html", page.to_str().unwrap()]).ended(1);
    assert!(run.stderr.contains(page.to_str().unwrap()) && !run.stderr.contains(".tmp-"), "{}", run.stderr);
}

#[test]
fn a_page_replaces_a_page_and_nothing_else() {
    let work = Workspace::new();
    let picture = work.write("mine.png", std::fs::read(photo("coffee.png")).unwrap());
    ask("coffee.png", &["--html", picture.to_str().unwrap()])
        .refused(2, &["mine.png", "choose another --html"]);
    assert_eq!(std::fs::read(&picture).unwrap(), std::fs::read(photo("coffee.png")).unwrap());
    let page = work.at("answer.html");
    for _ in 0..2 {
        ask("coffee.png", &["--html", page.to_str().unwrap()]).done();
    }
}

#[test]
fn a_box_that_sticks_out_is_cut_to_the_image() {
    let answer = ask("motorcycle_left.png", &["--box", "-100,-50,300,300", "--json"]).done().json();
    assert_eq!(answer["query"]["box"], serde_json::json!([0.0, 0.0, 200.0, 250.0]));
    assert_eq!(hit_images(&answer)[0], "motorcycle_left.png");
}

#[test]
fn a_box_outside_the_image_is_refused_with_the_size_of_the_image() {
    for outside in ["5000,10,50,50", "-60,0,50,50", "600,0,10,10"] {
        ask("coffee.png", &["--box", outside]).refused(2, &[outside, "600x400", "x,y,w,h"]);
    }
}

#[test]
fn a_box_smaller_than_a_patch_is_found_in_its_own_image_and_all_boxes_lie_inside() {
    let collection = Demo::shared().collection();
    let listed =
        Run::of(patchdex().arg("inspect").arg(collection).args(["--images", "--json"])).done().json();
    let size = |name: &str| {
        let image = listed["images"].as_array().unwrap().iter().find(|image| image["path"] == name).unwrap();
        Bbox::of_image(image["width"].as_u64().unwrap() as u32, image["height"].as_u64().unwrap() as u32)
    };
    for small in ["350,250,6,5", "740,499,1,1", "0,0,0.5,0.25"] {
        let answer = ask("motorcycle_left.png", &["--box", small, "--json"]).done().json();
        assert!(answer["query"]["tokens"].as_u64().unwrap() >= 1);
        assert!(answer["query"]["scales"][0].as_f64().unwrap() > 1.5, "{small} is zoomed in on");
        assert_eq!(answer["hits"].as_array().unwrap().len(), 10);
        if small == "350,250,6,5" {
            assert_eq!(answer["hits"][0]["image"], "motorcycle_left.png");
        }
        for hit in answer["hits"].as_array().unwrap() {
            let (found, image) = (box_of(hit), size(hit["image"].as_str().unwrap()));
            assert!(found.area() > 0.0, "{small}: {hit}");
            assert!(found.intersection(&image).area() >= found.area() * 0.999, "{small}: {hit}");
        }
    }
}

#[test]
fn a_text_that_is_no_box_is_a_usage_error_with_an_example() {
    for text in ["1,2,3", "a,b,c,d", "0,0,0,10", "0,0,-5,10", "nan,0,1,1", ""] {
        ask("coffee.png", &[&format!("--box={text}")]).refused(2, &["120,80,64,48"]);
    }
}

#[test]
fn two_files_with_the_same_bytes_are_both_found() {
    let work = Workspace::new();
    work.photos(&["coffee.png", "coins.png", "moon.png"]);
    std::fs::copy(photo("coffee.png"), work.at("photos/again.png")).unwrap();
    let made = work.index("photos", "c", &["--json"]).done().json();
    assert_eq!((&made["images"], &made["embedded_views"]), (&4.into(), &3.into()));
    let answer = work.run(["query", "c", "photos/coffee.png", "--json"]).done().json();
    assert_eq!(hit_images(&answer)[..2], ["again.png", "coffee.png"]);
    assert_eq!(answer["hits"][0]["box"], answer["hits"][1]["box"]);
    let listed = work.run(["inspect", "c", "--images", "--json"]).done().json();
    let copy =
        listed["images"].as_array().unwrap().iter().find(|image| image["path"] == "coffee.png").unwrap();
    assert_eq!(copy["same_as"], "again.png");
}

/// Two photographs of a stereo pair, a third photograph, and the latter as a copy, a JPEG, half as large, and turned.
fn with_variants(work: &Workspace) {
    work.photos(&["coffee.png", "motorcycle_left.png", "motorcycle_right.png"]);
    work.write("photos/copy.png", std::fs::read(photo("coffee.png")).unwrap());
    let picture = image::open(photo("coffee.png")).unwrap().to_rgb8();
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 60).encode_image(&picture).unwrap();
    work.write("photos/again.jpg", bytes);
    let filter = image::imageops::FilterType::CatmullRom;
    image::imageops::resize(&picture, 300, 200, filter).save(work.at("photos/half.png")).unwrap();
    image::imageops::rotate180(&picture).save(work.at("photos/turned.png")).unwrap();
}

#[test]
fn nearly_equal_images_are_one_hit_when_that_is_asked_for() {
    let work = Workspace::new();
    with_variants(&work);
    work.index("photos", "c", &["--long-side", "518"]).done();
    let ask = |more: &[&str]| work.run([&["query", "c", "photos/coffee.png"], more].concat()).done();

    let plain = ask(&["--json", "--top", "50"]).json();
    assert!(plain["hits"].as_array().unwrap().iter().all(|hit| hit.get("duplicates").is_none()));
    let listed = hit_images(&plain);
    assert!(["again.jpg", "half.png", "turned.png"].iter().all(|name| listed.contains(name)), "{listed:?}");

    let answer = ask(&["--json", "--group-duplicates"]).json();
    assert_eq!(answer["plan"]["group_duplicates"], true);
    let hits = answer["hits"].as_array().unwrap();
    assert_eq!(hits[0]["image"], "coffee.png");
    let mut alike: Vec<&str> =
        hits[0]["duplicates"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(alike[0], "copy.png", "best first");
    alike.sort_unstable();
    assert_eq!(alike, ["again.jpg", "copy.png", "half.png"]);
    let mut others = hit_images(&answer)[1..].to_vec();
    others.sort_unstable();
    assert_eq!(others, ["motorcycle_left.png", "motorcycle_right.png", "turned.png"]);
    assert!(hits[1..].iter().all(|hit| hit.get("duplicates").is_none()));

    let two = ask(&["--json", "--group-duplicates", "--top", "2"]).json();
    assert_eq!(two["hits"].as_array().unwrap()[..], hits[..2], "top counts groups");
    let table = ask(&["--group-duplicates", "--top", "2", "--html", "answer.html"]).stdout;
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[1].ends_with("  coffee.png (+3 alike)") && !rows[2].contains("alike"), "{table}");
    let page = std::fs::read_to_string(work.at("answer.html")).unwrap();
    assert!(page.contains("+3 alike") && page.contains("<li>again.jpg</li>"));
}

#[test]
fn what_cannot_be_asked_says_why() {
    let work = Workspace::new();
    let collection = Demo::shared().collection();
    let collection = collection.to_str().unwrap();
    let text = work.write("text.png", "hello");
    work.run(["query", collection, "gone.png"]).refused(1, &["gone.png", "no such file"]);
    work.run(["query", collection, text.to_str().unwrap()]).refused(1, &["text.png", "not an image"]);
    work.run(["query", collection, "."]).refused(2, &["folder", "image file"]);
    work.run(["query", ".", text.to_str().unwrap()]).ended(1);
    let coffee = photo("coffee.png");
    work.run(["query", ".", coffee.to_str().unwrap()]).refused(1, &["is not a collection", "patchdex index"]);
    work.run(["query", collection, coffee.to_str().unwrap(), "--top", "0"]).refused(2, &["--top"]);
}

#[test]
fn a_crop_for_a_collection_that_is_not_compared_by_cosine_is_refused() {
    let work = Workspace::new();
    work.index(work.photos(&["coffee.png"]), "c", &["--metric", "l2"]).done();
    for asked in [&["photos/coffee.png"][..], &["--indexed", "coffee.png"]] {
        work.run([&["query", "c"], asked].concat()).refused(1, &["by cosine", "'l2'", "--metric cosine"]);
    }
}

#[test]
fn a_damaged_graph_is_named_when_a_crop_is_asked_for() {
    let work = Workspace::new();
    work.index(work.photos(&["coffee.png"]), "c", &[]).done();
    std::fs::write(work.at("c/segments/000001/graph.pdx"), "no graph").unwrap();
    let ask =
        |more: &[&str]| work.run([&["query", "c", "--indexed", "coffee.png"], more].concat()).done().stderr;
    let told = ask(&[]);
    assert!(told.contains("graph.pdx") && told.contains("repair"), "{told}");
    assert!(!ask(&["--exact"]).contains("graph.pdx"));
}

#[test]
fn a_box_that_is_hardly_what_was_meant_is_answered_with_a_word_about_pixels() {
    let work = Workspace::new();
    work.photos(&["coffee.png"]);
    work.index("photos", "c", &[]).done();
    let told = |text: &str| {
        let ask = ["query", "c", "photos/coffee.png", &format!("--box={text}"), "--json"];
        let run = work.run(ask).done();
        run.json();
        run.stderr
    };
    for (text, parts) in [
        ("500,300,200,100", ["was cut to 500,300,100,100", "600x400 px", "in pixels"]),
        ("-50,-50,200,100", ["was cut to 0,0,150,50", "600x400 px", "in pixels"]),
        ("0.3,0.3,0.2,0.2", ["smaller than a patch (75 of", "600x400 px", "in pixels"]),
    ] {
        let told = told(text);
        assert!(parts.iter().all(|part| told.contains(part)), "{text}: {told}");
    }
    for text in ["0,0,600,400", "0,0,600.5,400", "100,100,20,200"] {
        assert_eq!(told(text), "", "{text}");
    }
}

#[test]
fn a_search_has_budgets() {
    let small =
        engine(&["--tokens", "4", "--neighbours", "8", "--candidates", "3", "--expand", "0", "--top", "2"]);
    let plan = &small["plan"];
    assert_eq!(
        [&plan["tokens"], &plan["neighbours"], &plan["candidates"], &plan["expansions"]].map(Value::as_u64),
        [4, 8, 3, 0].map(Some)
    );
    assert!(
        small["query"]["tokens"].as_u64().unwrap()
            <= 4 * small["query"]["scales"].as_array().unwrap().len() as u64
    );
    assert_eq!(small["query"]["expanded"], 0);
    assert_eq!(hit_images(&small), ["motorcycle_left.png", "motorcycle_right.png"]);
    // The other picture of the pair is looked for as well.
    assert!(engine(&[])["query"]["expanded"].as_u64().unwrap() >= 1);
    let box_ = ["--box", "300,190,170,150", "--time-budget-ms", "0"];
    let cut = ask("motorcycle_left.png", &box_).done();
    assert!(cut.stderr.contains("time budget"), "{}", cut.stderr);
    assert!(!cut.stderr.contains("nothing found"), "{}", cut.stderr);
    let cut = ask("motorcycle_left.png", &[&box_[..], &["--json"]].concat()).done().json();
    assert_eq!((&cut["is_cut"], &cut["query"]["expanded"]), (&true.into(), &0.into()));
    assert_eq!(hit_images(&cut)[..2], ["motorcycle_left.png", "motorcycle_right.png"]);
    let refused = ask("motorcycle_left.png", &["--vectors", "rows.npy", "--tokens", "4"]);
    refused.refused(2, &["--vectors", "cannot be used with"]);
}
