//! Files: memory maps, atomic replacement, append logs, the writer's lock. The only place that opens a file for
//! writing. Knows nothing of what the bytes mean.
#![allow(clippy::disallowed_methods, reason = "this module is where files are written")]

mod append;
mod atomic;
mod error;
#[doc(hidden)]
pub mod fault;
mod lock;
mod map;
mod page_cache;

use std::fs::Metadata;
use std::path::Path;
use std::time::UNIX_EPOCH;

pub use append::AppendFile;
pub use atomic::{NewFile, discard_dir, is_discarded, is_unfinished_only, remove_unfinished, write_atomic};
pub use error::StorageError;
pub use lock::WriterLock;
pub use map::{Map, Residency};
pub use page_cache::{cached_pages, forget};

/// Modification time, nanoseconds since 1970; 0 where the system does not say.
pub fn modified_ns(about: &Metadata) -> i64 {
    let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    modified.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Makes a folder and its parents, and makes their names durable: a synced file in a folder that a power cut takes away
/// is lost all the same.
///
/// # Errors
/// The system's refusal, with the path.
pub fn create_dir_all(path: &Path) -> Result<(), StorageError> {
    let is_new = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let new: Vec<&Path> = path.ancestors().take_while(is_new).collect();
    if !new.is_empty() {
        fault::check().map_err(StorageError::at("make the folder", path))?;
    }
    std::fs::create_dir_all(path).map_err(StorageError::at("make the folder", path))?;
    new.into_iter().try_for_each(sync_parent)
}

/// Renames within one file system and makes the new name durable.
///
/// # Errors
/// The system's refusal, with the path.
pub fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    fault::check().and_then(|()| std::fs::rename(from, to)).map_err(StorageError::at("rename to", to))?;
    sync_parent(to)
}

/// Removes a file; a missing one is fine.
///
/// # Errors
/// The system's refusal, with the path.
pub fn remove_file(path: &Path) -> Result<(), StorageError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::at("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it; a missing one is fine.
///
/// # Errors
/// The system's refusal, with the path.
pub fn remove_dir_all(path: &Path) -> Result<(), StorageError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::at("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Gives a file a second name, or copies it where that is not to be had; what had the name before is replaced. A missing
/// file is fine.
///
/// # Errors
/// The system's refusal, with the path.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<(), StorageError> {
    remove_file(to)?;
    if !from.is_file() {
        return Ok(());
    }
    fault::check().map_err(StorageError::at("link to", to))?;
    if std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to).map_err(StorageError::at("copy to", to))?;
    }
    sync_parent(to)
}

/// Makes `link` point to `target` (relative to the link's folder), or copies where links are not to be had.
///
/// # Errors
/// The system's refusal, with the path.
pub fn symlink_or_copy(target: &Path, link: &Path) -> Result<(), StorageError> {
    remove_file(link)?;
    #[cfg(unix)]
    if std::os::unix::fs::symlink(target, link).is_ok() {
        return Ok(());
    }
    let source = link.parent().unwrap_or(Path::new(".")).join(target);
    std::fs::copy(source, link).map(|_| ()).map_err(StorageError::at("copy to", link))
}

/// Makes the entries of the folder that holds `path` durable.
fn sync_parent(path: &Path) -> Result<(), StorageError> {
    #[cfg(unix)]
    {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fault::check()
            .and_then(|()| std::fs::File::open(folder))
            .and_then(|handle| handle.sync_all())
            .map_err(StorageError::at("sync the folder", folder))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
