//! Indexing photographs against bare inference: the same model, view sizes, batch and number of threads, with tensors
//! that lie ready. What indexing does beside inference (reading, decoding, resizing, whitening, writing) should not show.
//!
//! `cargo bench --bench ingest -- ROUNDS COPIES`; model and photographs come from the cache that `tools/setup.py` fills.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench is a program that makes its own files, prints its figures and stops at the first surprise"
)]

mod ratio;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use patchdex::ingest::{self, IndexOptions, View};
use patchdex::model::{DEFAULT_MODEL, Model, ModelOptions, Session, cache_dir, model_dir, tensor};
use patchdex::picture::{Limits, decode};
use patchdex_format::ViewPlan;

/// The bar: images/s of indexing over those of bare inference.
const BAR: f64 = 0.95;
const LONG_SIDE_PX: u32 = 518;

fn main() {
    if !ratio::is_bench() {
        return;
    }
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let (rounds, copies) = (numbers.next().unwrap_or(5), numbers.next().unwrap_or(3));
    let threads = ratio::all_threads();
    let folder = tempfile::tempdir().unwrap();
    let images = copy_photographs(&folder.path().join("images"), copies);
    let model = Model::open(&model_dir(DEFAULT_MODEL), &ModelOptions::default()).unwrap();
    let sources = ingest::collect(&[folder.path().join("images")], None).unwrap();
    let options = IndexOptions::new(folder.path().join("collection"), threads);
    let start = std::time::Instant::now();
    let tensors: Vec<Ready> = images.iter().map(|path| Ready::from_file(path, &model)).collect();
    let prepare_seconds = start.elapsed().as_secs_f64() / images.len() as f64;
    let mut sessions: Vec<Session> = (0..threads).map(|_| model.session(1).unwrap()).collect();

    let indexed = &mut || {
        let _ = fs::remove_dir_all(&options.out);
        let stop = AtomicBool::new(false);
        ratio::timed(|| {
            let summary = ingest::index(&sources, &model, &options, &stop, &mut |_| {}).unwrap();
            assert_eq!(summary.embedded_views, images.len());
        })
    };
    let bare = &mut || ratio::timed(|| run_all(&mut sessions, &tensors));
    let seconds = ratio::interleaved(rounds, &mut [bare, indexed]);
    let speed = |seconds: f64| images.len() as f64 / seconds;
    println!(
        "{} photographs, {DEFAULT_MODEL}, long side {LONG_SIDE_PX}, batch 1, {threads} threads, {rounds} rounds",
        images.len()
    );
    println!("bare inference   {:.3} images/s", speed(seconds[0]));
    println!("index            {:.3} images/s", speed(seconds[1]));
    println!("ratio            {}", ratio::against_bar(seconds[0] / seconds[1], BAR));
    println!("decode, resize   {:.1} ms an image on one thread", prepare_seconds * 1e3);
}

/// Every photograph of the cache `copies` times. A few bytes behind the end of each file keep them from being taken for
/// copies of one another, and cost the decoder nothing.
fn copy_photographs(to: &Path, copies: usize) -> Vec<PathBuf> {
    fs::create_dir_all(to).unwrap();
    let photos = cache_dir().join("photos");
    let listed = fs::read_dir(&photos);
    let mut names: Vec<PathBuf> = listed
        .unwrap_or_else(|_| panic!("{} is missing: run 'python3 tools/setup.py' first", photos.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "png" || kind == "jpg"))
        .collect();
    names.sort();
    let mut made = Vec::new();
    for copy in 0..copies {
        for name in &names {
            let path = to.join(format!("{copy}-{}", name.file_name().unwrap().to_string_lossy()));
            let mut bytes = fs::read(name).unwrap();
            bytes.extend_from_slice(copy.to_string().as_bytes());
            fs::write(&path, bytes).unwrap();
            made.push(path);
        }
    }
    made
}

/// A view as the model takes it.
struct Ready {
    view: View,
    pixels: Vec<f32>,
}

impl Ready {
    fn from_file(path: &Path, model: &Model) -> Self {
        let picture = decode(&fs::read(path).unwrap(), &Limits::default()).unwrap();
        let plan = ViewPlan { long_side_px: LONG_SIDE_PX, tiles: None, pyramid: false };
        let view = ingest::views(picture.width, picture.height, &plan, model)[0];
        let pixels = tensor(&picture, view.grid.area, view.width_px, view.height_px, &model.spec.image);
        Self { view, pixels }
    }
}

/// All tensors through the sessions, a thread each, in the order in which indexing takes them.
fn run_all(sessions: &mut [Session], tensors: &[Ready]) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for session in sessions {
            let next = &next;
            scope.spawn(move || {
                while let Some(ready) = tensors.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let View { width_px, height_px, .. } = ready.view;
                    let tokens = session.embed(&ready.pixels, 1, width_px, height_px).unwrap();
                    std::hint::black_box(tokens.values);
                }
            });
        }
    });
}
