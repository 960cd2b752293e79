//! Boxes in pixels of the upright image: `x, y, w, h`, top-left origin, floats, as in COCO.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An axis-aligned rectangle in pixels of the upright image. Serialised as `[x, y, w, h]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 4]", into = "[f32; 4]")]
pub struct Bbox {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

/// Why a text is not a box.
#[derive(Debug, thiserror::Error)]
#[error("'{text}' is not a box: give x,y,w,h in pixels with w and h above 0, for example 120,80,64,48")]
pub struct BboxError {
    text: String,
}

impl Bbox {
    /// A box from its left, top, width and height.
    pub fn new(x: f32, y: f32, w: f32, h: f32) -> Self {
        Self { x, y, w, h }
    }

    /// The box around the rectangle between two corners.
    pub fn from_corners(x0: f32, y0: f32, x1: f32, y1: f32) -> Self {
        Self { x: x0, y: y0, w: x1 - x0, h: y1 - y0 }
    }

    /// The whole of an image of `width`×`height` pixels.
    pub fn of_image(width: u32, height: u32) -> Self {
        Self::new(0.0, 0.0, width as f32, height as f32)
    }

    /// Right edge.
    pub fn right(&self) -> f32 {
        self.x + self.w
    }

    /// Bottom edge.
    pub fn bottom(&self) -> f32 {
        self.y + self.h
    }

    /// Centre, x then y.
    pub fn center(&self) -> (f32, f32) {
        (self.x + self.w / 2.0, self.y + self.h / 2.0)
    }

    /// Area in square pixels; 0 for an empty box.
    pub fn area(&self) -> f32 {
        self.w.max(0.0) * self.h.max(0.0)
    }

    /// Whether a point lies inside (left and top edges included).
    pub fn contains(&self, x: f32, y: f32) -> bool {
        x >= self.x && x < self.right() && y >= self.y && y < self.bottom()
    }

    /// The part of both boxes; of zero size where they do not meet.
    pub fn intersection(&self, other: &Bbox) -> Bbox {
        let x0 = self.x.max(other.x);
        let y0 = self.y.max(other.y);
        let x1 = self.right().min(other.right()).max(x0);
        let y1 = self.bottom().min(other.bottom()).max(y0);
        Bbox::from_corners(x0, y0, x1, y1)
    }

    /// Intersection over union, 0 to 1.
    pub fn iou(&self, other: &Bbox) -> f32 {
        let shared = self.intersection(other).area();
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }
}

impl PartialSchema for Bbox {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Number)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Float)));
        let numbers = ArrayBuilder::new().items(number).min_items(Some(4)).max_items(Some(4));
        numbers.description(Some("x, y, w, h in pixels of the upright image, top-left origin")).into()
    }
}

impl ToSchema for Bbox {}

impl From<[f32; 4]> for Bbox {
    fn from([x, y, w, h]: [f32; 4]) -> Self {
        Self { x, y, w, h }
    }
}

impl From<Bbox> for [f32; 4] {
    fn from(b: Bbox) -> Self {
        [b.x, b.y, b.w, b.h]
    }
}

impl std::fmt::Display for Bbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{},{},{}", self.x, self.y, self.w, self.h)
    }
}

impl FromStr for Bbox {
    type Err = BboxError;

    fn from_str(text: &str) -> Result<Self, BboxError> {
        let sides: Option<Vec<f32>> =
            text.split(',').map(|side| side.trim().parse().ok().filter(|v: &f32| v.is_finite())).collect();
        match sides.as_deref() {
            Some(&[x, y, w, h]) if w > 0.0 && h > 0.0 => Ok(Self { x, y, w, h }),
            _ => Err(BboxError { text: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_of_half_overlapping_squares_is_a_third() {
        let a = Bbox::new(0.0, 0.0, 2.0, 2.0);
        assert!((a.iou(&Bbox::new(1.0, 0.0, 2.0, 2.0)) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&a), 1.0);
        assert_eq!(a.iou(&Bbox::new(5.0, 5.0, 1.0, 1.0)), 0.0);
    }

    #[test]
    fn text_that_is_no_box_is_refused() {
        assert_eq!("1, 2,3.5,4".parse::<Bbox>().unwrap(), Bbox::new(1.0, 2.0, 3.5, 4.0));
        for text in ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "0,0,0,5", "0,0,5,-1", "0,0,NaN,1", "inf,0,1,1"] {
            assert!(text.parse::<Bbox>().is_err(), "{text}");
        }
    }
}
