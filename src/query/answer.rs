//! What a query answers: the JSON object, and the evidence that a page draws.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Plan, SearchPath};
use crate::core::{Bbox, Grid, Hit};

/// A whole answer, with hits of some kind. Serialises to the JSON of `query --json`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Answer<H = Hit> {
    /// What was asked.
    pub query: QueryEcho,
    /// How it was answered.
    pub plan: Plan,
    /// Images that were searched, copies of others among them.
    pub searched_images: usize,
    /// How the patches of each segment were searched.
    pub searched: Vec<SearchPath>,
    /// Whether the time budget, or what was left of the request's time, was too short for the whole plan.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_cut: bool,
    /// Where the time went.
    pub timing_ms: TimingMs,
    /// Best first.
    pub hits: Vec<H>,
    /// One for each hit. Not part of the JSON.
    #[serde(skip)]
    #[schema(ignore)]
    pub evidence: Vec<Evidence>,
}

impl<H> Answer<H> {
    /// The answer with hits made of its hits.
    pub fn map_hits<T>(self, map: impl FnMut(H) -> T) -> Answer<T> {
        let Self { query, plan, searched_images, searched, is_cut, timing_ms, hits, evidence } = self;
        let hits = hits.into_iter().map(map).collect();
        Answer { query, plan, searched_images, searched, is_cut, timing_ms, hits, evidence }
    }
}

impl Answer {
    /// The kinds of index that were asked.
    pub fn index(&self) -> String {
        let kinds: BTreeSet<&str> = self.searched.iter().map(|path| path.index.as_str()).collect();
        kinds.into_iter().collect::<Vec<_>>().join(" and ")
    }
}

/// What was asked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
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
    /// Places found with confidence that were looked for as well.
    #[serde(default)]
    pub expanded: usize,
}

/// Where the time went, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimingMs {
    /// Reading and decoding the query image.
    pub decode: f64,
    /// Loading the model and embedding the query.
    pub embed: f64,
    /// Nearest neighbours of the tokens.
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
    /// Best similarity with any token, a patch each, row-major; none where [`Plan::heat_maps`] did not ask.
    pub similarity: Vec<f32>,
}
