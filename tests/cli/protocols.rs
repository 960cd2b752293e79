//! `patchdex eval identify`, `track`, `segment` and `robustness` on the real models and photographs: figures against references, every
//! form of output, and what is refused.

use std::path::PathBuf;

use image::imageops::{crop_imm, overlay};
use serde_json::Value;

use crate::workspace::{Run, Workspace, keys, patchdex, photo};

fn metric(report: &Value, name: &str) -> f64 {
    let value = &report["metrics"][name]["value"];
    value.as_f64().unwrap_or_else(|| panic!("no {name}: {}", report["metrics"]))
}

/// The photographs that the reference figures are of: 16 tiles of 224 px.
fn sixteen_tiles(work: &Workspace) -> PathBuf {
    for name in ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png"] {
        work.write(format!("five/{name}"), std::fs::read(photo(name)).unwrap());
    }
    work.at("five")
}

#[test]
fn identify_agrees_with_an_independent_implementation() {
    let work = Workspace::new();
    sixteen_tiles(&work);
    let run = work.run([
        "eval",
        "identify",
        "five",
        "--model",
        "dinov2-small",
        "--layer",
        "last",
        "--prepare",
        "none",
        "--similarity",
        "cosine",
        "--only",
        "blur",
        "--json",
    ]);
    let report = run.json();
    assert_eq!(report["data"]["tiles"], 16);
    assert_eq!(report["data"]["patches"], 4096);
    // By NumPy, on the same tiles.
    for (condition, reference) in
        [("untouched", 1.0), ("blur.2", 0.905), ("blur.4", 0.728), ("blur.6", 0.565), ("blur.8", 0.443)]
    {
        let found = metric(&report, &format!("same_patch.{condition}"));
        assert!((found - reference).abs() < 0.01, "{condition}: {found}, not {reference}");
    }
    let run = work.run([
        "eval",
        "identify",
        "five",
        "--model",
        "dinov2-small",
        "--layer",
        "last",
        "--prepare",
        "none",
        "--similarity",
        "dot",
        "--only",
        "scale",
        "--limit",
        "5",
        "--json",
    ]);
    let found = metric(&run.json(), "same_patch.untouched");
    assert!((found - 0.344).abs() < 0.01, "long vectors win every query: {found}");
}

#[test]
fn identify_gives_every_condition_below_its_ceiling_and_writes_what_is_asked_for() {
    let work = Workspace::new();
    work.photos(&["chelsea.png"]);
    work.write("photos/cell.png", b"no picture");
    let args = ["eval", "identify", "photos", "--prepare", "whiten"];
    let run = work.run([&args[..], &["--json", "--csv", "f.csv", "--html", "p.html"]].concat());
    let report = run.json();
    let shape = [
        "ci95_resamples",
        "created_by",
        "data",
        "dims_dropped",
        "machine",
        "metrics",
        "model",
        "options",
        "per_query",
        "protocol",
        "seconds",
    ];
    assert_eq!(keys(&report), shape);
    assert_eq!(report["model"]["preparation"], "whiten");
    assert_eq!(report["data"]["tiles"], 2);
    assert_eq!(report["data"]["unreadable"], serde_json::json!(["cell.png"]));
    assert_eq!(report["per_query"].as_array().unwrap().len(), 2);
    assert_eq!(report["metrics"].as_object().unwrap().len(), 2 * 21);
    for (name, mean) in report["metrics"].as_object().unwrap() {
        if let Some(condition) = name.strip_prefix("same_patch.") {
            let (found, ceiling) =
                (mean["value"].as_f64().unwrap(), metric(&report, &format!("ceiling.{condition}")));
            assert!(found <= ceiling && found > 0.05, "{name}: {found} of {ceiling}");
            let [low, high] = [0, 1].map(|end| mean["ci95"][end].as_f64().unwrap());
            assert!(low <= found && found <= high, "{name}");
        }
    }
    for (kind, levels) in [("blur", [2, 4, 6, 8]), ("noise", [10, 20, 30, 40])] {
        let values = levels.map(|level| metric(&report, &format!("same_patch.{kind}.{level}")));
        assert!(values.is_sorted_by(|a, b| a >= b), "{kind}: {values:?}");
    }
    let lines = std::fs::read_to_string(work.at("f.csv")).unwrap();
    assert_eq!(lines.lines().count(), 43);
    let page = std::fs::read_to_string(work.at("p.html")).unwrap();
    assert!(page.contains("rotation.20") && page.contains("<svg") && !page.contains("http://localhost"));
    // The table holds the same figures.
    let table = work.run([&args[..], &["--only", "blur"]].concat()).stdout;
    assert!(table.contains(&format!("{:.3}", metric(&report, "same_patch.blur.8"))), "{table}");
    // A graph answers nearly what the scan answers.
    let graph = work.run([&args[..], &["--only", "blur", "--index", "hnsw", "--json"]].concat()).json();
    let [exact, graph] = [&report, &graph].map(|report| metric(report, "same_patch.blur.2"));
    assert!((exact - graph).abs() < 0.02, "{exact} {graph}");
}

