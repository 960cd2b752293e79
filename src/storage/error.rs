//! What the operating system refused, and about which file.

use std::path::{Path, PathBuf};

use crate::core::{Fault, Kind};

/// A refused operation on a file or folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Reading, writing, renaming, ... failed.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// About which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process writes here.
    #[error("{} is being written by process {holder}: wait until it is done, or stop it", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
        /// Process id of the holder, as it wrote it down.
        holder: String,
    },
}

impl StorageError {
    /// Wraps an I/O error with what was tried on which path.
    pub fn at(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl Fault for StorageError {
    fn kind(&self) -> Kind {
        match self {
            Self::Busy { .. } => Kind::Busy,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Kind::NotFound,
            Self::Io { .. } => Kind::Io,
        }
    }
}

/// What to do next, where the refusal itself does not say it.
fn advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::*;
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => {
            "; free some space (or raise the limit) and run the same command again, it goes on where it stopped"
        }
        PermissionDenied | ReadOnlyFilesystem => "; choose a place that you may write to",
        NotADirectory => "; a part of this path is a file: choose another place",
        _ => "",
    }
}
