//! Collections of every released format version are read as they were written: images, views, vectors, and what the
//! exact index finds in them. `cargo test --test format_compatibility -- --ignored` makes the fixtures of the current
//! version again; do that only before the version is released.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)] // the maker writes the fixtures

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use patchdex::collection::{Collection, verify};
use patchdex::index::{DEFAULT_EF, ExactIndex, HnswIndex, PatchIndex};
use patchdex::metric::{METRICS, Metric};
use patchdex::segment::{Depth, FileRole, Segment};
use patchdex_format::{Element, FORMAT_VERSION, OLDEST_VERSION};
use serde_json::{Value, json};

const TEXT: &str = include_str!("../index-format/FORMAT.md");

/// Kernels of different instruction sets add in different orders.
const TOLERANCE: f64 = 1e-4;

fn version_dir(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{version}"))
}

/// The collections of one version, in order of their names.
fn collections(version: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(version_dir(version)).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// What a reader sees of a collection.
fn observe(path: &Path) -> Value {
    let collection = Collection::open(path).unwrap();
    let manifest = collection.manifest();
    let preparation = collection.preparation().unwrap();
    let probe: Vec<f32> = (0..preparation.input_dim()).map(|at| (at as f32 * 0.7).sin()).collect();
    let prepared = preparation.apply(&probe);
    json!({
        "format_version": manifest.format_version,
        "metric": manifest.metric,
        "vectors": manifest.vectors,
        "dim": manifest.dim,
        "model": manifest.model.name,
        "views": manifest.views,
        "preparation": {
            "spec": preparation.method,
            "probe": prepared[..4],
        },
        "segments": collection.segments().iter().map(observe_segment).collect::<Vec<_>>(),
    })
}

fn observe_segment(segment: &Segment) -> Value {
    let images = segment.images().map(|image| {
        let image = image.unwrap();
        let views = image.views().map(|view| {
            let grid = view.grid;
            json!([view.first_patch, grid.rows, grid.cols, grid.area, grid.patch_box(grid.len() - 1)])
        });
        let mut seen = json!({
            "path": image.path_text(),
            "width_px": image.row.width_px,
            "height_px": image.row.height_px,
            "file_bytes": image.row.file_bytes,
            "modified_ns": image.row.modified_ns,
            "same_as": image.row.same_as,
            "views": views.collect::<Vec<_>>(),
        });
        if let Some(metadata) = segment.metadata().unwrap() {
            seen["metadata"] = metadata.row(image.index).into();
        }
        seen
    });
    let patches = segment.patch_count();
    let searches = [0, patches / 2, patches - 1].map(|row| {
        let top = search(segment, row, 3).into_iter().map(|(row, similarity)| json!([row, similarity]));
        json!({ "row": row, "top": top.collect::<Vec<_>>() })
    });
    let mut seen = json!({ "patches": patches, "images": images.collect::<Vec<_>>(), "searches": searches });
    if let Some(graph) = segment.graph() {
        seen["graph_nodes"] = graph.len().into();
    }
    seen
}

/// The rows most similar to a stored one, from the exact index.
fn search(segment: &Segment, row: usize, k: usize) -> Vec<(u64, f32)> {
    let vectors = segment.vectors();
    let mut query = vec![0.0; vectors.dim];
    vectors.widen(row, &mut query);
    let found = ExactIndex { vectors }.search(&query, k, DEFAULT_EF);
    found.iter().map(|neighbour| (neighbour.row, neighbour.similarity)).collect()
}

/// Equal but for the last digits of numbers.
fn assert_alike(found: &Value, expected: &Value, at: &str) {
    match (found, expected) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().for_each(|(i, (a, b))| assert_alike(a, b, &format!("{at}[{i}]")));
        }
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().for_each(|(key, a)| assert_alike(a, &b[key], &format!("{at}.{key}")));
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= TOLERANCE * b.abs().max(1.0), "{at}: {a} instead of {b}");
        }
        _ => assert_eq!(found, expected, "{at}"),
    }
}

#[test]
fn every_version_has_fixtures() {
    for version in OLDEST_VERSION..=FORMAT_VERSION {
        let names: Vec<PathBuf> = collections(version);
        assert!(names.len() >= 3, "{names:?}");
    }
}

#[test]
fn every_fixture_is_read_as_it_was_written() {
    for version in OLDEST_VERSION..=FORMAT_VERSION {
        let expected: Value =
            serde_json::from_slice(&fs::read(version_dir(version).join("expected.json")).unwrap()).unwrap();
        let found: serde_json::Map<String, Value> =
            collections(version).iter().map(|path| (name(path).to_owned(), observe(path))).collect();
        assert_alike(&Value::Object(found), &expected, &format!("v{version}"));
    }
}

