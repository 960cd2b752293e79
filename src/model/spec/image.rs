//! Preprocessing as `preprocessor_config.json` tells it, with the defaults of the Hugging Face processor it names.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SpecError;
use super::json::Document;
use crate::picture::Filter;

/// From RGB8 pixels to the model's input. Kept in manifests, so that a query is prepared as the store was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// Resize rule of the processor.
    pub resize: Resize,
    /// Centre crop of the processor, after resizing.
    pub crop: Option<Crop>,
    /// Resampling filter.
    pub filter: Filter,
    /// Whether samples are multiplied by `rescale_factor`.
    pub do_rescale: bool,
    /// Factor from 0..255 to the model's range, usually 1/255.
    pub rescale_factor: f32,
    /// Whether `mean` and `std` are applied.
    pub do_normalize: bool,
    /// Subtracted per channel (red, green, blue), after rescaling.
    pub mean: [f32; 3],
    /// Divided by per channel, after `mean`.
    pub std: [f32; 3],
}

/// How a processor sizes a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// As it is.
    Keep,
    /// The short side to this, aspect kept; the long side rounded down.
    ShortestEdge(u32),
    /// The long side to this, aspect kept; the short side rounded down.
    LongestEdge(u32),
    /// To this size, whatever the aspect.
    Exact {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
    },
}

/// Size of a centre crop, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crop {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// What a processor class does where its file says nothing.
struct Class {
    stem: &'static str,
    filter: Filter,
    /// Whether a bare number as `size` is both sides (else the short one).
    square: bool,
    crop: bool,
}

const fn class(stem: &'static str, filter: Filter, square: bool, crop: bool) -> Class {
    Class { stem, filter, square, crop }
}

/// By the class name without `ImageProcessor`, `ImageProcessorFast` or `FeatureExtractor`.
const CLASSES: &[Class] = &[
    class("ViT", Filter::Bilinear, true, false),
    class("DINOv3ViT", Filter::Bilinear, true, false),
    class("Siglip", Filter::Bicubic, true, false),
    class("Beit", Filter::Bicubic, true, true),
    class("DeiT", Filter::Bicubic, true, true),
    class("Bit", Filter::Bicubic, false, true),
    class("CLIP", Filter::Bicubic, false, true),
];

/// Reads `preprocessor_config.json`.
pub(super) fn read(file: &Document) -> Result<ImageSpec, SpecError> {
    let class = class_of(file)?;
    let do_normalize = file.truth("do_normalize")?.unwrap_or(true);
    let do_rescale = file.truth("do_rescale")?.unwrap_or(true);
    Ok(ImageSpec {
        resize: resize(file, class)?,
        crop: crop(file, class)?,
        filter: filter(file, class)?,
        do_rescale,
        rescale_factor: file.number("rescale_factor")?.unwrap_or(1.0 / 255.0),
        do_normalize,
        mean: channels(file, "image_mean", do_normalize, 0.0)?,
        std: channels(file, "image_std", do_normalize, 1.0)?,
    })
}

fn class_of(file: &Document) -> Result<Option<&'static Class>, SpecError> {
    let name = match file.text("image_processor_type")? {
        Some(name) => Some(name),
        None => file.text("feature_extractor_type")?,
    };
    let Some(name) = name else { return Ok(None) };
    let name = name.strip_suffix("Fast").unwrap_or(&name);
    let stem = name.strip_suffix("ImageProcessor").or(name.strip_suffix("FeatureExtractor")).unwrap_or(name);
    Ok(CLASSES.iter().find(|class| class.stem == stem))
}

fn filter(file: &Document, class: Option<&Class>) -> Result<Filter, SpecError> {
    const WANTED: &str = "write 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box or 5 hamming";
    let Some(value) = file.value("resample") else {
        let missing =
            || file.fault("resample", format!("is missing and the processor is not known: {WANTED}"));
        return class.map(|c| c.filter).ok_or_else(missing);
    };
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    let named = || serde_json::from_value(Value::String(value.as_str()?.to_lowercase())).ok();
    id.and_then(Filter::from_pillow)
        .or_else(named)
        .ok_or_else(|| file.fault("resample", format!("is {value}: {WANTED}")))
}

fn resize(file: &Document, class: Option<&Class>) -> Result<Resize, SpecError> {
    if file.truth("do_resize")? == Some(false) {
        return Ok(Resize::Keep);
    }
    const FORMS: &str = r#"write {"shortest_edge": n}, {"longest_edge": n} or {"height": n, "width": n}"#;
    match file.value("size") {
        None => Err(file.fault("size", format!("is missing: {FORMS}, or set \"do_resize\" to false"))),
        Some(Value::Object(_)) => {
            let size = file.object("size")?.expect("invariant: just matched");
            let (short, long) = (size.side("shortest_edge")?, size.side("longest_edge")?);
            match (short, long, size.side("height")?, size.side("width")?) {
                (None, None, Some(height), Some(width)) => Ok(Resize::Exact { width, height }),
                (Some(side), None, None, None) => Ok(Resize::ShortestEdge(side)),
                (None, Some(side), None, None) => Ok(Resize::LongestEdge(side)),
                _ => Err(file.fault("size", format!("has keys that do not go together: {FORMS}"))),
            }
        }
        Some(_) => {
            let side = file.side("size")?.expect("invariant: a value is there");
            match class {
                Some(Class { square: true, .. }) => Ok(Resize::Exact { width: side, height: side }),
                Some(_) => Ok(Resize::ShortestEdge(side)),
                None => {
                    Err(file
                        .fault("size", format!("is a bare number and the processor is not known: {FORMS}")))
                }
            }
        }
    }
}

fn crop(file: &Document, class: Option<&Class>) -> Result<Option<Crop>, SpecError> {
    let usual = class.is_some_and(|c| c.crop) && file.value("crop_size").is_some();
    if !file.truth("do_center_crop")?.unwrap_or(usual) {
        return Ok(None);
    }
    let wanted = r#"write {"height": n, "width": n}, or set "do_center_crop" to false"#;
    match file.value("crop_size") {
        None => Err(file.fault("crop_size", format!("is missing: {wanted}"))),
        Some(Value::Object(_)) => {
            let size = file.object("crop_size")?.expect("invariant: just matched");
            match (size.side("width")?, size.side("height")?) {
                (Some(width), Some(height)) => Ok(Some(Crop { width, height })),
                _ => Err(file.fault("crop_size", format!("lacks a side: {wanted}"))),
            }
        }
        Some(_) => Ok(file.side("crop_size")?.map(|side| Crop { width: side, height: side })),
    }
}

/// Mean or standard deviation; `neutral` where nothing is normalised.
fn channels(file: &Document, key: &str, needed: bool, neutral: f32) -> Result<[f32; 3], SpecError> {
    match file.channels(key)? {
        Some(numbers) if key == "image_std" && numbers.contains(&0.0) => {
            Err(file.fault(key, "holds a zero, by which samples would be divided: write the deviation per channel"))
        }
        Some(numbers) => Ok(numbers),
        None if needed => Err(file.fault(
            key,
            "is missing: write what the model was trained with, as [r, g, b], or set \"do_normalize\" to false",
        )),
        None => Ok([neutral; 3]),
    }
}
