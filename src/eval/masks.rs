//! Images with label maps: which file of labels belongs to which image, and what the numbers in it mean. A layout of folders is a line
//! of `LAYOUTS`.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::{EvalError, LabelError};
use crate::picture::{LabelMap, Limits};
use crate::storage::StorageError;

/// The class of pixels that do not count.
pub(super) const IGNORED: u16 = 255;

/// Images with their labels.
#[derive(Clone, Debug)]
pub struct MaskSet {
    /// The folder.
    pub folder: PathBuf,
    /// The layout that it has.
    pub layout: &'static str,
    /// BLAKE3 over the names of its images and the files of their labels, hexadecimal.
    pub digest: String,
    /// Images, in order of their paths.
    pub images: Vec<MaskedImage>,
    class_of: fn(u16) -> u16,
    background: Option<u16>,
}

/// An image and the file of its labels.
#[derive(Clone, Debug)]
pub struct MaskedImage {
    /// Its path below the folder.
    pub name: String,
    /// The image.
    pub image: PathBuf,
    /// The labels.
    pub labels: PathBuf,
}

/// A layout of folders.
struct Layout {
    name: &'static str,
    /// Where the images are.
    images: &'static str,
    /// Where the labels are.
    labels: &'static str,
    /// How names of images end, before the extension.
    image_end: &'static str,
    /// How names of labels end instead, with the extension.
    label_end: &'static str,
    /// What a number in the labels means.
    class_of: fn(u16) -> u16,
    /// The class of what is no object, where there is one.
    background: Option<u16>,
}

/// Layouts, the special ones first.
const LAYOUTS: [Layout; 5] = [
    Layout {
        name: "Cityscapes (train ids)",
        images: "leftImg8bit",
        labels: "gtFine",
        image_end: "_leftImg8bit",
        label_end: "_gtFine_labelTrainIds.png",
        class_of: as_they_are,
        background: None,
    },
    Layout {
        name: "Cityscapes",
        images: "leftImg8bit",
        labels: "gtFine",
        image_end: "_leftImg8bit",
        label_end: "_gtFine_labelIds.png",
        class_of: cityscapes,
        background: None,
    },
    Layout {
        name: "VOC",
        images: "JPEGImages",
        labels: "SegmentationClass",
        image_end: "",
        label_end: ".png",
        class_of: as_they_are,
        background: Some(0),
    },
    Layout {
        name: "ADE20K",
        images: "images",
        labels: "annotations",
        image_end: "",
        label_end: ".png",
        class_of: from_one,
        background: None,
    },
    Layout {
        name: "images and labels",
        images: "images",
        labels: "labels",
        image_end: "",
        label_end: ".png",
        class_of: as_they_are,
        background: Some(0),
    },
];

fn as_they_are(number: u16) -> u16 {
    number
}

/// 0 is what has no class, classes count from 1.
fn from_one(number: u16) -> u16 {
    number.checked_sub(1).unwrap_or(IGNORED)
}

/// The 19 classes that are evaluated, by the ids of the data set's own scripts.
fn cityscapes(id: u16) -> u16 {
    const EVALUATED: [u16; 19] = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33];
    EVALUATED.iter().position(|&own| own == id).map_or(IGNORED, |class| class as u16)
}

impl MaskSet {
    /// Finds the images of `folder` that have labels. A folder below that of the images, such as `train`, is given as
    /// `FOLDER:train`.
    ///
    /// # Errors
    /// A folder of no known layout, or without a labelled image.
    pub fn read(text: &str) -> Result<Self, LabelError> {
        let whole = Path::new(text);
        let (folder, part) = match text.rsplit_once(':') {
            Some((folder, part)) if !whole.exists() => (Path::new(folder), part),
            _ => (whole, ""),
        };
        let unknown = || LabelError::UnknownLayout {
            path: folder.to_owned(),
            known: LAYOUTS.iter().map(|layout| (layout.images, layout.labels, layout.name)).collect(),
        };
        let has =
            |layout: &&Layout| folder.join(layout.images).is_dir() && folder.join(layout.labels).is_dir();
        let mut layouts = LAYOUTS.iter().filter(has).peekable();
        layouts.peek().ok_or_else(unknown)?;
        let found = layouts.map(|layout| (layout, layout.images_of(folder, part)));
        let (layout, images) = found
            .into_iter()
            .find(|(_, images)| !images.is_empty())
            .ok_or_else(|| LabelError::NoLabels { path: folder.join(part) })?;
        let mut hasher = blake3::Hasher::new();
        for MaskedImage { name, labels, .. } in &images {
            let bytes = std::fs::read(labels).map_err(StorageError::at("read", labels))?;
            hasher.update(name.as_bytes()).update(blake3::hash(&bytes).as_bytes());
        }
        let digest = hasher.finalize().to_hex().to_string();
        Ok(Self {
            folder: folder.to_owned(),
            layout: layout.name,
            digest,
            images,
            class_of: layout.class_of,
            background: layout.background,
        })
    }

