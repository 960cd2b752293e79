//! DAVIS 2017: `JPEGImages/480p/VIDEO/00000.jpg` and `Annotations/480p/VIDEO/00000.png`, whose palette entries are numbers of objects
//! (0 is none, 255 does not count). The videos of `ImageSets/2017/val.txt`, or all where that is missing. The box of an object is the
//! one around its mask.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Files, LabelError, LabelledBox, LabelledImage, Labels, Role, entries, text};
use crate::core::Bbox;
use crate::picture::{LabelMap, Limits};
use crate::storage::StorageError;

/// Where the masks are.
pub(super) const MASKS: &str = "Annotations/480p";
const FRAMES: &str = "JPEGImages/480p";
const VIDEOS: &str = "ImageSets/2017/val.txt";
const VOID: u16 = 255;

/// Videos with the masks of their objects.
#[derive(Clone, Debug)]
pub struct MaskedVideos {
    /// The folder.
    pub folder: PathBuf,
    /// BLAKE3 over the masks, hexadecimal.
    pub digest: String,
    /// Names of videos, with their frames in order.
    pub videos: Vec<(String, Vec<MaskedFrame>)>,
}

/// A frame with a mask.
#[derive(Clone, Debug)]
pub struct MaskedFrame {
    /// Its number.
    pub number: i64,
    /// The image.
    pub image: PathBuf,
    /// The mask.
    pub mask: PathBuf,
}

impl MaskedVideos {
    /// Finds the videos of `folder`.
    ///
    /// # Errors
    /// No layout of DAVIS, no frame with a mask, a video that is listed and missing.
    pub fn read(folder: &Path) -> Result<Self, LabelError> {
        if !folder.join(MASKS).is_dir() {
            let known = vec!["a folder with JPEGImages/480p and Annotations/480p (DAVIS)"];
            return Err(LabelError::Unknown { path: folder.to_owned(), known });
        }
        let mut files = Files::default();
        let videos = videos(folder, &mut files)?;
        for frame in videos.iter().flat_map(|(_, frames)| frames) {
            files.read(&frame.mask)?;
        }
        Ok(Self { folder: folder.to_owned(), digest: files.digest(), videos })
    }
}

impl MaskedFrame {
    /// The number of the object of each pixel.
    pub(in crate::eval) fn labels(&self) -> Result<LabelMap, LabelError> {
        let bytes = std::fs::read(&self.mask).map_err(StorageError::at("read", &self.mask))?;
        self.decoded(&bytes)
    }

    fn decoded(&self, bytes: &[u8]) -> Result<LabelMap, LabelError> {
        LabelMap::decode(bytes, &Limits::default())
            .map_err(|source| LabelError::Picture { path: self.mask.clone(), source })
    }
}

/// Reads the folder `path`.
pub(super) fn read(path: &Path, _: Role, files: &mut Files) -> Result<Labels, LabelError> {
    let (mut images, mut boxes) = Labels::default();
    for (video, frames) in videos(path, files)? {
        for frame in frames {
            let map = frame.decoded(&files.read(&frame.mask)?)?;
            let number = frame.number;
            let of_objects = around(&map).into_iter().map(|(object, bbox)| {
                let (id, instance) = (format!("{video}/{number}/{object}"), format!("{video}/{object}"));
                LabelledBox::new(id, images.len(), instance, bbox)
            });
            boxes.extend(of_objects);
            images.push(LabelledImage {
                name: format!("{video}/{}", text(frame.image.file_name().unwrap_or_default().as_ref())),
                path: frame.image,
                size: Some([map.width, map.height]),
                frame: Some((video.clone(), number)),
            });
        }
    }
    Ok((images, boxes))
}

/// The frames of every video that have a mask.
fn videos(path: &Path, files: &mut Files) -> Result<Vec<(String, Vec<MaskedFrame>)>, LabelError> {
    let mut found = Vec::new();
    for video in names(path, files)? {
        let masks = entries(&path.join(MASKS).join(&video))?;
        let is_png = |mask: &PathBuf| mask.extension().is_some_and(|extension| extension == "png");
        let frame = |mask: PathBuf| {
            let number = mask.file_stem().and_then(|stem| stem.to_str()?.parse::<i64>().ok());
            let number = number.ok_or_else(|| LabelError::Entry {
                path: mask.clone(),
                what: "mask",
                id: text(mask.file_name().unwrap_or_default().as_ref()),
                wrong: "it must be named by the number of its frame: 00000.png".to_owned(),
            })?;
            let image = path.join(FRAMES).join(&video).join(mask.file_name().unwrap_or_default());
            Ok(MaskedFrame { number, image: image.with_extension("jpg"), mask })
        };
        let frames = masks.into_iter().filter(is_png).map(frame).collect::<Result<Vec<_>, LabelError>>()?;
        let frames: Vec<MaskedFrame> = frames.into_iter().filter(|frame| frame.image.is_file()).collect();
        if !frames.is_empty() {
            found.push((video, frames));
        }
    }
    match found.is_empty() {
        true => Err(LabelError::NoFiles { path: path.join(MASKS), wanted: FRAMES }),
        false => Ok(found),
    }
}