#[test]
fn the_notebooks_map_turns_the_other_way() {
    let work = Workspace::new();
    work.photos(&["chelsea.png"]);
    let args = ["eval", "identify", "photos", "--only", "rotation", "--json"];
    let right = work.run(args).json();
    let wrong = work.run([&args[..], &["--notebook-map"]].concat()).json();
    let name = "same_patch.rotation.20";
    assert!(metric(&wrong, name) < 0.5 * metric(&right, name), "{wrong}");
}

#[test]
fn identify_refuses_what_cannot_be_meant() {
    let work = Workspace::new();
    work.photos(&["chelsea.png"]);
    for (args, part) in [
        (vec!["photos", "--tile", "1008"], "use larger images"),
        (vec!["photos", "--input-px", "230"], "multiple of its patch of 14 px"),
        (vec!["photos", "--layer", "3"], "hidden_states.7"),
        (vec!["photos", "--prepare", "pca:999"], "384"),
        (vec!["nowhere"], "nowhere"),
    ] {
        let run = work.run([&["eval", "identify"][..], &args].concat());
        assert!(run.code == 1 || run.code == 2, "{}", run.stderr);
        assert!(run.stderr.contains(part), "{args:?}: {}", run.stderr);
    }
}

/// Objects that wander: part of a photograph, and its box there.
const WANDERERS: [(&str, [u32; 4]); 3] = [
    ("chelsea.png", [120, 60, 90, 90]),
    ("coffee.png", [200, 100, 90, 90]),
    ("astronaut.png", [170, 60, 90, 90]),
];

/// Where an object is in a frame: left and top.
fn wandered(frame: u32, track: u32) -> [u32; 2] {
    [20 + 130 * track - 10 * frame, 40 + 90 * track + 5 * frame]
}

/// A MOT Challenge folder of three frames: parts of photographs that wander over gravel, with their boxes.
fn sequence(work: &Workspace) {
    let mut truth = String::new();
    std::fs::create_dir_all(work.at("seq/img1")).unwrap();
    for frame in 1..=3u32 {
        let mut scene = image::open(photo("gravel.png")).unwrap().to_rgb8();
        for (track, (name, [x, y, w, h])) in (1u32..).zip(WANDERERS) {
            let part = crop_imm(&image::open(photo(name)).unwrap().to_rgb8(), x, y, w, h).to_image();
            let [left, top] = wandered(frame, track);
            overlay(&mut scene, &part, left.into(), top.into());
            truth += &format!("{frame},{track},{},{},{w},{h},1,{track},1\n", left + 1, top + 1);
        }
        scene.save(work.at(format!("seq/img1/{frame:06}.png"))).unwrap();
    }
    work.write("seq/gt/gt.txt", truth);
}

