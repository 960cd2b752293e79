//! Labelled sets: images, and boxes that say which instance they show. Each kind of file has a reader, a line of `READERS`;
//! protocols see only what readers give.

mod coco;
mod error;

use std::path::{Path, PathBuf};

pub use error::LabelError;

use crate::core::Bbox;
use crate::storage::StorageError;

/// The images and boxes of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledSet {
    /// The file.
    pub file: PathBuf,
    /// BLAKE3 of the file, hexadecimal.
    pub digest: String,
    /// Its images.
    pub images: Vec<LabelledImage>,
    /// Its boxes.
    pub boxes: Vec<LabelledBox>,
}

/// An image of a set.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledImage {
    /// As the file names it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Width of the upright picture, in pixels.
    pub width: u32,
    /// Height of the upright picture, in pixels.
    pub height: u32,
    /// The video that it is of, and its number there.
    pub frame: Option<(String, i64)>,
}

/// A box of a set.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledBox {
    /// What the file calls it.
    pub id: String,
    /// Place of its image in the set.
    pub image: usize,
    /// The instance that it shows.
    pub instance: String,
    /// The box.
    pub bbox: Bbox,
    /// How large the instance is, 1 for some size that all of its boxes are compared with.
    pub scale: Option<f64>,
    /// How far it is turned, in degrees.
    pub rotation: Option<f64>,
    /// The share of it that is hidden, 0 to 1.
    pub occlusion: Option<f64>,
}

/// The images and boxes that a reader finds.
type Labels = (Vec<LabelledImage>, Vec<LabelledBox>);

/// What reads one kind of file.
struct Reader {
    name: &'static str,
    /// How names of such files end.
    extension: &'static str,
    read: fn(&Path, &[u8]) -> Result<Labels, LabelError>,
}

const READERS: [Reader; 1] = [Reader { name: "COCO", extension: "json", read: coco::read }];

impl LabelledSet {
    /// Reads a file by the reader that its name asks for.
    ///
    /// # Errors
    /// A file that cannot be read, of a kind that no reader reads, or that says what cannot be; with the box or image.
    pub fn read(file: &Path) -> Result<Self, LabelError> {
        let extension = file.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let reader = READERS.iter().find(|reader| extension.as_deref() == Some(reader.extension));
        let unknown = || LabelError::Unknown {
            path: file.to_owned(),
            known: READERS.iter().map(|reader| format!(".{} ({})", reader.extension, reader.name)).collect(),
        };
        let reader = reader.ok_or_else(unknown)?;
        let bytes = std::fs::read(file).map_err(StorageError::at("read", file))?;
        let (images, boxes) = (reader.read)(file, &bytes)?;
        Ok(Self { file: file.to_owned(), digest: blake3::hash(&bytes).to_hex().to_string(), images, boxes })
    }
}
