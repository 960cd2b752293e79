//! Why a collection cannot be opened, written or asked.

use std::path::PathBuf;

use patchdex_format::{Cause, FormatError};

use crate::core::{Fault, Kind};
use crate::dims::PreparationError;
use crate::segment::OpenSegmentError;
use crate::storage::StorageError;

/// Why a collection cannot be opened, written or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectionError {
    /// There is no collection.
    #[error("{} is not a collection{}", path.display(), if *unfinished {
        ", it holds an unfinished one: run the same 'patchdex index' command again to go on"
    } else {
        " (no manifest.json); make one with 'patchdex index IMAGES --out FOLDER'"
    })]
    None {
        /// The folder.
        path: PathBuf,
        /// Whether an index command was interrupted there.
        unfinished: bool,
    },
    /// The manifest is damaged, edited, or of a later version.
    #[error("{}: {source}{}", path.display(), advice(manifest_kind(source)))]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// A value that this version does not know.
    #[error("{}: {what} '{value}' is unknown to this patchdex; use a newer one", path.display())]
    Unknown {
        /// The collection.
        path: PathBuf,
        /// Which field.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// A file that the manifest lists beside the segments is not there.
    #[error("{} is missing, though the manifest lists it; restore it from a copy, or index again into another folder", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The list of rejects is not the one that the manifest lists.
    #[error("{} is not the file that the manifest lists ({what}); restore it from a copy, or index again into another folder", path.display())]
    Rejects {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The preparation's file is damaged.
    #[error("{}: {source}{}", path.display(), advice(source.kind()))]
    Preparation {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PreparationError,
    },
    /// The preparation's file is sound, but another one.
    #[error("{} is not the preparation that the manifest names; restore it from a copy, or index again into another folder", path.display())]
    ForeignPreparation {
        /// The file.
        path: PathBuf,
    },
    /// A segment's file is missing or damaged.
    #[error(transparent)]
    Segment(#[from] OpenSegmentError),
    /// The system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The folder has other things in it.
    #[error("{} exists and is not a collection ({found}); choose another --out, nothing was changed", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// A whole collection of other images or options.
    #[error("{} already holds a collection that was made from other images or with other options; choose another --out, nothing was changed", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
    },
    /// An unfinished build of other images or options.
    #[error("{} holds an unfinished index of other images or options; run that command again, or remove the folder", path.display())]
    OtherDraft {
        /// The folder.
        path: PathBuf,
    },
}

/// A later version already says what to do.
fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Incompatible => "",
        _ => "; restore it from a copy, or index again into another folder",
    }
}

fn manifest_kind(source: &FormatError) -> Kind {
    match source.cause {
        Cause::Version { .. } => Kind::Incompatible,
        _ => Kind::Corrupt,
    }
}

impl Fault for CollectionError {
    fn kind(&self) -> Kind {
        match self {
            Self::None { .. } => Kind::NotFound,
            Self::Manifest { source, .. } => manifest_kind(source),
            Self::Unknown { .. } => Kind::Incompatible,
            Self::Preparation { source, .. } => source.kind(),
            Self::ForeignPreparation { .. } | Self::Missing { .. } | Self::Rejects { .. } => Kind::Corrupt,
            Self::Segment(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Occupied { .. } | Self::Other { .. } | Self::OtherDraft { .. } => Kind::Invalid,
        }
    }
}
