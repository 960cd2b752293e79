//! A Parquet file of patches, mapped and read block by block: images, boxes, vectors, metadata.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use serde_json::Value;

use super::cells::{Column, Place};
use super::column::{BOX, IMAGE};
use super::roles::Roles;
use super::{ExchangeError, MetadataColumn};
use crate::storage::Map;

/// Ending of the name of a Parquet file.
pub const PARQUET: &str = "parquet";

/// Patches of a block at most.
const BLOCK_PATCHES: usize = 1 << 12;
const COMPRESSION: &str = "write it with compression='snappy', as df.to_parquet(path, compression='snappy') of pandas \
                           or df.write_parquet(path, compression='snappy') of polars";

/// Patches that follow each other in a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PatchBlock {
    /// Row of the first patch, from 0.
    pub first: u64,
    /// The image of each patch.
    pub images: Vec<String>,
    /// `x, y, width, height` of each patch in pixels, where the file has them.
    pub boxes: Option<Vec<[f32; 4]>>,
    /// The vectors, one after the other; all blocks of a file have vectors of one length.
    pub vectors: Vec<f32>,
    /// For each of [`ParquetPatches::columns`] the value of each patch; what is no number counts as missing.
    pub metadata: Vec<Vec<Option<Value>>>,
}

/// A Parquet file of patches: an iterator over its blocks, which ends after an error.
pub struct ParquetPatches {
    file: SerializedFileReader<Bytes>,
    path: PathBuf,
    roles: Roles,
    rows: u64,
    /// Numbers of a vector, once one was read.
    dim: Option<usize>,
    /// The row that is read next.
    next: u64,
    /// The row group that is read after this one.
    next_group: usize,
    group: Option<Group>,
}

/// What is left of a row group.
struct Group {
    left: usize,
    image: Column,
    sides: Vec<Column>,
    vector: Column,
    metadata: Vec<Column>,
}

/// The bytes of a map, for the Parquet library to share.
struct Mapped(Map);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl ParquetPatches {
    /// Maps `path` and reads its footer.
    ///
    /// # Errors
    /// A missing or damaged file, one without `image` and `vector`, or one with a part of the box, of other kinds or
    /// compressions than are read.
    pub fn open(path: &Path) -> Result<Self, ExchangeError> {
        let map = Map::open(path)?;
        map.advise_sequential();
        let bytes = Bytes::from_owner(Mapped(map));
        let file = guarded(path, None, || {
            SerializedFileReader::new(bytes).map_err(ExchangeError::parquet(path, None))
        })?;
        let roles = Roles::of(path, file.metadata().file_metadata().schema_descr())?;
        check_compression(path, &file, &roles)?;
        let groups = file.metadata().row_groups();
        let rows = groups.iter().fold(0u64, |sum, group| sum.saturating_add(group.num_rows().max(0) as u64));
        Ok(Self { file, path: path.to_owned(), roles, rows, dim: None, next: 0, next_group: 0, group: None })
    }

    /// Patches of the file, as it says.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Numbers of a vector, once a block was read.
    pub fn dim(&self) -> Option<usize> {
        self.dim
    }

    /// Whether patches have boxes.
    pub fn has_boxes(&self) -> bool {
        self.roles.sides.is_some()
    }

    /// The columns of metadata, in the file's order.
    pub fn columns(&self) -> &[MetadataColumn] {
        &self.roles.columns
    }

    /// Names of the columns that are not read: lists, structures, dates, bytes, ...
    pub fn skipped(&self) -> &[String] {
        &self.roles.skipped
    }

    fn block(&mut self) -> Result<Option<PatchBlock>, ExchangeError> {
        let mut group = loop {
            match self.group.take() {
                Some(group) if group.left > 0 => break group,
                _ if self.next_group == self.file.num_row_groups() => return Ok(None),
                _ => {
                    let refused = ExchangeError::parquet(&self.path, Some(self.next));
                    self.group = Some(self.open_group().map_err(refused)?);
                    self.next_group += 1;
                }
            }
        };
        let count = group.left.min(BLOCK_PATCHES);
        let place = Place { path: &self.path, first: self.next, count };
        let mut block = PatchBlock {
            first: self.next,
            images: place.texts(&mut group.image, IMAGE)?,
            boxes: self.roles.sides.map(|_| vec![[0.0; 4]; count]),
            vectors: place.vectors(&mut group.vector, &mut self.dim)?,
            metadata: group
                .metadata
                .iter_mut()
                .map(|column| place.cells(column))
                .collect::<Result<_, _>>()?,
        };
        for (side, (column, name)) in group.sides.iter_mut().zip(BOX).enumerate() {
            let numbers = place.numbers(column, name)?;
            let boxes = block.boxes.iter_mut().flatten();
            boxes.zip(numbers).for_each(|(sides, number)| sides[side] = number);
        }
        group.left -= count;
        self.group = Some(group);
        self.next += count as u64;
        Ok(Some(block))
    }

