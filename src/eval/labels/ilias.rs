//! ILIAS: a folder an instance, in it `query/` and `pos/` with images and, beside each, `NAME.bbox.json`: a list of boxes `x, y, width,
//! height`. A query without boxes is all of its image, a positive image without boxes shows the instance somewhere.

use std::path::Path;

use super::{
    Files, LabelError, LabelledBox, LabelledImage, Labels, Role, entries, is_picture, size_of, text,
};
use crate::core::Bbox;

const QUERIES: &str = "query";
const POSITIVES: &str = "pos";

/// Whether a folder holds folders of instances.
pub(super) fn is_one(path: &Path) -> bool {
    let mut folders = entries(path).unwrap_or_default().into_iter();
    folders.any(|folder| [QUERIES, POSITIVES].iter().all(|part| folder.join(part).is_dir()))
}

/// Reads one side of the folder `path`.
pub(super) fn read(path: &Path, role: Role, files: &mut Files) -> Result<Labels, LabelError> {
    let part = match role {
        Role::Gallery => POSITIVES,
        Role::Queries => QUERIES,
    };
    let (mut images, mut boxes) = Labels::default();
    for folder in entries(path)?.into_iter().filter(|folder| folder.join(part).is_dir()) {
        let instance = text(folder.file_name().unwrap_or_default().as_ref());
        for picture in entries(&folder.join(part))?.into_iter().filter(|path| is_picture(path)) {
            let stem = text(picture.file_stem().unwrap_or_default().as_ref());
            let place = images.len();
            let named = |(at, bbox): (usize, Bbox)| {
                let id = if at == 0 { stem.clone() } else { format!("{stem}#{}", at + 1) };
                LabelledBox::new(id, place, instance.clone(), bbox)
            };
            let file = picture.with_file_name(format!("{stem}.bbox.json"));
            if file.is_file() {
                boxes.extend(boxes_of(&file, &files.read(&file)?)?.into_iter().enumerate().map(named));
            } else if role == Role::Queries {
                let [width, height] = size_of(&picture)?;
                boxes.push(named((0, Bbox::of_image(width, height))));
            } else {
                boxes.push(LabelledBox::somewhere(place, instance.clone(), None));
            }
            let name =
                format!("{instance}/{part}/{}", text(picture.file_name().unwrap_or_default().as_ref()));
            images.push(LabelledImage {
                name,
                path: std::path::absolute(&picture).unwrap_or(picture),
                size: None,
                frame: None,
            });
        }
    }
    match images.is_empty() {
        true => Err(LabelError::NoFiles { path: path.to_owned(), wanted: part }),
        false => Ok((images, boxes)),
    }
}

fn boxes_of(file: &Path, bytes: &[u8]) -> Result<Vec<Bbox>, LabelError> {
    let wanted = "a list of boxes [x, y, width, height]";
    let read: Vec<Bbox> = serde_json::from_slice(bytes).map_err(|source| LabelError::Json {
        path: file.to_owned(),
        wanted,
        source,
    })?;
    let empty = read.iter().position(|bbox| bbox.w <= 0.0 || bbox.h <= 0.0);
    match empty {
        _ if read.is_empty() => {
            Err(wrong(file, 1, "there is none; leave the file out where nothing is said"))
        }
        Some(at) => Err(wrong(file, at + 1, "width and height must be above 0")),
        None => Ok(read),
    }
}

fn wrong(file: &Path, number: usize, wrong: &str) -> LabelError {
    LabelError::Entry { path: file.to_owned(), what: "box", id: number.to_string(), wrong: wrong.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two instances with a query and two positive images each.
    fn ilias(boxes: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let picture = crate::picture::Picture { width: 40, height: 30, rgb: vec![9; 3600] }.to_jpeg(90);
        for (instance, number) in [("bold_bimp_000", "000"), ("bold_flep_001", "001")] {
            for (part, names) in [("query", &["Q"][..]), ("pos", &["P", "R"])] {
                let folder = folder.path().join(instance).join(part);
                std::fs::create_dir_all(&folder).unwrap();
                names.iter().for_each(|name| {
                    std::fs::write(folder.join(format!("{name}{number}_00.jpg")), &picture).unwrap();
                });
            }
            let positive = folder.path().join(instance).join(format!("pos/P{number}_00.bbox.json"));
            std::fs::write(positive, boxes).unwrap();
        }
        folder
    }

    fn read_folder(folder: &tempfile::TempDir, role: Role) -> Result<Labels, String> {
        read(folder.path(), role, &mut Files::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn queries_and_positives_are_two_sides_of_a_folder() {
        let folder = ilias("[[1, 2, 30, 4], [0, 0, 5, 6]]");
        assert!(is_one(folder.path()) && !is_one(&folder.path().join("bold_bimp_000")));
        let (images, boxes) = read_folder(&folder, Role::Gallery).unwrap();
        assert_eq!((images.len(), images[3].name.as_str()), (4, "bold_flep_001/pos/R001_00.jpg"));
        let told: Vec<(usize, bool, Bbox)> =
            boxes[..3].iter().map(|one| (one.image, one.is_located, one.bbox)).collect();
        let [first, second] = [Bbox::new(1.0, 2.0, 30.0, 4.0), Bbox::new(0.0, 0.0, 5.0, 6.0)];
        assert_eq!(told, [(0, true, first), (0, true, second), (1, false, Bbox::new(0.0, 0.0, 0.0, 0.0))]);
        let (_, boxes) = read_folder(&folder, Role::Queries).unwrap();
        assert_eq!((boxes.len(), boxes[1].bbox), (2, Bbox::of_image(40, 30)));
        assert_eq!((boxes[1].instance.as_str(), boxes[1].id.as_str()), ("bold_flep_001", "Q001_00"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (boxes, part) in [
            ("[[1, 2, 3]]", "a list of boxes"),
            ("[]", "there is none"),
            ("[[1, 2, 3, 4], [1, 2, 0, 4]]", "box 2"),
        ] {
            let told = read_folder(&ilias(boxes), Role::Gallery).unwrap_err();
            assert!(told.contains("P000_00.bbox.json") && told.contains(part), "{told}");
        }
    }
}
