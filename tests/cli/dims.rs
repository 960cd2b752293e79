//! `patchdex dims`, `patchdex tune` and `index --drop-dims auto`: a model that is damaged in known dimensions is mended, the whole one
//! is left alone.

use std::path::PathBuf;

use patchdex::model::cache_dir;
use serde_json::Value;

use crate::workspace::{Workspace, keys, manifest};

const PHOTOS: [&str; 3] = ["astronaut.png", "chelsea.png", "coffee.png"];

/// The default model with 24 dimensions of large numbers that say nothing (`tools/damage_model.py`).
fn damaged_model() -> PathBuf {
    let folder = cache_dir().join("test-models/dinov2-small-b7-damaged");
    assert!(folder.join("made-from").is_file(), "make it with python3 tools/damage_model.py");
    folder
}

fn is_damaged(dim: u64) -> bool {
    dim >= 5 && (dim - 5).is_multiple_of(16)
}

fn same_patch(report: &Value, condition: &str) -> f64 {
    report["metrics"][format!("same_patch.{condition}")]["value"].as_f64().unwrap()
}

#[test]
fn what_is_damaged_is_found_and_dropped() {
    let work = Workspace::new();
    work.photos(&PHOTOS);
    let model = damaged_model();
    let run = work.index("photos", "c", &["--model", model.to_str().unwrap(), "--drop-dims", "auto"]).done();
    assert!(run.stderr.contains("24 dimensions of highest variance dropped"), "{}", run.stderr);
    assert_eq!(manifest(&work.at("c"))["preparation"]["spec"], "drop:24");
    // A dry run finds what to drop, too: the collection is of the same options.
    let again = ["--model", model.to_str().unwrap(), "--drop-dims", "auto", "--dry-run"];
    work.index("photos", "c", &again).done();

    let args =
        ["dims", "c", "--curve", "--keep-list", "keep.txt", "--json", "--html", "p.html", "--csv", "f.csv"];
    let report = work.run(args).done().json();
    let dims = report["profile"]["dims"].as_array().unwrap();
    assert!(dims[..24].iter().all(|one| is_damaged(one["dim"].as_u64().unwrap())), "{:?}", &dims[..24]);
    assert!(dims[23]["variance"].as_f64().unwrap() > 100.0 * dims[24]["variance"].as_f64().unwrap());
    assert_eq!(report["curve"]["drop"], 24);
    let kept = std::fs::read_to_string(work.at("keep.txt")).unwrap();
    let kept: Vec<u64> = kept.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(kept.len(), 360);
    assert!(!kept.iter().any(|&dim| is_damaged(dim)));
    assert_eq!(std::fs::read_to_string(work.at("f.csv")).unwrap().lines().count(), 385);
    assert!(std::fs::read_to_string(work.at("p.html")).unwrap().contains("What dropping does"));

    // With the list applied it is as good as the whole model.
    let identify = |model: &str, prepare: &str| {
        let run = work.run([
            "eval",
            "identify",
            "photos",
            "--model",
            model,
            "--prepare",
            prepare,
            "--only",
            "rotation",
            "--tiles",
            "8",
            "--json",
        ]);
        same_patch(&run.done().json(), "rotation.10")
    };
    let model = model.to_str().unwrap().to_owned();
    let whole = identify("dinov2-small-b7", "none");
    let [damaged, mended] = ["none", "keep:keep.txt"].map(|prepare| identify(&model, prepare));
    assert!(damaged < 0.5 * whole && mended > 0.95 * whole, "{damaged} {mended} {whole}");
}

#[test]
fn of_a_whole_model_nothing_is_dropped() {
    let work = Workspace::new();
    work.photos(&PHOTOS);
    let run = work.index("photos", "c", &["--drop-dims", "auto", "--keep-raw"]).done();
    assert!(run.stderr.contains("no dimension is dropped"), "{}", run.stderr);
    // As without --drop-dims: what the model brings.
    assert_eq!(manifest(&work.at("c"))["preparation"]["spec"], "whiten");
    // The same images share all of their most variable dimensions; what was kept need not be embedded.
    let run = work.run(["dims", "c", "--with", "c"]).done();
    assert!(run.stdout.contains("as they were kept") && run.stdout.contains("200 of 200"), "{}", run.stdout);
    work.run(["dims", "c", "--keep-list", "k"]).refused(2, &["--drop N"]);
    work.run(["dims", "c", "--keep-list", "k", "--drop", "384"]).refused(2, &["leaves nothing"]);
    work.run(["index", "photos", "--out", "d", "--drop-dims", "some"]).refused(2, &["or auto"]);
}

#[test]
fn tune_prefers_middle_layers_and_whitening_on_the_default_backbone() {
    let work = Workspace::new();
    work.photos(&PHOTOS);
    let args = [
        "tune",
        "photos",
        "--model",
        "dinov2-small",
        "--layers",
        "7,last",
        "--prepare",
        "none,whiten",
        "--tiles",
        "8",
    ];
    let report =
        work.run([&args[..], &["--json", "--html", "p.html", "--csv", "f.csv"]].concat()).done().json();
    let shape = [
        "chosen",
        "conditions",
        "created_by",
        "data",
        "machine",
        "model",
        "model_digest",
        "protocol",
        "seconds",
        "settings",
        "similarity",
        "variant",
    ];
    assert_eq!(keys(&report), shape);
    let settings: Vec<(&str, &str)> = report["settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["output"].as_str().unwrap(), one["preparation"].as_str().unwrap()))
        .collect();
    assert_eq!(settings[0], ("hidden_states.7", "whiten"));
    assert_eq!(settings[3], ("last_hidden_state", "none"));
    assert!(std::fs::read_to_string(work.at("p.html")).unwrap().contains("hidden_states.7 with whiten"));
    assert_eq!(std::fs::read_to_string(work.at("f.csv")).unwrap().lines().count(), 5);
    let quick =
        ["tune", "photos", "--model", "dinov2-small", "--layers", "7", "--prepare", "whiten", "--tiles", "2"];
    let table = work.run(quick).done().stdout;
    assert!(table.contains("--model dinov2-small --output hidden_states.7 --prepare whiten"), "{table}");
    work.run([&args[..5], &["99"]].concat()).refused(1, &["hidden_states.12"]);
}
