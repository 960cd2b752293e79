//! Model folders that `tools/export` makes of every family, held against other code and opened by the built binary.
//!
//! The other half is `tools/check_exports.py`, which makes the folders: small models of each family's true architecture, with random weights.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests write files, and a failed unwrap is a failed test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Long side at which pictures of 640 px go through the small models.
const LONG_SIDE: &str = "160";
/// The box that is asked for, and the photograph that shows it.
const BOX: [f64; 4] = [300.0, 190.0, 170.0, 150.0];
const PHOTOGRAPHS: [&str; 3] = ["motorcycle_left.png", "coffee.png", "rocket.jpg"];

fn succeed(output: Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    stdout.into_owned()
}

fn patchdex(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_patchdex")).args(arguments).output().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&succeed(patchdex(arguments))).unwrap()
}

/// The model folders that were made, by their names.
fn folders(work: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["library", "authors"]
        .iter()
        .flat_map(|made| std::fs::read_dir(work.join(made)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

#[test]
fn every_family_agrees_with_other_code_and_finds_what_it_is_asked_for() {
    let work = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/check_exports.py");
    let told = succeed(Command::new("python3").arg(script).arg(work.path()).output().unwrap());
    if told.contains("SKIPPED") {
        assert!(!work.path().join("library").exists(), "{told}");
        return;
    }
    let photographs = work.path().join("photographs");
    std::fs::create_dir(&photographs).unwrap();
    for name in PHOTOGRAPHS {
        let source = patchdex::model::cache_dir().join("photos").join(name);
        std::fs::copy(&source, photographs.join(name)).unwrap();
    }
    let made = folders(work.path());
    assert_eq!(made.len(), 12 + 13, "{made:?}");
    for folder in &made {
        opens(folder);
        finds(folder, &photographs, &["--layer", "1"]);
    }
    for name in ["same", "finer", "coarser"] {
        let folder = work.path().join(format!("fused/fused-{name}"));
        let report = json(&["model", "check", folder.to_str().unwrap(), "--long-side", LONG_SIDE, "--json"]);
        assert_eq!(
            (&report["prefix_tokens"], &report["licence"]),
            (&0.into(), &"CC0-1.0".into()),
            "{report}"
        );
        finds(&folder, &photographs, &[]);
    }
    let precise = work.path().join("library/dino");
    for variant in ["fp16", "int8", "int8_static"] {
        let arguments = ["--long-side", LONG_SIDE, "--variant", variant];
        succeed(patchdex(&[&["model", "check", precise.to_str().unwrap()], &arguments[..]].concat()));
    }
}

#[test]
fn what_cannot_be_exported_is_refused_with_a_reason() {
    let work = tempfile::tempdir().unwrap();
    let out = work.path().join("out");
    let refused = |arguments: &[&str], reason: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/export");
        let run = Command::new("python3").arg(script).args(arguments).arg("--fetch-torch").output().unwrap();
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success() && told.contains(reason), "{arguments:?}: {told}");
        assert!(!told.contains("Traceback") && !out.exists(), "{arguments:?}: {told}");
    };
    let to = out.to_str().unwrap();
    refused(&["dinov3", "dinov3-vits16", "--out", to], "--accept-licence");
    refused(&["dino", "mae-vitb16", "--out", to], "is of the family mae");
    refused(&["vgg", "vgg16", "--out", to], "no family 'vgg'");
    refused(&["simmim", "simmim-vitb16", "--out", to], "simmim_pretrain__vit_base__img224__800ep.pth");
    refused(&["dino", "nothing", "--out", to], "--list");
    refused(&["--quantize", "dynamic", to], "is no model folder");
    refused(&["--fuse", to, to, "--out", to], "is no model folder");
}

/// The binary finds in the graph what the folder says of it, at a size that is no square.
fn opens(folder: &Path) {
    let name = folder.to_str().unwrap();
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    let report =
        json(&[&["model", "check", name, "--long-side", LONG_SIDE, "--json"], further(folder)].concat());
    assert_eq!(report["prefix_tokens"], config["patchdex"]["prefix_tokens"], "{name}");
    assert_eq!(report["size"], "dynamic", "{name}");
    assert_eq!((&report["grid"][0], &report["grid"][1]), (&13.into(), &20.into()), "{name}");
    let outputs: Vec<&str> = report["graph"]["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["name"].as_str().unwrap())
        .collect();
    assert_eq!(outputs, ["hidden_states.1", "last_hidden_state"], "{name}");
    if !further(folder).is_empty() {
        let refused = patchdex(&["model", "check", name]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("--input gsd=NUMBER"), "{refused:?}");
    }
}

/// An index of three photographs, and a box of one of them.
fn finds(folder: &Path, photographs: &Path, layer: &[&str]) {
    let collection = folder.with_extension("pdx");
    let (name, images, out) =
        (folder.to_str().unwrap(), photographs.to_str().unwrap(), collection.to_str().unwrap());
    let index = ["index", images, "--out", out, "--model", name, "--long-side", LONG_SIDE];
    succeed(patchdex(&[&index, layer, further(folder)].concat()));
    let picture = photographs.join(PHOTOGRAPHS[0]);
    let asked = BOX.map(|side| side.to_string()).join(",");
    let answer = json(&["query", out, picture.to_str().unwrap(), "--box", &asked, "--top", "1", "--json"]);
    let hit = &answer["hits"][0];
    assert_eq!(hit["image"], PHOTOGRAPHS[0], "{name}: {hit}");
    let found: Vec<f64> = hit["box"].as_array().unwrap().iter().map(|side| side.as_f64().unwrap()).collect();
    assert!(found.iter().zip(BOX).all(|(one, other)| (one - other).abs() < 8.0), "{name}: {hit}");
    std::fs::remove_dir_all(&collection).unwrap();
}

/// What the family's graph wants beside the picture.
fn further(folder: &Path) -> &'static [&'static str] {
    if folder.ends_with("scale-mae") { &["--input", "gsd=0.3"] } else { &[] }
}
