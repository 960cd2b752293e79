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
    /// In how many patches along its long side a box is seen, once each, beside those that it has at the gallery's scale: nobody
    /// knows how large it is elsewhere.
    pub sizes: Vec<f32>,
    /// Tokens of a box that are used at most, of each size; a larger box is thinned evenly.
    pub max_tokens: usize,
    /// Images that are looked at for a place, best first by similarity.
    pub candidates: usize,
    /// Boxes in one image at most.
    pub boxes_per_image: usize,
    /// Matches listed with a hit at most.
    pub matches: usize,
    /// Object sizes tried, relative to the query's size in patches.
    pub scales: Vec<f32>,
    /// Turns of the object tried, in degrees clockwise.
    pub rotations: Vec<f32>,
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
            sizes: vec![6.0, 9.0, 13.0],
            max_tokens: 128,
            candidates: 64,
            boxes_per_image: 3,
            matches: 32,
            // Steps of a third of an octave: neighbours differ by less than the tolerance of the geometry stage. What is
            // still larger or smaller is more alike in another of the sizes.
            scales: (-3..=3).map(|third| 2f32.powf(third as f32 / 3.0)).collect(),
            rotations: vec![-40.0, -20.0, 0.0, 20.0, 40.0],
            group_duplicates: false,
        }
    }
}
