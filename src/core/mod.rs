//! The words every layer shares: boxes, masks, poses, grids, hits, random numbers and kinds of failure. Knows nothing of files, models or indexes.

mod bbox;
mod draw;
mod fault;
mod grid;
mod hit;
mod mask;
mod pose;
mod random;

pub use bbox::{Bbox, BboxError};
pub use draw::drawn;
pub use fault::{Fault, Kind};
pub use grid::Grid;
pub use hit::{Hit, Match, StageScores};
pub use mask::Mask;
pub use pose::{Pose, Posed};
pub use random::SplitMix64;