#[test]
fn every_fixture_is_sound() {
    for path in (OLDEST_VERSION..=FORMAT_VERSION).flat_map(collections) {
        let report = verify(&path, Depth::Full).unwrap();
        let faults: Vec<String> = report.damage.iter().map(|damage| damage.error.to_string()).collect();
        assert!(faults.is_empty(), "{}: {faults:?}", path.display());
        let on_disk = files(&path).len();
        assert_eq!(report.files, on_disk, "{}: every file is verified", path.display());
    }
}

#[test]
fn a_stored_vector_finds_itself_first() {
    for path in (OLDEST_VERSION..=FORMAT_VERSION).flat_map(collections) {
        let collection = Collection::open(&path).unwrap();
        if collection.metric().normalise {
            for segment in collection.segments() {
                for row in 0..segment.patch_count() {
                    let (first, similarity) = search(segment, row, 1)[0];
                    assert_eq!(first, row as u64, "{}", path.display());
                    assert!((similarity - 1.0).abs() < 0.01, "{}: {similarity}", path.display());
                }
            }
        }
    }
}

#[test]
fn graphs_find_what_the_scan_finds() {
    let mut graphs = 0;
    for path in (OLDEST_VERSION..=FORMAT_VERSION).flat_map(collections) {
        for segment in Collection::open(&path).unwrap().segments() {
            let vectors = segment.vectors();
            let Some(graph) = segment.graph() else { continue };
            graphs += 1;
            let index = HnswIndex { graph, vectors };
            for row in 0..segment.patch_count() {
                let mut query = vec![0.0; vectors.dim];
                vectors.widen(row, &mut query);
                let found = index.search(&query, 3, segment.patch_count());
                let found: Vec<_> = found.iter().map(|found| (found.row, found.similarity)).collect();
                assert_eq!(found, search(segment, row, 3), "{}, row {row}", path.display());
            }
        }
    }
    assert!(graphs > 0);
}

#[test]
fn no_fixture_names_a_place_of_the_machine_that_made_it() {
    for path in (OLDEST_VERSION..=FORMAT_VERSION).flat_map(collections).flat_map(|path| files(&path)) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for place in ["/root", "/home", "/work", "/Users"] {
            assert!(!text.contains(place), "{} holds '{place}'", path.display());
        }
    }
}

/// Sections of files as `FORMAT.md` lists them: file, section, element, cols, present.
#[test]
fn files_have_the_sections_that_the_text_lists() {
    let rows: Vec<Vec<String>> = table("### Sections");
    for path in collections(FORMAT_VERSION) {
        let collection = Collection::open(&path).unwrap();
        let manifest = collection.manifest();
        let graph_dim = manifest.dim + u32::from(manifest.metric == Metric::DOT.name);
        let files = collection.segments().iter().flat_map(Segment::files);
        for (file, layout, _) in files {
            let first_name = FileRole::of(name(file)).unwrap().first_name();
            let listed: Vec<_> = rows.iter().filter(|row| row[0] == first_name).collect();
            for section in &layout.sections {
                let row = listed.iter().find(|row| row[1] == listed_name(&section.name));
                let row = row.unwrap_or_else(|| panic!("{}: {}", file.display(), section.name));
                let element =
                    if row[2] == "the manifest's vectors" { manifest.vectors.as_str() } else { &row[2] };
                assert_eq!(section.element.name(), element);
                let cols = match row[4].as_str() {
                    "D" => manifest.dim,
                    "H" => manifest.model.hidden_size,
                    "G" => graph_dim,
                    "C" => graph_dim.next_multiple_of(64),
                    "L" => manifest.graph.as_ref().unwrap().m * 2,
                    "K" => {
                        layout.sections.iter().filter(|s| listed_name(&s.name) == "values.N").count() as u32
                    }
                    fixed => fixed.parse().unwrap(),
                };
                assert_eq!(section.cols, cols, "{}: {}", file.display(), section.name);
            }
            for row in listed.iter().filter(|row| row[5] == "always") {
                assert!(layout.section(&row[1]).is_ok(), "{}: {}", file.display(), row[1]);
            }
            let scaled = layout.section("vectors").is_ok_and(|rows| rows.element == Element::I8);
            assert_eq!(layout.section("scales").is_ok(), scaled, "{}", file.display());
        }
    }
}

