//! A COCO file of a collection's images, for tools that know boxes by the numbers of images.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use crate::collection::Placed;
use crate::storage::{NewFile, StorageError};

/// Writes the list of `images`, each called by its number.
pub(super) fn write(path: &Path, images: &[&Placed<'_>]) -> Result<(), StorageError> {
    let mut file = NewFile::create(path)?;
    fill(&mut file, images).map_err(StorageError::at("write", path))?;
    file.commit()
}

fn fill(file: &mut NewFile, images: &[&Placed<'_>]) -> io::Result<()> {
    file.write_all(b"{\"images\": [")?;
    for (at, placed) in images.iter().enumerate() {
        let row = placed.image.row;
        let image = json!({
            "id": placed.number, "file_name": placed.image.path_text(), "width": row.width_px, "height": row.height_px,
        });
        file.write_all(if at == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *file, &image)?;
    }
    file.write_all(b"\n], \"annotations\": [], \"categories\": [{\"id\": 1, \"name\": \"object\"}]}\n")
}
