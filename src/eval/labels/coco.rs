//! COCO: `images`, and `annotations` whose boxes are `x, y, width, height` in pixels. Which instance a box shows is its
//! attribute `instance_id`, else its own `instance_id`, else (TAO) its `track_id`. Names of files are relative to the file's
//! folder, or to `frames/` beside that (TAO: `annotations/train.json`, `frames/train/...`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Files, LabelError, LabelledBox, LabelledImage, Labels, Role};
use crate::core::Bbox;

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    #[serde(default)]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Category {
    id: Value,
    name: Value,
    #[serde(default)]
    supercategory: Value,
}

// Values are checked by hand where an error has to name their entry.
#[derive(Deserialize)]
struct Image {
    id: Value,
    file_name: String,
    width: u32,
    height: u32,
    #[serde(default)]
    video_id: Value,
    #[serde(default)]
    frame_index: Value,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    image_id: Value,
    #[serde(default)]
    category_id: Value,
    #[serde(default)]
    bbox: Value,
    #[serde(default)]
    instance_id: Value,
    #[serde(default)]
    track_id: Value,
    #[serde(default)]
    attributes: Map<String, Value>,
}

/// Reads the file `path`.
pub(super) fn read(path: &Path, _: Role, files: &mut Files) -> Result<Labels, LabelError> {
    labels(path, &files.read(path)?)
}

/// The folder that names of files are relative to.
fn root(path: &Path, first: Option<&Image>) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new("")).to_owned();
    let frames = folder.parent().map(|parent| parent.join("frames"));
    let is_there = |root: &PathBuf| {
        first.is_some_and(|first| {
            !folder.join(&first.file_name).exists() && root.join(&first.file_name).exists()
        })
    };
    frames.filter(is_there).unwrap_or(folder)
}

fn labels(path: &Path, bytes: &[u8]) -> Result<Labels, LabelError> {
    let file: File = serde_json::from_slice(bytes).map_err(|source| LabelError::Json {
        path: path.to_owned(),
        wanted: "a COCO file of images and annotations",
        source,
    })?;
    let folder = root(path, file.images.first());
    let entry = |what, id: &Value, wrong: String| LabelError::Entry {
        path: path.to_owned(),
        what,
        id: name(id).unwrap_or_else(|| id.to_string()),
        wrong,
    };
    let mut places = HashMap::new();
    let mut images = Vec::with_capacity(file.images.len());
    for (place, image) in file.images.into_iter().enumerate() {
        let wrong = |wrong: &str| entry("image", &image.id, wrong.to_owned());
        let id = name(&image.id).ok_or_else(|| wrong("its id is neither a number nor a text"))?;
        if places.insert(id, place).is_some() {
            return Err(wrong("another image has the same id"));
        }
        if image.width == 0 || image.height == 0 {
            return Err(wrong("width and height must be above 0"));
        }
        images.push(LabelledImage {
            path: folder.join(&image.file_name),
            name: image.file_name,
            size: Some([image.width, image.height]),
            frame: name(&image.video_id).zip(image.frame_index.as_i64()),
        });
    }
    let category = |category: &Category| {
        Some((name(&category.id)?, (name(&category.name)?, name(&category.supercategory))))
    };
    let categories: HashMap<String, (String, Option<String>)> =
        file.categories.iter().filter_map(category).collect();
    let mut boxes = Vec::with_capacity(file.annotations.len());
    for annotation in file.annotations {
        let wrong = |wrong: String| entry("annotation", &annotation.id, wrong);
        let of = name(&annotation.image_id);
        let image = of.as_ref().and_then(|id| places.get(id).copied());
        let image = image.ok_or_else(|| {
            let id = &annotation.image_id;
            wrong(format!("its image_id is {id}, and no image of the file has that id"))
        })?;
        let bbox = serde_json::from_value::<Bbox>(annotation.bbox.clone()).ok();
        let [width, height] = images[image].size.unwrap_or_default();
        let is_sound = |bbox: &Bbox| {
            bbox.w > 0.0 && bbox.h > 0.0 && bbox.intersection(&Bbox::of_image(width, height)).area() > 0.0
        };
        let bbox = bbox.filter(is_sound).ok_or_else(|| {
            let name = &images[image].name;
            wrong(format!(
                "its bbox is {}; it must be [x, y, width, height] in pixels, not empty, and inside {name} ({width}x{height} px)",
                annotation.bbox
            ))
        })?;
        let attribute = |key: &str| annotation.attributes.get(key);
        let said = [attribute("instance_id"), Some(&annotation.instance_id), Some(&annotation.track_id)];
        let instance = said.into_iter().flatten().find_map(name).ok_or_else(|| {
            wrong(
                "it does not say which instance it shows; give it attributes.instance_id (or track_id)"
                    .to_owned(),
            )
        })?;
        let number = |key: &str| match attribute(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let wrong = || wrong(format!("its attribute {key} is {value}; it must be a number"));
                value.as_f64().map(Some).ok_or_else(wrong)
            }
        };
        let (category, supercategory) =
            name(&annotation.category_id).and_then(|id| categories.get(&id).cloned()).unzip();
        boxes.push(LabelledBox {
            scale: number("scale")?,
            rotation: number("rotation")?,
            occlusion: number("occlusion")?,
            category,
            supercategory: supercategory.flatten(),
            ..LabelledBox::new(name(&annotation.id).unwrap_or_default(), image, instance, bbox)
        });
    }
    Ok((images, boxes))
}

