//! Foreign files of vectors: npy, fbin, i8bin, u8bin, fvecs, ivecs, bvecs, and Parquet with images and boxes. Knows
//! nothing of collections.

mod cells;
mod column;
mod error;
mod format;
mod npy;
mod number;
mod patch_reader;
mod patch_writer;
mod roles;
mod vector_reader;
mod vector_writer;

pub use column::{ColumnKind, MetadataColumn};
pub use error::ExchangeError;
pub use format::{Container, FORMATS, VectorFormat};
pub use number::Number;
pub use patch_reader::{PARQUET, ParquetPatches, PatchBlock};
pub use patch_writer::{ParquetWriter, PatchRows};
pub use vector_reader::VectorFile;
pub use vector_writer::VectorFileWriter;
