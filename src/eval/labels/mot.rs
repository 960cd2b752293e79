//! MOT Challenge: a folder with `img1/` (frames named by their numbers, from 1), `gt/gt.txt` (frame, track, left, top, width,
//! height, flag, class, ...; pixels count from 1, what the flag says 0 of does not count) and, where there is one, `seqinfo.ini`.
//! Frames without a file are left out: a folder may hold every eighth frame.

use std::collections::HashMap;
use std::path::Path;

use super::{
    Files, LabelError, LabelledBox, LabelledImage, Labels, Role, entries, is_picture, size_of, text,
};
use crate::core::Bbox;

/// Where the boxes are.
pub(super) const TRUTH: &str = "gt/gt.txt";
/// Where the frames are.
pub(super) const FRAMES: &str = "img1";
/// Classes of MOT16 and later; the first is number 1.
const CLASSES: [&str; 13] = [
    "pedestrian",
    "person on vehicle",
    "car",
    "bicycle",
    "motorbike",
    "non motorized vehicle",
    "static person",
    "distractor",
    "occluder",
    "occluder on the ground",
    "occluder full",
    "reflection",
    "crowd",
];

/// Reads the folder `path`.
pub(super) fn read(path: &Path, _: Role, files: &mut Files) -> Result<Labels, LabelError> {
    let video = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let file = path.join(TRUTH);
    let bytes = files.read(&file)?;
    let images = frames(&path.join(FRAMES), &video, said_size(&path.join("seqinfo.ini")))?;
    let boxes = boxes(&file, &bytes, &images)?;
    Ok((images, boxes))
}

/// The boxes of `images` in the `bytes` of a `file` as `gt/gt.txt`.
pub(super) fn boxes(
    file: &Path,
    bytes: &[u8],
    images: &[LabelledImage],
) -> Result<Vec<LabelledBox>, LabelError> {
    let places: HashMap<i64, usize> =
        images.iter().enumerate().filter_map(|(at, image)| Some((image.frame.as_ref()?.1, at))).collect();
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let mut boxes = Vec::new();
    for (number, line) in (1usize..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |wrong: &str| LabelError::Entry {
            path: file.to_owned(),
            what: "line",
            id: number.to_string(),
            wrong: format!(
                "{wrong}; frame, track, left, top, width, height, flag are wanted, with commas: '{line}'"
            ),
        };
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let numbers = cells.iter().map(|cell| cell.parse::<f64>().ok().filter(|v| v.is_finite()));
        let numbers = numbers.collect::<Option<Vec<f64>>>().ok_or_else(|| wrong("not numbers"))?;
        let &[frame, track, left, top, width, height, ref rest @ ..] = numbers.as_slice() else {
            return Err(wrong("less than six numbers"));
        };
        let whole = |value: f64| (value.fract() == 0.0).then_some(value as i64);
        let frame = whole(frame).filter(|&frame| frame >= 1).ok_or_else(|| wrong("frames count from 1"))?;
        let track = whole(track).ok_or_else(|| wrong("the track is no whole number"))?;
        if width <= 0.0 || height <= 0.0 {
            return Err(wrong("width and height must be above 0"));
        }
        let counts = rest.first().is_none_or(|&flag| flag != 0.0);
        let Some(&image) = places.get(&frame).filter(|_| counts) else { continue };
        let bbox = Bbox::new((left - 1.0) as f32, (top - 1.0) as f32, width as f32, height as f32);
        let is_inside = images[image]
            .size
            .is_none_or(|[width, height]| bbox.intersection(&Bbox::of_image(width, height)).area() > 0.0);
        if is_inside {
            // MOT15 has coordinates of the ground where later years have a class and how much is seen.
            let class = match rest {
                &[_, class, _] => whole(class).and_then(|class| usize::try_from(class).ok()?.checked_sub(1)),
                _ => None,
            };
            let category = class.and_then(|class| CLASSES.get(class)).map(|&name| name.to_owned());
            let one = LabelledBox::new(number.to_string(), image, track.to_string(), bbox);
            boxes.push(LabelledBox { category, ..one });
        }
    }
    Ok(boxes)
}

