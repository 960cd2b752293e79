//! From tokens of a crop to ranked boxes: plan, neighbours, candidates, votes, places, expansion, probabilities, hits. Every stage gives the
//! same answer for any number of threads. Knows no image files and no models.

mod answer;
mod candidates;
mod choice;
mod crop;
mod duplicates;
mod error;
mod execute;
mod expansion;
mod found;
mod nearest;
mod patience;
mod placement;
mod places;
mod plan;
mod probability;
mod scene;
mod scope;
mod search;
mod subject;
mod suppress;
#[cfg(test)]
mod tests;
mod votes;

pub use answer::{Answer, Evidence, QueryEcho, TimingMs};
pub use choice::{
    CANDIDATES, ChoiceError, DEFAULT_RECALL, DEFAULT_TOP, EF, EXPAND, NEIGHBOURS, NearestChoice, PlanChoice,
    RowsOf, TIME_BUDGET_MS, TOKENS, TOP, Wanted,
};
pub use crop::{Marked, QueryTokens, QueryView, SeenView, choose_views};
pub use error::QueryError;
pub use execute::{execute, require_cosine};
pub use nearest::{Nearest, NearestAnswer, VectorSearch, comparable};
pub use patience::Patience;
pub use plan::{Plan, STAGES, Stage};
pub use scope::Scope;
pub use search::{SearchPath, Thoroughness};
pub use subject::{Subject, boxes_inside, marked_boxes, stored_image};
