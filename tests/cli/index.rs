//! `patchdex index`: which images, in which order, what is printed, forecasts, threads, the same command again.

use patchdex::core::Bbox;
use serde_json::{Value, json};

use crate::workspace::{
    Run, Workspace, box_of, files_below, fixture_model, keys, manifest, patchdex, stored,
};

fn paths(work: &Workspace, collection: &str) -> Vec<String> {
    let listed = work.run(["inspect", collection, "--images", "--json"]).done().json();
    let images = listed["images"].as_array().unwrap().iter();
    images.map(|image| image["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_folder_files_a_pattern_and_a_list_give_the_same_collection() {
    let work = Workspace::new();
    work.photos(&["moon.png", "coins.png"]);
    work.write("photos/Z/camera.png", std::fs::read(crate::workspace::photo("camera.png")).unwrap());
    work.write("photos/notes.txt", "not looked at");
    work.write("photos/list.txt", "moon.png\nZ/camera.png\r\n\ncoins.png\n");
    work.index("photos", "folder", &[]).done();
    let files = ["photos/moon.png", "photos/coins.png", "photos/Z/camera.png"];
    let fixed = ["--out", "files", "--long-side", "112"];
    work.run(["index"].iter().chain(&files).chain(&fixed)).done();
    work.index("photos/**/*.png", "pattern", &[]).done();
    work.run(["index", "--files-from", "photos/list.txt", "--out", "list", "--long-side", "112"]).done();
    assert_eq!(paths(&work, "folder"), ["Z/camera.png", "coins.png", "moon.png"]);
    let expected = stored(&work.at("folder"));
    for other in ["files", "pattern", "list"] {
        assert!(stored(&work.at(other)) == expected, "{other}: {:?}", paths(&work, other));
    }
}

#[test]
fn standard_output_is_data_and_standard_error_is_messages() {
    let work = Workspace::new();
    work.photos(&["moon.png", "coins.png"]);
    let with_json = work.index("photos", "a", &["--json"]).done();
    let object = with_json.json();
    let promised =
        ["collection", "embedded_views", "images", "patches", "rejects", "resumed", "seconds", "unchanged"];
    assert_eq!(keys(&object), promised);
    assert_eq!(object["images"], 2);
    assert_eq!(object["unchanged"], false);
    assert_eq!(with_json.stderr, "");
    let plain = work.index("photos", "b", &[]).done();
    assert_eq!(plain.stdout, "");
    assert!(plain.stderr.contains("b: 2 images") && plain.stderr.contains("patches"), "{}", plain.stderr);
    assert!(!plain.stderr.contains('\x1b'), "colours and bars are for terminals");
}

#[test]
fn a_dry_run_forecasts_what_then_happens_and_writes_nothing() {
    let work = Workspace::new();
    let photos = work.photos(&["moon.png", "coins.png", "rocket.jpg"]);
    std::fs::copy(photos.join("moon.png"), photos.join("moon again.png")).unwrap();
    work.write("photos/text.jpg", "not an image");
    let before = files_below(&work.at(""));
    let options: [&[&str]; 5] = [
        &["--long-side", "224"],
        &["--long-side", "112", "--views", "tiles:256", "--vectors", "f32"],
        &["--long-side", "224", "--vectors", "i8", "--prepare", "none"],
        &["--long-side", "224", "--keep-raw", "--drop-dims", "100"],
        &["--long-side", "112", "--prepare", "pca:32"],
    ];
    for (at, options) in options.iter().enumerate() {
        let out = at.to_string();
        let forecast =
            work.index("photos", &out, &[options, &["--dry-run", "--json"][..]].concat()).done().json();
        assert!(!work.at(&out).exists(), "{options:?}");
        let made = work.index("photos", &out, &[options, &["--json"][..]].concat()).ended(3).json();
        assert_eq!(forecast["images"], 4);
        assert_eq!(
            (&forecast["images"], &forecast["patches"]),
            (&made["images"], &made["patches"]),
            "{options:?}"
        );
        assert_eq!(forecast["views"], made["embedded_views"], "{options:?}");
        assert_eq!(forecast["rejects"], 1);
        let real: usize = files_below(&work.at(&out)).values().map(Vec::len).sum();
        let said = forecast["bytes"].as_f64().unwrap();
        assert!((said / real as f64 - 1.0).abs() < 0.06, "{options:?}: {said} said, {real} made");
        assert!(forecast["seconds"].as_f64().unwrap() > 0.0);
        std::fs::remove_dir_all(work.at(&out)).unwrap();
    }
    assert!(files_below(&work.at("")) == before);
    let text = work.index("photos", "x", &["--dry-run"]).done();
    assert!(text.stdout.contains("4 images") && text.stdout.contains("patches"), "{}", text.stdout);

    work.write("taken/letter.txt", "mine");
    work.index("photos", "taken", &["--dry-run"]).refused(2, &["taken", "letter.txt", "another folder"]);
    work.index("photos", "made", &["--long-side", "112"]).ended(3);
    work.index("photos", "made", &["--long-side", "112", "--dry-run"]).done();
    work.index("photos", "made", &["--long-side", "224", "--dry-run"]).refused(2, &["made", "other options"]);
}

#[test]
fn tiles_add_views_where_an_image_is_larger_than_a_tile() {
    let work = Workspace::new();
    work.photos(&["moon.png", "coins.png"]);
    let plain = work.index("photos", "plain", &["--json"]).done().json();
    let tiled = work.index("photos", "tiled", &["--json", "--views", "tiles:300/40"]).done().json();
    assert_eq!(plain["embedded_views"], 2);
    // 512x512 in 2x2 tiles, 384x303 in 2x2.
    assert_eq!(tiled["embedded_views"], 10);
    assert!(tiled["patches"].as_u64() > plain["patches"].as_u64());
    assert_eq!(manifest(&work.at("tiled"))["views"]["tiles"], json!({"side_px": 300, "overlap_px": 40}));
    let text = work.run(["inspect", "tiled"]).done().stdout;
    assert!(text.contains("tiles of 300 px overlapping by 40 px"), "{text}");
    let pyramid = work.index("photos", "pyramid", &["--json", "--views", "pyramid"]).done().json();
    assert_eq!(pyramid["embedded_views"], 10);
    assert_eq!(manifest(&work.at("pyramid"))["views"]["pyramid"], true);
    assert!(work.run(["inspect", "pyramid"]).done().stdout.contains("overlapping quarters"));
    // What is added later is seen in the same way.
    work.photos(&["cell.png"]);
    assert_eq!(work.run(["add", "pyramid", "photos", "--json"]).done().json()["embedded_views"], 5);
    let query =
        work.run(["query", "pyramid", "photos/moon.png", "--box", "100,100,200,200", "--json"]).done().json();
    assert_eq!(query["hits"][0]["image"], "moon.png");
    let found = box_of(&query["hits"][0]);
    assert!(found.iou(&Bbox::new(100.0, 100.0, 200.0, 200.0)) > 0.7, "{found}");
}

#[test]
fn the_files_are_the_same_for_any_number_of_threads() {
    let work = Workspace::new();
    work.photos(&["moon.png", "coins.png", "rocket.jpg", "coffee.png", "camera.png"]);
    let make = |out: &str, threads: &str| {
        let options =
            ["--threads", threads, "--prepare", "own:standardise", "--views", "tiles:400", "--vectors", "i8"];
        work.index("photos", out, &options).done();
        stored(&work.at(out))
    };
    let one = make("one", "1");
    assert_eq!(one.len(), 4, "{:?}", one.keys());
    assert!(make("two", "2") == one);
    assert!(make("five", "5") == one);
}

#[test]
fn views_in_batches_answer_as_single_ones_do() {
    let work = Workspace::new();
    work.photos(&["moon.png", "coins.png", "coffee.png"]);
    let ask = |out: &str, batch: &str| {
        work.index("photos", out, &["--views", "tiles:200", "--batch", batch, "--json"]).done();
        let answer =
            work.run(["query", out, "photos/coins.png", "--box", "100,50,150,150", "--json"]).done().json();
        (manifest(&work.at(out))["segments"][0]["patches"].clone(), answer["hits"][0].clone())
    };
    let ((patches, single), (batched_patches, batched)) = (ask("single", "1"), ask("batched", "6"));
    assert_eq!(patches, batched_patches);
    assert_eq!((&single["image"], &single["rank"]), (&batched["image"], &batched["rank"]));
    let gap = single["score"].as_f64().unwrap() - batched["score"].as_f64().unwrap();
    assert!(gap.abs() < 1e-3, "{gap}");
}

#[test]
fn the_same_command_again_embeds_nothing_and_changes_nothing() {
    let work = Workspace::new();
    work.photos(&["moon.png", "coins.png"]);
    work.write("photos/text.jpg", "not an image");
    let first = work.index("photos", "c", &["--json"]).ended(3).json();
    let before = files_below(&work.at("c"));
    let again = work.index("photos", "c", &["--json"]).ended(3).json();
    assert_eq!((&again["unchanged"], &again["embedded_views"]), (&true.into(), &0.into()));
    for key in ["images", "patches", "rejects"] {
        assert_eq!(again[key], first[key], "{key}");
    }
    let told = work.index("photos", "c", &["--threads", "1"]).ended(3);
    assert!(told.stderr.contains("up to date: 2 images"), "{}", told.stderr);
    assert!(files_below(&work.at("c")) == before);
}

#[test]
fn a_finished_collection_is_not_taken_for_one_of_other_images() {
    let work = Workspace::new();
    let photos = work.photos(&["moon.png", "coins.png"]);
    let coffee = std::fs::read(crate::workspace::photo("coffee.png")).unwrap();
    work.index("photos", "c", &[]).done();
    let before = files_below(&work.at("c"));
    work.write("photos/new.png", &coffee);
    work.index("photos", "c", &[]).refused(2, &["finished collection", "1 new or changed", "patchdex add"]);
    std::fs::remove_file(photos.join("new.png")).unwrap();
    work.index("photos", "c", &[]).done();
    std::fs::rename(photos.join("moon.png"), work.at("moon.png")).unwrap();
    work.index("photos", "c", &[]).refused(2, &["0 new or changed, 1 gone", "patchdex remove --missing"]);
    work.write("photos/moon.png", &coffee);
    work.index("photos", "c", &[]).refused(2, &["1 new or changed, 0 gone", "patchdex add"]);
    assert!(files_below(&work.at("c")) == before);
    work.run(["verify", "c"]).done();
}

#[test]
fn other_options_do_not_touch_a_finished_collection() {
    let work = Workspace::new();
    work.photos(&["moon.png", "coins.png"]);
    work.index("photos", "c", &[]).done();
    let before = files_below(&work.at("c"));
    for options in [
        &["--vectors", "f32"][..],
        &["--prepare", "centre"],
        &["--views", "tiles:256"],
        &["--long-side", "56"],
    ] {
        work.index("photos", "c", options).refused(2, &["already holds a collection", "another folder"]);
    }
    assert!(files_below(&work.at("c")) == before);
}

#[test]
fn every_kind_of_vectors_is_stored_and_answers() {
    let work = Workspace::new();
    work.photos(&["moon.png", "coins.png", "coffee.png"]);
    let mut scores = Vec::new();
    for (kind, row_bytes) in [("f32", 1536), ("f16", 768), ("i8", 388)] {
        let made = work.index("photos", kind, &["--vectors", kind, "--json"]).done().json();
        let vectors = std::fs::metadata(work.at(kind).join("segments/000001/vectors.pdx")).unwrap().len();
        let rows = made["patches"].as_u64().unwrap() * row_bytes;
        assert!((rows..rows + 4096).contains(&vectors), "{kind}: {vectors} for {rows}");
        let answer = work.run(["query", kind, "photos/coins.png", "--json"]).done().json();
        assert_eq!(answer["hits"][0]["image"], "coins.png", "{kind}");
        scores.push(answer["hits"][1]["score"].as_f64().unwrap());
    }
    assert!(scores.iter().all(|score| (score - scores[0]).abs() < 0.02), "{scores:?}");
}

#[test]
fn settings_come_from_the_environment_and_flags_win() {
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    let sound = fixture_model("sound");
    let index = |out: &str, settings: &[(&str, &str)], more: &[&str]| {
        let mut command = patchdex();
        command.current_dir(work.at("")).envs(settings.iter().copied());
        Run::of(command.args(["index", "photos", "--long-side", "56", "--out", out]).args(more))
    };
    index("a", &[("PATCHDEX_MODEL", sound.to_str().unwrap())], &[]).done();
    assert_eq!(manifest(&work.at("a"))["model"]["name"], "sound");
    let named = ["--model", "dinov2-small-b7", "--threads", "1"];
    index("b", &[("PATCHDEX_MODEL", sound.to_str().unwrap()), ("PATCHDEX_THREADS", "3")], &named).done();
    assert_eq!(manifest(&work.at("b"))["model"]["name"], "dinov2-small-b7");
    index("c", &[("PATCHDEX_THREADS", "many")], &[]).refused(2, &["--threads", "many"]);
    index("c", &[("PATCHDEX_THREADS", "0")], &[]).refused(2, &["--threads", "1..=1024"]);
    index("c", &[("PATCHDEX_MODEL", "no-such-model")], &[])
        .refused(1, &["no-such-model", "patchdex model list"]);
}

#[test]
fn values_that_cannot_be_meant_are_usage_errors() {
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    let values: [(&[&str], &str); 13] = [
        (&["--long-side", "3"], "16..=4096"),
        (&["--vectors", "f8"], "f16"),
        (&["--index", "annoy"], "exact"),
        (&["--metric", "hamming"], "cosine"),
        (&["--views", "quarters"], "pyramid"),
        (&["--views", "tiles:8"], "16 px"),
        (&["--views", "tiles:256/200"], "half"),
        (&["--memory", "lots"], "512M"),
        (&["--batch", "0"], "1..=256"),
        (&["--threads", "0"], "1..=1024"),
        (&["--prepare", "bleach"], "whiten"),
        (&["--prepare", "none", "--drop-dims", "3"], "--drop-dims"),
        (&["--input", "gsd"], "NAME=NUMBER"),
    ];
    for (arguments, told) in values {
        work.index("photos", "c", arguments).refused(2, &[told]);
    }
    work.run(["index", "photos"]).refused(2, &["--out"]);
    work.run(["index", "--out", "c"]).refused(2, &["IMAGES"]);
    assert!(!work.at("c").exists());
}

#[test]
fn inputs_that_are_not_there_are_named() {
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    work.index("gone", "c", &[]).refused(1, &["gone", "no such file or folder"]);
    work.index("photos/*.webp", "c", &[]).refused(1, &["photos/*.webp", "pattern"]);
    work.run(["index", "--files-from", "gone.txt", "--out", "c"]).refused(1, &["gone.txt"]);
    work.write("list.txt", "photos/moon.png\nphotos/gone.png\n");
    let run =
        work.run(["index", "--files-from", "list.txt", "--out", "c", "--long-side", "56", "--json"]).ended(3);
    let rejects: Value = run.json()["rejects"].clone();
    assert_eq!((&rejects[0]["path"], &rejects[0]["reason"]), (&"gone.png".into(), &"unreadable".into()));
    assert_eq!(run.json()["images"], 1);
}
