//! What a Hugging Face model folder says of its model: which graph, which patches, which tokens, which preprocessing.
//!
//! Reads `config.json` and `preprocessor_config.json`; opens no graph. A `patchdex` object in `config.json` may give
//! `name`, `prefix_tokens`, `output` and `licence`, and wins over everything derived.

mod family;
mod image;
mod json;

use std::path::{Path, PathBuf};

use super::cache::installed;
use super::registry::{KnownModel, known};
use crate::core::{Fault, Kind};

pub use image::{Crop, ImageSpec, Resize};
use json::Document;

/// A model folder, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// Name for people and manifests: from `patchdex.name`, the hub's cache layout, or the folder.
    pub name: String,
    /// The folder.
    pub dir: PathBuf,
    /// The ONNX file.
    pub graph: PathBuf,
    /// `fp32`, `fp16`, `int8`, `quantized`, ...
    pub variant: String,
    /// `model_type` of the (vision) configuration: `dinov2`, `vit`, `clip_vision_model`, ...
    pub family: String,
    /// Side of the square patches, in pixels of the model's input.
    pub patch_px: u32,
    /// Length of a token.
    pub hidden_size: usize,
    /// Tokens before the patches (CLS, registers). `None` where only the graph can tell.
    pub prefix_tokens: Option<usize>,
    /// Name of the output to read; `None` leaves it to the graph.
    pub output: Option<String>,
    /// Licence of the weights, where the folder says it.
    pub licence: Option<String>,
    /// Side in pixels of the square input the model was trained for, where the configuration says so.
    pub image_px: Option<u32>,
    /// Preprocessing.
    pub image: ImageSpec,
}

/// Why a folder is not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// There is no model folder of that name.
    #[error(
        "{} is no model folder (it has no config.json), and no installed model has that name; {advice}", dir.display()
    )]
    NoModel {
        /// The folder.
        dir: PathBuf,
        /// What to do.
        advice: String,
    },
    /// A file that every model folder has is not there or cannot be read.
    #[error("{}: cannot be read; a model folder has config.json, preprocessor_config.json and onnx/model.onnx", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is no JSON object.
    #[error("{}: not a JSON object; fetch the model again", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it stops being JSON; none where it is another JSON value.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// A key is missing or has a value that cannot be meant.
    #[error("{}: \"{key}\" {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key, with dots where it is nested.
        key: String,
        /// What is wrong, and what to write.
        problem: String,
    },
    /// The folder holds no graph of the wanted variant.
    #[error("{}: no graph of variant \"{variant}\" (looked for {tried}); {present}", dir.display())]
    NoGraph {
        /// The folder.
        dir: PathBuf,
        /// The wanted variant.
        variant: String,
        /// File names that were looked for.
        tried: String,
        /// What is there instead, and what to do.
        present: String,
    },
}

/// What to do about a model that is not there.
fn advice(dir: &Path) -> String {
    if let Some(KnownModel { family, name, .. }) = known().iter().find(|model| dir.ends_with(&model.name)) {
        return format!("it is known, but not made yet: tools/export {family} {name} --out {name}");
    }
    let name = |dir: PathBuf| dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match installed() {
        none if none.is_empty() => "'patchdex setup' installs the default model".to_owned(),
        found => format!(
            "installed are {} ('patchdex model list' shows more, 'patchdex setup' installs the default model)",
            found.into_iter().map(name).collect::<Vec<_>>().join(", ")
        ),
    }
}

impl Fault for SpecError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read { source, .. } if source.kind() != std::io::ErrorKind::NotFound => Kind::Io,
            Self::NoModel { .. } | Self::Read { .. } | Self::NoGraph { .. } => Kind::NotFound,
            Self::Json { .. } => Kind::Corrupt,
            Self::Key { .. } => Kind::Invalid,
        }
    }
}