#[test]
fn track_matches_what_wanders_to_itself() {
    let work = Workspace::new();
    sequence(&work);
    let args = ["eval", "track", "seq", "--gaps", "1,2"];
    let report = work.run([&args[..], &["--json", "--html", "p.html"]].concat()).json();
    for gap in [1, 2] {
        assert_eq!(metric(&report, &format!("same_instance.gap.{gap}")), 1.0);
        assert_eq!(metric(&report, &format!("same_category.gap.{gap}")), 1.0);
    }
    assert_eq!(report["data"]["frames"], 3);
    assert_eq!(report["per_query"].as_array().unwrap().len(), 3);
    assert!(std::fs::read_to_string(work.at("p.html")).unwrap().contains("same instance"));
    // Tiles alone, put together again.
    let tiles = [&args[..], &["--views", "tiles:112", "--long-side", "448", "--prepare", "whiten", "--json"]]
        .concat();
    assert_eq!(metric(&work.run(tiles).json(), "same_instance.gap.1"), 1.0);
    for (args, part) in [
        (vec!["eval", "track", "seq", "--gaps", "7"], "--gaps"),
        (vec!["eval", "track", "seq/img1"], "MOT Challenge"),
        (vec!["eval", "track", "nowhere"], "nowhere"),
    ] {
        work.run(args).refused(2, &[part]);
    }
    work.write("seq/gt/gt.txt", "1,1,5,5,9,9,1\n1,2,x,5,9,9,1\n");
    work.run(args).refused(2, &["gt.txt: line 2"]);
}

/// The same frames, with masks, laid out as DAVIS.
fn davis(work: &Workspace) {
    for frame in 1..=3u32 {
        let mut masks = image::GrayImage::new(512, 512);
        for (track, (_, [.., w, h])) in (1u32..).zip(WANDERERS) {
            let [left, top] = wandered(frame, track);
            let mask = image::GrayImage::from_pixel(w, h, image::Luma([track as u8]));
            overlay(&mut masks, &mask, left.into(), top.into());
        }
        let [jpg, png] =
            ["JPEGImages", "Annotations"].map(|part| format!("davis/{part}/480p/v/{:05}", frame - 1));
        // What the name says is not believed: frames stay as they are.
        work.write(format!("{jpg}.jpg"), std::fs::read(work.at(format!("seq/img1/{frame:06}.png"))).unwrap());
        work.write(format!("{png}.png"), b"");
        masks.save(work.at(format!("{png}.png"))).unwrap();
    }
}

#[test]
fn propagate_carries_the_objects_of_the_first_frame() {
    let work = Workspace::new();
    sequence(&work);
    davis(&work);
    let args = ["eval", "propagate", "davis", "--long-side", "518", "--json"];
    let report = work.run([&args[..], &["--html", "p.html"]].concat()).done().json();
    assert_eq!((&report["protocol"], &report["data"]["objects"]), (&"propagate".into(), &3.into()));
    let names: Vec<&str> =
        report["per_query"].as_array().unwrap().iter().map(|one| one["query"].as_str().unwrap()).collect();
    assert_eq!(names, ["v/1", "v/2", "v/3"]);
    let [jf, j, f] = ["jf", "j", "f"].map(|name| metric(&report, name));
    assert!(j > 0.7 && f > 0.5, "{}", report["metrics"]);
    assert!((jf - (j + f) / 2.0).abs() < 1e-12);
    assert!(std::fs::read_to_string(work.at("p.html")).unwrap().contains("what was propagated"));
    let fitted = work.run([&args[..], &["--prepare", "whiten"]].concat()).done().json();
    assert!(metric(&fitted, "j") > 0.5, "{}", fitted["metrics"]);
    work.run(["eval", "propagate", "seq"]).refused(2, &["Annotations/480p"]);
    work.run([&args[..], &["--similarity", "dot"]].concat()).refused(2, &["leave --similarity out"]);
    image::GrayImage::new(512, 512).save(work.at("davis/Annotations/480p/v/00000.png")).unwrap();
    work.run(args).refused(2, &["no first frame"]);
}

