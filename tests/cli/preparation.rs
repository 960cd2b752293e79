//! `--prepare` in each of its forms: what is stored, what the manifest says, that queries go through the same map.

use crate::workspace::{Workspace, hit_images, manifest, rows_of, stored};

const PHOTOS: [&str; 3] = ["coins.png", "coffee.png", "rocket.jpg"];

/// Indexes and asks for one of the images: it must find itself, which it does not when the query is prepared otherwise.
fn check(work: &Workspace, out: &str, prepare: &[&str], spec: &str, dim: usize) {
    work.index("photos", out, prepare).done();
    let manifest = manifest(&work.at(out));
    assert_eq!(manifest["preparation"]["spec"], spec, "{prepare:?}");
    assert_eq!(manifest["dim"], dim, "{prepare:?}");
    let kept = manifest["preparation"]["file"].is_object();
    assert_eq!(kept, spec != "none", "{prepare:?}");
    assert_eq!(work.at(out).join("preparation.pdx").is_file(), kept);
    let answer = work.run(["query", out, "photos/coffee.png", "--json"]).done().json();
    let (first, second) = (&answer["hits"][0], &answer["hits"][1]);
    assert_eq!(first["image"], "coffee.png", "{prepare:?}");
    let maxsim = |hit: &serde_json::Value| hit["scores"]["maxsim"].as_f64().unwrap();
    assert!((maxsim(first) - 1.0).abs() < 5e-3, "{prepare:?}: {first}");
    assert!(maxsim(second) < maxsim(first), "{prepare:?}");
}

#[test]
fn maps_that_keep_all_dimensions_answer() {
    let work = Workspace::new();
    work.photos(&PHOTOS);
    for (at, method) in ["none", "centre", "standardise", "remove:2"].iter().enumerate() {
        check(&work, &at.to_string(), &["--prepare", method], method, 384);
    }
}

#[test]
fn a_whitening_is_fitted_on_the_collection() {
    let work = Workspace::new();
    work.photos(&PHOTOS);
    check(&work, "a", &["--prepare", "whiten"], "whiten", 384);
    check(&work, "b", &["--prepare", "own:whiten"], "whiten", 384);
    assert!(stored(&work.at("a")) == stored(&work.at("b")));
    assert_eq!(manifest(&work.at("a"))["preparation"]["fitted_on"], "collection");
}

#[test]
fn maps_to_fewer_dimensions_store_fewer_numbers() {
    let work = Workspace::new();
    work.photos(&PHOTOS);
    check(&work, "pca", &["--prepare", "pca:16"], "pca:16", 16);
    check(&work, "drop", &["--prepare", "drop:100"], "drop:100", 284);
    work.write("dims.txt", "5\n0\n\n17\n383\n200\n201\n202\n203\n");
    check(&work, "keep", &["--prepare", "keep:dims.txt"], "keep:dims.txt", 8);
    let text = work.run(["inspect", "keep"]).done().stdout;
    assert!(text.contains("keep:dims.txt") && text.contains("of 8 numbers"), "{text}");
}

#[test]
fn dropping_dimensions_has_a_short_form() {
    let work = Workspace::new();
    work.photos(&PHOTOS);
    work.index("photos", "long", &["--prepare", "drop:100"]).done();
    work.index("photos", "short", &["--drop-dims", "100"]).done();
    assert!(stored(&work.at("long")) == stored(&work.at("short")));
    // Both are the same command: the short form finds the long one's result.
    let again = work.index("photos", "long", &["--drop-dims", "100", "--json"]).done().json();
    assert_eq!(again["unchanged"], true);
}

#[test]
fn the_preparation_of_another_collection_gives_the_same_vectors() {
    let work = Workspace::new();
    work.photos(&PHOTOS);
    work.index("photos", "first", &["--prepare", "remove:3"]).done();
    check(&work, "by-folder", &["--prepare", "file:first"], "remove:3", 384);
    check(&work, "by-file", &["--prepare", "file:first/preparation.pdx"], "remove:3", 384);
    for borrowed in ["by-folder", "by-file"] {
        assert!(stored(&work.at(borrowed)) == stored(&work.at("first")), "{borrowed}");
        let fitted_on = manifest(&work.at(borrowed))["preparation"]["fitted_on"].clone();
        assert!(fitted_on.as_str().unwrap().starts_with("first"), "{fitted_on}");
    }
}