/// The frames of `folder` that have a file, in order; of the size that is `said`, else of that of the first one.
pub(super) fn frames(
    folder: &Path,
    video: &str,
    said: Option<[u32; 2]>,
) -> Result<Vec<LabelledImage>, LabelError> {
    let numbered = |path: std::path::PathBuf| Some((path.file_stem()?.to_str()?.parse().ok()?, path));
    let mut found: Vec<(i64, std::path::PathBuf)> =
        entries(folder)?.into_iter().filter(|path| is_picture(path)).filter_map(numbered).collect();
    found.sort();
    if let Some(twice) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let wrong = format!("{} has the same number; leave one of both", twice[1].1.display());
        let id = twice[0].0.to_string();
        return Err(LabelError::Entry { path: twice[0].1.clone(), what: "frame", id, wrong });
    }
    let none = || LabelError::NoFrames { path: folder.to_owned() };
    let (_, first) = found.first().ok_or_else(none)?;
    let size = said.map_or_else(|| size_of(first), Ok)?;
    let image = |(number, path): (i64, std::path::PathBuf)| LabelledImage {
        name: path.file_name().map_or_else(String::new, |name| text(Path::new(name))),
        path,
        size: Some(size),
        frame: Some((video.to_owned(), number)),
    };
    Ok(found.into_iter().map(image).collect())
}

fn said_size(path: &Path) -> Option<[u32; 2]> {
    let text = std::fs::read_to_string(path).ok()?;
    let said = |key: &str| {
        let value = text.lines().find_map(|line| line.trim().strip_prefix(key)?.trim().strip_prefix('='));
        value?.trim().parse::<u32>().ok().filter(|&side| side > 0)
    };
    Some([said("imWidth")?, said("imHeight")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(truth: &str, info: Option<&str>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(FRAMES)).unwrap();
        std::fs::create_dir(folder.path().join("gt")).unwrap();
        for number in [1, 9] {
            let picture = crate::picture::Picture { width: 40, height: 30, rgb: vec![9; 3600] };
            let file = folder.path().join(FRAMES).join(format!("{number:06}.jpg"));
            std::fs::write(file, picture.to_jpeg(90)).unwrap();
        }
        std::fs::write(folder.path().join(TRUTH), truth).unwrap();
        info.iter().for_each(|info| std::fs::write(folder.path().join("seqinfo.ini"), info).unwrap());
        folder
    }

    fn read_folder(folder: &tempfile::TempDir) -> Result<Labels, String> {
        read(folder.path(), Role::Gallery, &mut Files::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn frames_that_have_a_file_have_boxes_that_count_from_zero() {
        let folder = folder(
            "1,7,11,21,5,6,1,1,0.5\n2,7,1,1,5,6,1\n9,8,1,1,5,6,0\n9,7,35,1,9,6,1,-1,-1,-1\n9,9,99,1,5,5,1\n",
            None,
        );
        let (images, boxes) = read_folder(&folder).unwrap();
        let frames: Vec<i64> = images.iter().map(|image| image.frame.as_ref().unwrap().1).collect();
        assert_eq!((frames, images[1].size), (vec![1, 9], Some([40, 30])));
        let told: Vec<(usize, &str, Option<&str>)> =
            boxes.iter().map(|one| (one.image, one.instance.as_str(), one.category.as_deref())).collect();
        assert_eq!(told, [(0, "7", Some("pedestrian")), (1, "7", None)]);
        assert_eq!(boxes[0].bbox, Bbox::new(10.0, 20.0, 5.0, 6.0));
    }

    #[test]
    fn the_size_is_what_the_sequence_says() {
        let folder = folder("1,7,11,21,5,6,1\n", Some("[Sequence]\nname=a\nimWidth = 80\nimHeight=60\n"));
        assert_eq!(read_folder(&folder).unwrap().0[1].size, Some([80, 60]));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (line, part) in [
            ("1,7,11,21,5", "less than six"),
            ("1,7,a,21,5,6,1", "not numbers"),
            ("0,7,11,21,5,6,1", "count from 1"),
            ("1,7.5,11,21,5,6,1", "track"),
            ("1,7,11,21,0,6,1", "above 0"),
        ] {
            let told = read_folder(&folder(&format!("1,7,1,1,5,6,1\n{line}\n"), None)).unwrap_err();
            assert!(told.contains("gt.txt") && told.contains("line 2") && told.contains(part), "{told}");
        }
        let empty = folder("", None);
        std::fs::remove_dir_all(empty.path().join(FRAMES)).unwrap();
        std::fs::create_dir(empty.path().join(FRAMES)).unwrap();
        assert!(read_folder(&empty).unwrap_err().contains("no frame"));
    }
}
