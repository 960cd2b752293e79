//! `patchdex eval retrieve` on a small real set that is made of the sample photographs: figures against a judge of this file's
//! own, junk, slices, every form of output, and what is refused.

use std::path::Path;

use patchdex::core::Bbox;
use serde_json::{Value, json};

use crate::workspace::{Run, Workspace, keys, photo};

/// Parts of photographs that are pasted into others: photograph, where from, and as which instance.
const OBJECTS: [(&str, [u32; 4], &str); 3] = [
    ("motorcycle_left.png", [300, 190, 170, 150], "engine"),
    ("chelsea.png", [120, 60, 180, 150], "cat"),
    ("coffee.png", [180, 90, 230, 230], "cup"),
];
/// Scenes: background, and the objects pasted in as (object, x, y, width).
type Scene = (&'static str, &'static [(usize, u32, u32, u32)]);
const SCENES: [Scene; 6] = [
    ("brick.png", &[(0, 40, 60, 170), (1, 270, 250, 180)]),
    ("gravel.png", &[(1, 60, 80, 120)]),
    ("grass.png", &[(2, 200, 200, 230)]),
    ("coins.png", &[(0, 30, 100, 200)]),
    ("moon.png", &[]),
    ("camera.png", &[(2, 20, 20, 160)]),
];

/// A set whose gallery is the scenes, with a further image without labels, and whose queries are the objects in their own
/// photographs; indexed as `c`.
struct Set {
    work: Workspace,
}

impl Set {
    fn new() -> Self {
        let work = Workspace::new();
        let mut coco = Coco::default();
        for (at, (background, pasted)) in SCENES.iter().enumerate() {
            let mut scene = image::open(photo(background)).unwrap().to_rgb8();
            let name = format!("images/{at}.png");
            let image = coco.image(&name, scene.dimensions(), json!({}));
            for &(object, x, y, width) in *pasted {
                let (source, [left, top, w, h], instance) = OBJECTS[object];
                let part = image::open(photo(source)).unwrap().to_rgb8();
                let part = image::imageops::crop_imm(&part, left, top, w, h).to_image();
                let height = h * width / w;
                let filter = image::imageops::FilterType::CatmullRom;
                let part = image::imageops::resize(&part, width, height, filter);
                image::imageops::overlay(&mut scene, &part, x.into(), y.into());
                let scale = f64::from(width) / f64::from(w);
                coco.box_of(
                    image,
                    [x, y, width, height],
                    json!({"instance_id": instance, "scale": scale, "rotation": 0}),
                );
            }
            std::fs::create_dir_all(work.at("set/images")).unwrap();
            scene.save(work.at("set").join(&name)).unwrap();
        }
        work.write("set/images/distractor.png", std::fs::read(photo("cell.png")).unwrap());
        work.write("set/gallery.json", coco.text());
        let mut queries = Coco::default();
        for (source, place, instance) in OBJECTS {
            let name = format!("queries/{source}");
            work.write(Path::new("set").join(&name), std::fs::read(photo(source)).unwrap());
            let image = queries.image(&name, image::image_dimensions(photo(source)).unwrap(), json!({}));
            queries.box_of(image, place, json!({"instance_id": instance, "scale": 1, "rotation": 0}));
        }
        // Nothing in the gallery shows this one.
        queries.box_of(1, [0, 0, 100, 100], json!({"instance_id": "nobody"}));
        work.write("set/queries.json", queries.text());
        work.index("set/images", "c", &["--long-side", "336"]).done();
        Self { work }
    }

    fn retrieve(&self, more: &[&str]) -> Run {
        self.work.run(
            [
                &["eval", "retrieve", "c", "--gallery", "set/gallery.json", "--queries", "set/queries.json"],
                more,
            ]
            .concat(),
        )
    }

    /// `gallery.json`, changed.
    fn change(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let path = self.work.at("set").join(file);
        let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(path, value.to_string()).unwrap();
    }
}

#[derive(Default)]
struct Coco {
    images: Vec<Value>,
    annotations: Vec<Value>,
}

impl Coco {
    fn image(&mut self, name: &str, (width, height): (u32, u32), more: Value) -> usize {
        let id = self.images.len() + 1;
        let mut image = json!({"id": id, "file_name": name, "width": width, "height": height});
        image.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.images.push(image);
        id
    }

