//! Writing a segment's files. Each appears whole or not at all.

use std::io;
use std::path::Path;

use patchdex_format::{FileEntry, Layout};

use super::OpenSegmentError;
use crate::storage::{Map, NewFile, StorageError};

/// Image and view table.
pub const IMAGES_FILE: &str = "images.pdx";
/// Prepared vectors.
pub const VECTORS_FILE: &str = "vectors.pdx";
/// Tokens as the model gave them, where they are kept.
pub const RAW_FILE: &str = "raw.pdx";

/// Writes a file through `fill` and gives it its name once it is durable.
///
/// # Errors
/// The system's refusal, with the path.
pub fn write_container(
    path: &Path,
    fill: impl FnOnce(&mut NewFile) -> io::Result<()>,
) -> Result<(), StorageError> {
    let mut file = NewFile::create(path)?;
    fill(&mut file).map_err(StorageError::at("write", path))?;
    file.commit()
}

/// What the manifest says about a file of a segment that was just written.
///
/// # Errors
/// A file that cannot be read back.
pub fn file_entry(folder: &Path, name: &str, kind: &str) -> Result<FileEntry, OpenSegmentError> {
    let path = folder.join(name);
    let map = Map::open(&path)?;
    let layout = Layout::parse(&map, kind).map_err(OpenSegmentError::in_file(&path))?;
    Ok(FileEntry { name: name.to_owned(), bytes: map.len() as u64, digest: layout.digest() })
}