#[test]
fn the_default_is_what_the_models_folder_brings() {
    let work = Workspace::new();
    work.photos(&PHOTOS);
    let model = work.model_copy(&crate::workspace::cached_model("dinov2-small-b7"), "m");
    work.index("photos", "plain", &["--model", model.to_str().unwrap()]).done();
    assert_eq!(manifest(&work.at("plain"))["preparation"]["spec"], "none");
    let fit = ["model", "prepare", "photos", "--method", "centre", "--long-sides", "112", "--model"];
    let run = work.run(fit.iter().copied().chain([model.to_str().unwrap()])).done();
    assert!(
        run.stderr.contains("centre fitted on") && run.stderr.contains("preparation.pdx"),
        "{}",
        run.stderr
    );
    work.index("photos", "prepared", &["--model", model.to_str().unwrap()]).done();
    let entry = manifest(&work.at("prepared"))["preparation"].clone();
    assert_eq!((&entry["spec"], &entry["fitted_on"]), (&"centre".into(), &"model".into()));
    work.index("photos", "own", &["--prepare", "centre", "--model", model.to_str().unwrap()]).done();
    // Fitted on the same tokens in the same order.
    assert_eq!(entry["digest"], manifest(&work.at("own"))["preparation"]["digest"]);
    // The collection keeps its own copy: a model folder that changes later does not change old answers.
    work.write("m/preparation.pdx", "damaged");
    let answer = work.run(["query", "prepared", "photos/coffee.png", "--json"]).done().json();
    assert_eq!(answer["hits"][0]["image"], "coffee.png");
    work.index("photos", "x", &["--model", model.to_str().unwrap()]).refused(1, &["m/preparation.pdx"]);
}

#[test]
fn preparations_that_cannot_be_are_refused_with_the_reason() {
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    work.write("empty.txt", "\n");
    work.write("twice.txt", "3\n3\n");
    work.write("large.txt", "1\n384\n");
    let refusals: [(&str, i32, &[&str]); 8] = [
        ("drop:384", 2, &["drop:384", "384 dimensions", "1 to 383"]),
        ("pca:0", 2, &["pca:0", "1 to 384"]),
        ("keep:gone.txt", 1, &["gone.txt"]),
        ("keep:empty.txt", 2, &["empty.txt", "one dimension a line"]),
        ("keep:twice.txt", 2, &["twice.txt", "line 2", "'3'"]),
        ("keep:large.txt", 2, &["large.txt", "line 2", "0 to 383"]),
        ("file:gone.pdx", 1, &["gone.pdx"]),
        ("file:twice.txt", 1, &["twice.txt"]),
    ];
    for (prepare, code, told) in refusals {
        work.index("photos", "c", &["--prepare", prepare]).refused(code, told);
        assert!(!work.at("c/manifest.json").exists(), "{prepare}");
    }
}

#[test]
fn layers_are_read_together_and_queries_follow() {
    let work = Workspace::new();
    work.photos(&["motorcycle_left.png", "motorcycle_right.png", "coffee.png"]);
    let model = ["--model", "dinov2-small", "--prepare", "none", "--layer"];
    work.index("photos", "both.pdx", &[&model[..], &["6+last"]].concat()).done();
    let made = manifest(&work.at("both.pdx"));
    assert_eq!(made["model"]["output"], "hidden_states.6+last_hidden_state");
    assert_eq!((&made["model"]["hidden_size"], &made["dim"]), (&768.into(), &768.into()));
    // Each half is what its layer alone gives: cosines of the whole are the mean of theirs.
    let similarities = |layer: &str| {
        let out = format!("{layer}.pdx");
        work.index("photos", &out, &[&model[..], &[layer]].concat()).done();
        work.run(["export", out.as_str(), "rows.npy", "--force"]).done();
        let (rows, dim) = rows_of(&work.at("rows.npy"));
        let row = |at: usize| &rows[at * dim..][..dim];
        [(0, 1), (3, 90), (10, 70)].map(|(a, b)| row(a).iter().zip(row(b)).map(|(a, b)| a * b).sum::<f32>())
    };
    let [both, sixth, last] = ["6+last", "6", "last"].map(similarities);
    for ((both, sixth), last) in both.into_iter().zip(sixth).zip(last) {
        assert!((both - (sixth + last) / 2.0).abs() < 2e-3, "{both} {sixth} {last}");
    }
    let found =
        work.run(["query", "both.pdx", "photos/motorcycle_left.png", "--box", "300,190,170,150", "--json"]);
    assert_eq!(hit_images(&found.done().json())[..2], ["motorcycle_left.png", "motorcycle_right.png"]);
    let other = [&model[..], &["6+99"]].concat();
    work.index("photos", "other.pdx", &other).refused(1, &["hidden_states.12"]);
    work.index("photos", "other.pdx", &[&model[..], &["6+x"]].concat()).refused(2, &["read together"]);
}
