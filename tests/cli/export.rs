//! `patchdex export`: every format holds the rows of the collection in the same order; images and hits as COCO has them;
//! files that are in the way.

use serde_json::{Value, json};

use crate::workspace::{Demo, Run, Workspace, patchdex, patches_of, rows_of};

const TABLE: &str = "file,year,tag\ncoffee.png,2020,brown\nmoon.png,2021,7\n";

/// Three photographs, of which one is there twice, with metadata and the model's own tokens.
fn collection(work: &Workspace) {
    work.photos(&["moon.png", "coffee.png", "coins.png"]);
    work.write("photos/again.png", std::fs::read(crate::workspace::photo("coffee.png")).unwrap());
    work.write("table.csv", TABLE);
    work.index("photos", "c", &["--keep-raw", "--metadata", "table.csv"]).done();
}

#[test]
fn every_format_has_the_same_rows_in_order_of_the_images_paths() {
    let work = Workspace::new();
    collection(&work);
    let told = work.run(["export", "c", "all.parquet", "--json"]).done().json();
    let (block, columns) = patches_of(&work.at("all.parquet"));
    assert_eq!(told["format"], "parquet");
    assert_eq!((&told["images"], &told["rows"]), (&4.into(), &block.images.len().into()));
    let mut images = block.images.clone();
    images.dedup();
    assert_eq!(images, ["again.png", "coffee.png", "coins.png", "moon.png"]);
    for name in ["all.npy", "all.fbin", "all.fvecs"] {
        let run = work.run(["export", "c", name]).done();
        assert!(run.stderr.contains("4 images") && run.stdout.is_empty(), "{}", run.stderr);
        assert!(rows_of(&work.at(name)) == (block.vectors.clone(), 384), "{name}");
    }
    work.run(["export", "c", "all.i8bin"]).done();
    let (scaled, _) = rows_of(&work.at("all.i8bin"));
    assert!(scaled.chunks(384).all(|row| row.iter().any(|number| number.abs() == 127.0)));

    // A copy has the patches of the other; both come with them.
    let own = |name: &str| {
        let mine = (0..block.images.len()).filter(|&row| block.images[row] == name);
        let boxes = block.boxes.as_ref().unwrap();
        mine.map(|row| (boxes[row], &block.vectors[row * 384..(row + 1) * 384])).collect::<Vec<_>>()
    };
    assert_eq!(own("again.png"), own("coffee.png"));
    // 112 px of the long side are 8 patches; rows of patches from the top, each from the left.
    let coffee: Vec<[f32; 4]> = own("coffee.png").into_iter().map(|(sides, _)| sides).collect();
    assert_eq!((coffee.len(), coffee[0], coffee[1]), (40, [0.0, 0.0, 75.0, 80.0], [75.0, 0.0, 75.0, 80.0]));
    assert_eq!((coffee[8], coffee[39]), ([0.0, 80.0, 75.0, 80.0], [525.0, 320.0, 75.0, 80.0]));

    assert_eq!(columns, ["tag", "year"]);
    let said = |name: &str| {
        let row = block.images.iter().position(|image| image == name).unwrap();
        [0, 1].map(|column| block.metadata[column][row].clone().unwrap_or(Value::Null))
    };
    assert_eq!(said("coffee.png"), [json!("brown"), json!(2020)]);
    assert_eq!(said("moon.png"), [json!("7"), json!(2021)], "text and number make text");
    assert_eq!(said("coins.png"), [Value::Null, Value::Null]);
}

#[test]
fn the_models_own_tokens_become_the_stored_vectors_when_they_are_asked() {
    let work = Workspace::new();
    collection(&work);
    work.run(["export", "c", "tokens.npy", "--raw"]).done();
    work.run(["export", "c", "stored.npy"]).done();
    assert!(rows_of(&work.at("tokens.npy")) != rows_of(&work.at("stored.npy")));
    let ask = |more: &[&str]| {
        work.run([&["query", "c", "--top", "1", "--json", "--vectors"], more].concat()).done().json()
    };
    for answer in [ask(&["tokens.npy"]), ask(&["stored.npy", "--prepared"])] {
        let results = answer["results"].as_array().unwrap();
        for (row, found) in results.iter().enumerate() {
            let similarity = found[0]["similarity"].as_f64().unwrap();
            assert!((similarity - 1.0).abs() < 1e-3, "{row}: {found}");
            // The 40 rows of the copy are found under its first name.
            assert_eq!(found[0]["row"], if (40..80).contains(&row) { row - 40 } else { row });
        }
    }
}