/// All figures of a run.
fn figures(report: &Value) -> Vec<(String, f64)> {
    let metrics = report["metrics"].as_object().unwrap();
    metrics.iter().map(|(name, mean)| (name.clone(), mean["value"].as_f64().unwrap())).collect()
}

#[test]
fn track_reads_the_same_boxes_in_every_form() {
    let work = Workspace::new();
    sequence(&work);
    let asked = |more: &[&str]| {
        let args = [&["eval", "track"], more, &["--gaps", "1,2", "--samples", "adaptive", "--json"]].concat();
        work.run(args).done().json()
    };
    let mot = asked(&["seq"]);
    assert_eq!(
        (&mot["data"]["form"], &mot["options"]["samples"]),
        (&"MOT Challenge".into(), &"adaptive".into())
    );
    assert_eq!(metric(&mot, "same_instance.gap.2"), 1.0);
    let frames = asked(&["seq/img1", "--labels", "seq/gt/gt.txt"]);
    assert_eq!(figures(&frames), figures(&mot));

    davis(&work);
    let mut scalabel = Vec::new();
    for frame in 1..=3u32 {
        let name = format!("{frame:06}.png");
        let label = |(track, (_, [.., w, h])): (u32, (&str, [u32; 4]))| {
            let [left, top] = wandered(frame, track);
            serde_json::json!({"id": track.to_string(), "category": format!("kind {track}"),
                "box2d": {"x1": left, "y1": top, "x2": left + w - 1, "y2": top + h - 1}})
        };
        let labels: Vec<Value> = (1u32..).zip(WANDERERS).map(label).collect();
        let picture = std::fs::read(work.at(format!("seq/img1/{name}"))).unwrap();
        work.write(format!("bdd100k/images/track/val/v/{name}"), picture);
        scalabel.push(
            serde_json::json!({"name": name, "videoName": "v", "frameIndex": frame - 1, "labels": labels}),
        );
    }
    work.write("bdd100k/labels/box_track_20/val/v.json", Value::from(scalabel).to_string());
    let bdd100k = asked(&["bdd100k/labels/box_track_20/val"]);
    assert_eq!(bdd100k["data"]["form"], "BDD100K/Scalabel");
    assert_eq!(figures(&bdd100k), figures(&mot));
    let davis = asked(&["davis"]);
    assert_eq!((&davis["data"]["form"], &davis["data"]["videos"]), (&"DAVIS".into(), &1.into()));
    let instances = |report: &Value| {
        figures(report).into_iter().filter(|(name, _)| name.starts_with("same_instance")).collect::<Vec<_>>()
    };
    assert_eq!(instances(&davis), instances(&mot));

    for (args, parts) in [
        (&["seq", "--labels", "none.txt"][..], &["none.txt"][..]),
        (&["bdd100k/labels/box_track_20/val/v.json", "--labels", "seq/gt/gt.txt"], &["leave --labels out"]),
        (&["video.avi"], &["--labels gt.txt"]),
        (&["seq", "--samples", "0"], &["from 1 to 8, or adaptive"]),
        (&["bdd100k"], &["MOT Challenge", "DAVIS", "Scalabel"]),
    ] {
        let run = work.run([&["eval", "track"], args].concat());
        assert!(run.code != 0 && parts.iter().all(|part| run.stderr.contains(part)), "{}", run.stderr);
    }
}

