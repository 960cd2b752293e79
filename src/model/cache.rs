//! Where models and ONNX Runtime lie on this machine, and how a name becomes a folder.

use std::path::{Path, PathBuf};

use super::hub;

/// The model that is used when none is named.
pub const DEFAULT_MODEL: &str = "dinov2-small-b7";

/// The tool's cache folder: `$XDG_CACHE_HOME/patchdex`, or the platform's usual place.
pub fn cache_dir() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("LOCALAPPDATA"))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("patchdex")
}

/// The folder of a model: `model` itself when it is one, else a name among the installed and the pulled models.
pub fn model_dir(model: &str) -> PathBuf {
    let path = Path::new(model);
    let named = cache_dir().join("models").join(model);
    if path.join("config.json").is_file() {
        return path.to_owned();
    }
    match path.components().count() {
        1 if named.is_dir() => named,
        2 => hub::cached_folder(&hub::HubOptions::from_env(), model).unwrap_or_else(|| path.to_owned()),
        _ => path.to_owned(),
    }
}

/// Folders of the models in the cache, by name.
pub fn installed() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(cache_dir().join("models"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("config.json").is_file())
        .collect();
    found.sort();
    found
}
