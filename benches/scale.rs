//! What commands cost on collections of millions of patches: seconds, and resident memory apart by what it is. Vectors are
//! made up; all else is as `patchdex index` writes it, so that every command works on them.
//!
//! `cargo bench --bench scale -- --patches 1000000,10000000 --dir FOLDER`; model and photographs come from the cache that
//! `tools/setup.py` fills. The folder needs room for the largest collection twice.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench is a program that makes its own files, prints its figures and stops at the first surprise"
)]

#[allow(dead_code, reason = "here only medians are wanted")]
mod ratio;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use patchdex::collection::{CREATED_BY, Collection, Draft, GraphDemand, write_preparation};
use patchdex::core::Bbox;
use patchdex::dims::Preparation;
use patchdex::index::RowKind;
use patchdex::ingest::{self, IndexOptions};
use patchdex::metric::METRICS;
use patchdex::model::{DEFAULT_MODEL, Model, ModelOptions, cache_dir, model_dir};
use patchdex::picture::{Filter, Limits, Picture, decode};
use patchdex::segment::{FileRole, Listed, RowEncoding, SegmentTables, file_entry, write_container};
use patchdex_format::{ContainerWriter, ImageRow, Manifest, SegmentEntry, ViewRow};
use rayon::prelude::*;

/// Opening, whatever the number of patches.
const OPEN_BAR_MS: f64 = 10.0;
/// Adding to a collection over indexing the same images into a new one.
const ADD_BAR: f64 = 1.10;
/// Patches of an image from top to bottom, and from left to right.
const GRID: (u32, u32) = (25, 40);
const PATCH_PX: u32 = 14;
const SEGMENTS: usize = 4;
const ADDED_IMAGES: usize = 100;
/// Small, so that what is not embedding shows.
const LONG_SIDE_PX: u32 = 224;
const ROUNDS: usize = 3;
const OPENINGS: usize = 20;
/// Where an object is in the photograph that is asked with.
const ASKED: (&str, &str) = ("chelsea.png", "120,60,180,150");
const PAUSE: Duration = Duration::from_millis(5);

fn main() {
    if !ratio::is_bench() {
        return;
    }
    let sizes = argument("--patches").unwrap_or_else(|| "1000000".to_owned());
    let sizes: Vec<usize> = sizes.split(',').map(|size| size.parse().expect("--patches N,N")).collect();
    let parent = argument("--dir").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent).unwrap();
    let added = make_photographs(&folder.path().join("photos/added"));
    let template = make_template(folder.path(), &added[0]);
    println!("{DEFAULT_MODEL}, {} threads, {SEGMENTS} segments", ratio::all_threads());
    for patches in sizes {
        let collection = folder.path().join(format!("collection-{patches}"));
        let start = Instant::now();
        make_collection(&collection, &template, folder.path(), patches);
        let bytes: u64 = files_of(&collection).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        println!(
            "\n{patches} patches, {} images, {:.2} GB, made in {:.0} s",
            patches / images_patches(),
            bytes as f64 / 1e9,
            start.elapsed().as_secs_f64()
        );
        measure(&collection, folder.path(), &added);
        fs::remove_dir_all(&collection).unwrap();
    }
}

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn images_patches() -> usize {
    (GRID.0 * GRID.1) as usize
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_of(&path) } else { vec![path] }).collect()
}

fn photograph(name: &str) -> PathBuf {
    let path = cache_dir().join("photos").join(name);
    assert!(path.is_file(), "{} is missing: run 'python3 tools/setup.py' first", path.display());
    path
}

/// Small pictures, no two alike, cut out of the photographs.
fn make_photographs(to: &Path) -> Vec<PathBuf> {
    fs::create_dir_all(to).unwrap();
    let names = ["astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png"];
    let open = |name: &&str| decode(&fs::read(photograph(name)).unwrap(), &Limits::default()).unwrap();
    let pictures: Vec<Picture> = names.iter().map(open).collect();
    let cut = |number: usize| {
        let picture = &pictures[number % pictures.len()];
        let step = (number / pictures.len()) as f32;
        let (w, h) = (picture.width as f32, picture.height as f32);
        let area = Bbox { x: step * w / 80.0, y: step * h / 100.0, w: w * 0.7, h: h * 0.75 };
        let path = to.join(format!("{number:03}.jpg"));
        fs::write(&path, picture.resize(area, 320, 240, Filter::Bilinear).to_jpeg(90)).unwrap();
        path
    };
    (0..ADDED_IMAGES).map(cut).collect()
}