impl ModelSpec {
    /// Reads the folder `dir`. `variant` is `fp32` (or none), `fp16`, `int8`, ...: the part of the graph's file name
    /// behind `model_`; `int8` also takes `model_quantized.onnx`.
    ///
    /// # Errors
    /// A file is missing or no JSON, a key is missing or out of range, the variant's graph is not there.
    pub fn load(dir: &Path, variant: Option<&str>) -> Result<ModelSpec, SpecError> {
        if !dir.join("config.json").exists() {
            return Err(SpecError::NoModel { dir: dir.to_owned(), advice: advice(dir) });
        }
        let config = Document::read(&dir.join("config.json"))?;
        let processor = Document::read(&dir.join("preprocessor_config.json"))?;
        let variant = variant.unwrap_or("fp32");
        let graph = find_graph(dir, variant)?;
        let vision = family::read(&config)?;
        let own = config.object("patchdex")?;
        let own_name = own.as_ref().map(|o| o.text("name")).transpose()?.flatten();
        let own_prefix = own.as_ref().map(|o| o.count("prefix_tokens")).transpose()?.flatten();
        let output = own.as_ref().map(|o| o.text("output")).transpose()?.flatten();
        let licence = own.as_ref().map(|o| o.text("licence")).transpose()?.flatten();
        Ok(ModelSpec {
            name: own_name.unwrap_or_else(|| folder_name(dir)),
            dir: dir.to_owned(),
            graph,
            variant: variant.to_owned(),
            family: vision.family,
            patch_px: vision.patch_px,
            hidden_size: vision.hidden_size,
            prefix_tokens: own_prefix.map(|n| n as usize).or(vision.prefix_tokens),
            output,
            licence,
            image_px: vision.image_px,
            image: image::read(&processor)?,
        })
    }
}

/// `OWNER/NAME` where the folder is a snapshot in the hub's cache, else the folder's own name.
fn folder_name(dir: &Path) -> String {
    let full = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let hub =
        full.parent().filter(|p| p.ends_with("snapshots")).and_then(Path::parent).and_then(Path::file_name);
    if let Some(name) = hub.and_then(|n| n.to_str()).and_then(|n| n.strip_prefix("models--")) {
        return name.replacen("--", "/", 1);
    }
    full.file_name().map_or_else(|| "model".to_owned(), |n| n.to_string_lossy().into_owned())
}

/// The graph's file: in `onnx/` or, as `optimum-cli` writes it, in the folder itself; `vision_model` for the image
/// half of a two-part model.
fn find_graph(dir: &Path, variant: &str) -> Result<PathBuf, SpecError> {
    let suffixes = match variant {
        "" | "fp32" => vec![String::new()],
        "int8" => vec!["_int8".to_owned(), "_quantized".to_owned()],
        other => vec![format!("_{other}")],
    };
    let names: Vec<String> = ["model", "vision_model"]
        .iter()
        .flat_map(|stem| suffixes.iter().map(move |suffix| format!("{stem}{suffix}.onnx")))
        .collect();
    let plain = variant.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let places = [dir.join("onnx"), dir.to_owned()];
    let mut candidates = names.iter().flat_map(|name| places.iter().map(move |place| place.join(name)));
    match candidates.find(|path| plain && path.is_file()) {
        Some(path) => Ok(path),
        None => Err(SpecError::NoGraph {
            dir: dir.to_owned(),
            variant: variant.to_owned(),
            tried: names.join(", "),
            present: present_graphs(&places),
        }),
    }
}

fn present_graphs(places: &[PathBuf]) -> String {
    let mut names: Vec<String> = places
        .iter()
        .filter_map(|place| std::fs::read_dir(place).ok())
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(variant_of(name.strip_suffix(".onnx")?).to_owned()))
        .collect();
    names.sort();
    names.dedup();
    match names.is_empty() {
        true => "it holds no .onnx file: export or pull the model first".to_owned(),
        false => format!(
            "it holds {}: choose one of these with --variant, or make another with tools/export --quantize",
            names.join(", ")
        ),
    }
}

/// What a graph's file without its extension is called as a variant.
fn variant_of(stem: &str) -> &str {
    let rest = ["vision_model", "model"].iter().find_map(|start| stem.strip_prefix(start));
    match rest {
        Some("") => "fp32",
        Some(rest) => rest.trim_start_matches('_'),
        None => stem,
    }
}

#[cfg(test)]
mod tests;
