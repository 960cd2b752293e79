//! Read-only memory maps.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::StorageError;

/// A whole file, mapped read-only.
pub struct Map {
    map: memmap2::Mmap,
    path: PathBuf,
}

impl Map {
    /// Maps `path`. Nothing is read yet.
    ///
    /// # Errors
    /// The system's refusal, with the path.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let wrap = || StorageError::at("open", path);
        let file = std::fs::File::open(path).map_err(wrap())?;
        // SAFETY: committed files are never changed in place (they are replaced by rename), so the bytes under the map
        // stay as they are. A foreign program that truncates one can raise SIGBUS; no mapping can prevent that.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(wrap())?;
        Ok(Self { map, path: path.to_owned() })
    }

    /// Where the bytes come from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells the system that the map will be read from front to back.
    pub fn advise_sequential(&self) {
        #[cfg(unix)]
        let _ = self.map.advise(memmap2::Advice::Sequential);
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}
