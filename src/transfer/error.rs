//! Why a collection cannot be exported, or a foreign file not be imported.

use std::path::PathBuf;

use crate::collection::CollectionError;
use crate::core::{Fault, Kind};
use crate::exchange::ExchangeError;
use crate::segment::OpenSegmentError;
use crate::storage::StorageError;

/// Why a collection cannot be exported, or a foreign file not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The collection.
    #[error(transparent)]
    Collection(#[from] CollectionError),
    /// The foreign file.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The name is taken.
    #[error("{} exists; choose another name, or give --force to replace it, nothing was written", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The name is that of a folder.
    #[error("{} is a folder; name a file, nothing was written", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The file would lie among those of the collection.
    #[error("{} lies inside the collection {}; choose a place outside it, nothing was written", path.display(), collection.display())]
    Inside {
        /// The file.
        path: PathBuf,
        /// The collection.
        collection: PathBuf,
    },
    /// The model's own tokens were not kept.
    #[error("{} does not keep the model's own tokens; leave --raw out, or index again with --keep-raw", path.display())]
    NoRaw {
        /// The collection.
        path: PathBuf,
    },
    /// Tokens where there are no vectors at all.
    #[error("{}: COCO lists images and has no vectors; leave --raw out", path.display())]
    RawImages {
        /// The file.
        path: PathBuf,
    },
    /// A file without patches.
    #[error("{} holds no patches; name a file with vectors", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Rows too long to be stored.
    #[error("{}: its rows have {dim} numbers, {} can be stored at most; cut them", path.display(), u32::MAX)]
    Wide {
        /// The file.
        path: PathBuf,
        /// Numbers in a row.
        dim: usize,
    },
    /// The patches of an image do not follow each other.
    #[error("{}: row {row} belongs to image '{image}', whose patches ended before; sort the rows by image", path.display())]
    Scattered {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: u64,
        /// The image.
        image: String,
    },
    /// An image that is said two things about.
    #[error("{}: image '{image}' has two values in column '{column}', in row {row} another than before; give all its rows the same, or leave the column out", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: u64,
        /// The image.
        image: String,
        /// The column.
        column: String,
    },
    /// A name that no image can have.
    #[error("{}: row {row} names the image '{image}', which is no path below a folder; write paths without '..'", path.display())]
    ImagePath {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: u64,
        /// What stands there.
        image: String,
    },
    /// A box of negative size.
    #[error("{}: row {row} has a box of {width}x{height} px; give x, y, width and height, none of the latter below 0", path.display())]
    Box {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: u64,
        /// Its width.
        width: f32,
        /// Its height.
        height: f32,
    },
    /// Somebody wrote the file in the meantime.
    #[error("{} changed while it was read; run the same command again when it is whole", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl From<OpenSegmentError> for TransferError {
    fn from(error: OpenSegmentError) -> Self {
        Self::Collection(error.into())
    }
}

impl Fault for TransferError {
    fn kind(&self) -> Kind {
        match self {
            Self::Collection(error) => error.kind(),
            Self::Exchange(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::NoRaw { .. } => Kind::Incompatible,
            Self::Changed { .. } => Kind::Busy,
            _ => Kind::Invalid,
        }
    }
}
