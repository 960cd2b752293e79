//! What a query does, as plain data: shown by `--explain`, part of every JSON answer.

use serde::{Deserialize, Serialize};

/// The switches and budgets of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Hits in the answer.
    pub top: usize,
    /// Condition that images must meet to be searched.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none", default)]
    pub filter: Option<String>,
    /// Index that candidates come from.
    pub index: String,
    /// Tokens of a box that are used at most; a larger box is thinned evenly.
    pub max_tokens: usize,
    /// Images that are looked at for a place, best first by similarity.
    pub candidates: usize,
    /// Boxes in one image at most.
    pub boxes_per_image: usize,
    /// Matches listed with a hit at most.
    pub matches: usize,
    /// Object sizes tried, relative to the query's size in patches.
    pub scales: Vec<f32>,
    /// Whether nearly equal images are one hit.
    #[serde(default)]
    pub group_duplicates: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            top: 10,
            filter: None,
            index: "exact".to_owned(),
            max_tokens: 256,
            candidates: 64,
            boxes_per_image: 3,
            matches: 32,
            // Steps of a third of an octave: neighbours differ by less than the tolerance of the geometry stage.
            scales: (-5..=5).map(|third| 2f32.powf(third as f32 / 3.0)).collect(),
            group_duplicates: false,
        }
    }
}