#[test]
fn a_condition_leaves_images_out_and_does_not_number_them_anew() {
    let work = Workspace::new();
    collection(&work);
    let year = ["--where", "year >= 2020"];
    work.run([&["export", "c", "some.parquet"][..], &year].concat()).done();
    let mut images = patches_of(&work.at("some.parquet")).0.images;
    images.dedup();
    assert_eq!(images, ["coffee.png", "moon.png"]);
    work.run([&["export", "c", "some.json"][..], &year].concat()).done();
    let list: Value = serde_json::from_slice(&std::fs::read(work.at("some.json")).unwrap()).unwrap();
    let ids: Vec<&Value> = list["images"].as_array().unwrap().iter().map(|image| &image["id"]).collect();
    assert_eq!(ids, [2, 4]);
    work.run(["export", "c", "none.npy", "--where", "year = 1900"]).done();
    assert_eq!(std::fs::metadata(work.at("none.npy")).unwrap().len() % 64, 0, "a header, and no rows");
    work.run(["export", "c", "x.npy", "--where", "age > 1"]).refused(2, &["'age'", "year"]);
}

#[test]
fn hits_as_coco_results_name_images_of_the_exported_list() {
    let work = Workspace::new();
    let collection = Demo::shared().collection();
    Run::of(patchdex().arg("export").arg(&collection).arg(work.at("list.json"))).done();
    let list: Value = serde_json::from_slice(&std::fs::read(work.at("list.json")).unwrap()).unwrap();
    assert_eq!(list["annotations"], json!([]));
    assert_eq!(list["categories"], json!([{"id": 1, "name": "object"}]));
    let images = list["images"].as_array().unwrap();
    assert!(images.iter().zip(1..).all(|(image, id)| image["id"] == id));
    assert!(images.is_sorted_by_key(|image| image["file_name"].as_str().unwrap()));
    let coffee = images.iter().find(|image| image["file_name"] == "coffee.png").unwrap();
    assert_eq!((&coffee["width"], &coffee["height"]), (&600.into(), &400.into()));

    let ask = |more: &str| {
        let photo = crate::workspace::photo("motorcycle_left.png");
        let boxed = ["--box", "300,190,170,150", more];
        Run::of(patchdex().arg("query").arg(&collection).arg(photo).args(boxed)).done().json()
    };
    let (results, answer) = (ask("--coco"), ask("--json"));
    let (results, hits) = (results.as_array().unwrap(), answer["hits"].as_array().unwrap());
    assert_eq!(results.len(), hits.len());
    for (result, hit) in results.iter().zip(hits) {
        let id = result["image_id"].as_u64().unwrap() as usize;
        assert_eq!(images[id - 1]["file_name"], hit["image"]);
        assert_eq!((&result["bbox"], &result["score"]), (&hit["box"], &hit["score"]));
        assert_eq!(result["category_id"], 1);
    }
}

#[test]
fn what_is_in_the_way_or_cannot_be_written_stays_and_is_named() {
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    work.index("photos", "c", &[]).done();
    work.write("taken.npy", "years of work");
    std::fs::create_dir(work.at("folder.npy")).unwrap();
    let refusals: [(&[&str], &[&str]); 7] = [
        (&["taken.npy"], &["taken.npy exists", "--force"]),
        (&["folder.npy", "--force"], &["folder.npy is a folder"]),
        (&["c/all.npy"], &["inside the collection c"]),
        (&["c/segments/manifest.json", "--force"], &["inside the collection c"]),
        (&["all.mat"], &["all.mat", ".npy", ".parquet", ".json"]),
        (&["all.json", "--raw"], &["COCO", "--raw"]),
        (&["all.u8bin"], &["row 0", ".u8bin", ".fvecs"]),
    ];
    for (arguments, told) in refusals {
        work.run([&["export", "c"], arguments].concat()).refused(2, told);
    }
    work.run(["export", "c", "raw.npy", "--raw"]).refused(1, &["--keep-raw"]);
    work.run(["export", "c", "gone/all.npy"]).refused(1, &["gone/all.npy"]);
    work.run(["export", "gone", "all.npy"]).refused(1, &["is not a collection"]);
    assert_eq!(std::fs::read(work.at("taken.npy")).unwrap(), b"years of work");
    let names = std::fs::read_dir(work.at("")).unwrap().count();
    assert_eq!(names, 4, "photos, c, taken.npy and folder.npy");
    work.run(["export", "c", "taken.npy", "--force"]).done();
    assert_eq!(rows_of(&work.at("taken.npy")).1, 384);
}
