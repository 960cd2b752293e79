//! `repair`: what is rebuilt, what is set aside, what is said to be lost. Nothing is deleted.

use std::fs;
use std::path::Path;

use crate::workspace::{Workspace, files_below, photo};

/// Two segments: the first of coins and moon, the second of rocket; metadata, and raw tokens where `more` says so.
fn sample(work: &Workspace, more: &[&str]) {
    work.photos(&["coins.png", "moon.png"]);
    work.write("meta.csv", "image,camera\ncoins.png,c1\nmoon.png,c2\n");
    work.index("photos", "c", &[&["--metadata", "meta.csv"], more].concat()).done();
    fs::copy(photo("rocket.jpg"), work.at("photos/rocket.jpg")).unwrap();
    work.run(["add", "c", "photos"]).done();
}

/// Flips a bit in the middle of a file; gives the bytes as they are now.
fn damage(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() / 3;
    bytes[at] ^= 4;
    fs::write(path, &bytes).unwrap();
    bytes
}

/// The damaged bytes are still somewhere below `quarantine/`.
fn is_kept(work: &Workspace, damaged: &[u8]) {
    let kept = files_below(&work.at("c/quarantine"));
    assert!(kept.values().any(|bytes| bytes == damaged), "{:?}", kept.keys());
}

#[test]
fn a_sound_collection_is_left_as_it_is() {
    let work = Workspace::new();
    sample(&work, &[]);
    let before = crate::workspace::stored(&work.at("c"));
    let run = work.run(["repair", "c"]).done();
    assert!(run.stderr.contains("nothing to repair"), "{}", run.stderr);
    assert!(crate::workspace::stored(&work.at("c")) == before);
}

#[test]
fn vectors_are_rebuilt_from_raw_tokens_as_they_were() {
    let work = Workspace::new();
    sample(&work, &["--keep-raw", "--vectors", "i8"]);
    let path = work.at("c/segments/000001/vectors.pdx");
    let whole = fs::read(&path).unwrap();
    let damaged = damage(&path);
    work.run(["verify", "c"]).ended(1);
    let run = work.run(["repair", "c", "--json"]).done().json();
    assert_eq!(run["lost"], serde_json::json!([]));
    let rebuilt = run["rebuilt"][0].as_str().unwrap();
    assert!(rebuilt.contains("vectors") && !rebuilt.contains("'patchdex repair'"), "{run}");
    work.run(["verify", "c"]).done();
    is_kept(&work, &damaged);
    assert!(fs::read(work.at("c/segments/000001/vectors-3.pdx")).unwrap() == whole);
}

#[test]
fn what_cannot_be_rebuilt_is_set_aside_and_embedded_again() {
    let work = Workspace::new();
    sample(&work, &[]);
    let damaged = damage(&work.at("c/segments/000001/vectors.pdx"));
    let run = work.run(["repair", "c"]).ended(3);
    assert_eq!(run.stdout, "coins.png\nmoon.png\n");
    assert!(run.stderr.contains("lost 2 images") && run.stderr.contains("patchdex add"), "{}", run.stderr);
    is_kept(&work, &damaged);
    work.run(["verify", "c"]).done();
    let answer = work.run(["query", "c", "photos/rocket.jpg", "--json"]).done().json();
    assert_eq!(crate::workspace::hit_images(&answer), ["rocket.jpg"]);
    let added = work.run(["add", "c", "photos", "--json"]).done().json();
    assert_eq!((&added["added"], &added["images"]), (&2.into(), &3.into()));
    work.run(["compact", "c"]).done();
    is_kept(&work, &damaged);
}

#[test]
fn lost_metadata_is_attached_again_as_repair_says() {
    let work = Workspace::new();
    sample(&work, &[]);
    damage(&work.at("c/segments/000001/metadata.pdx"));
    let told = work.run(["repair", "c"]).ended(3).stderr;
    assert!(told.contains("'patchdex add c --metadata FILE'") && told.contains("1 file set aside"), "{told}");
    assert!(!told.contains("IMAGES"), "{told}");
    work.run(["add", "c", "--metadata", "meta.csv"]).done();
    let answer = work.run(["query", "c", "photos/moon.png", "--json"]).done().json();
    assert_eq!(answer["hits"][0]["metadata"]["camera"], "c2");
}

#[test]
fn other_files_of_a_segment_are_given_up_one_by_one() {
    let work = Workspace::new();
    sample(&work, &["--keep-raw"]);
    damage(&work.at("c/segments/000001/metadata.pdx"));
    damage(&work.at("c/segments/000001/raw.pdx"));
    damage(&work.at("c/segments/000002/images.pdx"));
    let run = work.run(["repair", "c", "--json"]).ended(3).json();
    let lost: Vec<&str> = run["lost"].as_array().unwrap().iter().map(|what| what.as_str().unwrap()).collect();
    assert_eq!(lost.len(), 3, "{lost:?}");
    assert!(
        lost[0].contains("tokens") && lost[1].contains("metadata") && lost[2].contains("names are not known"),
        "{lost:?}"
    );
    work.run(["verify", "c"]).done();
    let answer = work.run(["query", "c", "photos/moon.png", "--json"]).done().json();
    assert_eq!(answer["hits"][0]["image"], "moon.png");
    work.run(["prepare", "c", "centre"]).refused(1, &["--keep-raw"]);
}

#[test]
fn manifest_and_preparation_come_back_from_where_they_have_copies() {
    let work = Workspace::new();
    sample(&work, &[]);
    for name in ["manifest.json", "manifest.backup.json", "preparation.pdx", "rejects.jsonl"] {
        let path = work.at("c").join(name);
        if name == "rejects.jsonl" {
            fs::write(&path, "damage").unwrap();
        } else {
            damage(&path);
        }
        work.run(["verify", "c"]).ended(1);
        let code = if name == "rejects.jsonl" { 3 } else { 0 };
        work.run(["repair", "c"]).ended(code);
        work.run(["verify", "c"]).done();
        let answer = work.run(["query", "c", "photos/moon.png", "--json"]).done().json();
        assert_eq!(answer["hits"][0]["image"], "moon.png", "{name}");
    }
    // Both copies gone: nothing is guessed.
    fs::write(work.at("c/manifest.json"), "{}").unwrap();
    fs::write(work.at("c/manifest.backup.json"), "{}").unwrap();
    let before = files_below(&work.at("c"));
    let refused = work.run(["repair", "c"]).refused(1, &["manifest.json", "restore it from a copy"]);
    assert!(!refused.stderr.contains("'patchdex repair'"), "{}", refused.stderr);
    assert!(files_below(&work.at("c")) == before);
}
