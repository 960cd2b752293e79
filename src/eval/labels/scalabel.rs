//! BDD100K and other sets in the format of Scalabel: `frames`, or a list of them, with `name`, `videoName`, `frameIndex` and `labels`,
//! whose `box2d` holds its last pixel. A file, or a folder of files, one a video. Images lie beside the file, there in a folder of the
//! video's name, or as BDD100K lays them out: `images/track/SPLIT/VIDEO/` for `labels/box_track_20/SPLIT/VIDEO.json`. Frames without
//! a file and crowds are left out.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Files, LabelError, LabelledBox, LabelledImage, Labels, Role, Shape, entries, shape};
use crate::core::Bbox;

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Whole { frames: Vec<Value> },
    Frames(Vec<Value>),
}

#[derive(Deserialize)]
struct Frame {
    name: String,
    #[serde(default, alias = "videoName")]
    video_name: Option<String>,
    #[serde(default, alias = "frameIndex", alias = "index")]
    frame_index: Option<i64>,
    #[serde(default)]
    size: Option<Size>,
    #[serde(default)]
    labels: Option<Vec<Label>>,
}

#[derive(Deserialize)]
struct Size {
    width: u32,
    height: u32,
}

#[derive(Deserialize)]
struct Label {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    attributes: Option<Map<String, Value>>,
    #[serde(default)]
    box2d: Option<Box2d>,
}

#[derive(Deserialize)]
struct Box2d {
    x1: f32,
    y1: f32,
    x2: f32,
    y2: f32,
}

/// Whether this is such a file, or a folder of them.
pub(super) fn knows(path: &Path, of: &Shape) -> bool {
    let is_one = |shape: &Shape| {
        shape.has(&["frames"]) || shape.has(&["name", "labels"]) || shape.has(&["name", "videoName"])
    };
    let first = || files_of(path).ok()?.into_iter().next();
    is_one(of)
        || of.is_folder() && first().is_some_and(|first| shape(&first).is_ok_and(|shape| is_one(&shape)))
}

/// Reads the file or folder `path`.
pub(super) fn read(path: &Path, _: Role, files: &mut Files) -> Result<Labels, LabelError> {
    let (mut images, mut boxes) = Labels::default();
    for file in files_of(path)? {
        let bytes = files.read(&file)?;
        let content: Content = serde_json::from_slice(&bytes).map_err(|source| LabelError::Json {
            path: file.clone(),
            wanted: "labels of Scalabel, a list of frames",
            source,
        })?;
        let (Content::Whole { frames } | Content::Frames(frames)) = content;
        for (number, frame) in (1usize..).zip(frames) {
            let frame: Frame = serde_json::from_value(frame).map_err(|error| LabelError::Entry {
                path: file.clone(),
                what: "frame",
                id: number.to_string(),
                wrong: format!(
                    "{error}; a frame has name, videoName, frameIndex and labels with id, category and box2d"
                ),
            })?;
            if let Some(found) = found(&file, &frame) {
                boxes.extend(boxes_of(&file, &frame, images.len())?);
                images.push(LabelledImage {
                    path: found,
                    size: frame.size.map(|size| [size.width, size.height]),
                    frame: frame.video_name.zip(frame.frame_index),
                    name: frame.name,
                });
            }
        }
    }
    match images.is_empty() {
        true => Err(LabelError::NoFiles {
            path: path.to_owned(),
            wanted: "images/track/SPLIT/VIDEO, or beside it",
        }),
        false => Ok((images, boxes)),
    }
}

/// The file itself, or the files of a folder.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, LabelError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    Ok(entries(path)?.into_iter().filter(is_json).collect())
}

/// Where the image of a frame is.
fn found(file: &Path, frame: &Frame) -> Option<PathBuf> {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = absolute.parent()?.to_owned();
    let video = frame.video_name.as_deref().unwrap_or("");
    let images = folder.parent().and_then(|tasks| Some(tasks.parent()?.parent()?.join("images/track")));
    let bdd100k = images.zip(folder.file_name()).map(|(images, split)| images.join(split).join(video));
    let folders = [Some(folder.clone()), Some(folder.join(video)), bdd100k];
    folders.into_iter().flatten().map(|folder| folder.join(&frame.name)).find(|image| image.is_file())
}

