//! Measures: of answers (ranked images, boxes), of means (bootstrap intervals) and of speed. Numbers in, numbers out; what
//! they were measured on is for the protocols to know.

mod bootstrap;
mod boxes;
mod calibration;
mod confusion;
mod latency;
mod ranking;
mod regions;

pub use bootstrap::{CI95_RESAMPLES, Mean, Part};
pub use boxes::{BoxRanking, Place};
pub use calibration::{Calibration, CalibrationBin};
pub use confusion::Confusion;
pub(super) use latency::median;
pub use latency::{pareto, percentile};
pub use ranking::{Ranking, Relevance};
pub use regions::Regions;
