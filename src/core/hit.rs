//! What an answer is made of.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Bbox;

/// One found place: an image, a box in it, a score, and the patch matches behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hit {
    /// 1 for the best.
    pub rank: usize,
    /// Path relative to the collection's root, `/`-separated; bytes that are no UTF-8 are shown as U+FFFD.
    pub image: String,
    /// The image's content: the first 16 hexadecimal digits of its file's BLAKE3.
    pub id: String,
    /// Width of the upright image, in pixels.
    pub width: u32,
    /// Height of the upright image, in pixels.
    pub height: u32,
    /// What the user said about the image.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub metadata: Map<String, Value>,
    /// Where, in pixels of the upright image.
    #[serde(rename = "box")]
    pub bbox: Bbox,
    /// Fused score, higher is better.
    pub score: f32,
    /// How likely the box shows the very object, 0 to 1: the score beside those of images that do not.
    pub probability: f32,
    /// What each stage said.
    pub scores: StageScores,
    /// Strongest first.
    pub matches: Vec<Match>,
    /// Images nearly equal to this one that were found too, best first; where they are grouped.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub duplicates: Vec<String>,
}

/// The stages' scores of one hit. Where it is ranked below what was looked for as well, they are less in proportion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StageScores {
    /// Share of the query's weight whose best matches lie where the placement expects them, by how near, 0 to 1.
    pub vote: f32,
    /// Weighted mean over the query's tokens of what the best similarity anywhere in the image is worth: how far it is above
    /// what the token finds everywhere, 0 to 1.
    pub maxsim: f32,
    /// The same of the similarity where the placement expects them, less what the distance from there costs.
    pub geometry: f32,
}

/// One query token and the patch that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Match {
    /// The token's rectangle in the query image.
    pub query_box: Bbox,
    /// The patch's rectangle in the found image.
    pub patch_box: Bbox,
    /// Similarity of the two vectors (cosine unless the collection says otherwise).
    pub similarity: f32,
}
