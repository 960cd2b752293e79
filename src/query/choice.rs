//! What may be said about a query: options of the command line and fields of a request have these names, these limits and
//! these defaults. Plans come from here.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Plan, Thoroughness};
use crate::core::{Fault, Kind};

/// Hits in an answer where nobody says how many.
pub const DEFAULT_TOP: usize = 10;
/// Share of the ten nearest vectors that graphs are asked for where nobody says how hard they are searched.
pub const DEFAULT_RECALL: f64 = 0.99;

/// Limits of [`PlanChoice::top`] and [`NearestChoice::top`].
pub const TOP: RangeInclusive<i64> = 1..=100_000;
/// Hits at most that tell how similar every patch is: each is as long as its image has patches.
pub const HEAT_MAPS_TOP: i64 = 200;
/// Limits of `ef`.
pub const EF: RangeInclusive<i64> = 1..=1_000_000;
/// Limits of [`PlanChoice::tokens`].
pub const TOKENS: RangeInclusive<i64> = 1..=4096;
/// Limits of [`PlanChoice::neighbours`].
pub const NEIGHBOURS: RangeInclusive<i64> = 1..=100_000;
/// Limits of [`PlanChoice::candidates`].
pub const CANDIDATES: RangeInclusive<i64> = 1..=1_000_000;
/// Limits of [`PlanChoice::time_budget_ms`]: up to a day.
pub const TIME_BUDGET_MS: RangeInclusive<i64> = 0..=86_400_000;
/// Limits of [`PlanChoice::expand`].
pub const EXPAND: RangeInclusive<i64> = 0..=100;

/// Neighbours of a token for each node that a search for them keeps in view, where nobody says how many that are.
const NEIGHBOURS_PER_EF: usize = 3;

/// Why what is said about a query makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// A number that is too small or too large.
    #[error("{name} is {found}; give a number from {least} to {most}")]
    OutOfRange {
        /// Name of the option.
        name: &'static str,
        /// What was said.
        found: String,
        /// The least that makes sense.
        least: i64,
        /// The most.
        most: i64,
    },
    /// A number that is no share.
    #[error("{name} is {found}; give a number above 0 and at most 1")]
    NoShare {
        /// Name of the option.
        name: &'static str,
        /// What was said.
        found: String,
    },
    /// Two options that exclude each other.
    #[error("{0} and {1} exclude each other; leave one out")]
    Contradiction(&'static str, &'static str),
}

impl Fault for ChoiceError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// How a crop is looked for. What is not said has a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlanChoice {
    /// Hits in the answer; 10 where nothing is said.
    #[schema(minimum = 1, maximum = 100_000)]
    pub top: Option<u32>,
    /// Condition that images must meet to be searched, such as `camera = 'c2' and year >= 2020`.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// Compare with every patch instead of asking graphs.
    pub exact: bool,
    /// Nodes of a graph that a search keeps in view.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub ef: Option<u32>,
    /// Tokens of a box that are asked at most, in each size that it is seen in.
    #[schema(minimum = 1, maximum = 4096)]
    pub tokens: Option<u32>,
    /// Nearest patches of each token that say which images come into question.
    #[schema(minimum = 1, maximum = 100_000)]
    pub neighbours: Option<u32>,
    /// Images that are looked at for a place.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub candidates: Option<u32>,
    /// Places found with confidence that are looked for as well.
    #[schema(minimum = 0, maximum = 100)]
    pub expand: Option<u32>,
    /// Leave out hits that are less likely to show the very object.
    #[schema(minimum = 0, maximum = 1)]
    pub min_probability: f32,
    /// Also look for its mirror image.
    pub mirrored: bool,
    /// Also look for it on its sides and upside down.
    pub turned: bool,
    /// Make nearly equal images one hit.
    pub group_duplicates: bool,
    /// Tell with each hit how similar every patch of the image is; of 200 hits at most.
    pub heat_maps: bool,
    /// Look at no further image when so many milliseconds of search have passed, but for the first eight: others are judged by their
    /// matches alone, as far as there was time for that.
    #[schema(minimum = 0, maximum = 86_400_000)]
    pub time_budget_ms: Option<u32>,
}

impl PlanChoice {
    /// The plan of what is said, and the defaults.
    ///
    /// # Errors
    /// A number out of its limits, options that exclude each other.
    pub fn plan(&self) -> Result<Plan, ChoiceError> {
        within("top", self.top, &TOP)?;
        within("ef", self.ef, &EF)?;
        within("tokens", self.tokens, &TOKENS)?;
        within("neighbours", self.neighbours, &NEIGHBOURS)?;
        within("candidates", self.candidates, &CANDIDATES)?;
        within("expand", self.expand, &EXPAND)?;
        within("time_budget_ms", self.time_budget_ms, &TIME_BUDGET_MS)?;
        if !(0.0..=1.0).contains(&self.min_probability) {
            let found = self.min_probability.to_string();
            return Err(ChoiceError::OutOfRange { name: "min_probability", found, least: 0, most: 1 });
        }
        if self.heat_maps {
            within("top with heat_maps", self.top, &(*TOP.start()..=HEAT_MAPS_TOP))?;
        }
        if self.exact && self.ef.is_some() {
            return Err(ChoiceError::Contradiction("exact", "ef"));
        }
        let said = |said: Option<u32>, default: usize| said.map_or(default, |said| said as usize);
        let plan = Plan::default();
        let neighbours = said(self.neighbours, plan.neighbours);
        Ok(Plan {
            top: said(self.top, DEFAULT_TOP),
            filter: self.filter.clone(),
            exact: self.exact,
            ef: said(self.ef, plan.ef.max(neighbours.div_ceil(NEIGHBOURS_PER_EF))),
            tokens: said(self.tokens, plan.tokens),
            neighbours,
            candidates: said(self.candidates, plan.candidates),
            expansions: said(self.expand, plan.expansions),
            min_probability: self.min_probability,
            mirrored: self.mirrored,
            turned: self.turned,
            group_duplicates: self.group_duplicates,
            heat_maps: self.heat_maps,
            time_budget_ms: self.time_budget_ms.map(u64::from),
            ..plan
        })
    }
}

