//! `--metadata` and `--where`: columns that come with images, leave with them, are returned with hits and choose images.

use std::fs;

use crate::workspace::{Workspace, hit_images, photo};

const TABLE: &str =
    "image,camera,year,night\ncoins.png,c1,2019,false\nmoon.png,c2,2021,true\ncoffee.png,c2,,false\n";

/// A collection of three images with metadata.
fn sample(work: &Workspace) {
    work.photos(&["coins.png", "moon.png", "coffee.png"]);
    work.write("meta.csv", TABLE);
    work.index("photos", "c", &["--metadata", "meta.csv"]).done();
}

/// Images that a query finds under a condition, sorted.
fn found(work: &Workspace, condition: &str) -> Vec<String> {
    let answer = work.run(["query", "c", "photos/moon.png", "--json", "--where", condition]).done().json();
    assert_eq!(answer["plan"]["where"], condition);
    let mut images: Vec<String> = hit_images(&answer).into_iter().map(str::to_owned).collect();
    images.sort();
    images.dedup();
    assert_eq!(answer["searched_images"], images.len(), "{condition}");
    images
}

#[test]
fn conditions_choose_the_images_that_are_searched_and_hits_bring_their_columns() {
    let work = Workspace::new();
    sample(&work);
    assert_eq!(found(&work, "camera = 'c2' and year >= 2020"), ["moon.png"]);
    assert_eq!(found(&work, "camera = 'c2'"), ["coffee.png", "moon.png"]);
    assert_eq!(found(&work, "year is null"), ["coffee.png"]);
    assert_eq!(found(&work, "not night and width > 10"), ["coffee.png", "coins.png"]);
    assert_eq!(found(&work, "image like 'co%'"), ["coffee.png", "coins.png"]);
    assert!(found(&work, "year > 3000").is_empty());
    let answer = work.run(["query", "c", "photos/moon.png", "--json", "--top", "1"]).done().json();
    let expected = serde_json::json!({"camera": "c2", "night": true, "year": 2021});
    assert_eq!(answer["hits"][0]["metadata"], expected);
    let page = work.at("a.html");
    work.run(["query", "c", "photos/moon.png", "--html", page.to_str().unwrap()]).done();
    assert!(fs::read_to_string(page).unwrap().contains("camera"));
}

#[test]
fn conditions_that_make_no_sense_are_refused_with_what_would() {
    let work = Workspace::new();
    sample(&work);
    let ask = |condition: &str| work.run(["query", "c", "photos/moon.png", "--where", condition]);
    ask("camera = ").refused(2, &["camera ="]);
    ask("lens = 'x'").refused(2, &["'lens'", "camera", "year", "width"]);
}

