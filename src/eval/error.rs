//! Why nothing could be measured, and what to do about it.

use std::path::{Path, PathBuf};

use patchdex_format::FormatError;

use super::LabelError;
use crate::collection::CollectionError;
use crate::core::{Fault, Kind};
use crate::engine::EngineError;
use crate::exchange::ExchangeError;
use crate::ingest::IngestError;
use crate::model::ModelError;
use crate::picture::PictureError;
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
    /// A model that fails.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Images that cannot be found.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// Labels that cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// A question that cannot be answered.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file that is no picture.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why it is none.
        source: PictureError,
    },
    /// A query that cannot be asked.
    #[error("{}: annotation {query}: {source}", file.display())]
    Ask {
        /// The file of queries.
        file: PathBuf,
        /// What it calls the query.
        query: String,
        /// Why it cannot.
        source: Box<EvalError>,
    },
    /// Labelled images that nobody indexed.
    #[error(
        "{}: {absent} of its {images} images are not in {}, the first of them {}; bring them in with 'patchdex add', or give the          collection of this set", gallery.display(), collection.display(), first.display()
    )]
    NotIndexed {
        /// The collection.
        collection: PathBuf,
        /// The file of labels.
        gallery: PathBuf,
        /// Images that are missing.
        absent: usize,
        /// Images in the file.
        images: usize,
        /// The first that is missing.
        first: PathBuf,
    },
    /// An image of another size than its labels.
    #[error(
        "{}: {image} is said to have {}x{} px, the upright picture has {}x{}; boxes are in pixels of the upright picture",
        file.display(), said[0], said[1], found[0], found[1]
    )]
    OtherSize {
        /// The file of labels.
        file: PathBuf,
        /// The image.
        image: String,
        /// Width and height in the file.
        said: [u32; 2],
        /// Width and height of the picture.
        found: [u32; 2],
    },
    /// Images of which no tile can be cut.
    #[error(
        "{}: none of {images} images gives a tile of {tile_px} px: {unreadable} cannot be read, the others are smaller; use larger images",
        root.display()
    )]
    NoTiles {
        /// The folder of the images.
        root: PathBuf,
        /// Images that were looked at.
        images: usize,
        /// Those that cannot be read.
        unreadable: usize,
        /// Side of a tile.
        tile_px: u32,
    },
    /// A file that cannot be compared.
    #[error("{}: {wrong}", file.display())]
    Report {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        wrong: String,
    },
    /// Labels that are no classes.
    #[error("{}: a pixel has the number {most}; class numbers are below 1024, and 255 is what does not count", file.display())]
    Classes {
        /// The file of labels.
        file: PathBuf,
        /// The largest number.
        most: u16,
    },
    /// Labels without classes.
    #[error("{}: none of its boxes has a category; classes are the names of these", path.display())]
    NoClasses {
        /// The labels.
        path: PathBuf,
    },
    /// Videos without an object in any first frame.
    #[error("{}: no first frame of a video shows an object, or videos have less than three frames; masks are palette PNG files of object numbers", set.display())]
    NoFirstObject {
        /// The folder.
        set: PathBuf,
    },
    /// Labels of other images.
    #[error("{}: no patch of the tiles of {} has a class in it; give the images that it labels", labels.display(), root.display())]
    NoObjects {
        /// The labels.
        labels: PathBuf,
        /// The folder of the images.
        root: PathBuf,
    },
    /// Training images without two classes to tell apart.
    #[error(
        "{}: the patches of the training images have less than two classes; 255 is what does not count, so that a mask of 0 and 255 has \
         one class: write 1 for 255", folder.display()
    )]
    OneClass {
        /// The folder.
        folder: PathBuf,
    },
    /// A collection none of whose images can be looked at.
    #[error(
        "{}: none of its images is where it was when it was indexed, and the model's own tokens were not kept; put the images back, or \
         index with --keep-raw", path.display()
    )]
    NoTokens {
        /// The collection.
        path: PathBuf,
    },
    /// Frames of which no two can be compared.
    #[error(
        "{}: of {frames} frames no two are {gaps} frames from each other and show the same instance; choose --gaps and --every so that some do",
        set.display()
    )]
    NoPairs {
        /// The labelled set.
        set: PathBuf,
        /// Frames that were used.
        frames: usize,
        /// Frames between two.
        gaps: String,
    },
    /// Tiles that the model cannot see in that size.
    #[error(
        "the model sees {width}x{height} px where {input_px} are asked for; give --input-px a multiple of its patch of {patch_px} px, or the \
         size that its graph takes"
    )]
    TileInput {
        /// What was asked for.
        input_px: u32,
        /// What it sees.
        width: u32,
        /// What it sees.
        height: u32,
        /// Side of its patches.
        patch_px: u32,
    },
    /// Queries of which none has anything to find.
    #[error(
        "{}: no query shows an instance that {} has outside the query's own image and its neighbours; both files must use the same          instance ids", queries.display(), gallery.display()
    )]
    NothingToFind {
        /// The file of queries.
        queries: PathBuf,
        /// The file of labels.
        gallery: PathBuf,
    },
}

impl EvalError {
    /// The same, as the reason why query `query` of `file` cannot be asked.
    pub(super) fn about(self, file: &Path, query: &str) -> Self {
        Self::Ask { file: file.to_owned(), query: query.to_owned(), source: Box::new(self) }
    }
}

impl Fault for EvalError {
    fn kind(&self) -> Kind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Exchange(error) => error.kind(),
            Self::Collection(error) => error.kind(),
            Self::Segment(error) => error.kind(),
            Self::Query(error) => error.kind(),
            Self::Model(error) => error.kind(),
            Self::Ingest(error) => error.kind(),
            Self::Labels(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::Picture { source, .. } => source.kind(),
            Self::Ask { source, .. } => source.kind(),
            Self::TooFewRows { .. }
            | Self::NothingLeft { .. }
            | Self::Metric { .. }
            | Self::NoTiles { .. }
            | Self::TileInput { .. }
            | Self::NoPairs { .. }
            | Self::Classes { .. }
            | Self::Report { .. }
            | Self::OneClass { .. }
            | Self::NoClasses { .. }
            | Self::NoObjects { .. }
            | Self::NoFirstObject { .. }
            | Self::NothingToFind { .. } => Kind::Invalid,
            Self::Dimensions { .. } | Self::NotIndexed { .. } | Self::OtherSize { .. } => Kind::Incompatible,
            Self::NoTokens { .. } => Kind::NotFound,
            Self::NotExact { .. } | Self::Format { .. } => Kind::Internal,
        }
    }
}
