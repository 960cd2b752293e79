//! `patchdex import`: what goes in comes out again, from vector files and from Parquet; what can be done with such a
//! collection; files whose rows do not make images.

use std::path::{Path, PathBuf};

use patchdex::exchange::{ColumnKind, MetadataColumn, ParquetWriter, PatchRows};
use serde_json::{Value, json};

use crate::workspace::{Workspace, manifest, patches_of, rows_of, stored, write_rows};

/// Rows that no two of are alike.
fn rows(count: usize, dim: usize, seed: usize) -> Vec<f32> {
    let number = |at: usize| (((at + seed) * 2_654_435_761 % 1_000_003) as f32 / 500_000.0) - 1.0;
    (0..count * dim).map(number).collect()
}

/// An image of a Parquet file: name, boxes, vectors of 2 numbers, value of column `label`.
type Shown<'a> = (&'a str, &'a [[f32; 4]], &'a [f32], Option<Value>);

fn write_patches(path: &Path, images: &[Shown<'_>]) {
    let columns = vec![MetadataColumn { name: "label".to_owned(), kind: ColumnKind::Text }];
    let mut file = ParquetWriter::create(path, 2, columns).unwrap();
    for (image, boxes, vectors, label) in images {
        let metadata = std::slice::from_ref(label);
        file.push(&PatchRows { image, boxes, vectors, metadata }).unwrap();
    }
    file.finish().unwrap();
}

#[test]
fn rows_of_a_vector_file_come_out_as_they_went_in() {
    let work = Workspace::new();
    let numbers = rows(9000, 7, 0);
    write_rows(&work.at("base.fvecs"), &numbers, 7);
    let told = work.run(["import", "base.fvecs", "--out", "c", "--metric", "dot", "--json"]).done().json();
    assert_eq!((&told["images"], &told["patches"], &told["dim"]), (&1.into(), &9000.into(), &7.into()));
    work.run(["export", "c", "out.npy"]).done();
    assert!(rows_of(&work.at("out.npy")) == (numbers, 7));
    work.run(["verify", "c", "--full"]).done();

    let manifest = manifest(&work.at("c"));
    assert_eq!((&manifest["model"]["digest"], &manifest["model"]["name"]), (&"".into(), &"imported".into()));
    assert_eq!((&manifest["vectors"], &manifest["metric"]), (&"f32".into(), &"dot".into()));
    let root = std::fs::canonicalize(work.at("")).unwrap();
    assert_eq!(std::fs::canonicalize(manifest["root"].as_str().unwrap()).unwrap(), root);
    let text = work.run(["inspect", "c", "--images"]).done().stdout;
    for part in ["imported vectors", "base.fvecs  1x9000", "9,000 of 7 numbers, f32, dot"] {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
    let again = work.run(["import", "base.fvecs", "--out", "c", "--metric", "dot", "--json"]).done().json();
    assert_eq!(again["unchanged"], true);
    work.run(["import", "base.fvecs", "--out", "c"]).refused(2, &["another folder"]);
}

#[test]
fn numbers_that_16_bits_do_not_hold_are_refused_with_their_row_and_another_kind_takes_them() {
    let work = Workspace::new();
    let mut numbers = rows(50, 16, 3);
    numbers[33 * 16 + 5] = 70_000.0;
    write_rows(&work.at("base.npy"), &numbers, 16);
    let import = ["import", "base.npy", "--out", "c", "--metric", "l2", "--vectors"];
    work.run([&import[..], &["f16"]].concat()).refused(2, &["base.npy", "row 33", "--vectors f32"]);
    work.run(["bench", "ann", "--data", "base.npy", "--metric", "l2", "--vectors", "f16"])
        .refused(2, &["base.npy", "row 33", "--vectors f32"]);
    work.run([&import[..], &["f32"]].concat()).done();
}

#[test]
fn other_kinds_and_metrics_store_what_their_names_say() {
    let work = Workspace::new();
    let mut numbers = rows(50, 16, 3);
    write_rows(&work.at("base.npy"), &numbers, 16);
    for row in numbers.chunks_mut(16) {
        let norm = row.iter().map(|number| number * number).sum::<f32>().sqrt();
        row.iter_mut().for_each(|number| *number /= norm);
    }
    for (kind, error) in [("f32", 1e-6), ("f16", 1e-3), ("i8", 5e-3)] {
        work.run(["import", "base.npy", "--out", kind, "--vectors", kind]).done();
        work.run(["verify", kind]).done();
        let out = format!("{kind}.fbin");
        work.run(["export", kind, &out]).done();
        let (found, _) = rows_of(&work.at(&out));
        assert!(found.iter().zip(&numbers).all(|(a, b)| (a - b).abs() < error), "{kind}");
    }
}

#[test]
fn images_boxes_and_metadata_of_parquet_come_out_as_they_went_in() {
    let work = Workspace::new();
    let boxes = [[0.0, 0.0, 10.5, 20.0], [10.5, 0.0, 10.0, 20.0], [3.0, 5.0, 2.0, 90.25]];
    // The last two are alike in vectors, and one of them in boxes too: only that one is a copy.
    write_patches(
        &work.at("in.parquet"),
        &[
            ("b/2.jpg", &boxes[..2], &[1.0, 2.0, 3.0, 4.0], Some(json!("two"))),
            ("a.jpg", &boxes[2..], &[5.0, 6.0], None),
            ("c.jpg", &boxes[1..2], &[5.0, 6.0], Some(json!("see"))),
            ("0.jpg", &boxes[2..], &[5.0, 6.0], Some(json!("zero"))),
        ],
    );
    work.run(["import", "in.parquet", "--out", "c", "--metric", "dot"]).done();
    work.run(["verify", "c"]).done();
    work.run(["export", "c", "out.parquet"]).done();
    let (out, columns) = patches_of(&work.at("out.parquet"));
    assert_eq!(columns, ["label"]);
    assert_eq!(out.images, ["0.jpg", "a.jpg", "b/2.jpg", "b/2.jpg", "c.jpg"]);
    assert_eq!(out.boxes.unwrap(), [boxes[2], boxes[2], boxes[0], boxes[1], boxes[1]]);
    assert_eq!(out.vectors, [5.0, 6.0, 5.0, 6.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let two = Some(json!("two"));
    assert_eq!(out.metadata, [[Some(json!("zero")), None, two.clone(), two, Some(json!("see"))]]);

    let inspected = work.run(["inspect", "c", "--images", "--json"]).done().json();
    assert_eq!(inspected["manifest"]["segments"][0]["patches"], 4, "a copy is stored once");
    let images = inspected["images"].as_array().unwrap();
    let sizes: Vec<[&Value; 3]> =
        images.iter().map(|image| ["width", "height", "same_as"].map(|key| &image[key])).collect();
    assert_eq!(json!(sizes[..3]), json!([[5, 96, null], [5, 96, "0.jpg"], [21, 20, null]]));
    // What came out goes in again, and is the same collection but for its root and name.
    work.run(["import", "out.parquet", "--out", "d", "--metric", "dot"]).done();
    work.run(["export", "d", "again.parquet"]).done();
    assert!(
        std::fs::read(work.at("again.parquet")).unwrap() == std::fs::read(work.at("out.parquet")).unwrap()
    );
}

#[test]
fn a_collection_of_photographs_goes_through_parquet_with_all_its_patches() {
    let work = Workspace::new();
    work.photos(&["moon.png", "coins.png"]);
    work.index("photos", "c", &["--views", "tiles:256"]).done();
    work.run(["export", "c", "all.parquet"]).done();
    work.run(["import", "all.parquet", "--out", "d", "--vectors", "f16", "--metric", "dot"]).done();
    work.run(["export", "d", "again.parquet"]).done();
    assert!(patches_of(&work.at("all.parquet")) == patches_of(&work.at("again.parquet")));
}

#[test]
fn imported_collections_are_merged_compacted_and_pruned() {
    let work = Workspace::new();
    write_rows(&work.at("a/one.npy"), &rows(4, 3, 0), 3);
    write_rows(&work.at("b/two.npy"), &rows(5, 3, 99), 3);
    write_rows(&work.at("b/wide.npy"), &rows(5, 4, 0), 4);
    for (name, out) in [("a/one.npy", "one"), ("b/two.npy", "two"), ("b/wide.npy", "wide")] {
        work.run(["import", name, "--out", out, "--metric", "dot"]).done();
    }
    work.run(["merge", "both", "one", "two"]).done();
    work.run(["export", "both", "both.npy"]).done();
    assert_eq!(rows_of(&work.at("both.npy")), ([rows(4, 3, 0), rows(5, 3, 99)].concat(), 3));
    work.run(["merge", "wrong", "one", "wide"]).refused(1, &["numbers in a token", "3", "4"]);
    work.run(["remove", "both", "a/one.npy"]).done();
    let found = work.run(["query", "both", "--vectors", "both.npy", "--json", "--top", "9"]).done().json();
    for found in found["results"].as_array().unwrap() {
        let found = found.as_array().unwrap();
        assert!(found.len() == 5 && found.iter().all(|found| found["image"] == "b/two.npy"), "{found:?}");
    }
    work.run(["compact", "both"]).done();
    work.run(["verify", "both"]).done();
    work.run(["export", "both", "rest.npy"]).done();
    assert_eq!(rows_of(&work.at("rest.npy")), (rows(5, 3, 99), 3));
    work.photos(&["moon.png"]);
    work.index("photos", "made", &[]).done();
    work.run(["merge", "wrong", "one", "made"]).refused(1, &["imported vectors"]);
}

#[test]
fn images_can_neither_be_asked_nor_added_where_no_model_is() {
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    write_rows(&work.at("base.npy"), &rows(4, 3, 0), 3);
    work.run(["import", "base.npy", "--out", "c"]).done();
    for asked in [&["photos/moon.png"][..], &["--indexed", "base.npy"]] {
        let command = [&["query", "c"][..], asked].concat();
        work.run(command).refused(1, &["imported vectors", "--vectors FILE"]);
    }
    work.run(["add", "c", "photos"]).refused(1, &["imported vectors", "patchdex merge"]);
}

#[test]
fn what_needs_tokens_or_files_is_refused_with_what_to_do_instead() {
    let work = Workspace::new();
    let boxes = [[0.0, 0.0, 8.0, 8.0]];
    write_patches(
        &work.at("in.parquet"),
        &[("a.jpg", &boxes, &[1.0, 2.0], None), ("b.jpg", &boxes, &[3.0, 4.0], None)],
    );
    work.run(["import", "in.parquet", "--out", "c"]).done();
    let before = stored(&work.at("c"));
    let prepared =
        work.run(["prepare", "c", "centre"]).refused(1, &["imported vectors", "'patchdex import'"]);
    assert!(!prepared.stderr.contains("--keep-raw"), "{}", prepared.stderr);
    work.run(["merge", "d", "c", "c", "--prepare", "centre"])
        .refused(1, &["imported vectors", "'patchdex import'"]);
    assert!(!work.at("d").exists());
    for dry_run in [&[][..], &["--dry-run"]] {
        let missing = ["remove", "c", "a.jpg", "--missing"].iter().chain(dry_run);
        work.run(missing.copied())
            .refused(1, &["imported vectors", "name the images", "nothing was changed"]);
    }
    assert!(stored(&work.at("c")) == before);
}

#[test]
fn files_whose_rows_make_no_images_are_refused_and_leave_the_place_free() {
    let work = Workspace::new();
    let one: &[[f32; 4]] = &[[0.0, 0.0, 1.0, 1.0]];
    let label = || Some(json!("a"));
    let images: [(&str, &[Shown<'_>], &[&str]); 4] = [
        (
            "scattered",
            &[("a", one, &[1.0, 2.0], None), ("b", one, &[3.0, 4.0], None), ("a", one, &[5.0, 6.0], None)],
            &["row 2", "'a'", "sort"],
        ),
        (
            "differs",
            &[("a", one, &[1.0, 2.0], label()), ("a", one, &[3.0, 4.0], None)],
            &["row 1", "'a'", "'label'"],
        ),
        ("leaves", &[("a", one, &[1.0, 2.0], None), ("../b", one, &[3.0, 4.0], None)], &["row 1", "'../b'"]),
        ("negative", &[("a", &[[0.0, 0.0, -1.0, 1.0]], &[1.0, 2.0], None)], &["row 0", "-1x1"]),
    ];
    for (name, images, told) in images {
        let file = PathBuf::from(name).with_extension("parquet");
        write_patches(&work.at(&file), images);
        work.run(["import", file.to_str().unwrap(), "--out", "c"]).refused(2, told);
    }
    let none: &[Shown<'_>] = &[];
    write_patches(&work.at("none.parquet"), none);
    work.run(["import", "none.parquet", "--out", "c"]).refused(2, &["none.parquet", "no patches"]);
    // A row that is found wrong after others were stored.
    let mut numbers = rows(9000, 2, 0);
    write_rows(&work.at("good.fbin"), &numbers, 2);
    numbers[17_999] = f32::NAN;
    let bytes = [9000u32.to_le_bytes(), 2u32.to_le_bytes()].concat();
    let floats: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    work.write("nan.fbin", [&bytes, &floats].map(|part| part.as_slice()).concat());
    work.run(["import", "nan.fbin", "--out", "c"]).refused(2, &["row 8999", "infinite or undefined"]);
    work.write("cut.fbin", &bytes);
    work.run(["import", "cut.fbin", "--out", "c"]).refused(1, &["cut.fbin", "whole"]);
    work.write("text.parquet", "PAR1 and no more");
    work.run(["import", "text.parquet", "--out", "c"]).refused(1, &["text.parquet"]);
    work.write("list.json", "{}");
    work.run(["import", "list.json", "--out", "c"]).refused(2, &["list.json", ".parquet"]);
    work.run(["import", "gone.npy", "--out", "c"]).refused(1, &["gone.npy"]);
    work.run(["import", "good.fbin", "--out", "c"]).done();
    work.run(["verify", "c"]).done();
    work.write("thesis/chapter.txt", "years of work");
    work.run(["import", "good.fbin", "--out", "thesis"]).refused(2, &["chapter.txt", "another folder"]);
}

#[test]
fn a_killed_import_leaves_no_collection_and_the_same_command_makes_it() {
    let work = Workspace::new();
    write_rows(&work.at("base.npy"), &rows(100, 3, 0), 3);
    work.run(["import", "base.npy", "--out", "c"]).done();
    let (whole, source) = (stored(&work.at("c")), manifest(&work.at("c"))["source"].clone());
    for name in ["manifest.json", "manifest.backup.json", "segments/000001/images.pdx"] {
        std::fs::remove_file(work.at("c").join(name)).unwrap();
    }
    work.write("c/building/source", source.as_str().unwrap());
    work.write("c/segments/000001/vectors.pdx", "half of it");
    work.run(["query", "c", "--vectors", "base.npy"]).refused(1, &["unfinished", "'patchdex import'"]);
    work.run(["import", "base.npy", "--out", "c"]).done();
    assert!(stored(&work.at("c")) == whole);
    work.run(["verify", "c"]).done();
}