#[test]
fn nearest_vectors_bring_the_columns_of_their_images() {
    let work = Workspace::new();
    work.photos(&["coins.png", "moon.png"]);
    work.write("meta.csv", "image,camera\nmoon.png,c2\ntwin.png,c3\n");
    work.index("photos", "c", &["--metadata", "meta.csv"]).done();
    // A copy has its own columns; the first of both is shown.
    fs::copy(photo("moon.png"), work.at("photos/a.png")).unwrap();
    fs::copy(photo("moon.png"), work.at("photos/twin.png")).unwrap();
    work.run(["add", "c", "photos", "--metadata", "meta.csv"]).done();
    work.run(["export", "c", "rows.npy"]).done();
    let ask = |more: &[&str]| {
        let ask = ["query", "c", "--vectors", "rows.npy", "--prepared", "--top", "1"];
        work.run([&ask[..], more].concat()).done()
    };
    let said = |condition: &str, image: &str| {
        let answer = ask(&["--json", "--where", condition]).json();
        let found = answer["results"].as_array().unwrap().iter().map(|found| found[0].clone());
        let found: Vec<_> = found.filter(|found| found["image"] == image).collect();
        assert!(found.windows(2).all(|pair| pair[0]["metadata"] == pair[1]["metadata"]));
        found[0]["metadata"].clone()
    };
    assert_eq!(said("image != 'a.png'", "moon.png"), serde_json::json!({"camera": "c2"}));
    assert_eq!(said("camera = 'c3' or width > 0 and camera is null", "a.png"), serde_json::Value::Null);
    assert_eq!(said("camera = 'c3'", "twin.png"), serde_json::json!({"camera": "c3"}));
    let line = ask(&["--jsonl", "--where", "camera = 'c3'"]).stdout;
    assert!(line.lines().all(|line| line.contains(r#""metadata":{"camera":"c3"}"#)), "{line}");
}

#[test]
fn a_condition_that_no_image_meets_is_told_apart_from_an_empty_collection() {
    let work = Workspace::new();
    sample(&work);
    work.run(["export", "c", "rows.npy"]).done();
    for (condition, parts) in [
        ("year = 1999", &["no image of 3 meets the condition"][..]),
        (
            "year = '2019'",
            &["no image of 3 meets the condition", "'year' holds numbers only", "compared with text"],
        ),
        ("camera > 1", &["'camera' holds text only", "compared with numbers"]),
    ] {
        let image = work.run(["query", "c", "photos/moon.png", "--where", condition]).done();
        let rows =
            work.run(["query", "c", "--vectors", "rows.npy", "--prepared", "--where", condition]).done();
        let exported = work.run(["export", "c", "none.npy", "--force", "--where", condition]).done();
        for run in [image, rows, exported] {
            assert!(!run.stderr.contains("nothing found"), "{}", run.stderr);
            assert!(parts.iter().all(|part| run.stderr.contains(part)), "{condition}: {}", run.stderr);
        }
    }
}

#[test]
fn metadata_comes_and_goes_with_its_images() {
    let work = Workspace::new();
    sample(&work);
    fs::copy(photo("rocket.jpg"), work.at("photos/rocket.jpg")).unwrap();
    fs::copy(work.at("photos/coins.png"), work.at("photos/money.png")).unwrap();
    work.write("more.jsonl", "{\"path\": \"rocket.jpg\", \"camera\": \"c9\", \"tags\": [1, 2]}\n{\"path\": \"none.jpg\", \"camera\": \"c9\"}\n");
    let added = work.run(["add", "c", "photos", "--metadata", "more.jsonl"]).done();
    assert!(added.stderr.contains("1 row of the metadata names no image"), "{}", added.stderr);
    assert_eq!(found(&work, "camera = 'c9'"), ["rocket.jpg"]);
    assert_eq!(found(&work, "camera = 'c1'"), ["coins.png"], "a copy is another image");
    // New words about images that are there, without an image.
    work.write("meta.csv", "image,camera,place\ncoins.png,c7,here\nrocket.jpg,c9,\n");
    work.run(["add", "c", "--metadata", "meta.csv"]).done();
    assert_eq!(found(&work, "camera = 'c7' and place = 'here' and year = 2019"), ["coins.png"]);
    let again = work.run(["add", "c", "--metadata", "meta.csv", "--json"]).done().json();
    assert_eq!(again["unchanged"], true);
    work.run(["remove", "c", "moon.png"]).done();
    assert!(found(&work, "year = 2021").is_empty());
    work.run(["compact", "c"]).done();
    assert_eq!(found(&work, "camera in ('c7', 'c9')"), ["coins.png", "rocket.jpg"]);
    work.run(["verify", "c"]).done();
    // What a move does not change moves along.
    fs::rename(work.at("photos/rocket.jpg"), work.at("photos/ship.jpg")).unwrap();
    work.run(["add", "c", "photos"]).done();
    assert_eq!(found(&work, "camera = 'c9'"), ["ship.jpg"]);
}

#[test]
fn metadata_of_other_images_or_of_no_form_is_refused_before_any_work() {
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    let refuse = |name: &str, text: &str, parts: &[&str]| {
        work.write(name, text);
        work.index("photos", "c", &["--metadata", name]).refused(2, parts);
        assert!(!work.at("c").exists());
    };
    refuse("other.csv", "image,a\nelsewhere.png,1\n", &["none of the 1 rows", "relative"]);
    refuse("columns.csv", "name,a\ncoins.png,1\n", &["columns.csv", "image"]);
    refuse("twice.csv", "image,a\ncoins.png,1\ncoins.png,2\n", &["twice.csv", "2", "3"]);
    refuse("meta.txt", "image,a\n", &["meta.txt", ".csv"]);
    work.index("photos", "c", &["--metadata", "nothing.csv"]).refused(1, &["nothing.csv"]);
}
