//! Folders for what is thrown away.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::storage::{StorageError, create_dir_all, remove_dir_all};

/// A folder that nobody had before; it goes away with its owner.
#[derive(Debug)]
pub(super) struct ScratchFolder(PathBuf);

impl ScratchFolder {
    /// An empty folder in `parent`, for `what`.
    pub fn new_in(parent: &Path, what: &str) -> Result<Self, StorageError> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            let folder = parent.join(format!("patchdex-{what}-{}-{number}", std::process::id()));
            // One that is there was left over by a run that was broken off.
            if !folder.exists() {
                return create_dir_all(&folder).map(|()| Self(folder));
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // Left over, it is only one folder more among temporary ones.
        let _ = remove_dir_all(&self.0);
    }
}