#[test]
fn videos_are_decoded_by_ffmpeg_where_it_is_installed() {
    let work = Workspace::new();
    sequence(&work);
    fn asked<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["eval", "track"], more, &["--gaps", "1,2", "--json"]].concat()
    }
    work.write("v.avi", b"no video");
    let args = asked(&["v.avi", "--labels", "seq/gt/gt.txt"]);
    let without = Run::of(patchdex().current_dir(work.at(".")).args(&args).env("PATH", work.at("seq")));
    without.refused(1, &["v.avi", "ffmpeg, which is not installed", "folder of frames"]);
    // Pictures as they are, in a container of videos.
    let encode = ["-v", "error", "-y", "-i", "seq/img1/%06d.png", "-c:v", "png", "v.avi"];
    match std::process::Command::new("ffmpeg").current_dir(work.at(".")).args(encode).status() {
        Err(_) => work.run(&args).refused(1, &["ffmpeg, which is not installed"]),
        Ok(status) => {
            assert!(status.success());
            let folder = work.run(asked(&["seq"])).done().json();
            let video = work.run(&args).done();
            assert!(video.stderr.contains("decoding v.avi"), "{}", video.stderr);
            assert_eq!(figures(&video.json()), figures(&folder));
            // Frames keep their numbers.
            let last = [&args[..], &["--every", "2", "--last", "3"]].concat();
            let last = work.run(last).done().json();
            assert_eq!(
                (&last["data"]["frames"], &last["per_query"][0]["query"]),
                (&2.into(), &"v: 1 to 3".into())
            );
            // A folder of MOT Challenge with the video in place of frames.
            std::fs::remove_dir_all(work.at("seq/img1")).unwrap();
            std::fs::rename(work.at("v.avi"), work.at("seq/v.avi")).unwrap();
            assert_eq!(figures(&work.run(asked(&["seq"])).done().json()), figures(&folder));
            work.write("v.avi", b"no video");
            work.run(asked(&["v.avi", "--labels", "seq/gt/gt.txt"]))
                .refused(2, &["v.avi", "ffmpeg cannot decode it"])
        }
    };
}

#[test]
fn identify_compares_classes_where_labels_are_given() {
    let work = Workspace::new();
    scenes(&work);
    let asked = |images: &str, classes: &str| {
        work.run(["eval", "identify", images, "--classes", classes, "--only", "rotation", "--json"])
            .done()
            .json()
    };
    let masks = asked("train/images", "train");
    let (patches, objects) = (&masks["data"]["patches"], &masks["data"]["object_patches"]);
    assert!(objects.as_u64().unwrap() > 100 && objects.as_u64() < patches.as_u64(), "{objects} of {patches}");
    assert_eq!(masks["data"]["classes_form"], "images and labels");
    let measures = ["same_patch", "same_class", "any_object"];
    for measure in measures {
        assert_eq!(metric(&masks, &format!("{measure}.untouched")), 1.0);
        let turned = ["5", "20"].map(|level| metric(&masks, &format!("{measure}.rotation.{level}")));
        // Other patches are inside, so that the shares of large ones need not fall.
        assert!(turned[0] > turned[1] - 0.02 && turned[0] < 1.0, "{measure}: {turned:?}");
    }
    let turned = measures.map(|measure| metric(&masks, &format!("{measure}.rotation.20")));
    assert!(turned.is_sorted(), "a patch has its class, a class is of an object: {turned:?}");
    // What is outside the tile shows the same objects in other scenes.
    assert!(metric(&masks, "any_object.elsewhere") > 0.5, "{}", masks["metrics"]);

    // The same objects by boxes, of three classes and two kinds.
    let classes = ["Small Car", "Bus", "Warship"];
    for (image, scene) in PLACES.iter().enumerate().take(3) {
        work.write(
            format!("fair1m/images/{image}.png"),
            std::fs::read(work.at(format!("train/images/{image}.png"))).unwrap(),
        );
        let object = |(class, [left, top]): (usize, [u32; 2])| {
            let [.., w, h] = PARTS[class].1;
            let (right, bottom) = (left + w, top + h);
            format!(
                "<object><coordinate>pixel</coordinate><possibleresult><name>{}</name></possibleresult><points>\
                 <point>{left},{top}</point><point>{right},{top}</point><point>{right},{bottom}</point>\
                 <point>{left},{bottom}</point><point>{left},{top}</point></points></object>",
                classes[class]
            )
        };
        let [x, y, u, v] = *scene;
        let objects = [(image % 3, [x, y]), ((image + 1) % 3, [u, v])].map(object).concat();
        work.write(
            format!("fair1m/labelXml/{image}.xml"),
            format!("<annotation><size><width>512</width><height>512</height></size><objects>{objects}</objects></annotation>"),
        );
    }
    let boxes = asked("fair1m/images", "fair1m");
    assert_eq!(
        (&boxes["data"]["classes_form"], metric(&boxes, "same_superclass.untouched")),
        (&"FAIR1M".into(), 1.0)
    );
    for name in ["same_patch.rotation.20", "any_object.rotation.20"] {
        // Where a part lies over another one, masks and boxes differ.
        let [masks, boxes] = [&masks, &boxes].map(|report| metric(report, name));
        assert!((masks - boxes).abs() < 0.05, "{name}: {masks} {boxes}");
    }
    let [fine, coarse] = ["class", "superclass"].map(|of| metric(&boxes, &format!("same_{of}.rotation.20")));
    assert!(fine <= coarse && coarse < 1.0, "{fine} {coarse}");

    work.photos(&["chelsea.png"]);
    let refused = |images: &str, classes: &str, part: &str| {
        work.run(["eval", "identify", images, "--classes", classes, "--only", "blur"]).refused(2, &[part]);
    };
    refused("photos", "fair1m", "give the images that it labels");
    sequence(&work);
    work.write("seq/gt/gt.txt", "1,1,5,5,9,9,1\n");
    refused("seq/img1", "seq", "has a category");
}

