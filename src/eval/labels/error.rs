//! Why a file of labels cannot be used: the file, the image or box, and what is wrong with it.

use std::path::PathBuf;

use crate::core::{Fault, Kind};
use crate::storage::StorageError;

/// Why a file of labels cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// The system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A kind of file that nothing reads.
    #[error("{}: no reader of labels reads this kind of file; give one of {}", path.display(), known.join(", "))]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Kinds that are read.
        known: Vec<String>,
    },
    /// Another text than it is said to be.
    #[error("{}: not a COCO file of images and annotations: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// An entry that cannot be meant so.
    #[error("{}: {what} {id}: {wrong}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// `image` or `annotation`.
        what: &'static str,
        /// What the file calls it.
        id: String,
        /// What is wrong with it, and what is wanted.
        wrong: String,
    },
}

impl Fault for LabelError {
    fn kind(&self) -> Kind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Unknown { .. } | Self::Json { .. } | Self::Entry { .. } => Kind::Invalid,
        }
    }
}
