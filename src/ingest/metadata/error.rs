//! Why a file of metadata cannot be used.

use std::path::PathBuf;

use patchdex_format::MetadataWriter;

use crate::core::{Fault, Kind};
use crate::storage::StorageError;

/// Why a file of metadata cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Not one of the forms, by its name.
    #[error("{}: metadata is read from .csv, .tsv, .json, .jsonl and .ndjson files; rename or convert it", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
    },
    /// Too long to be read whole.
    #[error("{}: more than {max_bytes} bytes of metadata; leave out columns or images that are not needed", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes of a file.
        max_bytes: u64,
    },
    /// Bytes that are no text.
    #[error("{}, line {line}: this is not UTF-8; save the file in UTF-8", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// Text that is not of the file's form.
    #[error("{}, line {line}: {what}; correct the file", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Nothing says which image a row is about.
    #[error("{}: no column names the images (found: {found}); give the paths in a column 'image', 'path', 'file', 'file_name' or 'filename'", path.display())]
    NoImageColumn {
        /// The file.
        path: PathBuf,
        /// Its columns.
        found: String,
    },
    /// A column with the name of a built-in one.
    #[error("{}, line {line}: column '{column}' has the name of a value that every image has of itself; rename the column", path.display())]
    Reserved {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The column.
        column: String,
    },
    /// Two rows about one path.
    #[error("{}, lines {first} and {second}: both are about '{image}'; keep one of them", path.display())]
    Repeated {
        /// The file.
        path: PathBuf,
        /// As the second row has it.
        image: String,
        /// Line of the first row, counted from 1.
        first: usize,
        /// Line of the second row, counted from 1.
        second: usize,
    },
    /// More columns than a collection stores.
    #[error("{}: {count} columns; leave some out, {} can be stored", path.display(), MetadataWriter::MAX_COLUMNS)]
    Columns {
        /// The file.
        path: PathBuf,
        /// Columns that have a value.
        count: usize,
    },
}

impl Fault for MetadataError {
    fn kind(&self) -> Kind {
        match self {
            Self::Storage(error) => error.kind(),
            _ => Kind::Invalid,
        }
    }
}
