//! What a query does, as plain data: shown by `--explain`, part of every JSON answer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The switches and budgets of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Hits in the answer.
    pub top: usize,
    /// Condition that images must meet to be searched.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none", default)]
    pub filter: Option<String>,
    /// Whether every patch in scope is compared with every token; else graphs are asked, where there are some.
    pub exact: bool,
    /// In how many patches a box is seen, once each, beside those that it has at the gallery's scale: nobody knows how large it is
    /// elsewhere. Along the side of a square as large as the box.
    pub sizes: Vec<f32>,
    /// Tokens of a box that are used at most, of each size; a larger box is thinned evenly.
    pub tokens: usize,
    /// Nearest neighbours of each token that say which images come into question.
    pub neighbours: usize,
    /// Nodes of a graph that a search keeps in view. Where it is fewer than neighbours, the farther of these are what was seen on the
    /// way: enough for the background, and for votes that many others join. (A walk past what is out of scope finds all of them.)
    pub ef: usize,
    /// Images whose matches propose places, those first in which the tokens found most; as many as are looked at, at least.
    pub proposed: usize,
    /// Images whose proposed places are looked at, best first; as many as hits are asked for, at least.
    pub candidates: usize,
    /// Places that are looked for in turn when they were found with confidence, at most.
    pub expansions: usize,
    /// Hits that are less likely to show the object are left out.
    #[serde(default)]
    pub min_probability: f32,
    /// Whether its mirror image is looked for as well.
    #[serde(default)]
    pub mirrored: bool,
    /// Whether it is looked for on its sides and upside down as well.
    #[serde(default)]
    pub turned: bool,
    /// Whether a token counts less that matches everywhere.
    #[serde(default = "yes")]
    pub weighted: bool,
    /// Whether hits have places. Without, images are ranked by what each token finds anywhere in them (MaxSim), and boxes are whole
    /// images.
    #[serde(default = "yes")]
    pub placed: bool,
    /// Whether places are refined by least squares.
    #[serde(default = "yes")]
    pub refined: bool,
    /// Boxes in one image at most.
    pub boxes_per_image: usize,
    /// Matches listed with a hit at most.
    pub matches: usize,
    /// Object sizes tried, relative to the query's size in patches; looks of fewer than four tokens try their own only.
    pub scales: Vec<f32>,
    /// Turns of the object tried, in degrees clockwise; looks of fewer than four tokens try none.
    pub rotations: Vec<f32>,
    /// Whether nearly equal images are one hit.
    #[serde(default)]
    pub group_duplicates: bool,
    /// Whether hits come with the similarity of every patch.
    #[serde(default)]
    pub heat_maps: bool,
    /// Milliseconds after which no further image is looked at, but for the first eight: others are judged by their matches alone, as far
    /// as there was time for that. What is looked for in turn is left out where it would take longer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time_budget_ms: Option<u64>,
}

fn yes() -> bool {
    true
}

/// A stage that a plan can do without.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// What it is called.
    pub name: &'static str,
    /// Takes it out of a plan.
    pub omit: fn(&mut Plan),
}

/// Every stage that a plan can do without.
pub const STAGES: [Stage; 8] = [
    Stage { name: "graphs", omit: |plan| plan.exact = true },
    Stage { name: "expansion", omit: |plan| plan.expansions = 0 },
    Stage { name: "sizes", omit: |plan| plan.sizes.clear() },
    Stage { name: "scales", omit: |plan| plan.scales = vec![1.0] },
    Stage { name: "turns", omit: |plan| plan.rotations = vec![0.0] },
    Stage { name: "weights", omit: |plan| plan.weighted = false },
    Stage { name: "refinement", omit: |plan| plan.refined = false },
    Stage { name: "places", omit: |plan| plan.placed = false },
];

impl Plan {
    /// Images that are looked at for places: as many as hits are asked for, at least.
    pub fn looked_at(&self) -> usize {
        self.candidates.max(self.top)
    }

    /// Images whose matches propose places: as many as are looked at, at least.
    pub fn proposing(&self) -> usize {
        self.proposed.max(self.looked_at())
    }

    /// `place`, refitted as often as that makes it worth more, within reason.
    pub(super) fn refined<T>(
        &self,
        mut place: T,
        refit: impl Fn(&T) -> Option<T>,
        worth: impl Fn(&T) -> f32,
    ) -> T {
        const REFINEMENTS: usize = 3;
        for _ in 0..if self.refined { REFINEMENTS } else { 0 } {
            let Some(better) = refit(&place).filter(|better| worth(better) > worth(&place)) else { break };
            place = better;
        }
        place
    }

    /// The plan without a stage.
    pub fn without(&self, stage: &Stage) -> Self {
        let mut plan = self.clone();
        (stage.omit)(&mut plan);
        plan
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            top: 10,
            filter: None,
            exact: false,
            sizes: vec![5.0, 7.5, 11.0],
            tokens: 32,
            neighbours: 384,
            ef: 128,
            proposed: 512,
            candidates: 200,
            expansions: 5,
            min_probability: 0.0,
            mirrored: false,
            turned: false,
            weighted: true,
            placed: true,
            refined: true,
            boxes_per_image: 3,
            matches: 32,
            // Steps of a third of an octave: neighbours differ by less than the tolerance of the geometry stage. What is
            // still larger or smaller is more alike in another of the sizes.
            scales: (-3..=3).map(|third| 2f32.powf(third as f32 / 3.0)).collect(),
            rotations: vec![-40.0, -20.0, 0.0, 20.0, 40.0],
            group_duplicates: false,
            heat_maps: false,
            time_budget_ms: None,
        }
    }
}
