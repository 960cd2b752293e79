//! The words every layer shares: boxes, grids, hits, random numbers and kinds of failure. Knows nothing of files, models or indexes.

mod bbox;
mod draw;
mod fault;
mod grid;
mod hit;
mod random;

pub use bbox::{Bbox, BboxError};
pub use draw::drawn;
pub use fault::{Fault, Kind};
pub use grid::Grid;
pub use hit::{Hit, Match, StageScores};
pub use random::SplitMix64;
