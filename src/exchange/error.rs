//! Why a foreign file cannot be read or written, and what to do about it.

use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use crate::core::{Fault, Kind};
use crate::index::RowKind;
use crate::storage::StorageError;

/// Why a foreign file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The ending of the name is that of no format.
    #[error("{}: no format has this ending; name the file with one of {known}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The endings.
        known: String,
    },
    /// Bytes that the format does not allow.
    #[error("cannot read {}, byte {at}: {what}; check that the copy is whole, or write the file again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Byte offset.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// A sound file of a kind that is not read.
    #[error("cannot use {}: {what}; {advice}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it holds.
        what: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// A number that is none.
    #[error(
        "{}: row {row} holds an infinite or undefined number; leave the row out, or correct what made it", path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: u64,
    },
    /// A number too large for how vectors are stored.
    #[error(
        "{}: row {row} holds a number beyond 65,504, which 16 bits do not hold; store the vectors as f32 (--vectors f32)",
        path.display()
    )]
    NotHeld {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: u64,
    },
    /// A row of another length.
    #[error("{}: row {row} has {found} numbers where row 0 has {dim}; all rows must be as long", path.display())]
    RowLength {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: u64,
        /// Numbers in the row.
        found: u64,
        /// Numbers in row 0.
        dim: usize,
    },
    /// Rows that the file does not have.
    #[error("{}: rows {first} to {end} were asked for, it has {rows}; ask for whole rows within it", path.display())]
    Range {
        /// The file.
        path: PathBuf,
        /// First row asked for.
        first: u64,
        /// The row after the last one asked for.
        end: u64,
        /// Rows of the file.
        rows: u64,
    },
    /// A number that the format cannot hold.
    #[error(
        "{}: row {row} holds {value}, and .{extension} holds whole numbers from {least} to {most}; \
         write .npy, .fbin or .fvecs, which hold every number, or .i8bin, which scales each row", path.display()
    )]
    Value {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: u64,
        /// The number.
        value: f32,
        /// Ending of the format.
        extension: &'static str,
        /// Least number of the format.
        least: i32,
        /// Largest number of the format.
        most: i32,
    },
    /// More or fewer rows than announced, or a row cut short.
    #[error(
        "{}: {found} numbers were given for {rows} rows of {dim}; announce as many rows as are written", path.display()
    )]
    RowCount {
        /// The file.
        path: PathBuf,
        /// Rows announced.
        rows: u64,
        /// Numbers in a row.
        dim: usize,
        /// Numbers given.
        found: u64,
    },
    /// Lists that belong together and are not of one length.
    #[error("{}: image '{image}' comes with {what}; give as many of each as it has patches", path.display())]
    Uneven {
        /// The file.
        path: PathBuf,
        /// The image.
        image: String,
        /// The lengths.
        what: String,
    },
    /// A metadata value that is not of its column's kind.
    #[error("{}: image '{image}' has {value} in column '{column}' of kind {kind}; change the value or the kind", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The image.
        image: String,
        /// The column.
        column: String,
        /// The column's kind.
        kind: &'static str,
        /// The value.
        value: serde_json::Value,
    },
    /// A column that must be there.
    #[error("{} has no column '{column}', its columns are {found}; {advice}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The columns it has.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// A cell that must hold something.
    #[error("{}: row {row} has no usable '{column}' ({what}); fill it in, or leave the row out", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// Row, from 0.
        row: u64,
        /// The column.
        column: String,
        /// What is there.
        what: &'static str,
    },
    /// The Parquet library refused.
    #[error("{}: {reason}{}", path.display(), context(*row))]
    Parquet {
        /// The file.
        path: PathBuf,
        /// First row of what was read or written; none where the file as a whole is meant.
        row: Option<u64>,
        /// What it said.
        reason: String,
    },
}

/// Where in a Parquet file, and what to do.
fn context(row: Option<u64>) -> String {
    let place = row.map(|row| format!(" (at or after row {row})")).unwrap_or_default();
    format!("{place}; check that the file is a whole Parquet file, or write it again")
}

impl ExchangeError {
    pub(super) fn malformed(path: &Path, at: usize, what: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), at: at as u64, what: what.into() }
    }

    pub(super) fn unsupported(path: &Path, what: impl Into<String>, advice: &'static str) -> Self {
        Self::Unsupported { path: path.to_owned(), what: what.into(), advice }
    }

    /// Refuses rows with an infinite or undefined number; `first` is the index of the first row.
    pub(super) fn unless_finite(path: &Path, first: u64, rows: &[f32], dim: usize) -> Result<(), Self> {
        match rows.iter().position(|number| !number.is_finite()) {
            Some(at) => Err(Self::NotFinite { path: path.to_owned(), row: first + (at / dim) as u64 }),
            None => Ok(()),
        }
    }

    /// Refuses rows that were encoded as `kind` and have a number that it does not hold; `first` is the index of the first row.
    pub(crate) fn unless_held(
        path: &Path,
        first: u64,
        kind: &RowKind,
        encoded: &[u8],
        dim: usize,
    ) -> Result<(), Self> {
        match kind.overflow(encoded) {
            Some(at) => Err(Self::NotHeld { path: path.to_owned(), row: first + (at / dim) as u64 }),
            None => Ok(()),
        }
    }

    /// Adds path and row to what the Parquet library says.
    pub(super) fn parquet(path: &Path, row: Option<u64>) -> impl Fn(ParquetError) -> Self {
        move |error| Self::Parquet { path: path.to_owned(), row, reason: error.to_string() }
    }

    /// The same while writing, where the system's refusals stay what they are.
    pub(super) fn writing_parquet(path: &Path) -> impl Fn(ParquetError) -> Self {
        move |error| match error {
            ParquetError::External(source) => match source.downcast::<std::io::Error>() {
                Ok(source) => StorageError::at("write", path)(*source).into(),
                Err(source) => Self::parquet(path, None)(ParquetError::External(source)),
            },
            error => Self::parquet(path, None)(error),
        }
    }
}

impl Fault for ExchangeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Malformed { .. } | Self::Parquet { .. } => Kind::Corrupt,
            Self::RowCount { .. } | Self::Range { .. } | Self::Uneven { .. } => Kind::Internal,
            _ => Kind::Invalid,
        }
    }
}