    fn box_of(&mut self, image: usize, place: [u32; 4], attributes: Value) {
        let id = self.annotations.len() + 1;
        self.annotations.push(
            json!({"id": id, "image_id": image, "category_id": 1, "bbox": place, "attributes": attributes}),
        );
    }

    fn text(&self) -> String {
        json!({"images": self.images, "annotations": self.annotations, "categories": [{"id": 1, "name": "object"}]})
            .to_string()
    }
}

fn value(report: &Value, name: &str) -> f64 {
    report["metrics"][name]["value"].as_f64().unwrap_or_else(|| panic!("{name} in {}", report["metrics"]))
}

/// Images of a query's hits, each once, best first.
fn images(query: &Value) -> Vec<&str> {
    let mut images: Vec<&str> = Vec::new();
    for hit in query["hits"].as_array().unwrap() {
        let image = hit["image"].as_str().unwrap();
        if !images.contains(&image) {
            images.push(image);
        }
    }
    images
}

/// The scenes that show an object, with its box there.
fn truth(instance: &str) -> Vec<(String, Bbox)> {
    let object = OBJECTS.iter().position(|(_, _, name)| *name == instance).unwrap();
    let [_, _, w, h] = OBJECTS[object].1;
    let mut found = Vec::new();
    for (at, (_, pasted)) in SCENES.iter().enumerate() {
        for &(_, x, y, width) in pasted.iter().filter(|one| one.0 == object) {
            let bbox = Bbox::new(x as f32, y as f32, width as f32, (h * width / w) as f32);
            found.push((format!("{at}.png"), bbox));
        }
    }
    found
}