/// A collection of one photograph: its manifest says what the large ones must agree with.
fn make_template(folder: &Path, image: &Path) -> Collection {
    let options =
        IndexOptions { long_side_px: LONG_SIDE_PX, ..IndexOptions::new(folder.join("template"), 1) };
    let model = Model::open(&model_dir(DEFAULT_MODEL), &ModelOptions::default()).unwrap();
    let sources = ingest::collect(&[image.to_owned()], None).unwrap();
    ingest::index(&sources, &model, &options, &AtomicBool::new(false), &mut |_| {}).unwrap();
    Collection::open(&options.out).unwrap()
}

/// A collection of `patches` random vectors in several segments, otherwise as the template is.
fn make_collection(path: &Path, template: &Collection, root: &Path, patches: usize) {
    let Ok(draft) = Draft::begin(path, "scale").unwrap() else { panic!("{} is finished", path.display()) };
    let manifest = template.manifest();
    let dim = manifest.dim as usize;
    let images = patches / images_patches();
    let mut segments = Vec::new();
    for number in 0..SEGMENTS {
        let numbers = number * images / SEGMENTS..(number + 1) * images / SEGMENTS;
        let (id, folder) = draft.new_segment(number).unwrap();
        let vectors = FileRole::Vectors.first_name();
        write_vectors(&folder.join(&vectors), &numbers.clone().collect::<Vec<_>>(), dim);
        let tables = SegmentTables::of(numbers.clone().map(|at| listed(at, at - numbers.start)).collect());
        let mut entry = SegmentEntry {
            id,
            images: tables.image_count(),
            views: tables.view_count(),
            patches: tables.patch_count(),
            graph: None,
            files: Vec::new(),
        };
        let mut files = vec![file_entry(&folder, &vectors).unwrap()];
        files.extend(tables.write(&folder, FileRole::first_name, CREATED_BY).unwrap());
        FileRole::replace(&mut entry, files);
        segments.push(entry);
    }
    let manifest = Manifest {
        commit: draft.commit(),
        root: root.join("photos").to_string_lossy().into_owned(),
        preparation: write_preparation(&draft, &template.preparation().unwrap()).unwrap(),
        graph: None,
        segments,
        source: "scale".to_owned(),
        ..manifest.clone()
    };
    fs::copy(template.path().join(&manifest.rejects.name), path.join(&manifest.rejects.name)).unwrap();
    draft.publish(&manifest, true, GraphDemand::Wanted, &mut |_| ()).unwrap();
}

/// Image `number` of the collection and `place` of its segment. The folders hold one image in a hundred.
fn listed(number: usize, place: usize) -> Listed {
    let (rows, cols) = GRID;
    let (width_px, height_px) = (cols * PATCH_PX, rows * PATCH_PX);
    let view = ViewRow {
        first_patch: (place * images_patches()) as u64,
        image: 0,
        rows,
        cols,
        kind: 0,
        area: [0.0, 0.0, width_px as f32, height_px as f32],
    };
    let content = *blake3::hash(&number.to_le_bytes()).as_bytes();
    Listed {
        // Sorted as they are numbered within a segment, as `index` leaves them.
        path: format!("made/{:02}/{number:09}.jpg", number % 100).into_bytes(),
        row: ImageRow { width_px, height_px, content, ..bytemuck::Zeroable::zeroed() },
        views: [view].into(),
        metadata: serde_json::Map::new(),
    }
}

fn write_vectors(path: &Path, images: &[usize], dim: usize) {
    let none = Preparation::none(dim);
    let encoding = RowEncoding { preparation: &none, metric: METRICS[0], rows: RowKind::DEFAULT };
    write_container(path, |file| {
        let mut writer = ContainerWriter::new(file, FileRole::Vectors.kind(), CREATED_BY)?;
        writer.begin("vectors", RowKind::DEFAULT.element, dim as u32)?;
        for images in images.chunks(64) {
            let encode = |&image: &usize| encoding.encode(&random(image, images_patches() * dim)).0;
            for bytes in images.par_iter().map(encode).collect::<Vec<_>>() {
                writer.rows(&bytes)?;
            }
        }
        writer.finish().map(|_| ())
    })
    .unwrap();
}