    fn open_group(&self) -> Result<Group, ParquetError> {
        let group = self.file.get_row_group(self.next_group)?;
        let column = |&at: &usize| {
            let reader = group.get_column_reader(at)?;
            Ok(Column { reader, descriptor: group.metadata().column(at).column_descr_ptr() })
        };
        Ok(Group {
            left: group.metadata().num_rows().try_into()?,
            image: column(&self.roles.image)?,
            sides: self.roles.sides.iter().flatten().map(column).collect::<Result<_, ParquetError>>()?,
            vector: column(&self.roles.vector)?,
            metadata: self.roles.metadata.iter().map(column).collect::<Result<_, ParquetError>>()?,
        })
    }
}

impl Iterator for ParquetPatches {
    type Item = Result<PatchBlock, ExchangeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (path, row) = (self.path.clone(), self.next);
        let block = guarded(&path, Some(row), || self.block());
        if block.is_err() {
            self.group = None;
            self.next_group = self.file.num_row_groups();
        }
        block.transpose()
    }
}

fn check_compression(
    path: &Path,
    file: &SerializedFileReader<Bytes>,
    roles: &Roles,
) -> Result<(), ExchangeError> {
    for group in file.metadata().row_groups() {
        for at in roles.used() {
            let Some(column) = group.columns().get(at) else {
                let reason = format!("a row group has {} columns", group.columns().len());
                return Err(ExchangeError::Parquet { path: path.to_owned(), row: None, reason });
            };
            match column.compression() {
                Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) => {}
                other => {
                    let what = format!("it is compressed as {other}");
                    return Err(ExchangeError::unsupported(path, what, COMPRESSION));
                }
            }
        }
    }
    Ok(())
}

/// The Parquet library panics on some malformed files; that costs the file, not the run.
fn guarded<T>(
    path: &Path,
    row: Option<u64>,
    work: impl FnOnce() -> Result<T, ExchangeError>,
) -> Result<T, ExchangeError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let reason = "the decoder gave up on it".to_owned();
        Err(ExchangeError::Parquet { path: path.to_owned(), row, reason })
    })
}

#[cfg(test)]
mod tests {
    use super::super::{ColumnKind, ParquetWriter, PatchRows};
    use super::*;
    use crate::core::Fault;
    use proptest::prelude::*;

    fn read(path: &Path) -> Result<Vec<PatchBlock>, ExchangeError> {
        ParquetPatches::open(path)?.collect()
    }

    fn sample(path: &Path) {
        let columns = vec![MetadataColumn { name: "label".to_owned(), kind: ColumnKind::Text }];
        let mut file = ParquetWriter::create(path, 3, columns).unwrap();
        let metadata = [Some("a".into())];
        let rows = PatchRows { image: "a", boxes: &[[1.0; 4]; 9], vectors: &[0.5; 27], metadata: &metadata };
        file.push(&rows).unwrap();
        file.finish().unwrap();
    }

    #[test]
    fn a_file_without_patches_has_no_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        ParquetWriter::create(&path, 3, Vec::new()).unwrap().finish().unwrap();
        assert_eq!(read(&path).unwrap(), []);
    }

    #[test]
    fn nothing_follows_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        sample(&path);
        let mut patches = ParquetPatches::open(&path).unwrap();
        patches.dim = Some(4);
        let message = patches.next().unwrap().unwrap_err().to_string();
        assert!(message.contains("row 0 has 3 numbers where row 0 has 4"), "{message}");
        assert!(patches.next().is_none());
    }

    proptest! {
        #[test]
        fn damaged_files_give_blocks_or_an_error(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            len in proptest::option::of(any::<proptest::sample::Index>()),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.parquet");
            sample(&path);
            let mut bytes = std::fs::read(&path).unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(len) = len {
                bytes.truncate(len.index(bytes.len()));
            }
            std::fs::write(&path, bytes).unwrap();
            match read(&path) {
                Ok(blocks) => for block in blocks {
                    assert_eq!(block.vectors.len() % block.images.len(), 0);
                },
                Err(error) => drop((error.kind(), error.to_string())),
            }
        }
    }
}