/// Which stored vectors are asked for, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NearestChoice {
    /// Vectors for each row; 10 where nothing is said, with `min_similarity` all.
    #[schema(minimum = 1, maximum = 100_000)]
    pub top: Option<u32>,
    /// Condition that images must meet to be searched.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// Look at every vector instead of asking graphs.
    pub exact: bool,
    /// Nodes of a graph that a search keeps in view.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub ef: Option<u32>,
    /// Search graphs as hard as it took to find this share of the ten nearest when they were built; 0.99 where nothing is said.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub recall: Option<f64>,
    /// Every stored vector that is at least so similar. Every vector is looked at.
    pub min_similarity: Option<f32>,
    /// What the rows are; where nobody says, their length tells.
    pub rows: Option<RowsOf>,
}

/// Where rows of numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowsOf {
    /// The model: they go through the collection's preparation.
    Raw,
    /// The collection: they are prepared.
    Prepared,
}

/// Which vectors are to be found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted {
    /// So many nearest ones.
    Nearest(usize),
    /// All that are at least so similar; of them so many, where that is said.
    Within {
        /// The least similarity.
        least: f32,
        /// The most vectors.
        top: Option<usize>,
    },
}

impl NearestChoice {
    /// Which vectors are to be found, and how graphs are searched.
    ///
    /// # Errors
    /// A number out of its limits, options that exclude each other.
    pub fn search(&self) -> Result<(Wanted, Thoroughness), ChoiceError> {
        within("top", self.top, &TOP)?;
        within("ef", self.ef, &EF)?;
        if let Some(recall) = self.recall.filter(|recall| !(*recall > 0.0 && *recall <= 1.0)) {
            return Err(ChoiceError::NoShare { name: "recall", found: recall.to_string() });
        }
        let said = [
            ("exact", self.exact),
            ("min_similarity", self.min_similarity.is_some()),
            ("ef", self.ef.is_some()),
            ("recall", self.recall.is_some()),
        ];
        let hard: Vec<&'static str> = said.iter().filter(|(_, said)| *said).map(|(name, _)| *name).collect();
        // `min_similarity` looks at every vector anyway.
        if let (&[first, second, ..], false) = (&hard[..], hard == ["exact", "min_similarity"]) {
            return Err(ChoiceError::Contradiction(first, second));
        }
        let top = self.top.map(|top| top as usize);
        let wanted = match self.min_similarity {
            Some(least) => Wanted::Within { least, top },
            None => Wanted::Nearest(top.unwrap_or(DEFAULT_TOP)),
        };
        let thoroughness = match (self.exact || self.min_similarity.is_some(), self.ef) {
            (true, _) => Thoroughness::Exact,
            (_, Some(ef)) => Thoroughness::Ef(ef as usize),
            _ => Thoroughness::Recall(self.recall.unwrap_or(DEFAULT_RECALL)),
        };
        Ok((wanted, thoroughness))
    }
}

fn within(name: &'static str, said: Option<u32>, limits: &RangeInclusive<i64>) -> Result<(), ChoiceError> {
    match said.filter(|said| !limits.contains(&i64::from(*said))) {
        None => Ok(()),
        Some(said) => {
            let (least, most) = (*limits.start(), *limits.end());
            Err(ChoiceError::OutOfRange { name, found: said.to_string(), least, most })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_the_default_plan() {
        assert_eq!(PlanChoice::default().plan().unwrap(), Plan::default());
        let choice: PlanChoice = serde_json::from_str(r#"{"where": "a = 1", "candidates": 900}"#).unwrap();
        let plan = choice.plan().unwrap();
        assert_eq!((plan.filter.as_deref(), plan.candidates, plan.proposing()), (Some("a = 1"), 900, 900));
        let ef = |text| serde_json::from_str::<PlanChoice>(text).unwrap().plan().unwrap().ef;
        assert_eq!(ef(r#"{"neighbours": 100}"#), Plan::default().ef);
        assert_eq!(ef(r#"{"neighbours": 1000}"#), 334);
        assert_eq!(ef(r#"{"neighbours": 1000, "ef": 7}"#), 7);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, name) in [
            (r#"{"top": 0}"#, "top"),
            (r#"{"tokens": 5000}"#, "tokens"),
            (r#"{"min_probability": 1.5}"#, "min_probability"),
            (r#"{"exact": true, "ef": 3}"#, "ef"),
        ] {
            let choice: PlanChoice = serde_json::from_str(text).unwrap();
            let told = choice.plan().unwrap_err().to_string();
            assert!(told.contains(name), "{told}");
        }
        let unknown = serde_json::from_str::<PlanChoice>(r#"{"tpo": 1}"#).unwrap_err().to_string();
        assert!(unknown.contains("tpo"), "{unknown}");
        for text in
            [r#"{"recall": 0}"#, r#"{"recall": 0.9, "exact": true}"#, r#"{"min_similarity": 0.5, "ef": 3}"#]
        {
            assert!(serde_json::from_str::<NearestChoice>(text).unwrap().search().is_err(), "{text}");
        }
        let within = NearestChoice { exact: true, min_similarity: Some(0.5), ..NearestChoice::default() };
        assert!(within.search().is_ok());
    }
}
