//! Why nothing could be measured, and what to do about it.

use std::path::PathBuf;

use patchdex_format::FormatError;

use crate::collection::CollectionError;
use crate::core::{Fault, Kind};
use crate::exchange::ExchangeError;
use crate::query::QueryError;
use crate::segment::OpenSegmentError;
use crate::storage::StorageError;

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A foreign file that cannot be used.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// A collection that cannot be used.
    #[error(transparent)]
    Collection(#[from] CollectionError),
    /// A damaged segment.
    #[error(transparent)]
    Segment(#[from] OpenSegmentError),
    /// Queries that do not fit the collection.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// More queries than may be held out.
    #[error(
        "{}: cannot hold out {asked} of {rows} rows as queries; hold out half of them at most, or give queries of their own with \
         --queries", path.display()
    )]
    TooFewRows {
        /// The data.
        path: PathBuf,
        /// Rows of it.
        rows: usize,
        /// Queries asked for.
        asked: usize,
    },
    /// Nothing to search.
    #[error("{}: every vector equals one of the queries; give queries of their own with --queries", path.display())]
    NothingLeft {
        /// The data.
        path: PathBuf,
    },
    /// Queries of another length.
    #[error("{}: queries of {found} numbers, the data has {expected}; both must come from the same model", path.display())]
    Dimensions {
        /// The queries.
        path: PathBuf,
        /// Numbers in a query.
        found: usize,
        /// Numbers in a vector of the data.
        expected: usize,
    },
    /// A collection that was made for another metric.
    #[error("{}: its vectors were made for {made_for}, not for {asked}; leave --metric out", path.display())]
    Metric {
        /// The collection.
        path: PathBuf,
        /// Its metric.
        made_for: &'static str,
        /// The metric asked for.
        asked: &'static str,
    },
    /// The exact index missed something: all figures would be worth nothing.
    #[error(
        "the exact index found {recall} of the true neighbours instead of all; this is a defect of patchdex, please report it"
    )]
    NotExact {
        /// Its recall.
        recall: f64,
    },
    /// An index that was just written cannot be read.
    #[error("{}: {source}; this is a defect of patchdex, or of the disk", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
}

impl Fault for EvalError {
    fn kind(&self) -> Kind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Exchange(error) => error.kind(),
            Self::Collection(error) => error.kind(),
            Self::Segment(error) => error.kind(),
            Self::Query(error) => error.kind(),
            Self::TooFewRows { .. } | Self::NothingLeft { .. } | Self::Metric { .. } => Kind::Invalid,
            Self::Dimensions { .. } => Kind::Incompatible,
            Self::NotExact { .. } | Self::Format { .. } => Kind::Internal,
        }
    }
}