/// The videos that are meant.
fn names(path: &Path, files: &mut Files) -> Result<Vec<String>, LabelError> {
    let list = path.join(VIDEOS);
    if !list.is_file() {
        let folders = entries(&path.join(MASKS))?.into_iter().filter(|entry| entry.is_dir());
        return Ok(folders.filter_map(|folder| Some(text(folder.file_name()?.as_ref()))).collect());
    }
    let names = String::from_utf8_lossy(&files.read(&list)?).into_owned();
    let lines = (1usize..).zip(names.lines().map(str::trim)).filter(|(_, name)| !name.is_empty());
    let known = |(line, name): (usize, &str)| {
        let masks: PathBuf = path.join(MASKS).join(name);
        let wrong = || format!("{} is no folder; take the line out, or fetch the video", masks.display());
        let missing =
            || LabelError::Entry { path: list.clone(), what: "line", id: line.to_string(), wrong: wrong() };
        masks.is_dir().then(|| name.to_owned()).ok_or_else(missing)
    };
    lines.map(known).collect()
}

/// The box around each object.
fn around(map: &LabelMap) -> BTreeMap<u16, Bbox> {
    let mut sides: BTreeMap<u16, [u32; 4]> = BTreeMap::new();
    for (y, line) in (0u32..).zip(map.labels.chunks_exact(map.width as usize)) {
        for (x, &object) in (0u32..).zip(line).filter(|&(_, &object)| object != 0 && object != VOID) {
            let [left, top, right, bottom] = sides.entry(object).or_insert([x, y, x, y]);
            (*left, *top, *right, *bottom) =
                ((*left).min(x), (*top).min(y), (*right).max(x), (*bottom).max(y));
        }
    }
    let bbox = |[left, top, right, bottom]: [u32; 4]| {
        Bbox::new(left as f32, top as f32, (right - left + 1) as f32, (bottom - top + 1) as f32)
    };
    sides.into_iter().map(|(object, sides)| (object, bbox(sides))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two videos of two frames of 8x6 px; object 2 goes one pixel to the right.
    fn davis() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for video in ["bear", "camel"] {
            let [frames, masks] = [FRAMES, MASKS].map(|part| folder.path().join(part).join(video));
            [&frames, &masks].iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
            for number in 0..2usize {
                let picture = crate::picture::Picture { width: 8, height: 6, rgb: vec![9; 144] };
                std::fs::write(frames.join(format!("{number:05}.jpg")), picture.to_jpeg(90)).unwrap();
                let mut labels = vec![0u8; 48];
                (labels[2 * 8 + 1 + number], labels[4 * 8 + 3 + number], labels[47]) = (2, 2, 255);
                std::fs::write(masks.join(format!("{number:05}.png")), palette_png(8, 6, &labels)).unwrap();
            }
        }
        folder
    }

    fn palette_png(width: u32, height: u32, labels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette((0..768).map(|at| (at % 251) as u8).collect::<Vec<u8>>());
        encoder.write_header().unwrap().write_image_data(labels).unwrap();
        bytes
    }

    fn read_folder(folder: &tempfile::TempDir) -> Result<Labels, String> {
        read(folder.path(), Role::Gallery, &mut Files::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn boxes_are_around_the_masks_of_the_videos_that_are_listed() {
        let folder = davis();
        assert_eq!(read_folder(&folder).unwrap().0.len(), 4);
        std::fs::create_dir_all(folder.path().join("ImageSets/2017")).unwrap();
        std::fs::write(folder.path().join(VIDEOS), "camel\n").unwrap();
        let (images, boxes) = read_folder(&folder).unwrap();
        assert_eq!((images.len(), images[1].frame.clone()), (2, Some(("camel".to_owned(), 1))));
        let told: Vec<(&str, Bbox)> = boxes.iter().map(|one| (one.instance.as_str(), one.bbox)).collect();
        let at = |x: f32| Bbox::new(x, 2.0, 3.0, 3.0);
        assert_eq!(told, [("camel/2", at(1.0)), ("camel/2", at(2.0))]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let folder = davis();
        let mask = folder.path().join(MASKS).join("bear/00001.png");
        std::fs::write(&mask, b"\x89PNG").unwrap();
        assert!(read_folder(&folder).unwrap_err().contains("bear/00001.png"));
        std::fs::rename(&mask, mask.with_file_name("last.png")).unwrap();
        assert!(read_folder(&folder).unwrap_err().contains("number of its frame"));
        std::fs::create_dir_all(folder.path().join("ImageSets/2017")).unwrap();
        std::fs::write(folder.path().join(VIDEOS), "camel\ncow\n").unwrap();
        let told = read_folder(&folder).unwrap_err();
        assert!(told.contains("val.txt: line 2") && told.contains("cow"), "{told}");
        std::fs::write(folder.path().join(VIDEOS), "camel\n").unwrap();
        std::fs::remove_dir_all(folder.path().join(FRAMES)).unwrap();
        assert!(read_folder(&folder).unwrap_err().contains(FRAMES));
    }
}
