//! Labelled sets: images, and boxes that say which instance they show. Each kind of file or folder has a reader, a line of `READERS`;
//! protocols see only what readers give.

mod coco;
mod davis;
mod error;
mod fair1m;
mod ilias;
mod judged;
mod mot;
mod scalabel;

use std::path::{Path, PathBuf};

pub use davis::{MaskedFrame, MaskedVideos};
pub use error::LabelError;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::is_video;
use crate::core::Bbox;
use crate::picture::{Limits, header};
use crate::storage::StorageError;

/// The images and boxes of one file or folder.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledSet {
    /// The file or folder.
    pub file: PathBuf,
    /// The form that it has.
    pub form: &'static str,
    /// BLAKE3 of the file of labels, or over those of its files, hexadecimal.
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
    /// Width and height of the upright picture, in pixels, where the labels say them.
    pub size: Option<[u32; 2]>,
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
    /// What kind of kind that is.
    pub supercategory: Option<String>,
    /// The box.
    pub bbox: Bbox,
    /// Its corners in order, where it is turned; `bbox` is then around them.
    pub corners: Option<[[f32; 2]; 4]>,
    /// Whether the labels say where in the image the instance is. Else `bbox` says nothing.
    pub is_located: bool,
    /// How hard the instance is to recognise here, where the set says so.
    pub grade: Option<Grade>,
    /// How large the instance is, 1 for some size that all of its boxes are compared with.
    pub scale: Option<f64>,
    /// How far it is turned, in degrees.
    pub rotation: Option<f64>,
    /// The share of it that is hidden, 0 to 1.
    pub occlusion: Option<f64>,
}

impl LabelledBox {
    /// A box of which nothing else is said.
    pub(super) fn new(id: String, image: usize, instance: String, bbox: Bbox) -> Self {
        Self {
            id,
            image,
            instance,
            category: None,
            supercategory: None,
            bbox,
            corners: None,
            is_located: true,
            grade: None,
            scale: None,
            rotation: None,
            occlusion: None,
        }
    }

    /// The instance is somewhere in an image.
    fn somewhere(image: usize, instance: String, grade: Option<Grade>) -> Self {
        let bbox = Bbox::new(0.0, 0.0, 0.0, 0.0);
        Self { is_located: false, grade, ..Self::new(String::new(), image, instance, bbox) }
    }
}

/// How hard an instance is to recognise in an image, as the revised Oxford and Paris say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// Clearly to be seen.
    Easy,
    /// Seen from elsewhere, or hidden in part.
    Hard,
    /// So little to be seen that it counts neither way.
    Junk,
}

/// Which side of a benchmark is read, where a file or folder holds both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Images that are searched, and what they show.
    Gallery,
    /// Images and boxes to ask with.
    Queries,
}

/// The images and boxes that a reader finds.
type Labels = (Vec<LabelledImage>, Vec<LabelledBox>);

/// What a path leads to.
enum Shape {
    Folder,
    /// A JSON file, with the names at its top.
    Json(Vec<String>),
    Other,
}

impl Shape {
    fn has(&self, names: &[&str]) -> bool {
        matches!(self, Self::Json(own) if names.iter().all(|name| own.iter().any(|own| own == name)))
    }

    fn is_folder(&self) -> bool {
        matches!(self, Self::Folder)
    }
}

/// Files of labels as they are read, with their digests.
#[derive(Default)]
struct Files(Vec<blake3::Hash>);

impl Files {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, LabelError> {
        let bytes = std::fs::read(path).map_err(StorageError::at("read", path))?;
        self.0.push(blake3::hash(&bytes));
        Ok(bytes)
    }

    /// That of the file, or over those of all files in the order in which they were read.
    fn digest(&self) -> String {
        let over_all = || {
            let mut hasher = blake3::Hasher::new();
            self.0.iter().for_each(|one| _ = hasher.update(one.as_bytes()));
            hasher.finalize()
        };
        if let [one] = self.0.as_slice() { *one } else { over_all() }.to_hex().to_string()
    }
}

/// What reads one kind of labels.
struct Reader {
    /// What it is called.
    form: &'static str,
    /// What it reads, in words.
    wanted: &'static str,
    /// Whether this is such a file or folder.
    knows: fn(&Path, &Shape) -> bool,
    /// Reads it.
    read: fn(&Path, Role, &mut Files) -> Result<Labels, LabelError>,
}