#[test]
fn comparisons_name_the_options_in_which_runs_differ() {
    let work = Workspace::new();
    sequence(&work);
    for (file, samples) in [("a.json", "1"), ("b.json", "adaptive")] {
        let run = work.run(["eval", "track", "seq", "--gaps", "1", "--samples", samples, "--json"]).done();
        work.write(file, run.stdout);
    }
    let table = work.run(["eval", "compare", "a.json", "b.json", "--html", "p.html"]).done().stdout;
    assert!(table.contains("samples: 1 | adaptive") && !table.contains("long_side_px:"), "{table}");
    assert!(std::fs::read_to_string(work.at("p.html")).unwrap().contains("Options in which the runs differ"));
    let json = work.run(["eval", "compare", "a.json", "b.json", "--json"]).done().json();
    assert_eq!(json["options"], serde_json::json!({"samples": [1, "adaptive"]}));
}

/// Objects of scenes: part of a photograph, and its box there.
const PARTS: [(&str, [u32; 4]); 3] = [
    ("chelsea.png", [120, 60, 160, 160]),
    ("coffee.png", [190, 100, 200, 200]),
    ("motorcycle_left.png", [300, 190, 160, 150]),
];
/// Where the two objects of each scene are.
const PLACES: [[u32; 4]; 4] =
    [[10, 20, 260, 260], [280, 20, 20, 270], [240, 240, 30, 30], [60, 300, 300, 40]];

/// Two sets of scenes: the cat (class 1), the cup (2) and the engine (3) on gravel and grass (0), a frame of 8 px ignored.
fn scenes(work: &Workspace) {
    for (at, [x, y, u, v]) in PLACES.into_iter().enumerate() {
        let ground = ["gravel.png", "grass.png"][at % 2];
        let mut scene = image::open(photo(ground)).unwrap().to_rgb8();
        let mut labels = image::GrayImage::new(scene.width(), scene.height());
        for (pixel_x, pixel_y, pixel) in labels.enumerate_pixels_mut() {
            let edge =
                pixel_x.min(pixel_y).min(scene.width() - 1 - pixel_x).min(scene.height() - 1 - pixel_y);
            pixel.0 = [if edge < 8 { 255 } else { 0 }];
        }
        for (class, (left, top)) in [(at % 3, (x, y)), ((at + 1) % 3, (u, v))] {
            let (name, [px, py, w, h]) = PARTS[class];
            let part = crop_imm(&image::open(photo(name)).unwrap().to_rgb8(), px, py, w, h).to_image();
            let mask = image::GrayImage::from_pixel(w, h, image::Luma([class as u8 + 1]));
            overlay(&mut scene, &part, left.into(), top.into());
            overlay(&mut labels, &mask, left.into(), top.into());
        }
        let set = if at < 3 { "train" } else { "val" };
        for folder in ["images", "labels"] {
            std::fs::create_dir_all(work.at(format!("{set}/{folder}"))).unwrap();
        }
        scene.save(work.at(format!("{set}/images/{at}.png"))).unwrap();
        labels.save(work.at(format!("{set}/labels/{at}.png"))).unwrap();
    }
}