    /// The class of what is no object, where there is one.
    pub(super) fn background(&self) -> Option<u16> {
        self.background
    }

    /// The classes of an image's pixels.
    ///
    /// # Errors
    /// Labels that cannot be read.
    pub(super) fn labels(&self, image: &MaskedImage) -> Result<LabelMap, EvalError> {
        let path = &image.labels;
        let bytes = std::fs::read(path).map_err(StorageError::at("read", path))?;
        let mut map = LabelMap::decode(&bytes, &Limits::default())
            .map_err(|source| EvalError::Picture { path: path.clone(), source })?;
        map.labels.iter_mut().for_each(|label| *label = (self.class_of)(*label));
        Ok(map)
    }
}

impl Layout {
    /// The images below `folder` that have labels; only those below `part` of the folder of images, if it is not empty.
    fn images_of(&self, folder: &Path, part: &str) -> Vec<MaskedImage> {
        let root = folder.join(self.images);
        let walk = WalkDir::new(root.join(part)).follow_links(true).sort_by_file_name().into_iter().flatten();
        let image = |entry: walkdir::DirEntry| {
            let path = entry.path();
            let below = path.strip_prefix(&root).ok()?;
            let stem = below.file_stem()?.to_str()?.strip_suffix(self.image_end)?;
            let labels =
                folder.join(self.labels).join(below).with_file_name(format!("{stem}{}", self.label_end));
            (entry.file_type().is_file() && labels.is_file()).then(|| MaskedImage {
                name: below.to_string_lossy().into_owned(),
                image: path.to_owned(),
                labels,
            })
        };
        walk.filter_map(image).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        folder
    }

    fn names(text: &str) -> (&'static str, Vec<String>) {
        let set = MaskSet::read(text).unwrap();
        (set.layout, set.images.into_iter().map(|image| image.name).collect())
    }

    #[test]
    fn every_layout_finds_the_images_that_have_labels() {
        let plain = with(&["images/a.jpg", "images/b.png", "images/c.jpg", "labels/a.png", "labels/b.png"]);
        let text = plain.path().to_str().unwrap();
        assert_eq!(names(text), ("images and labels", vec!["a.jpg".to_owned(), "b.png".to_owned()]));
        let city = with(&[
            "leftImg8bit/train/ulm/ulm_1_leftImg8bit.png",
            "leftImg8bit/val/bonn/bonn_1_leftImg8bit.png",
            "gtFine/train/ulm/ulm_1_gtFine_labelIds.png",
            "gtFine/val/bonn/bonn_1_gtFine_labelIds.png",
        ]);
        let text = format!("{}:val", city.path().display());
        assert_eq!(names(&text), ("Cityscapes", vec!["val/bonn/bonn_1_leftImg8bit.png".to_owned()]));
        let voc = with(&["JPEGImages/1.jpg", "JPEGImages/2.jpg", "SegmentationClass/2.png"]);
        assert_eq!(names(voc.path().to_str().unwrap()), ("VOC", vec!["2.jpg".to_owned()]));
        let ade = with(&["images/training/1.jpg", "annotations/training/1.png"]);
        let text = format!("{}:training", ade.path().display());
        assert_eq!(names(&text), ("ADE20K", vec!["training/1.jpg".to_owned()]));
    }

    #[test]
    fn what_is_no_set_is_told_what_is_wanted() {
        let empty = with(&["a.jpg"]);
        let told = MaskSet::read(empty.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(told.contains("leftImg8bit") && told.contains("labels"), "{told}");
        let unlabelled = with(&["images/a.jpg", "labels/b.png"]);
        let told = MaskSet::read(unlabelled.path().to_str().unwrap()).unwrap_err().to_string();
        assert!(told.contains("no image"), "{told}");
    }

    #[test]
    fn numbers_mean_classes() {
        assert_eq!([0, 1, 150].map(from_one), [255, 0, 149]);
        assert_eq!([7, 8, 33, 0, 6, 34].map(cityscapes), [0, 1, 18, 255, 255, 255]);
    }
}
