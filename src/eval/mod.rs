//! Protocols and measures: how well and how fast the indexes find what there is. Gives figures, draws nothing. A protocol
//! is one file here.

mod ann;
mod ann_report;
mod data;
mod error;
mod machine;
mod measures;
mod recall;

pub use ann::{AnnOptions, AnnStep, EXACT_QUERIES, run_ann};
pub use ann_report::{AnnPoint, AnnReport, IndexReport};
pub use data::{AnnData, DataReport, LoadOptions, Queries};
pub use error::EvalError;
pub use machine::{Machine, Memory};
pub use measures::{BoxRanking, CI95_RESAMPLES, Mean, Place, Ranking, Relevance, pareto, percentile};
pub use recall::{TieRule, Truth};