#[test]
fn the_figures_are_those_of_the_hits_and_the_objects_are_found() {
    let set = Set::new();
    let report = set.retrieve(&["--json", "--csv", "f.csv", "--html", "f.html"]).done();
    let told = report.stderr.clone();
    assert!(told.contains("wrote f.csv") && told.contains("wrote f.html"), "{told}");
    let report = report.json();
    assert_eq!(
        keys(&report),
        [
            "absent",
            "calibration",
            "ci95_resamples",
            "collection",
            "created_by",
            "data",
            "dims_dropped",
            "left_out",
            "machine",
            "metrics",
            "model",
            "options",
            "per_query",
            "protocol",
            "queries",
            "slices",
            "timing_ms",
            "variants"
        ]
    );
    assert_eq!(
        (&report["protocol"], &report["queries"], &report["left_out"]),
        (&"retrieve".into(), &3.into(), &json!(["4"]))
    );
    let data = &report["data"];
    assert_eq!(
        [&data["images"], &data["boxes"], &data["instances"], &data["distractors"], &data["query_boxes"]],
        [6, 6, 3, 1, 4].map(Value::from).each_ref()
    );
    let queries = report["per_query"].as_array().unwrap();
    let (mut precisions, mut firsts) = (Vec::new(), Vec::new());
    for query in queries {
        assert_eq!(
            keys(query),
            [
                "box",
                "boxes",
                "hits",
                "image",
                "instance",
                "junk",
                "metrics",
                "positives",
                "query",
                "timing_ms"
            ]
        );
        let truth = truth(query["instance"].as_str().unwrap());
        assert_eq!(
            (query["positives"].as_u64(), query["junk"].as_u64()),
            (Some(truth.len() as u64), Some(0))
        );
        let (mut right, mut sum) = (0.0, 0.0);
        for (place, image) in (1..).zip(images(query)) {
            if truth.iter().any(|(name, _)| name == image) {
                right += 1.0;
                sum += right / f64::from(place);
            }
        }
        precisions.push(sum / truth.len() as f64);
        for hit in query["hits"].as_array().unwrap() {
            let bbox: Bbox = serde_json::from_value(hit["box"].clone()).unwrap();
            let there = truth.iter().find(|(name, _)| hit["image"] == **name);
            let iou = there.map(|(_, shown)| f64::from(bbox.iou(shown)));
            match (iou, hit["iou"].as_f64()) {
                (Some(iou), Some(found)) => assert!((iou - found).abs() < 1e-6, "{hit}"),
                pair => assert_eq!(pair, (None, None), "{hit}"),
            }
        }
        firsts.push(query["hits"][0]["iou"].as_f64().unwrap_or(0.0));
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    assert!((value(&report, "map.rectangular") - mean(&precisions)).abs() < 1e-9);
    assert!((value(&report, "miou") - mean(&firsts)).abs() < 1e-9);
    // Pasted unchanged into plain pictures: what cannot be found here cannot be found anywhere.
    assert!(
        value(&report, "cmc.1") == 1.0 && value(&report, "map.trapezoidal") > 0.8,
        "{}",
        report["metrics"]
    );
    assert!(value(&report, "success.iou.0.5") > 0.6, "{}", report["metrics"]);
    for (name, mean) in report["metrics"].as_object().unwrap() {
        let [low, value, high] =
            [&mean["ci95"][0], &mean["value"], &mean["ci95"][1]].map(|number| number.as_f64().unwrap());
        assert!(0.0 <= low && low <= value && value <= high && high <= 1.0, "{name}: {mean}");
    }
    let scales: u64 = report["slices"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|slice| slice["by"] == "scale")
        .map(|slice| slice["boxes"].as_u64().unwrap())
        .sum();
    assert_eq!(scales, 6, "every box has a scale");
    assert!(
        report["slices"].as_array().unwrap().iter().all(|slice| slice["by"] != "occlusion"),
        "no box says it"
    );

    let csv = std::fs::read_to_string(set.work.at("f.csv")).unwrap();
    let line = format!(",,,3,6,map.rectangular,{},", value(&report, "map.rectangular"));
    assert!(
        csv.starts_with("slice,from,to,") && csv.lines().any(|one| one.starts_with(&line)),
        "{line}\n{csv}"
    );
    let page = std::fs::read_to_string(set.work.at("f.html")).unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("data:image/jpeg") && page.contains("f.html")
    );
    for elsewhere in ["http://", "https://", "url(", "<link", "cannot be shown"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    // The table says the same, whatever the threads.
    let table = set.retrieve(&["--threads", "1"]).done().stdout;
    let line = format!("map.rectangular      {:>6.3}", value(&report, "map.rectangular"));
    assert!(table.contains(&line) && table.contains("3 asked, 1 with nothing to find, of 4"), "{table}");
}

#[test]
fn stages_are_left_out_and_what_is_not_there_is_asked_for() {
    let set = Set::new();
    let report = set.retrieve(&["--json", "--without", "all", "--absent", "--html", "f.html"]).done().json();
    let variants = report["variants"].as_array().unwrap();
    let names: Vec<&str> = variants.iter().map(|variant| variant["without"].as_str().unwrap()).collect();
    let stages = ["graphs", "expansion", "sizes", "scales", "turns", "weights", "refinement", "places"];
    assert_eq!(names, stages);
    let figure = |name: &str| value(&variants[names.iter().position(|one| *one == name).unwrap()], "miou");
    // So few images are looked at whole anyway, and boxes come from places.
    assert!((figure("graphs") - value(&report, "miou")).abs() < 0.1, "{}", figure("graphs"));
    assert!(figure("places") < 0.5 * value(&report, "miou"), "{}", figure("places"));
    let absent = &report["absent"];
    // Those with something to find, and the one without.
    assert_eq!(
        (&absent["queries"], &report["variants"][7]["metrics"]["miou"]["queries"]),
        (&4.into(), &3.into())
    );
    let found = |side: &str| absent[side]["value"].as_f64().unwrap();
    let asked = absent["per_query"].as_array().unwrap();
    assert!(
        asked.iter().all(|query| query["hits"].as_array().unwrap().iter().all(|hit| hit["iou"].is_null()))
    );
    assert!(found("found_present") > found("found"), "{absent}");
    let calibration = &report["calibration"];
    let held: u64 =
        calibration["bins"].as_array().unwrap().iter().map(|bin| bin["hits"].as_u64().unwrap()).sum();
    assert_eq!(calibration["hits"], held);
    assert!((0.0..0.5).contains(&calibration["ece"].as_f64().unwrap()), "{calibration}");
    let page = std::fs::read_to_string(set.work.at("f.html")).unwrap();
    assert!(page.contains("Without a stage of the plan") && page.contains("expected calibration error"));
    let table = set.retrieve(&["--without", "expansion,graphs", "--absent"]).done().stdout;
    for line in ["\nwithout ", "\nexpansion ", "\ngraphs ", "\nprobability ", "\nnot there "] {
        assert!(table.contains(line), "{line}: {table}");
    }
    set.retrieve(&["--without", "luck"]).refused(2, &["luck", "expansion"]);
}

#[test]
fn a_querys_own_image_its_copies_and_near_frames_count_neither_way() {
    let work = Workspace::new();
    let mut coco = Coco::default();
    let photos = ["motorcycle_left.png", "motorcycle_right.png", "coffee.png", "chelsea.png"];
    let names = [(photos[0], 0), (photos[1], 3), (photos[2], 20), (photos[3], 40)];
    for (name, frame) in names {
        work.write(Path::new("set/img1").join(name), std::fs::read(photo(name)).unwrap());
        let size = image::image_dimensions(photo(name)).unwrap();
        let image = coco.image(&format!("img1/{name}"), size, json!({"video_id": 1, "frame_index": frame}));
        coco.box_of(image, [250, 150, 100, 100], json!({"instance_id": 7}));
    }
    // The same picture under another name, which nobody labelled.
    work.write("set/img1/copy.png", std::fs::read(photo(photos[0])).unwrap());
    work.write("set/gallery.json", coco.text());
    work.index("set", "c", &[]).done();
    let ask = |gap: &str| {
        let files =
            ["--gallery", "set/gallery.json", "--queries", "set/gallery.json", "--gap", gap, "--json"];
        work.run([&["eval", "retrieve", "c"][..], &files].concat()).done().json()["per_query"][0].clone()
    };
    let without = |query: &Value, junk: &[&str]| {
        let found = images(query).into_iter().map(str::to_owned).collect::<Vec<_>>();
        junk.iter().all(|name| !found.contains(&format!("img1/{name}")))
    };
    let near = ask("0");
    assert_eq!((&near["positives"], &near["junk"]), (&3.into(), &2.into()));
    assert!(without(&near, &[photos[0], "copy.png"]) && !without(&near, &[photos[1]]));
    assert_eq!(ask("3")["positives"], 3, "less than the gap away is near, as far is not");
    let far = ask("4");
    assert_eq!((&far["positives"], &far["junk"]), (&2.into(), &3.into()));
    assert!(without(&far, &[photos[0], photos[1], "copy.png"]));
}

#[test]
fn sets_that_cannot_be_used_say_why() {
    let set = Set::new();
    let gallery = std::fs::read(set.work.at("set/gallery.json")).unwrap();
    let restore = || std::fs::write(set.work.at("set/gallery.json"), &gallery).unwrap();

    set.change("gallery.json", |file| drop(file["annotations"][2]["attributes"].take()));
    set.change("gallery.json", |file| file["annotations"][2]["attributes"] = json!({}));
    set.retrieve(&[]).refused(2, &["gallery.json", "annotation 3", "instance_id"]);
    restore();
    set.change("gallery.json", |file| file["images"][1]["file_name"] = "images/gone.png".into());
    set.retrieve(&[]).refused(1, &["gallery.json", "1 of its 6 images", "gone.png", "patchdex add"]);
    restore();
    set.change("gallery.json", |file| file["images"][1]["width"] = 511.into());
    set.retrieve(&[]).refused(1, &["images/1.png", "511x", "512x512", "upright"]);
    restore();
    set.work.write("set/gallery.json", "{\"images\": [");
    set.retrieve(&[]).refused(2, &["gallery.json", "line 1"]);
    restore();
    for annotation in 0..4 {
        set.change("queries.json", |file| {
            file["annotations"][annotation]["attributes"]["instance_id"] = "other".into()
        });
    }
    set.retrieve(&[]).refused(2, &["queries.json", "no query shows an instance", "gallery.json"]);
    set.change("queries.json", |file| file["images"][0]["file_name"] = "queries/gone.png".into());
    set.retrieve(&[]).refused(1, &["queries.json", "annotation 1", "gone.png"]);
    set.work.write("labels.txt", "1,2,3");
    set.work
        .run(["eval", "retrieve", "c", "--gallery", "labels.txt", "--queries", "set/queries.json"])
        .refused(2, &["labels.txt", ".json (COCO, TAO)"]);
    set.retrieve(&["--csv", "set/gallery.json"]).refused(2, &["gallery.json", "--csv"]);
}

#[test]
fn oxfords_judgements_say_what_is_right_junk_and_left_out() {
    let set = Set::new();
    // The cat is in scenes 0 and 1, the engine in 0 and 3.
    let truth = json!({
        "imlist": (0..SCENES.len()).map(|at| format!("images/{at}.png")).collect::<Vec<_>>(),
        "qimlist": ["queries/chelsea.png", "queries/motorcycle_left.png"],
        "gnd": [
            {"bbx": [120, 60, 300, 210], "easy": [1], "hard": [0], "junk": [4]},
            {"bbx": [300, 190, 470, 340], "easy": [0, 3], "hard": [], "junk": []}]});
    set.work.write("set/gnd_scenes.json", truth.to_string());
    let asked = |more: &[&str]| {
        let args = ["eval", "retrieve", "c", "--gallery", "set/gnd_scenes.json"];
        set.work.run([&args[..], more].concat())
    };
    let report = asked(&["--json", "--html", "p.html"]).done().json();
    assert_eq!(report["data"]["gallery_form"], "ROxford/RParis/INSTRE");
    assert_eq!((&report["options"]["difficulty"], &report["queries"]), (&json!("medium"), &json!(2)));
    assert!(value(&report, "map.trapezoidal") > 0.8, "{}", report["metrics"]);
    let metrics = report["metrics"].as_object().unwrap();
    assert!(!metrics.contains_key("miou") && !metrics.contains_key("success.iou.0.5"), "no box is known");
    let cat = &report["per_query"][0];
    assert_eq!(
        (&cat["query"], &cat["positives"], &cat["junk"]),
        (&json!("queries/chelsea.png"), &json!(2), &json!(1))
    );
    let first = &cat["hits"][0];
    assert_eq!((&first["relevant"], &first["iou"]), (&json!(true), &Value::Null));
    assert!(std::fs::read_to_string(set.work.at("p.html")).unwrap().contains("box right"));
    // What is easy is junk to who asks for what is hard, and who has nothing hard to find is left out.
    let hard = asked(&["--difficulty", "hard", "--top", "1000", "--json"]).done().json();
    assert_eq!((&hard["queries"], &hard["left_out"]), (&json!(1), &json!(["queries/motorcycle_left.png"])));
    let cat = &hard["per_query"][0];
    assert_eq!((&cat["positives"], &cat["junk"]), (&json!(1), &json!(2)));
    assert!(!images(cat).contains(&"1.png"), "{}", cat["hits"]);
    assert!(value(&hard, "map.ilias.1000") <= 1.0);
    let table = asked(&["--difficulty", "easy"]).done().stdout;
    assert!(table.contains("ROxford/RParis/INSTRE"), "{table}");
    set.retrieve(&["--difficulty", "easy"]).refused(2, &["gallery.json", "--difficulty"]);
}

#[test]
fn ilias_has_a_folder_an_instance() {
    let set = Set::new();
    for (source, [left, top, w, h], instance) in OBJECTS {
        let query = format!("ilias/{instance}/query/Q.png");
        set.work.write(&query, std::fs::read(photo(source)).unwrap());
        set.work.write(query.replace(".png", ".bbox.json"), json!([[left, top, w, h]]).to_string());
        for (name, bbox) in truth(instance) {
            let positive = format!("ilias/{instance}/pos/P{name}");
            set.work.write(&positive, std::fs::read(set.work.at("set/images").join(&name)).unwrap());
            set.work.write(positive.replace(".png", ".bbox.json"), json!([bbox]).to_string());
        }
    }
    let args = ["eval", "retrieve", "c", "--gallery", "ilias", "--top", "1000", "--json"];
    let report = set.work.run(args).done().json();
    assert_eq!((&report["data"]["queries_form"], &report["queries"]), (&json!("ILIAS"), &json!(3)));
    // The same objects, boxes and scenes as in the COCO files.
    let coco = set.retrieve(&["--top", "1000", "--json"]).done().json();
    for name in ["map.ilias.1000", "cmc.1", "success.iou.0.5", "miou"] {
        let [ours, theirs] = [&report, &coco].map(|report| value(report, name));
        assert!((ours - theirs).abs() < 1e-9, "{name}: {ours}, not {theirs}");
    }
}