fn boxes_of(file: &Path, frame: &Frame, image: usize) -> Result<Vec<LabelledBox>, LabelError> {
    let is_crowd = |label: &Label| {
        label.attributes.as_ref().and_then(|attributes| attributes.get("crowd")?.as_bool()).unwrap_or(false)
    };
    let labels = frame.labels.iter().flatten().filter(|label| !is_crowd(label));
    let boxes = labels.filter_map(|label| Some((label, label.box2d.as_ref()?)));
    let read = |(label, &Box2d { x1, y1, x2, y2 }): (&Label, &Box2d)| {
        let wrong = |wrong: String| LabelError::Entry {
            path: file.to_owned(),
            what: "frame",
            id: frame.name.clone(),
            wrong: format!("label {}: {wrong}", label.id),
        };
        let id = match &label.id {
            Value::String(text) if !text.is_empty() => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => {
                return Err(wrong(
                    "its id is neither a number nor a text; the id says which object it shows".to_owned(),
                ));
            }
        };
        if ![x1, y1, x2, y2].iter().all(|side| side.is_finite()) || x2 < x1 || y2 < y1 {
            return Err(wrong(format!(
                "its box2d ends at {x2}, {y2} before it begins at {x1}, {y1}; x1 <= x2 and y1 <= y2 are wanted"
            )));
        }
        let bbox = Bbox::new(x1, y1, x2 - x1 + 1.0, y2 - y1 + 1.0);
        let instance = frame.video_name.as_ref().map_or_else(|| id.clone(), |video| format!("{video}/{id}"));
        Ok(LabelledBox { category: label.category.clone(), ..LabelledBox::new(id, image, instance, bbox) })
    };
    boxes.map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `bdd100k/labels/box_track_20/val/b1.json` with two of three images.
    fn bdd100k(labels: &Value) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (images, files) =
            (folder.path().join("images/track/val/b1"), folder.path().join("labels/box_track_20/val"));
        [&images, &files].iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
        ["b1-0000001.jpg", "b1-0000002.jpg"]
            .iter()
            .for_each(|name| std::fs::write(images.join(name), b"").unwrap());
        let frame = |index: usize, labels: &Value| {
            let name = format!("b1-{:07}.jpg", index + 1);
            json!({"name": name, "videoName": "b1", "frameIndex": index, "labels": labels})
        };
        let frames = json!([frame(0, labels), frame(1, &Value::Null), frame(2, labels)]);
        std::fs::write(files.join("b1.json"), frames.to_string()).unwrap();
        (folder, files)
    }

    fn label(id: Value, box2d: Value) -> Value {
        json!({"id": id, "category": "car", "attributes": {"occluded": false, "crowd": false}, "box2d": box2d})
    }

    #[test]
    fn frames_and_boxes_of_bdd100k_are_found() {
        let sound = label(json!("00000007"), json!({"x1": 10, "y1": 20, "x2": 19, "y2": 24}));
        let mut crowd = sound.clone();
        crowd["attributes"]["crowd"] = json!(true);
        let lane = json!({"id": "9", "category": "lane", "poly2d": []});
        let (folder, files) = bdd100k(&json!([sound, crowd, lane]));
        for path in [files.join("b1.json"), files] {
            assert!(knows(&path, &shape(&path).unwrap()));
            let (images, boxes) = read(&path, Role::Gallery, &mut Files::default()).unwrap();
            assert_eq!(images.len(), 2, "what has no file is left out");
            assert_eq!(images[1].frame, Some(("b1".to_owned(), 1)));
            assert!(images[1].path.starts_with(folder.path()));
            let told: Vec<(&str, Option<&str>, Bbox)> =
                boxes.iter().map(|one| (one.instance.as_str(), one.category.as_deref(), one.bbox)).collect();
            assert_eq!(told, [("b1/00000007", Some("car"), Bbox::new(10.0, 20.0, 10.0, 5.0))]);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_frame_and_label() {
        for (one, parts) in [
            (
                label(json!("7"), json!({"x1": 9, "y1": 1, "x2": 3, "y2": 4})),
                ["b1-0000001.jpg", "before it begins"],
            ),
            (label(Value::Null, json!({"x1": 1, "y1": 1, "x2": 3, "y2": 4})), ["b1-0000001.jpg", "its id"]),
            (label(json!("7"), json!({"x1": 9})), ["frame 1", "y1"]),
        ] {
            let (_folder, files) = bdd100k(&json!([one]));
            let told = read(&files, Role::Gallery, &mut Files::default()).unwrap_err().to_string();
            assert!(told.contains("b1.json") && parts.iter().all(|part| told.contains(part)), "{told}");
        }
        let (folder, files) = bdd100k(&json!([]));
        std::fs::remove_dir_all(folder.path().join("images")).unwrap();
        let told = read(&files, Role::Gallery, &mut Files::default()).unwrap_err().to_string();
        assert!(told.contains("images/track/SPLIT/VIDEO"), "{told}");
    }
}
