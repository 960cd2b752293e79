//! Protocols and measures: how well and how fast indexes find what there is, and answers show what was asked for. Gives figures, draws nothing. A protocol
//! is one file here.

mod ann;
mod ann_report;
mod classes;
mod compare;
mod data;
mod degradation;
mod dims;
mod encoder;
mod error;
mod identify;
mod labels;
mod linear;
mod machine;
mod masks;
mod measures;
mod propagate;
mod protocol_report;
mod recall;
mod retrieve;
mod retrieve_report;
mod roi;
mod scratch;
mod segment;
mod slices;
mod throughput;
mod track;
mod transformation;
mod truth;
mod tune;
mod video;
mod workers;

pub use ann::{AnnOptions, AnnStep, EXACT_QUERIES, run_ann};
pub use ann_report::{AnnPoint, AnnReport, IndexReport};
pub use classes::ClassSet;
pub use compare::{Compared, Comparison, Run, compare};
pub use data::{AnnData, DataReport, LoadOptions, Queries};
pub use degradation::Degradation;
pub use dims::{DimsOptions, DimsReport, Overlap, run_dims};
pub use encoder::Encoder;
pub use error::EvalError;
pub use identify::{IdentifyOptions, run_identify};
pub use labels::{
    Grade, LabelError, LabelledBox, LabelledImage, LabelledSet, MaskedFrame, MaskedVideos, Role,
};
pub use machine::{Machine, Memory};
pub use masks::{MaskSet, MaskedImage};
pub use measures::{
    BoxRanking, CI95_RESAMPLES, Calibration, CalibrationBin, Confusion, Mean, Place, Ranking, Regions,
    Relevance, pareto, percentile,
};
pub use propagate::{PropagateOptions, run_propagate};
pub use protocol_report::{Curves, Example, Mark, Panel, ProtocolReport, QueryFigures};
pub use recall::{TieRule, Truth};
pub use retrieve::{Difficulty, RetrieveOptions, run_retrieve};
pub use retrieve_report::{
    Absent, AbsentQuery, CollectionData, InOrder, JudgedHit, LabelledData, ModelData, Percentiles,
    QueryReport, RetrieveReport, RetrieveSetup, Slice, StageTimes, VARIANT_FIGURES, Variant,
};
pub use roi::Samples;
pub use segment::{Predictor, SegmentOptions, run_segment};
pub use throughput::{Speed, ThroughputOptions, ThroughputReport, run_throughput};
pub use track::{TrackOptions, run_track};
pub use transformation::{Condition, TRANSFORMATIONS, Transformation};
pub use tune::{DropChoice, DropPoint, Setting, TuneOptions, TuneReport, choose_drop, run_tune};
pub use video::{VideoError, VideoFrames, is_video};
