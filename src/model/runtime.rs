//! Finding the ONNX Runtime library. It is loaded once per process, at run time, from the first place that has it.

use std::path::{Path, PathBuf};

use super::cache::cache_dir;
use crate::core::{Fault, Kind};

/// The library's file name on this platform.
#[cfg(target_os = "windows")]
const LIBRARY: &str = "onnxruntime.dll";
#[cfg(target_os = "macos")]
const LIBRARY: &str = "libonnxruntime.dylib";
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
const LIBRARY: &str = "libonnxruntime.so";

/// Why there is no ONNX Runtime.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// In none of the places.
    #[error("ONNX Runtime was not found; run 'patchdex setup' to install it. Tried:{tried}")]
    NotFound {
        /// One place a line.
        tried: String,
    },
    /// A library that does not load, or is too old.
    #[error("{} is not a usable ONNX Runtime: {reason}; version 1.17 or newer is needed, 'patchdex setup' installs one", path.display())]
    Broken {
        /// The library.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
}

impl Fault for RuntimeError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Broken { .. } => Kind::Incompatible,
        }
    }
}

/// Where the library is.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The library's file, or its bare name when the system's loader knows it.
    pub library: PathBuf,
}

impl Runtime {
    /// The first place that has the library: `named` (`--onnxruntime`), `ORT_DYLIB_PATH`, beside the executable, the
    /// tool's cache, the system's folders.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`] with the places tried. A path that was named must exist: no other is taken instead.
    pub fn find(named: Option<&Path>) -> Result<Self, RuntimeError> {
        let environment =
            std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
        if let Some(path) = named.map(Path::to_owned).or(environment) {
            return match path.is_file() {
                true => Ok(Self { library: path }),
                false => Err(RuntimeError::NotFound { tried: format!("\n  {}", path.display()) }),
            };
        }
        let places = places();
        match places.iter().find(|path| path.is_file()) {
            Some(path) => Ok(Self { library: path.clone() }),
            None => {
                let tried = places.iter().map(|path| format!("\n  {}", path.display())).collect();
                Err(RuntimeError::NotFound { tried })
            }
        }
    }
}

fn places() -> Vec<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    let system = [
        "/usr/lib",
        "/usr/local/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/opt/homebrew/lib",
    ];
    let system = system.iter().filter(|_| cfg!(unix)).map(PathBuf::from);
    beside
        .into_iter()
        .chain([cache_dir().join("lib")])
        .chain(system)
        .map(|folder| folder.join(LIBRARY))
        .collect()
}
