//! What a segment lists: images in order of their paths, images of the same bytes sharing their patches, and what the
//! user said about each.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use patchdex_format::{FileEntry, ImageRow, ImageTableWriter, MetadataWriter, ViewRow};
use serde_json::{Map, Value};

use super::{FileRole, OpenSegmentError, file_entry, write_container};

/// An image on its way into the tables of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Path relative to the collection's root, bytes, `/`-separated.
    pub path: Vec<u8>,
    /// Size, times and content; the table fills in the rest.
    pub row: ImageRow,
    /// Its patches; of images with the same content, those of the first are listed for all. Shared, so that any number
    /// of copies takes no more room than a table of them.
    pub views: Arc<[ViewRow]>,
    /// What the user said about it; empty where nothing was said.
    pub metadata: Map<String, Value>,
}

/// The tables of a segment, to be written.
pub struct SegmentTables {
    images: ImageTableWriter,
    metadata: MetadataWriter,
}

impl SegmentTables {
    /// The tables of `images`. Neither their order nor which copy came first leaves a trace.
    pub fn of(mut images: Vec<Listed>) -> Self {
        images.sort_by(|a, b| a.path.cmp(&b.path));
        let mut tables = Self { images: ImageTableWriter::default(), metadata: MetadataWriter::default() };
        let mut originals: HashMap<[u8; 32], u32> = HashMap::new();
        for Listed { path, row, views, metadata } in images {
            match originals.get(&row.content) {
                Some(&original) => tables.images.push_duplicate(&path, row, original),
                None => {
                    originals.insert(row.content, tables.images.push(&path, row, &views));
                }
            }
            tables.metadata.push(&metadata);
        }
        tables
    }

    /// Writes the files into `folder`, each called as `name` says, and gives what the manifest says of them.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn write(
        &self,
        folder: &Path,
        name: impl Fn(FileRole) -> String,
        created_by: &str,
    ) -> Result<Vec<FileEntry>, OpenSegmentError> {
        let images = name(FileRole::Images);
        write_container(&folder.join(&images), |file| self.images.write(file, created_by).map(|_| ()))?;
        let mut files = vec![file_entry(folder, &images)?];
        if !self.metadata.is_empty() {
            let metadata = name(FileRole::Metadata);
            write_container(&folder.join(&metadata), |file| {
                self.metadata.write(file, created_by).map(|_| ())
            })?;
            files.push(file_entry(folder, &metadata)?);
        }
        Ok(files)
    }

    /// Number of images.
    pub fn image_count(&self) -> u64 {
        self.images.len() as u64
    }

    /// Number of views.
    pub fn view_count(&self) -> u64 {
        self.images.view_count() as u64
    }

    /// Number of patches that belong to an image.
    pub fn patch_count(&self) -> u64 {
        self.images.patch_count()
    }
}
