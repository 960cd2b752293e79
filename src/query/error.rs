//! Why a query has no answer.

use std::path::PathBuf;

use crate::collection::CollectionError;
use crate::core::{Bbox, Fault, Kind};
use crate::segment::OpenSegmentError;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Tokens that do not belong to the collection.
    #[error(
        "the query has vectors of {found} numbers, the collection of {expected}; use the collection's model and preparation"
    )]
    Dimensions {
        /// What the collection has.
        expected: usize,
        /// What the query has.
        found: usize,
    },
    /// Rows that are neither tokens nor vectors of the collection.
    #[error(
        "the rows of the query have {found} numbers; give tokens as the model gives them, of {hidden_size} numbers, or \
         prepared vectors of {dim}"
    )]
    Rows {
        /// Numbers in a row.
        found: usize,
        /// Numbers in a token.
        hidden_size: usize,
        /// Numbers in a stored vector.
        dim: usize,
    },
    /// A crop for a collection whose similarities have no scale: what one is worth is only known of cosines.
    #[error(
        "crops are compared by cosine, the collection by '{metric}'; index the images with --metric cosine, or ask for the nearest \
         of vectors (query --vectors)"
    )]
    NotCosine {
        /// How the collection compares.
        metric: &'static str,
    },
    /// A box that is not in the image.
    #[error(
        "box {bbox} lies outside the image of {width}x{height} px; give x,y,w,h in pixels of the upright image"
    )]
    OutsideImage {
        /// The box.
        bbox: Bbox,
        /// Width of the upright image.
        width: u32,
        /// Height of the upright image.
        height: u32,
    },
    /// An image that the collection does not have.
    #[error(
        "{} has no image '{named}'; give its path as hits and 'patchdex export' name it, or its id", collection.display()
    )]
    NoSuchImage {
        /// As it was named.
        named: String,
        /// The collection.
        collection: PathBuf,
    },
    /// Nobody waits for the answer any more.
    #[error("the query was given up")]
    GivenUp,
    /// Damage in a segment.
    #[error(transparent)]
    Segment(#[from] OpenSegmentError),
    /// Damage in the collection.
    #[error(transparent)]
    Collection(#[from] CollectionError),
}

impl Fault for QueryError {
    fn kind(&self) -> Kind {
        match self {
            Self::Dimensions { .. } | Self::Rows { .. } | Self::NotCosine { .. } => Kind::Incompatible,
            Self::OutsideImage { .. } => Kind::Invalid,
            Self::GivenUp => Kind::Busy,
            Self::NoSuchImage { .. } => Kind::NotFound,
            Self::Segment(error) => error.kind(),
            Self::Collection(error) => error.kind(),
        }
    }
}
