//! Labelled sets: images, and boxes that say which instance they show. Each kind of file has a reader, a line of `READERS`;
//! protocols see only what readers give.

mod coco;
mod error;
mod mot;

use std::path::{Path, PathBuf};

pub use error::LabelError;

use crate::core::Bbox;
use crate::storage::StorageError;

/// The images and boxes of one file or folder.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledSet {
    /// The file or folder.
    pub file: PathBuf,
    /// BLAKE3 of the file of labels, hexadecimal.
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
    /// What kind of thing that is.
    pub category: Option<String>,
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

/// What reads one kind of labels.
struct Reader {
    /// What it reads, in words.
    form: &'static str,
    /// The file of the labels, where this is such a file or folder.
    labels: fn(&Path) -> Option<PathBuf>,
    /// Reads the bytes of that file; the path is the one that was given.
    read: fn(&Path, &[u8]) -> Result<Labels, LabelError>,
}

const READERS: [Reader; 2] = [
    Reader { form: ".json (COCO)", labels: |path| has_extension(path, "json"), read: coco::read },
    Reader {
        form: "a folder with img1 and gt/gt.txt (MOT Challenge)",
        labels: |path| path.is_dir().then(|| path.join(mot::TRUTH)).filter(|file| file.is_file()),
        read: mot::read,
    },
];

fn has_extension(path: &Path, wanted: &str) -> Option<PathBuf> {
    let extension = path.extension()?.to_string_lossy().to_lowercase();
    (extension == wanted).then(|| path.to_owned())
}

impl LabelledSet {
    /// Reads a file or folder by the reader that knows its form.
    ///
    /// # Errors
    /// What cannot be read, has a form that no reader knows, or says what cannot be; with the box or image.
    pub fn read(path: &Path) -> Result<Self, LabelError> {
        let found = READERS.iter().find_map(|reader| Some((reader, (reader.labels)(path)?)));
        let unknown = || LabelError::Unknown {
            path: path.to_owned(),
            known: READERS.iter().map(|reader| reader.form).collect(),
        };
        let (reader, labels) = found.ok_or_else(unknown)?;
        let bytes = std::fs::read(&labels).map_err(StorageError::at("read", &labels))?;
        let (images, boxes) = (reader.read)(path, &bytes)?;
        Ok(Self { file: path.to_owned(), digest: blake3::hash(&bytes).to_hex().to_string(), images, boxes })
    }
}