/// The name under which the text lists a section: one of the numbered ones is `values.N`.
fn listed_name(section: &str) -> &str {
    match section.strip_prefix("values.").is_some_and(|number| number.parse::<u32>().is_ok()) {
        true => "values.N",
        false => section,
    }
}

#[test]
fn the_text_names_every_metric() {
    let rows = table("## Manifest");
    let meaning = &rows.iter().find(|row| row[0] == "metric").unwrap()[2];
    assert_eq!(*meaning, METRICS.map(|metric| metric.name).join(" or "));
}

/// The cells of the first table below a heading, without its head rows and backticks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let section = TEXT.split(&format!("\n{heading}\n")).nth(1).unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>()
    })
    .collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// Crops of the sample photographs: source, left, top, width, height, path. One copy, one file that is no image.
const CROPS: [(&str, u32, u32, u32, u32, &str); 4] = [
    ("chelsea.png", 120, 60, 112, 84, "cat.png"),
    ("chelsea.png", 120, 60, 112, 84, "copy of cat.png"),
    ("coffee.png", 200, 120, 80, 96, "indoors/café.png"),
    ("rocket.jpg", 280, 100, 96, 96, "rocket.jpg"),
];
/// Comes later, while the rocket goes.
const LATER: (&str, u32, u32, u32, u32, &str) = ("astronaut.png", 150, 30, 84, 112, "later.png");
const METADATA: &str =
    "image,camera,year\ncat.png,c1,2019\nindoors/café.png,c2,\nrocket.jpg,c2,2021\nlater.png,,2024\n";

#[test]
#[ignore = "writes the fixtures of the current version anew: only before the version is released"]
fn fixtures_of_this_version_are_made() {
    // The manifest holds the places of images and model: neutral ones.
    let place = Path::new("/tmp/patchdex-fixture");
    let cache = patchdex::model::cache_dir();
    let _ = fs::remove_dir_all(place);
    fs::create_dir_all(place.join("photos/indoors")).unwrap();
    std::os::unix::fs::symlink(cache.join("models/dinov2-small-b7"), place.join("model")).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let date = |file: &Path| fs::File::options().append(true).open(file).unwrap().set_modified(time).unwrap();
    let cut = |(source, x, y, width, height, path): (&str, u32, u32, u32, u32, &str)| {
        let photo = image::open(cache.join("photos").join(source)).unwrap().to_rgb8();
        let path = place.join("photos").join(path);
        image::imageops::crop_imm(&photo, x, y, width, height).to_image().save(&path).unwrap();
        date(&path);
    };
    CROPS.into_iter().for_each(cut);
    fs::write(place.join("meta.csv"), METADATA).unwrap();
    fs::write(place.join("photos/broken.jpg"), b"\xff\xd8\xff\xe0 and no more").unwrap();
    date(&place.join("photos/broken.jpg"));
    let out = version_dir(FORMAT_VERSION);
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(&out).unwrap();
    let kinds = [
        ("f16", "--long-side 56 --prepare pca:32 --vectors f16"),
        ("f32-dot", "--long-side 28 --prepare drop:352 --vectors f32 --metric dot"),
        (
            "i8-tiles",
            "--long-side 28 --views tiles:64 --prepare standardise --vectors i8 --keep-raw --index exact",
        ),
    ];
    for (kind, options) in kinds {
        let run = |words: &str| {
            let words = words.replace("OUT", out.join(kind).to_str().unwrap());
            let mut command = Command::new(env!("CARGO_BIN_EXE_patchdex"));
            command.current_dir(place).args(words.split(' ')).status().unwrap().code().unwrap()
        };
        // Done, with one reject.
        assert_eq!(run(&format!("index photos --model model --metadata meta.csv --out OUT {options}")), 3);
        // All kinds of files but the last keep what they were made with: an old segment beside a new one, a table that
        // was replaced, vectors without an image.
        if kind != "f32-dot" {
            cut(LATER);
            assert_eq!(run("add OUT photos --metadata meta.csv"), 3);
            assert_eq!(run("remove OUT rocket.jpg"), 0);
            fs::remove_file(place.join("photos").join(LATER.5)).unwrap();
        }
        fs::remove_file(out.join(kind).join("writer.lock")).unwrap();
    }
    fs::remove_dir_all(place).unwrap();
    let expected: serde_json::Map<String, Value> =
        collections(FORMAT_VERSION).iter().map(|path| (name(path).to_owned(), observe(path))).collect();
    let text = serde_json::to_string_pretty(&expected).unwrap() + "\n";
    fs::write(out.join("expected.json"), text).unwrap();
}
