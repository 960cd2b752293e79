//! What images are called in URLs, and where requests find what belongs to them.

use serde::Serialize;
use utoipa::ToSchema;

use super::catalogue::Commit;
use crate::core::{Bbox, Hit};
use crate::query::{Evidence, Nearest};

/// Long side of thumbnails and crops where nobody says how large, in pixels.
pub(super) const DEFAULT_PX: u32 = 320;

/// Where requests find an image.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ImageLinks {
    /// What is known of it.
    #[schema(example = "/v1/images/0123456789abcdef?collection=photos")]
    pub image: String,
    /// The file.
    pub file: String,
    /// A small picture of it.
    pub thumbnail: String,
}

impl ImageLinks {
    pub fn of(collection: &str, id: &str) -> Self {
        let link = |part: &str, more: &str| format!("/v1/images/{id}{part}?{more}collection={collection}");
        Self {
            image: link("", ""),
            file: link("/file", ""),
            thumbnail: link("/thumbnail", &format!("px={DEFAULT_PX}&")),
        }
    }
}

/// Where requests find the image of a hit, and the part of it that was found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct HitLinks {
    #[serde(flatten)]
    of_image: ImageLinks,
    /// The picture in the box.
    crop: String,
}

impl HitLinks {
    pub fn of(collection: &str, id: &str, bbox: &Bbox) -> Self {
        let crop = format!("/v1/images/{id}/crop?box={bbox}&px={DEFAULT_PX}&collection={collection}");
        Self { of_image: ImageLinks::of(collection, id), crop }
    }
}

/// How similar each patch of an image is to what is looked for.
#[derive(Serialize, ToSchema)]
pub(super) struct HeatMap {
    /// The part of the image that the patches divide evenly, in pixels.
    #[serde(rename = "box")]
    bbox: Bbox,
    /// Patches from top to bottom.
    rows: u32,
    /// Patches from left to right.
    columns: u32,
    /// Best similarity with any token, row by row, in thousandths.
    similarity: Vec<i32>,
}

impl HeatMap {
    fn of(evidence: &Evidence) -> Option<Self> {
        let Evidence { grid, similarity, .. } = evidence;
        let thousandths = |similarity: &f32| (similarity * 1000.0).round() as i32;
        let similarity: Vec<i32> = similarity.iter().map(thousandths).collect();
        let is_whole = !similarity.is_empty();
        is_whole.then_some(Self { bbox: grid.area, rows: grid.rows, columns: grid.cols, similarity })
    }
}

/// A hit with its links.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkedHit {
    #[serde(flatten)]
    hit: Hit,
    /// The image's number in a COCO export of the same commit.
    number: usize,
    /// Where `heat_maps` asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    heat_map: Option<HeatMap>,
    links: HitLinks,
}

impl LinkedHit {
    pub fn of(commit: &Commit, hit: Hit, evidence: &Evidence) -> Self {
        Self {
            number: commit.place_behind(&evidence.path),
            heat_map: HeatMap::of(evidence),
            links: HitLinks::of(&commit.name, &hit.id, &hit.bbox),
            hit,
        }
    }
}

/// A stored vector that was found, with the links of its image.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkedNearest {
    #[serde(flatten)]
    nearest: Nearest,
    links: HitLinks,
}

impl LinkedNearest {
    pub fn of(collection: &str, nearest: Nearest) -> Self {
        Self { links: HitLinks::of(collection, &nearest.id, &nearest.bbox), nearest }
    }
}