/// A number or a text as a name: 7 and "7" are the same one.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(value: &Value) -> Result<Labels, String> {
        labels(Path::new("/set/gallery.json"), value.to_string().as_bytes())
            .map_err(|error| error.to_string())
    }

    fn with(annotation: &Value) -> Value {
        let image = json!({"id": 1, "file_name": "images/a.jpg", "width": 40, "height": 30, "video_id": 3, "frame_index": 9});
        json!({"images": [image], "annotations": [annotation], "categories": [{"id": 1, "name": "cup", "supercategory": "kitchen"}]})
    }

    #[test]
    fn boxes_know_their_image_instance_and_attributes() {
        let attributes = json!({"instance_id": "mug", "scale": 0.5, "rotation": -10, "occlusion": 0});
        let (images, boxes) = read_json(&with(
            &json!({"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3.5, 4], "attributes": attributes}),
        ))
        .unwrap();
        assert_eq!(images[0].path, Path::new("/set/images/a.jpg"));
        assert_eq!(images[0].frame, Some(("3".to_owned(), 9)));
        let LabelledBox { id, image, instance, bbox, scale, rotation, occlusion, .. } = &boxes[0];
        assert_eq!(
            (boxes[0].category.as_deref(), boxes[0].supercategory.as_deref()),
            (Some("cup"), Some("kitchen"))
        );
        assert_eq!((id.as_str(), *image, instance.as_str()), ("5", 0, "mug"));
        assert_eq!(
            (*bbox, *scale, *rotation, *occlusion),
            (Bbox::new(1.0, 2.0, 3.5, 4.0), Some(0.5), Some(-10.0), Some(0.0))
        );
        for named in
            [json!({"track_id": 7}), json!({"instance_id": "7"}), json!({"attributes": {"instance_id": 7}})]
        {
            let mut annotation = json!({"id": 1, "image_id": 1, "bbox": [0, 0, 1, 1]});
            annotation.as_object_mut().unwrap().extend(named.as_object().unwrap().clone());
            assert_eq!(read_json(&with(&annotation)).unwrap().1[0].instance, "7");
        }
    }

    #[test]
    fn images_of_tao_lie_in_a_folder_of_frames() {
        let folder = tempfile::tempdir().unwrap();
        let name = "train/YFCC100M/v_1/frame0391.jpg";
        let picture = folder.path().join("frames").join(name);
        std::fs::create_dir_all(picture.parent().unwrap()).unwrap();
        std::fs::write(&picture, b"").unwrap();
        let image = json!({"id": 4, "video": "train/YFCC100M/v_1", "file_name": name, "width": 40, "height": 30,
            "frame_index": 390, "video_id": 2, "license": 0, "neg_category_ids": [], "not_exhaustive_category_ids": []});
        let annotation = json!({"id": 9, "image_id": 4, "track_id": 11, "category_id": 1, "video_id": 2, "iscrowd": 0,
            "segmentation": [[1, 2, 4, 2, 4, 6, 1, 6]], "area": 12, "bbox": [1, 2, 3, 4]});
        let tao = json!({"info": {}, "licenses": [], "videos": [], "tracks": [], "images": [image],
            "annotations": [annotation], "categories": [{"id": 1, "name": "cup", "synset": "cup.n.01"}]});
        let file = folder.path().join("annotations/train.json");
        let (images, boxes) = labels(&file, tao.to_string().as_bytes()).unwrap();
        assert_eq!((&images[0].path, &images[0].frame), (&picture, &Some(("2".to_owned(), 390))));
        assert_eq!((boxes[0].instance.as_str(), boxes[0].category.as_deref()), ("11", Some("cup")));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file_and_annotation() {
        let attributes = json!({"instance_id": 1});
        for (annotation, parts) in [
            (
                json!({"id": 8, "image_id": 1, "bbox": [0, 0, 1, 1]}),
                ["annotation 8", "attributes.instance_id"],
            ),
            (
                json!({"id": 8, "image_id": 2, "bbox": [0, 0, 1, 1], "attributes": attributes}),
                ["annotation 8", "image_id is 2"],
            ),
            (
                json!({"id": "x", "image_id": 1, "bbox": [0, 0, 1], "attributes": attributes}),
                ["annotation x", "[0,0,1]"],
            ),
            (
                json!({"id": 8, "image_id": 1, "bbox": [0, 0, 0, 1], "attributes": attributes}),
                ["annotation 8", "not empty"],
            ),
            (
                json!({"id": 8, "image_id": 1, "bbox": [50, 0, 9, 9], "attributes": attributes}),
                ["annotation 8", "40x30 px"],
            ),
            (
                json!({"id": 8, "image_id": 1, "bbox": [0, 0, 1, 1], "attributes": {"instance_id": 1, "scale": "big"}}),
                ["annotation 8", "attribute scale is \"big\""],
            ),
        ] {
            let told = read_json(&with(&annotation)).unwrap_err();
            assert!(
                told.contains("/set/gallery.json") && parts.iter().all(|part| told.contains(part)),
                "{told}"
            );
        }
        let twice = json!({"id": 1, "file_name": "a", "width": 4, "height": 4});
        let told = read_json(&json!({"images": [twice, twice], "annotations": []})).unwrap_err();
        assert!(told.contains("image 1: another image"), "{told}");
        let told = read_json(&json!({"images": []})).unwrap_err();
        assert!(told.contains("missing field `annotations`"), "{told}");
    }
}
