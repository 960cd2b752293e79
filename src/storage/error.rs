//! What the operating system refused, and about which file.

use std::path::{Path, PathBuf};

use super::Residency;
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
    /// The system has no memory for a file, or does not let it be locked there.
    #[error("cannot {} ({bytes} bytes): {source}{}", in_words(*residency, path), room(*residency, *bytes))]
    Memory {
        /// How it was to lie in memory.
        residency: Residency,
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: usize,
        /// What the system said.
        source: std::io::Error,
    },
}

impl StorageError {
    /// Wraps a refusal to have a file of so many bytes in memory.
    pub(super) fn of_memory(
        residency: Residency,
        path: &Path,
        bytes: usize,
    ) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Memory { residency, path, bytes, source }
    }

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
            Self::Io { .. } | Self::Memory { .. } => Kind::Io,
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

/// What was to be done with a file.
fn in_words(residency: Residency, path: &Path) -> String {
    let path = path.display();
    match residency {
        Residency::Mapped => format!("map {path}"),
        Residency::Locked => format!("lock {path} in memory"),
        Residency::Copied => format!("copy {path} into memory"),
    }
}

/// How a file of so many bytes is to find room.
fn room(residency: Residency, bytes: usize) -> String {
    match residency {
        Residency::Locked => format!(
            "; 'ulimit -l' must allow {} KiB for this file, beside what else is locked: raise that limit, or leave it \
             unlocked (--residency mapped)",
            bytes.div_ceil(1024)
        ),
        _ => "; free some memory, or take --residency mapped".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_to_lock_says_how_much_must_be_allowed() {
        let refusal = || std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        let error = StorageError::of_memory(Residency::Locked, Path::new("c/graph.pdx"), 2049)(refusal());
        let text = error.to_string();
        assert!(text.starts_with("cannot lock c/graph.pdx in memory (2049 bytes): "), "{text}");
        assert!(
            text.contains("'ulimit -l' must allow 3 KiB") && text.contains("--residency mapped"),
            "{text}"
        );
        let error = StorageError::of_memory(Residency::Copied, Path::new("c/graph.pdx"), 2049)(refusal());
        assert!(error.to_string().contains("copy c/graph.pdx into memory (2049 bytes)"), "{error}");
        assert_eq!(error.kind(), Kind::Io);
    }
}
