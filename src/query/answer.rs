//! What a query answers: the JSON object, and the evidence that a page draws.

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::core::{Bbox, Grid, Hit};

/// A whole answer. Serialises to the JSON of `query --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What was asked.
    pub query: QueryEcho,
    /// How it was answered.
    pub plan: Plan,
    /// Images that were searched, copies of others among them.
    pub searched_images: usize,
    /// Where the time went.
    pub timing_ms: TimingMs,
    /// Best first.
    pub hits: Vec<Hit>,
    /// One for each hit. Not part of the JSON.
    #[serde(skip)]
    pub evidence: Vec<Evidence>,
}

/// What was asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueryEcho {
    /// The image as it was named.
    pub image: String,
    /// The (first) box, in pixels of the upright image.
    #[serde(rename = "box")]
    pub bbox: Bbox,
    /// All boxes, where there are several of the same object.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub boxes: Vec<Bbox>,
    /// Tokens used.
    pub tokens: usize,
    /// For each size in which a box was seen, how much larger than images of the gallery the query image was embedded.
    pub scales: Vec<f32>,
}

/// Where the time went, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimingMs {
    /// Reading and decoding the query image.
    pub decode: f64,
    /// Loading the model and embedding the query.
    pub embed: f64,
    /// Similarities with every image.
    pub search: f64,
    /// Places and boxes in the short list.
    pub rerank: f64,
    /// All of it.
    pub total: f64,
}

/// Which image a hit is in, and how similar each of its patches is to the query.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Path relative to the collection's root: bytes, `/`-separated.
    pub path: Vec<u8>,
    /// BLAKE3 of the image file when it was indexed.
    pub content: [u8; 32],
    /// Where the patches lie in the image.
    pub grid: Grid,
    /// Best similarity with any token, a patch each, row-major.
    pub similarity: Vec<f32>,
}
