//! From tokens of a crop to ranked boxes: plan, distinctiveness, candidates, placements, hits. Every stage is exact in
//! this version, is timed, and gives the same answer for any number of threads. Knows no image files and no models.

mod answer;
mod candidates;
mod crop;
mod duplicates;
mod execute;
mod nearest;
mod placement;
mod plan;
mod scope;
mod suppress;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Evidence, QueryEcho, TimingMs};
pub use crop::{QueryTokens, QueryView, choose_views};
pub use execute::{QueryError, execute};
pub use nearest::{Nearest, SearchPath, Thoroughness, VectorSearch, comparable};
pub use plan::Plan;
pub use scope::Scope;
