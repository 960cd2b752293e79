//! From an empty folder to a published collection. Until the manifest is there, readers see nothing.

use std::path::{Path, PathBuf};

use patchdex_format::{MANIFEST_NAME, Manifest};

use super::{CollectionError, read_manifest};
use crate::storage::{self, StorageError, WriterLock};

/// Unfinished work of an index command.
const DRAFT_DIR: &str = "building";
/// Says of which inputs and options the unfinished work is.
const STAMP_NAME: &str = "source";
/// Lock file of the one writer.
const LOCK_NAME: &str = "writer.lock";
/// The preparation of a collection.
pub const PREPARATION_FILE: &str = "preparation.pdx";
/// The preparation that a model folder brings.
pub const MODEL_PREPARATION: &str = "preparation.pdx";

/// A folder in which one process builds a collection. Holds the writer's lock.
pub struct Draft {
    path: PathBuf,
    _lock: WriterLock,
}

impl Draft {
    /// Takes `path` for building: an empty or missing folder, or one with an unfinished build. With a finished
    /// collection of the same `source` the answer is its manifest: there is nothing to do.
    ///
    /// # Errors
    /// A folder with other things in it, another collection, or another writer at work. Nothing is changed then.
    pub fn begin(path: &Path, source: &str) -> Result<Result<Self, Box<Manifest>>, CollectionError> {
        if let Some(manifest) = finished(path, source)? {
            // A process that died right after it published may have left this behind.
            let left = path.join(DRAFT_DIR);
            if left.is_dir() && WriterLock::acquire(path, LOCK_NAME).is_ok() {
                let _ = storage::remove_dir_all(&left);
            }
            return Ok(Err(manifest));
        }
        if !Self::exists(path) {
            check_empty(path)?;
        }
        storage::create_dir_all(&path.join(DRAFT_DIR))?;
        let lock = WriterLock::acquire(path, LOCK_NAME)?;
        let draft = Self { path: path.to_owned(), _lock: lock };
        // Another process may have published between the first look and the lock.
        if let Some(manifest) = finished(path, source)? {
            storage::remove_dir_all(&draft.dir())?;
            return Ok(Err(manifest));
        }
        storage::remove_unfinished(path)?;
        let stamp = draft.dir().join(STAMP_NAME);
        match std::fs::read_to_string(&stamp) {
            Ok(text) if text == source => {}
            Ok(_) => return Err(CollectionError::OtherDraft { path: path.to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                storage::write_atomic(&stamp, source.as_bytes())?;
            }
            Err(error) => return Err(StorageError::at("read", &stamp)(error).into()),
        }
        Ok(Ok(draft))
    }

    /// Whether an index command was interrupted in `path`.
    pub fn exists(path: &Path) -> bool {
        path.join(DRAFT_DIR).join(STAMP_NAME).is_file()
    }

    /// Where unfinished work lies.
    pub fn dir(&self) -> PathBuf {
        self.path.join(DRAFT_DIR)
    }

    /// The collection's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of segment `id`, new and empty: what a killed process wrote there was never published.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn segment_dir(&self, id: &str) -> Result<PathBuf, StorageError> {
        let folder = self.path.join("segments").join(id);
        storage::remove_dir_all(&folder)?;
        storage::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// Publishes the collection: the manifest appears, then the unfinished work is removed.
///
/// # Errors
/// The system's refusal; the draft is then still there.
pub fn publish(draft: Draft, manifest: &Manifest) -> Result<(), CollectionError> {
    storage::write_atomic(&draft.path.join(MANIFEST_NAME), &manifest.to_bytes())?;
    storage::remove_dir_all(&draft.dir())?;
    Ok(())
}

/// The manifest of a finished collection of `source`, where there is one.
fn finished(path: &Path, source: &str) -> Result<Option<Box<Manifest>>, CollectionError> {
    if !path.join(MANIFEST_NAME).is_file() {
        return Ok(None);
    }
    let manifest = read_manifest(path)?;
    match manifest.source == source {
        true => Ok(Some(Box::new(manifest))),
        false => Err(CollectionError::Other { path: path.to_owned() }),
    }
}

fn check_empty(path: &Path) -> Result<(), CollectionError> {
    let occupied = |found: String| CollectionError::Occupied { path: path.to_owned(), found };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StorageError::at("read", path)(error).into()),
        Ok(about) if !about.is_dir() => Err(occupied("it is a file".to_owned())),
        Ok(_) => {
            for entry in std::fs::read_dir(path).map_err(StorageError::at("read", path))? {
                let name = entry.map_err(StorageError::at("read", path))?.file_name();
                // A process that died right after it began left no more than these.
                let begun =
                    name == LOCK_NAME || name == DRAFT_DIR && storage::is_unfinished_only(&path.join(&name));
                if !begun {
                    return Err(occupied(format!("it holds '{}'", name.to_string_lossy())));
                }
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_things_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
        match Draft::begin(folder.path(), "s") {
            Err(CollectionError::Occupied { found, .. }) => assert!(found.contains("thesis.txt")),
            _ => panic!("took an occupied folder"),
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_only_looks_like_an_unfinished_build_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(DRAFT_DIR)).unwrap();
        std::fs::write(folder.path().join(DRAFT_DIR).join("house.jpg"), "a building").unwrap();
        assert!(matches!(Draft::begin(folder.path(), "s"), Err(CollectionError::Occupied { .. })));
        assert!(folder.path().join(DRAFT_DIR).join("house.jpg").is_file());
        std::fs::rename(
            folder.path().join(DRAFT_DIR).join("house.jpg"),
            folder.path().join(DRAFT_DIR).join("source.tmp-1"),
        )
        .unwrap();
        assert!(Draft::begin(folder.path(), "s").is_ok(), "what a killed process left is gone on with");
    }

    #[test]
    fn an_unfinished_build_is_resumed_by_the_same_source_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        drop(Draft::begin(&path, "a").unwrap());
        assert!(matches!(Draft::begin(&path, "b"), Err(CollectionError::OtherDraft { .. })));
        let held = Draft::begin(&path, "a").unwrap();
        assert!(matches!(Draft::begin(&path, "a"), Err(CollectionError::Storage(StorageError::Busy { .. }))));
        drop(held);
    }
}
