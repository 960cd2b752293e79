//! Finding the ONNX Runtime library. It is loaded once per process, at run time, from the first place that has it.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::Device;
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
    /// The one that was named does not exist.
    #[error(
        "the ONNX Runtime library {} (named by {by}) does not exist; correct the path, or leave it out to use the one \
         that 'patchdex setup' installs", path.display()
    )]
    Missing {
        /// The library.
        path: PathBuf,
        /// What named it.
        by: &'static str,
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
            Self::NotFound { .. } | Self::Missing { .. } => Kind::NotFound,
            Self::Broken { .. } => Kind::Incompatible,
        }
    }
}

/// What a caller may choose about ONNX Runtime.
#[derive(Clone, Debug, Default)]
pub struct RuntimeOptions {
    /// The library; searched when none.
    pub library: Option<PathBuf>,
    /// Where graphs run; the first device that the library has and that works, when none.
    pub device: Option<Device>,
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
    /// [`RuntimeError::NotFound`] with the places tried, [`RuntimeError::Missing`] where a path was named: no other is
    /// taken instead.
    pub fn find(named: Option<&Path>) -> Result<Self, RuntimeError> {
        let environment =
            std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
        let named = named.map(|path| (path.to_owned(), "--onnxruntime"));
        if let Some((path, by)) = named.or(environment.map(|path| (path, "ORT_DYLIB_PATH"))) {
            return match path.is_file() {
                true => Self::whole(path),
                false => Err(RuntimeError::Missing { path, by }),
            };
        }
        let places = places();
        match places.iter().find(|path| path.is_file()) {
            Some(path) => Self::whole(path.clone()),
            None => {
                let tried = places.iter().map(|path| format!("\n  {}", path.display())).collect();
                Err(RuntimeError::NotFound { tried })
            }
        }
    }

    /// Refuses a file that is cut short: the system's loader would end the process with a bus error.
    fn whole(library: PathBuf) -> Result<Self, RuntimeError> {
        match cut_short(&library) {
            Ok(true) => {
                let reason = "the file is cut short, copy it again".to_owned();
                Err(RuntimeError::Broken { path: library, reason })
            }
            // What cannot be read, the loader explains.
            _ => Ok(Self { library }),
        }
    }
}

/// Whether an ELF file ends before its section table, which linkers write last. Other formats are not looked at.
fn cut_short(path: &Path) -> std::io::Result<bool> {
    let mut file = std::fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut header = [0u8; 64];
    file.read_exact(&mut header)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Ok(false);
    }
    let number = |at: usize, count: usize| {
        header[at..at + count].iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte))
    };
    let (table, row_bytes, rows) = (number(0x28, 8), number(0x3a, 2), number(0x3c, 2));
    Ok(table.saturating_add(row_bytes * rows) > bytes)
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
