//! Tensors and tokens of ten photographs against what Hugging Face's image processor and Python's ONNX Runtime give.
//!
//! Goldens: `tools/golden.py`. Model, ONNX Runtime and photographs come from the cache that `tools/setup.py` fills; a
//! test says what is missing there.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "tests read files, stop at the first surprise, and document themselves by their names"
)]

use std::fs;
use std::path::{Path, PathBuf};

use patchdex::core::Bbox;
use patchdex::model::{
    DEFAULT_MODEL, Model, ModelOptions, ModelSpec, cache_dir, model_dir, processor_tensor, tensor,
};
use patchdex::picture::{Limits, Picture, decode};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Mean absolute difference allowed, in the tensor's own units: after rescaling and normalisation, where one of 256
/// grey levels is about 4.4/255.
const TENSOR_TOLERANCE: f64 = 1.0 / 255.0;
const TOKEN_COSINE: f64 = 0.999;
/// Golden tensors are sampled at flat indices `(i * SAMPLE_STRIDE) % length`.
const SAMPLE_STRIDE: usize = 7919;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden")
}

/// The cached file, or a panic that says how to get it.
fn cached(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "{} is missing: run 'python3 tools/setup.py' first", path.display());
    path
}

/// A photograph with its entry in `golden.json`.
struct Photo {
    entry: Value,
    picture: Picture,
}

impl Photo {
    fn name(&self) -> &str {
        self.entry["name"].as_str().unwrap()
    }
}

fn index() -> Value {
    serde_json::from_slice(&fs::read(folder().join("golden.json")).unwrap()).unwrap()
}

/// The ten photographs, the very bytes that the goldens were made from.
fn photos() -> Vec<Photo> {
    let read = |entry: &Value| {
        let name = entry["name"].as_str().unwrap();
        let bytes = fs::read(cached(cache_dir().join("photos").join(name))).unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, entry["sha256"].as_str().unwrap(), "{name} is not the photograph of the goldens");
        let picture = decode(&bytes, &Limits::default()).unwrap();
        assert_eq!((u64::from(picture.width), u64::from(picture.height)), size(entry), "{name}");
        Photo { entry: entry.clone(), picture }
    };
    let photos: Vec<Photo> = index()["photos"].as_array().unwrap().iter().map(read).collect();
    assert_eq!(photos.len(), 10);
    photos
}

fn size(value: &Value) -> (u64, u64) {
    (value["width"].as_u64().unwrap(), value["height"].as_u64().unwrap())
}

/// Shape and values of a NumPy file of `<f4` or `|i1` in C order, version 1.
fn npy(name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = fs::read(folder().join(name)).unwrap();
    let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00").unwrap_or_else(|| panic!("{name} is no NumPy file"));
    let (length, rest) = rest.split_first_chunk::<2>().unwrap();
    let (header, data) = rest.split_at(usize::from(u16::from_le_bytes(*length)));
    let header = std::str::from_utf8(header).unwrap();
    assert!(header.contains("'fortran_order': False"), "{name}: {header}");
    let (_, shape) = header.split_once("'shape': (").unwrap();
    let (shape, _) = shape.split_once(')').unwrap();
    let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    let shape: Vec<usize> = sides.map(|side| side.parse().unwrap()).collect();
    let values: Vec<f32> = match header {
        h if h.contains("'<f4'") => data.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect(),
        h if h.contains("'|i1'") => data.iter().map(|&byte| f32::from(byte as i8)).collect(),
        _ => panic!("{name}: {header}"),
    };
    assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
    (shape, values)
}

/// Holds each photograph's tensor against its row of samples in `file`.
fn check_tensors(file: &str, made: impl Fn(&Photo, &ModelSpec) -> Vec<f32>) {
    let spec = ModelSpec::load(&model_dir(DEFAULT_MODEL), None).unwrap();
    let (shape, golden) = npy(file);
    let photos = photos();
    assert_eq!(shape[0], photos.len());
    let differences = photos.iter().zip(golden.chunks_exact(shape[1])).map(|(photo, golden)| {
        let tensor = made(photo, &spec);
        let sampled = (0..golden.len()).map(|i| tensor[i * SAMPLE_STRIDE % tensor.len()]);
        let sum: f64 = sampled.zip(golden).map(|(a, &b)| f64::from((a - b).abs())).sum();
        (sum / golden.len() as f64, photo.name())
    });
    let (worst, name) = differences.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    println!("{file}: worst mean absolute difference {:.3}/255, {name}", worst * 255.0);
    assert!(
        worst <= TENSOR_TOLERANCE,
        "{file}: the tensor of {name} differs by {:.3}/255 on average, normalised units",
        worst * 255.0
    );
}

#[test]
fn processor_tensors_are_those_of_hugging_face() {
    let crop = size(&index()["crop"]["size"]);
    check_tensors("crop.npy", |photo, spec| {
        let (width, height, tensor) = processor_tensor(&photo.picture, &spec.image);
        assert_eq!((u64::from(width), u64::from(height)), crop, "{}", photo.name());
        tensor
    });
}

#[test]
fn view_tensors_are_those_of_hugging_face() {
    check_tensors("view.npy", |photo, spec| {
        let (width, height) = size(&photo.entry["view"]);
        let whole = Bbox::of_image(photo.picture.width, photo.picture.height);
        tensor(&photo.picture, whole, width as u32, height as u32, &spec.image)
    });
}

#[test]
fn tokens_of_the_default_model_are_those_of_python() {
    let index = index();
    assert_eq!(index["model"], DEFAULT_MODEL);
    let dir = model_dir(DEFAULT_MODEL);
    cached(dir.join("onnx/model.onnx"));
    let (model, mut session) = Model::load(&dir, &ModelOptions::default(), 1).unwrap();
    assert_eq!(index["output"], model.output.as_str());
    let (width, height) = size(&index["tokens"]["size"]);
    let (width, height) = (width as u32, height as u32);
    let (shape, golden) = npy("tokens.npy");
    let (token_scales, dimension_scales) = (npy("token_scales.npy").1, npy("dimension_scales.npy").1);
    let (count, dim) = (shape[1], shape[2]);
    for (at, photo) in photos().iter().enumerate() {
        let whole = Bbox::of_image(photo.picture.width, photo.picture.height);
        let pixels = tensor(&photo.picture, whole, width, height, &model.spec.image);
        let tokens = session.embed(&pixels, 1, width, height).unwrap();
        assert_eq!((tokens.values.len(), tokens.dim), (count * dim, dim), "{}", photo.name());
        let golden = &golden[at * count * dim..][..count * dim];
        for (patch, (found, golden)) in
            tokens.values.chunks_exact(dim).zip(golden.chunks_exact(dim)).enumerate()
        {
            let scale = token_scales[at * count + patch];
            let golden: Vec<f32> = golden.iter().zip(&dimension_scales).map(|(v, d)| v * scale * d).collect();
            let cosine = cosine(found, &golden);
            assert!(cosine > TOKEN_COSINE, "{}, patch {patch}: cosine {cosine:.6}", photo.name());
        }
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
