//! Why a segment cannot be opened or read.

use std::path::{Path, PathBuf};

use patchdex_format::{Cause, FormatError};

use crate::core::{Fault, Kind};
use crate::storage::StorageError;

/// What to do about damage.
pub const DAMAGE_ADVICE: &str = "; restore it from a copy, or let 'patchdex repair' save what can be saved ('patchdex verify' lists all damage)";

/// Why a segment cannot be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenSegmentError {
    /// A file cannot be mapped.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file that the manifest lists is not there.
    #[error("{} is missing, though the manifest lists it{DAMAGE_ADVICE}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file's bytes are wrong.
    #[error("{}: {source}{}", path.display(), advice(source))]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: FormatError,
    },
    /// A file is sound, but not the one that the manifest vouches for.
    #[error("{} is not the file that the manifest lists ({what}){DAMAGE_ADVICE}", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
}

impl OpenSegmentError {
    /// Adds the path to what is wrong with the bytes.
    pub fn in_file(path: &Path) -> impl Fn(FormatError) -> Self {
        move |source| Self::Format { path: path.to_owned(), source }
    }

    pub(super) fn replaced(path: &Path, what: impl Into<String>) -> Self {
        Self::Replaced { path: path.to_owned(), what: what.into() }
    }
}

impl Fault for OpenSegmentError {
    fn kind(&self) -> Kind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Format { source, .. } if matches!(source.cause, Cause::Version { .. }) => {
                Kind::Incompatible
            }
            _ => Kind::Corrupt,
        }
    }
}

/// A later version already says what to do.
fn advice(source: &FormatError) -> &'static str {
    match source.cause {
        Cause::Version { .. } => "",
        _ => DAMAGE_ADVICE,
    }
}
