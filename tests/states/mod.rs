//! What tests of whole collections share: a tiny model, tiny images, and what a collection says, whatever its files are
//! called.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use patchdex::collection::{Collection, CollectionError, verify};
use patchdex::core::{Fault, Kind};
use patchdex::ingest::{Addition, IndexOptions, IngestError, Sources, Summary, add, collect, index};
use patchdex::model::{Model, ModelOptions};
use patchdex::segment::Depth;

/// A model whose tokens have eight numbers, for patches of 4 px.
pub fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Model::open(&model_dir(), &ModelOptions::default()).unwrap())
}

/// Its folder.
pub fn model_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/sound")
}

/// One thread and few patches an image.
pub fn options(out: &Path) -> IndexOptions {
    IndexOptions { long_side_px: 28, ..IndexOptions::new(out.to_owned(), 1) }
}

pub fn index_of(sources: &Sources, options: &IndexOptions) -> Result<Summary, IngestError> {
    index(sources, model(), options, &AtomicBool::new(false), &mut |_| {})
}

pub fn add_of(sources: &Sources, options: &IndexOptions) -> Result<Addition, IngestError> {
    add(sources, model(), options, false, &AtomicBool::new(false), &mut |_| {})
}

pub fn folder(path: &Path) -> Sources {
    collect(&[path.to_owned()], None).unwrap()
}

/// The bytes of a picture of its own for each `seed`.
pub fn picture(seed: u32) -> Vec<u8> {
    let (width, height) = (24 + seed % 5 * 8, 20 + seed % 3 * 4);
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    let pixels = image::RgbImage::from_fn(width, height, |_, _| image::Rgb([next(), next(), next()]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Writes a file with a date of its own: clocks of file systems are coarse.
pub fn write(path: &Path, bytes: &[u8], seconds: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds);
    fs::File::options().append(true).open(path).unwrap().set_modified(date).unwrap();
}

/// Bytes of every file below a folder, but for the lock, which holds a process id.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false if path.ends_with("writer.lock") => {}
                false => {
                    found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
                }
            }
        }
    }
    found
}

#[track_caller]
pub fn assert_same(found: &Path, expected: &BTreeMap<PathBuf, Vec<u8>>, case: &str) {
    let found = files(found);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{case}");
    for (path, bytes) in expected {
        assert!(found[path] == *bytes, "{case}: {} differs from that of an undisturbed run", path.display());
    }
}

/// Copies a folder; a missing one is copied as a missing one.
pub fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    if !from.exists() {
        return;
    }
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in files(from) {
        fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
        fs::write(to.join(name), bytes).unwrap();
    }
}

/// What a collection says: its commit, and for each path the content, the digest of its vectors and its metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub commit: u64,
    pub images: BTreeMap<String, (String, String, String)>,
}

/// None where there is no collection.
pub fn state(path: &Path) -> Result<Option<State>, CollectionError> {
    let collection = match Collection::open(path) {
        Ok(collection) => collection,
        Err(error) if error.kind() == Kind::NotFound && !path.join("manifest.json").exists() => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut images = BTreeMap::new();
    for segment in collection.segments() {
        let metadata = segment.metadata()?;
        for image in segment.images() {
            let image = image?;
            let mut vectors = blake3::Hasher::new();
            for view in image.views() {
                let (bytes, scales) = segment.row_bytes(view.first_patch, view.grid.len());
                vectors.update(bytes).update(bytemuck::cast_slice(scales));
            }
            let said = metadata.map(|table| format!("{:?}", table.row(image.index))).unwrap_or_default();
            let known = (image.id(), vectors.finalize().to_hex().to_string(), said);
            let twice = images.insert(image.path_text(), known);
            assert!(twice.is_none(), "{} is listed twice", image.path_text());
        }
    }
    Ok(Some(State { commit: collection.manifest().commit, images }))
}

/// Reads every byte back.
#[track_caller]
pub fn assert_sound(path: &Path, case: &str) {
    let report = verify(path, Depth::Full).unwrap();
    assert!(report.damage.is_empty(), "{case}: {:?}", report.damage);
}
