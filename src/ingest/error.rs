//! Why an index command ends without a collection.

use std::path::PathBuf;

use super::{MetadataError, Reject};
use crate::collection::CollectionError;
use crate::core::{Fault, Kind};
use crate::model::ModelError;
use crate::storage::StorageError;

/// Why an index command ends without a collection. What was done stays, and the same command goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// An input that does not exist.
    #[error("{input}: no such file or folder, and no file matches it as a pattern")]
    MissingInput {
        /// As it was given.
        input: String,
    },
    /// No image among the inputs.
    #[error(
        "no images in {inputs} ({others} other file{}); JPEG, PNG, WebP, TIFF, BMP and GIF files are indexed",
        if *others == 1 { "" } else { "s" }
    )]
    NoImages {
        /// As they were given.
        inputs: String,
        /// Files that are no images.
        others: usize,
    },
    /// Every image was rejected.
    #[error("none of {images} image{} could be read, there is nothing to index; the first was {first}", if *images == 1 { "" } else { "s" })]
    AllRejected {
        /// Number of images.
        images: usize,
        /// The first reject.
        first: String,
    },
    /// A finished collection whose folder of images has changed.
    #[error("{} is a finished collection; since then its images have changed ({new} new or changed, {gone} gone): 'patchdex add' takes in what is new or changed, 'patchdex remove --missing' takes out what is gone; nothing was changed", path.display())]
    Changed {
        /// The collection.
        path: PathBuf,
        /// Images that it does not have as they are now.
        new: usize,
        /// Images that it has and that are no longer there.
        gone: usize,
    },
    /// Another model than the one that made the collection.
    #[error("{} was made with another model: {what} differ ({expected}, {found}); give the model that made it with --model", path.display())]
    OtherModel {
        /// The collection.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// In the collection.
        expected: String,
        /// In the model at hand.
        found: String,
    },
    /// Metadata that no image of the command answers to.
    #[error("none of the {rows} rows of the metadata names an image below {}; paths may be relative to that folder, absolute, or relative to the metadata's own folder", root.display())]
    MetadataOfOthers {
        /// The folder that images are below.
        root: PathBuf,
        /// Rows of the file.
        rows: usize,
    },
    /// Metadata that cannot be read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Stopped from outside.
    #[error("stopped after {done} of {images} images; run the same command again to go on")]
    Interrupted {
        /// Images done.
        done: usize,
        /// Images in all.
        images: usize,
    },
    /// The collection's folder.
    #[error(transparent)]
    Collection(#[from] CollectionError),
    /// The system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A stage of the pipeline ended without a word.
    #[error("a worker thread died; this is a defect of patchdex, please report it with the command")]
    WorkerDied,
}

impl IngestError {
    /// None of `images` images could be read, for reasons such as the first of `rejects`.
    pub(super) fn all_rejected(images: usize, rejects: &[Reject]) -> Self {
        let first = rejects.first().map(|reject| format!("{}: {}", reject.path, reject.message));
        Self::AllRejected { images, first: first.unwrap_or_default() }
    }
}

impl Fault for IngestError {
    fn kind(&self) -> Kind {
        match self {
            Self::MissingInput { .. } => Kind::NotFound,
            Self::NoImages { .. } | Self::Changed { .. } => Kind::Invalid,
            Self::OtherModel { .. } => Kind::Incompatible,
            Self::MetadataOfOthers { .. } => Kind::Invalid,
            Self::Metadata(error) => error.kind(),
            Self::AllRejected { .. } => Kind::Corrupt,
            Self::Interrupted { .. } => Kind::Io,
            Self::Collection(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Model(error) => error.kind(),
            Self::WorkerDied => Kind::Internal,
        }
    }
}
