//! A collection's life: `add`, `remove`, `compact`, `merge`, `prepare`, and what each does to the files and the answers.

use std::fs;

use serde_json::Value;

use crate::workspace::{Workspace, hit_images, manifest, photo, stored};

const SMALL: [&str; 2] = ["--long-side", "112"];

/// Paths that a collection lists, with the number of each one's patches.
fn images(work: &Workspace, collection: &str) -> Vec<(String, u64)> {
    let listed = work.run(["inspect", collection, "--images", "--json"]).done().json();
    let mut images: Vec<(String, u64)> = listed["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| (image["path"].as_str().unwrap().to_owned(), image["patches"].as_u64().unwrap()))
        .collect();
    images.sort();
    images
}

fn names(work: &Workspace, collection: &str) -> Vec<String> {
    images(work, collection).into_iter().map(|(path, _)| path).collect()
}

/// Digest of the file of each role in a collection's only segment.
fn digests(work: &Workspace, collection: &str) -> Vec<(String, Value)> {
    let manifest = manifest(&work.at(collection));
    let segments = manifest["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 1, "{manifest}");
    let role = |name: &str| name.split(['-', '.']).next().unwrap().to_owned();
    let files = segments[0]["files"].as_array().unwrap().iter();
    files.map(|file| (role(file["name"].as_str().unwrap()), file["digest"].clone())).collect()
}

fn count(answer: &Value, key: &str) -> u64 {
    answer[key].as_u64().unwrap_or_else(|| panic!("no {key} in {answer}"))
}

#[test]
fn adding_embeds_only_what_is_new_and_recognises_what_was_moved_copied_or_touched() {
    let work = Workspace::new();
    let photos = work.photos(&["coins.png", "moon.png", "coffee.png", "cell.png"]);
    work.index("photos", "c", &SMALL).done();
    let up_to_date = work.run(["add", "c", "photos", "--json"]).done().json();
    assert_eq!((count(&up_to_date, "embedded_views"), &up_to_date["unchanged"]), (0, &true.into()));

    fs::create_dir(photos.join("space")).unwrap();
    fs::rename(photos.join("moon.png"), photos.join("space/moon.png")).unwrap();
    fs::copy(photos.join("coins.png"), photos.join("money.png")).unwrap();
    fs::copy(photo("rocket.jpg"), photos.join("rocket.jpg")).unwrap();
    fs::copy(photo("brick.png"), photos.join("coffee.png")).unwrap();
    let touched = fs::File::options().append(true).open(photos.join("cell.png")).unwrap();
    touched.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
    let added = work.run(["add", "c", "photos", "--json"]).done().json();
    let counts = ["added", "changed", "moved", "gone", "embedded_views"].map(|key| count(&added, key));
    assert_eq!(counts, [2, 1, 1, 0, 2], "{added}");
    let expected = ["cell.png", "coffee.png", "coins.png", "money.png", "rocket.jpg", "space/moon.png"];
    assert_eq!(names(&work, "c"), expected);
    work.run(["verify", "c", "--full"]).done();
    work.run(["verify", "c", "--quick"]).done();
    let again = work.run(["add", "c", "photos", "--json"]).done().json();
    assert_eq!((count(&again, "embedded_views"), &again["unchanged"]), (0, &true.into()), "{again}");

    // What was changed answers as it is now, in one segment as in two, and as a fresh index of the same files does.
    let ask = |collection: &str| {
        let answer =
            work.run(["query", collection, "photos/coffee.png", "--top", "3", "--json"]).done().json();
        assert_eq!(answer["hits"][0]["image"], "coffee.png");
        answer["hits"].clone()
    };
    let before = ask("c");
    let compacted = work.run(["compact", "c", "--json"]).done().json();
    assert_eq!((count(&compacted, "segments_before"), count(&compacted, "segments")), (2, 1));
    assert!(count(&compacted, "dropped_patches") > 0);
    assert_eq!(ask("c"), before);
    work.index("photos", "fresh", &SMALL).done();
    assert_eq!(digests(&work, "c"), digests(&work, "fresh"));
    work.run(["verify", "c"]).done();
}

#[test]
fn what_is_gone_from_the_disk_is_named_and_removed_when_asked() {
    let work = Workspace::new();
    let photos = work.photos(&["coins.png", "moon.png", "coffee.png"]);
    work.index("photos", "c", &SMALL).done();
    fs::remove_file(photos.join("moon.png")).unwrap();
    let run = work.run(["add", "c", "photos"]).done();
    assert!(run.stderr.contains("1 of its images") && run.stderr.contains("--missing"), "{}", run.stderr);
    assert_eq!(names(&work, "c"), ["coffee.png", "coins.png", "moon.png"], "nothing is lost without a word");
    let dry = work.run(["remove", "c", "--missing", "--dry-run"]).done();
    assert_eq!(dry.stdout, "moon.png\n");
    work.run(["remove", "c", "--missing"]).done();
    assert_eq!(names(&work, "c"), ["coffee.png", "coins.png"]);
}

#[test]
fn images_are_removed_by_path_folder_pattern_and_id_and_found_no_more() {
    let work = Workspace::new();
    let photos = work.photos(&["coins.png", "moon.png", "coffee.png", "rocket.jpg", "brick.png"]);
    fs::create_dir(photos.join("deep")).unwrap();
    fs::rename(photos.join("brick.png"), photos.join("deep/brick.png")).unwrap();
    fs::copy(photos.join("coins.png"), photos.join("deep/coins.png")).unwrap();
    work.index("photos", "c", &SMALL).done();
    let before = stored(&work.at("c"));
    let refused = |words: &[&str]| {
        work.run([&["remove", "c"], words].concat()).refused(1, &["no image of c", "nothing was changed"]);
    };
    refused(&["moon"]);
    refused(&["coins.png", "none/*.png"]);
    refused(&["--id", "zzz"]);
    refused(&[""]);
    assert!(stored(&work.at("c")) == before);

    let dead = |work: &Workspace| count(&work.run(["inspect", "c", "--json"]).done().json(), "dead_patches");
    assert_eq!(dead(&work), 0);
    work.run(["remove", "c", "deep"]).done();
    assert!(dead(&work) > 0);
    let told = work.run(["inspect", "c"]).done();
    assert!(told.stdout.contains("without an image until 'patchdex compact c'"), "{}", told.stdout);
    assert_eq!(names(&work, "c"), ["coffee.png", "coins.png", "moon.png", "rocket.jpg"]);
    work.run(["remove", "c", "*.jpg", photos.join("moon.png").to_str().unwrap()]).done();
    assert_eq!(names(&work, "c"), ["coffee.png", "coins.png"]);
    let answer = work.run(["query", "c", "photos/moon.png", "--json"]).done().json();
    let found = hit_images(&answer);
    assert!(
        !found.is_empty() && found.iter().all(|image| ["coffee.png", "coins.png"].contains(image)),
        "{found:?}"
    );
    let id = answer["hits"].as_array().unwrap().iter().find(|hit| hit["image"] == "coins.png").unwrap()["id"]
        .clone();
    let removed = work.run(["remove", "c", "--id", &id.as_str().unwrap()[..10], "--json"]).done().json();
    assert_eq!(removed["removed"], serde_json::json!(["coins.png"]));
    assert!(count(&removed, "dead_patches") > 0);
    work.run(["remove", "c", "coffee.png"]).done();
    work.run(["verify", "c"]).done();
    work.run(["compact", "c"]).done();
    assert_eq!(dead(&work), 0);
    let empty = work.run(["query", "c", "photos/moon.png"]).done();
    assert_eq!(empty.stdout, "");
    // An empty collection takes images again.
    work.run(["add", "c", "photos"]).done();
    assert_eq!(names(&work, "c").len(), 6);
}

#[test]
fn collections_of_different_roots_become_one_that_is_as_if_indexed_at_once() {
    let work = Workspace::new();
    work.photos(&["coins.png", "moon.png", "coffee.png"]);
    fs::create_dir_all(work.at("all/a")).unwrap();
    fs::create_dir_all(work.at("all/b")).unwrap();
    for (name, folder) in [("coins.png", "a"), ("moon.png", "a"), ("coins.png", "b"), ("coffee.png", "b")] {
        fs::copy(work.at("photos").join(name), work.at("all").join(folder).join(name)).unwrap();
    }
    for folder in ["a", "b"] {
        work.index(format!("all/{folder}"), folder, &SMALL).done();
    }
    let merged = work.run(["merge", "both", "a", "b", "--json"]).done().json();
    assert_eq!((count(&merged, "images"), count(&merged, "superseded")), (4, 0));
    assert!(merged["root"].as_str().unwrap().ends_with("all"));
    assert_eq!(names(&work, "both"), ["a/coins.png", "a/moon.png", "b/coffee.png", "b/coins.png"]);
    work.index("all", "fresh", &SMALL).done();
    assert_eq!(digests(&work, "both"), digests(&work, "fresh"), "content that both have is stored once");
    work.run(["verify", "both"]).done();
    let again = work.run(["merge", "both", "a", "b"]).done();
    assert!(again.stderr.contains("4 images"), "{}", again.stderr);
    work.run(["merge", "both", "b", "a"]).refused(2, &["already holds a collection", "nothing was changed"]);

    work.index("all/b", "other", &["--long-side", "56"]).done();
    work.run(["merge", "x", "a", "other"]).refused(1, &["views differ", "112 px", "56 px"]);
    work.index("all/b", "none", &["--long-side", "112", "--prepare", "none"]).done();
    work.run(["merge", "x", "a", "none"]).refused(1, &["preparations differ", "whiten", "--prepare"]);
    work.run(["merge", "x", "a", "none", "--prepare", "centre"]).refused(1, &["--keep-raw"]);
    assert!(!work.at("x/manifest.json").exists());
}

#[test]
fn merging_joins_what_was_said_about_the_same_file_and_names_what_it_leaves_out() {
    let work = Workspace::new();
    let photos = work.photos(&["coins.png", "moon.png"]);
    let collection = |name: &str, table: &str| {
        let file = work.write(format!("{name}.csv"), table);
        work.index("photos", name, &["--metadata", file.to_str().unwrap()]).done();
    };
    collection("a", "image,camera,year\ncoins.png,c1,\nmoon.png,c2,2019\n");
    collection("b", "image,camera,place\ncoins.png,c9,here\n");
    let said = |collection: &str, image: &str| {
        let ask = ["query", collection, &format!("photos/{image}"), "--top", "1", "--json"];
        work.run(ask).done().json()["hits"][0]["metadata"].clone()
    };
    // Equally old: the first one's word counts.
    for (out, order, camera) in [("ab", ["a", "b"], "c1"), ("ba", ["b", "a"], "c9")] {
        let merged = work.run(["merge", out, order[0], order[1], "--json"]).done().json();
        assert_eq!((count(&merged, "superseded"), &merged["metadata_dropped"]), (2, &serde_json::json!([])));
        assert_eq!(said(out, "coins.png"), serde_json::json!({"camera": camera, "place": "here"}));
        assert_eq!(said(out, "moon.png"), serde_json::json!({"camera": "c2", "year": 2019}));
    }
    // Another content under the same path is another image.
    fs::copy(photo("coffee.png"), photos.join("moon.png")).unwrap();
    work.index("photos", "new", &SMALL).done();
    let merged = work.run(["merge", "x", "a", "new"]).done();
    assert!(merged.stderr.contains("metadata of moon.png was left out"), "{}", merged.stderr);
    assert_eq!(said("x", "moon.png"), Value::Null);
    assert_eq!(said("x", "coins.png"), serde_json::json!({"camera": "c1"}));
}

#[test]
fn raw_tokens_make_any_preparation_without_embedding_again() {
    let work = Workspace::new();
    work.photos(&["coins.png", "moon.png", "coffee.png"]);
    work.index("photos", "c", &["--long-side", "112", "--keep-raw"]).done();
    for map in ["none", "pca:16", "drop:100", "whiten", "model"] {
        work.run(["prepare", "c", map]).done();
        work.run(["verify", "c"]).done();
        let out = map.replace(':', "-");
        work.index("photos", &out, &["--long-side", "112", "--keep-raw", "--prepare", map]).done();
        assert_eq!(digests(&work, "c"), digests(&work, &out), "{map}");
        assert_eq!(
            manifest(&work.at("c"))["preparation"]["spec"],
            manifest(&work.at(&out))["preparation"]["spec"]
        );
        let answer = work.run(["query", "c", "photos/moon.png", "--json"]).done().json();
        assert_eq!(answer["hits"][0]["image"], "moon.png");
    }
    work.run(["prepare", "c", "--drop-dims", "100"]).done();
    // Collections with raw tokens merge whatever their preparations are.
    fs::create_dir(work.at("more")).unwrap();
    fs::copy(photo("rocket.jpg"), work.at("more/rocket.jpg")).unwrap();
    work.index("more", "m", &["--long-side", "112", "--keep-raw", "--prepare", "none"]).done();
    work.run(["merge", "all", "c", "m"]).refused(1, &["preparations differ"]);
    work.run(["merge", "all", "c", "m", "--prepare", "pca:8"]).done();
    assert_eq!(manifest(&work.at("all"))["dim"], 8);
    work.run(["verify", "all"]).done();
    work.run(["prepare", "m", "drop:900"]).refused(2, &["drop:900", "384"]);
    work.index("photos", "without", &SMALL).done();
    work.run(["prepare", "without", "centre"]).refused(1, &["--keep-raw"]);
}

#[test]
fn a_collection_that_was_emptied_still_keeps_raw_tokens() {
    let work = Workspace::new();
    work.photos(&["coins.png", "moon.png"]);
    work.index("photos", "c", &["--long-side", "112", "--keep-raw"]).done();
    let fresh = digests(&work, "c");
    work.run(["remove", "c", "*"]).done();
    for command in ["verify", "compact", "inspect"] {
        work.run([command, "c"]).done();
    }
    assert!(names(&work, "c").is_empty());
    let entry = manifest(&work.at("c"))["segments"][0].clone();
    assert_eq!((&entry["images"], &entry["patches"]), (&0.into(), &0.into()), "nothing else is kept");
    let answer = work.run(["query", "c", "photos/moon.png", "--json"]).done().json();
    assert!(hit_images(&answer).is_empty());
    work.run(["export", "c", "none.npy"]).done();
    work.run(["add", "c", "photos"]).done();
    work.run(["compact", "c", "--all"]).done();
    assert_eq!(digests(&work, "c"), fresh);
    work.run(["prepare", "c", "centre"]).done();
}

#[test]
fn a_root_that_moved_is_found_again_without_embedding() {
    let work = Workspace::new();
    work.photos(&["coins.png", "moon.png"]);
    work.index("photos", "c", &SMALL).done();
    fs::rename(work.at("photos"), work.at("pictures")).unwrap();
    let moved = work.run(["add", "c", "pictures", "--json"]).done().json();
    assert_eq!(count(&moved, "embedded_views"), 0, "{moved}");
    assert!(moved["new_root"].as_str().unwrap().ends_with("pictures"));
    assert_eq!(names(&work, "c"), ["coins.png", "moon.png"]);
    // A folder beside the root widens it.
    fs::create_dir(work.at("more")).unwrap();
    fs::copy(photo("rocket.jpg"), work.at("more/rocket.jpg")).unwrap();
    let wider = work.run(["add", "c", "more"]).done();
    assert!(wider.stderr.contains("paths are relative to"), "{}", wider.stderr);
    assert_eq!(names(&work, "c"), ["more/rocket.jpg", "pictures/coins.png", "pictures/moon.png"]);
    let answer = work.run(["query", "c", "pictures/moon.png", "--json"]).done().json();
    assert_eq!(answer["hits"][0]["image"], "pictures/moon.png");
}

#[test]
fn rejects_of_an_addition_join_the_list_and_leave_it_when_repaired() {
    let work = Workspace::new();
    let photos = work.photos(&["coins.png"]);
    work.write("photos/a.jpg", "not an image");
    work.index("photos", "c", &SMALL).ended(3);
    work.write("photos/b.jpg", "neither");
    fs::copy(photo("moon.png"), photos.join("a.jpg")).unwrap();
    let added = work.run(["add", "c", "photos", "--json"]).ended(3).json();
    let rejects = added["rejects"].as_array().unwrap();
    assert_eq!(rejects.len(), 1);
    assert_eq!((&rejects[0]["path"], count(&added, "added")), (&"b.jpg".into(), 1));
    // A changed file that cannot be read keeps the patches that it had.
    fs::write(photos.join("coins.png"), "broken now").unwrap();
    let broken = work.run(["add", "c", "photos", "--json"]).ended(3).json();
    assert_eq!(broken["rejects"].as_array().unwrap().len(), 2);
    assert_eq!(broken["kept"], serde_json::json!(["coins.png"]));
    let told = work.run(["add", "c", "photos"]).ended(3).stderr;
    let kept = "1 cannot be read now; what was indexed before stays, listed in c/";
    assert!(told.contains("1 not indexed, listed in c/") && told.contains(kept), "{told}");
    assert_eq!(names(&work, "c"), ["a.jpg", "coins.png"]);
    work.run(["verify", "c"]).done();
}

#[test]
fn another_model_is_not_added_with() {
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    work.index("photos", "c", &SMALL).done();
    fs::copy(photo("moon.png"), work.at("photos/moon.png")).unwrap();
    let model = crate::workspace::fixture_model("sound");
    let run = work.run(["add", "c", "photos", "--model", model.to_str().unwrap()]).ended(1);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    assert_eq!(names(&work, "c"), ["coins.png"]);
    work.run(["add", "nothing", "photos"]).refused(1, &["nothing is not a collection", "patchdex index"]);
}