/// Numbers between -1 and 1.
fn random(seed: usize, count: usize) -> Vec<f32> {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn measure(collection: &Path, folder: &Path, added: &[PathBuf]) {
    let opened = || ratio::timed(|| Collection::open(collection).unwrap()).as_secs_f64() * 1e3;
    let cold = (0..5).map(|_| forget(collection).then(opened)).collect::<Option<Vec<f64>>>();
    let cold = cold.map_or("not measured".to_owned(), |cold| format!("{:.2} ms", ratio::median(cold)));
    let warm = ratio::median((0..OPENINGS).map(|_| opened()).collect());
    println!(
        "opening          {warm:.2} ms ({}), {cold} where no file is in the page cache",
        bar(warm, OPEN_BAR_MS)
    );

    let (path, target) = (collection.as_os_str(), folder.join("new"));
    let asked = photograph(ASKED.0);
    let photos = added[0].parent().unwrap().as_os_str();
    println!("{:<18}{:>9}{:>14}{:>14}{:>14}", "command", "seconds", "anonymous", "file-backed", "together");
    show("inspect", &run([OsStr::new("inspect"), path]));
    show("verify --quick", &run([OsStr::new("verify"), path, OsStr::new("--quick")]));
    show("verify --full", &run([OsStr::new("verify"), path, OsStr::new("--full")]));
    let query = [OsStr::new("query"), path, asked.as_os_str(), OsStr::new("--box"), OsStr::new(ASKED.1)];
    show("query --exact", &run(query.into_iter().chain([OsStr::new("--exact")])));

    let long_side = LONG_SIDE_PX.to_string();
    let index =
        [OsStr::new("index"), photos, OsStr::new("--out"), target.as_os_str(), OsStr::new("--long-side")];
    let (mut adds, mut indexes) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        indexes.push(run(index.into_iter().chain([OsStr::new(&long_side)])));
        fs::remove_dir_all(&target).unwrap();
        adds.push(run([OsStr::new("add"), path, photos]));
        run([OsStr::new("remove"), path, OsStr::new("added")]);
    }
    let (add, index) = (Usage::median(adds), Usage::median(indexes));
    show(&format!("add {ADDED_IMAGES} images"), &add);
    show("index the same", &index);
    show("remove 1 %", &run([OsStr::new("remove"), path, OsStr::new("made/17")]));
    show("compact --all", &run([OsStr::new("compact"), path, OsStr::new("--all")]));
    let ratio = add.seconds / index.seconds;
    println!("add / index      {ratio:.2} ({})", bar(ratio, ADD_BAR));
}

fn bar(value: f64, bar: f64) -> String {
    format!("bar {bar}{}", if value > bar { ", MISSED" } else { "" })
}

/// Takes the files of a collection out of the page cache, where that can be done.
fn forget(collection: &Path) -> bool {
    cfg!(target_os = "linux")
        && files_of(collection).iter().all(|path| {
            let input = format!("if={}", path.display());
            let dropped =
                Command::new("dd").args([&input, "iflag=nocache", "count=0"]).stderr(Stdio::null()).status();
            dropped.is_ok_and(|status| status.success())
        })
}

/// What a command took.
#[derive(Clone, Copy, Default)]
struct Usage {
    seconds: f64,
    memory: Option<Memory>,
}

/// Most bytes that were resident at once.
#[derive(Clone, Copy, Default)]
struct Memory {
    anonymous: u64,
    file_backed: u64,
    together: u64,
}

impl Usage {
    /// The run of median length.
    fn median(mut runs: Vec<Self>) -> Self {
        runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        runs[runs.len() / 2]
    }
}

/// Runs the program with its output thrown away, and looks at its memory meanwhile.
fn run<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> Usage {
    let arguments: Vec<&OsStr> = arguments.into_iter().collect();
    let errors = tempfile::NamedTempFile::new().unwrap();
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_patchdex"))
        .args(&arguments)
        .stdout(Stdio::null())
        .stderr(File::create(errors.path()).unwrap())
        .spawn()
        .unwrap();
    let mut memory: Option<Memory> = None;
    let status = loop {
        if let Some(now) = resident(child.id()) {
            let most = memory.get_or_insert_default();
            most.anonymous = most.anonymous.max(now.anonymous);
            most.file_backed = most.file_backed.max(now.file_backed);
            most.together = most.together.max(now.together);
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(PAUSE);
    };
    let seconds = start.elapsed().as_secs_f64();
    assert!(status.success(), "{arguments:?}: {}", fs::read_to_string(errors.path()).unwrap());
    Usage { seconds, memory }
}

/// What is resident of a process now, and was at most; none where the system does not say.
fn resident(process: u32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let bytes = |name: &str| -> Option<u64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(value.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    };
    let (anonymous, file_backed) = (bytes("RssAnon:")?, bytes("RssFile:")?);
    Some(Memory { anonymous, file_backed, together: bytes("VmHWM:")? })
}

fn show(command: &str, usage: &Usage) {
    let shown = |bytes: Option<u64>| {
        bytes.map_or("not measured".to_owned(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6))
    };
    let memory = usage.memory;
    println!(
        "{command:<18}{:>9.2}{:>14}{:>14}{:>14}",
        usage.seconds,
        shown(memory.map(|memory| memory.anonymous)),
        shown(memory.map(|memory| memory.file_backed)),
        shown(memory.map(|memory| memory.together))
    );
}