#[test]
fn segment_gives_objects_the_classes_of_the_training_images() {
    let work = Workspace::new();
    scenes(&work);
    let args = ["eval", "segment", "train", "val"];
    let report = work.run([&args[..], &["--json", "--html", "p.html"]].concat()).done().json();
    assert_eq!(report["protocol"], "segment");
    assert_eq!(report["data"]["training_images"], 3);
    let nearest = metric(&report, "miou");
    assert!(nearest > 0.7, "{}", report["metrics"]);
    assert!(metric(&report, "pixel_accuracy") > 0.85);
    assert!(std::fs::read_to_string(work.at("p.html")).unwrap().contains("what was predicted"));
    let asked =
        |more: &[&str]| metric(&work.run([&args[..], more, &["--json"]].concat()).done().json(), "miou");
    for more in [&["--predictor", "weighted", "--k", "9"][..], &["--index", "hnsw"]] {
        let other = asked(more);
        assert!(other > nearest - 0.1, "{more:?}: {other}, not {nearest}");
    }
    // Three images are few for a probe.
    let linear = asked(&["--predictor", "linear"]);
    assert!(linear > 0.5, "{linear}");
    // What is measured on the training images themselves is nearly all right.
    let known = work.run(["eval", "segment", "train", "train", "--json"]).done().json();
    assert!(metric(&known, "miou") > 0.9, "{}", known["metrics"]);
}

#[test]
fn robustness_falls_with_blur_and_noise() {
    let work = Workspace::new();
    scenes(&work);
    let report = work.run(["eval", "robustness", "train", "val", "--json"]).done().json();
    assert_eq!(report["protocol"], "robustness");
    assert_eq!(
        report["metrics"].as_object().unwrap().keys().filter(|name| name.starts_with("miou")).count(),
        13
    );
    let clean = metric(&report, "miou");
    for strongest in ["blur.8", "noise.40"] {
        let degraded = metric(&report, &format!("miou.{strongest}"));
        assert!(degraded < clean, "{strongest}: {degraded}, clean {clean}");
    }
}

#[test]
fn segment_refuses_labels_that_are_none() {
    let work = Workspace::new();
    scenes(&work);
    work.run(["eval", "segment", "train", "val/images"]).refused(2, &["images/ and labels/"]);
    let labels = work.at("val/labels/3.png");
    std::fs::copy(work.at("val/images/3.png"), &labels).unwrap();
    work.run(["eval", "segment", "train", "val"]).refused(2, &["labels/3.png", "a coloured picture"]);
    image::GrayImage::new(9, 9).save(&labels).unwrap();
    let run = work.run(["eval", "segment", "train", "val"]);
    assert!(run.code != 0 && run.stderr.contains("9x9"), "{}", run.stderr);
    image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(512, 512, image::Luma([5000u16]))
        .save(&labels)
        .unwrap();
    work.run(["eval", "segment", "train", "val"]).refused(2, &["5000"]);
    std::fs::remove_file(&labels).unwrap();
    work.run(["eval", "segment", "train", "val"]).refused(2, &["file of labels"]);
}