/// Readers, the special ones first.
const READERS: [Reader; 7] = [
    Reader {
        form: "BDD100K/Scalabel",
        wanted: ".json (BDD100K/Scalabel), or a folder of these",
        knows: scalabel::knows,
        read: scalabel::read,
    },
    Reader {
        form: "ROxford/RParis/INSTRE",
        wanted: ".json that tools/datasets/judged.py makes of ROxford, RParis or INSTRE",
        knows: |_, shape| shape.has(&["imlist", "qimlist", "gnd"]),
        read: judged::read,
    },
    Reader {
        form: "COCO/TAO",
        wanted: ".json (COCO, TAO)",
        knows: |_, shape| matches!(shape, Shape::Json(_)),
        read: coco::read,
    },
    Reader {
        form: "MOT Challenge",
        wanted: "a folder with img1 and gt/gt.txt (MOT Challenge)",
        knows: |path, shape| shape.is_folder() && path.join(mot::TRUTH).is_file(),
        read: mot::read,
    },
    Reader {
        form: "DAVIS",
        wanted: "a folder with JPEGImages/480p and Annotations/480p (DAVIS)",
        knows: |path, shape| shape.is_folder() && path.join(davis::MASKS).is_dir(),
        read: davis::read,
    },
    Reader {
        form: "FAIR1M",
        wanted: "a folder with images and labelXml (FAIR1M)",
        knows: |path, shape| shape.is_folder() && path.join(fair1m::LABELS).is_dir(),
        read: fair1m::read,
    },
    Reader {
        form: "ILIAS",
        wanted: "a folder with a folder an instance, with query and pos in it (ILIAS)",
        knows: |path, shape| shape.is_folder() && ilias::is_one(path),
        read: ilias::read,
    },
];

impl LabelledSet {
    /// Reads a file or folder by the reader that knows its form.
    ///
    /// # Errors
    /// What cannot be read, has a form that no reader knows, or says what cannot be; with the box or image.
    pub fn read(path: &Path, role: Role) -> Result<Self, LabelError> {
        let shape = shape(path)?;
        let unknown = || LabelError::Unknown {
            path: path.to_owned(),
            known: READERS.map(|reader| reader.wanted).to_vec(),
        };
        let reader = READERS.iter().find(|reader| (reader.knows)(path, &shape)).ok_or_else(unknown)?;
        let mut files = Files::default();
        let (images, boxes) = (reader.read)(path, role, &mut files)?;
        Ok(Self { file: path.to_owned(), form: reader.form, digest: files.digest(), images, boxes })
    }

    /// Reads the boxes in `labels`, a `gt.txt` of MOT Challenge, of a video's frames, which have their numbers from 1.
    ///
    /// # Errors
    /// A file that cannot be read or is none, no frame.
    pub fn of_video(video: &Path, frames: Vec<LabelledImage>, labels: &Path) -> Result<Self, LabelError> {
        let mut files = Files::default();
        let bytes = files.read(labels)?;
        let boxes = mot::boxes(labels, &bytes, &frames)?;
        let (file, digest) = (video.to_owned(), files.digest());
        Ok(Self { file, form: "MOT Challenge", digest, images: frames, boxes })
    }

    /// The video and the labels of a MOT Challenge folder that has one video in place of frames.
    pub fn video_of(folder: &Path) -> Option<(PathBuf, PathBuf)> {
        let labels = folder.join(mot::TRUTH);
        let is_meant = labels.is_file() && !folder.join(mot::FRAMES).is_dir();
        let mut videos = entries(folder).ok().filter(|_| is_meant)?.into_iter().filter(|path| is_video(path));
        videos.next().filter(|_| videos.next().is_none()).map(|video| (video, labels))
    }

    /// The frames of a folder, or of its `img1`, in the order of the numbers that name them.
    ///
    /// # Errors
    /// A folder that cannot be read, two frames of one number, no frame.
    pub fn frames(folder: &Path) -> Result<Vec<LabelledImage>, LabelError> {
        let video = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let inner = folder.join(mot::FRAMES);
        mot::frames(if inner.is_dir() { &inner } else { folder }, &video, None)
    }
}

/// What a path leads to; of a JSON file the names at its top.
fn shape(path: &Path) -> Result<Shape, LabelError> {
    if path.is_dir() {
        return Ok(Shape::Folder);
    }
    if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("json")) {
        return Ok(Shape::Other);
    }
    let bytes = std::fs::read(path).map_err(StorageError::at("read", path))?;
    let Names(names) = serde_json::from_slice(&bytes).map_err(|source| LabelError::Json {
        path: path.to_owned(),
        wanted: "a JSON file of labels",
        source,
    })?;
    Ok(Shape::Json(names))
}

/// The names at the top of a JSON text: those of an object, or of the first object of a list.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object or a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some((name, IgnoredAny)) = map.next_entry()? {
            names.push(name);
        }
        Ok(Names(names))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let first = list.next_element::<Names>()?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first.unwrap_or(Names(Vec::new())))
    }
}

/// A path as text.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Width and height in the header of an image.
fn size_of(path: &Path) -> Result<[u32; 2], LabelError> {
    let bytes = std::fs::read(path).map_err(StorageError::at("read", path))?;
    let found = header(&bytes, &Limits::default());
    found
        .map(|header| [header.width, header.height])
        .map_err(|source| LabelError::Picture { path: path.to_owned(), source })
}

/// What lies in a folder, in the order of names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, LabelError> {
    let entries = std::fs::read_dir(folder).map_err(StorageError::at("read the folder", folder))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    Ok(found)
}

/// Whether a file's name is one of a picture.
fn is_picture(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| {
        ["jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff"].contains(&extension.as_str())
    })
}
