//! Why a file of labels cannot be used: the file, the image or box, and what is wrong with it.

use std::path::PathBuf;

use crate::core::{Fault, Kind};
use crate::picture::PictureError;
use crate::storage::StorageError;

/// Why a file of labels cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// The system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A kind of file that nothing reads.
    #[error("{}: no reader of labels reads this; give {}", path.display(), known.join("; "))]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Kinds that are read.
        known: Vec<&'static str>,
    },
    /// A folder of no layout that is known.
    #[error(
        "{}: no layout of images with label maps; these are known: {}", path.display(),
        known.iter().map(|(images, labels, name)| format!("{images}/ and {labels}/ ({name})")).collect::<Vec<_>>().join(", ")
    )]
    UnknownLayout {
        /// The folder.
        path: PathBuf,
        /// Folders of images and labels that are known, and what has them.
        known: Vec<(&'static str, &'static str, &'static str)>,
    },
    /// A folder without a labelled image.
    #[error("{}: no image here has a file of labels; these have the image's name, in the folder of labels", path.display())]
    NoLabels {
        /// The folder.
        path: PathBuf,
    },
    /// Labels none of whose images is there.
    #[error("{}: none of its images is there; they lie in {wanted}", path.display())]
    NoFiles {
        /// The file or folder of labels.
        path: PathBuf,
        /// Where images are looked for.
        wanted: &'static str,
    },
    /// A text that is no XML, or has not the elements that are wanted.
    #[error("{}: no XML that can be read, or other than it is said to be: {wrong}", path.display())]
    Xml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        wrong: String,
    },
    /// A folder without frames.
    #[error("{}: no frame is here; frames are images that are named by their numbers: 000001.jpg", path.display())]
    NoFrames {
        /// The folder.
        path: PathBuf,
    },
    /// A frame that is no picture.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why it is none.
        source: PictureError,
    },
    /// Another text than it is said to be.
    #[error("{}: not {wanted}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wanted.
        wanted: &'static str,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// An entry that cannot be meant so.
    #[error("{}: {what} {id}: {wrong}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// `image`, `annotation`, `line`, ...
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
            Self::Picture { source, .. } => source.kind(),
            _ => Kind::Invalid,
        }
    }
}
