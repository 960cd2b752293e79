//! COCO: `images`, and `annotations` whose boxes are `x, y, width, height` in pixels. Which instance a box shows is its
//! attribute `instance_id`, else its own `instance_id`, else (TAO) its `track_id`. Names of files are relative to the file's
//! folder.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{LabelError, LabelledBox, LabelledImage, Labels};
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

/// Reads the `bytes` of a file in `path`.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Labels, LabelError> {
    let file: File =
        serde_json::from_slice(bytes).map_err(|source| LabelError::Json { path: path.to_owned(), source })?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new(""));
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
            width: image.width,
            height: image.height,
            frame: name(&image.video_id).zip(image.frame_index.as_i64()),
        });
    }
    let categories: HashMap<String, String> =
        file.categories.iter().filter_map(|category| name(&category.id).zip(name(&category.name))).collect();
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
        let is_sound = |bbox: &Bbox| {
            let LabelledImage { width, height, .. } = images[image];
            bbox.w > 0.0 && bbox.h > 0.0 && bbox.intersection(&Bbox::of_image(width, height)).area() > 0.0
        };
        let bbox = bbox.filter(is_sound).ok_or_else(|| {
            let LabelledImage { name, width, height, .. } = &images[image];
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
        boxes.push(LabelledBox {
            scale: number("scale")?,
            rotation: number("rotation")?,
            occlusion: number("occlusion")?,
            id: name(&annotation.id).unwrap_or_default(),
            image,
            instance,
            category: name(&annotation.category_id).and_then(|id| categories.get(&id).cloned()),
            bbox,
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
        read(Path::new("/set/gallery.json"), value.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    fn with(annotation: &Value) -> Value {
        let image = json!({"id": 1, "file_name": "images/a.jpg", "width": 40, "height": 30, "video_id": 3, "frame_index": 9});
        json!({"images": [image], "annotations": [annotation], "categories": [{"id": 1, "name": "cup"}]})
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
        let LabelledBox { id, image, instance, category, bbox, scale, rotation, occlusion } = &boxes[0];
        assert_eq!(category.as_deref(), Some("cup"));
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
