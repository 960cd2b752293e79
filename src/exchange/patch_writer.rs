//! Writing a Parquet file of patches, image by image. It appears whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnPath;
use serde_json::Value;

use super::column::{VECTOR, schema};
use super::{ColumnKind, ExchangeError, MetadataColumn};
use crate::storage::NewFile;

/// Patches of a row group at most; its vectors wait in memory.
const GROUP_PATCHES: usize = 1 << 16;
/// Numbers of a row group's vectors at most: 64 MiB.
const GROUP_NUMBERS: usize = 1 << 24;
/// Numbers whose levels are made at a time.
const BATCH_NUMBERS: usize = 1 << 18;

/// All patches of one image, or some that follow each other.
#[derive(Clone, Copy, Debug)]
pub struct PatchRows<'a> {
    /// Path of the image.
    pub image: &'a str,
    /// `x, y, width, height` of each patch, in pixels of the upright image.
    pub boxes: &'a [[f32; 4]],
    /// Vectors of the patches, one after the other.
    pub vectors: &'a [f32],
    /// The image's value for each metadata column; nothing and JSON's null are the same.
    pub metadata: &'a [Option<Value>],
}

/// Cells of the metadata columns, by kind.
enum Cells {
    Text(Vec<Option<ByteArray>>),
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Boolean(Vec<Option<bool>>),
}

/// A Parquet file of patches under construction: columns `image`, `x`, `y`, `width`, `height`, `vector`, then metadata;
/// uncompressed. It gets its name in [`ParquetWriter::finish`]; dropped before that, it leaves nothing.
pub struct ParquetWriter {
    file: SerializedFileWriter<NewFile>,
    path: PathBuf,
    dim: usize,
    columns: Vec<MetadataColumn>,
    /// Patches in row groups that are written.
    written: u64,
    images: Vec<ByteArray>,
    boxes: Vec<[f32; 4]>,
    vectors: Vec<f32>,
    cells: Vec<Cells>,
}

impl ParquetWriter {
    /// Starts a file of vectors of `dim` numbers with these metadata columns; a name that is taken is preceded by `meta_`.
    ///
    /// # Errors
    /// No numbers in a vector, or the system's refusal.
    pub fn create(path: &Path, dim: usize, columns: Vec<MetadataColumn>) -> Result<Self, ExchangeError> {
        if dim == 0 {
            let what = "its vectors would have no numbers";
            return Err(ExchangeError::unsupported(path, what, "give at least one number a vector"));
        }
        let refused = ExchangeError::writing_parquet(path);
        let vector = ColumnPath::new([VECTOR, "list", "element"].map(str::to_owned).to_vec());
        // Vectors hardly repeat: a dictionary of them would only hold them back in memory.
        let properties = WriterProperties::builder()
            .set_created_by(format!("patchdex {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::UNCOMPRESSED)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_column_dictionary_enabled(vector.clone(), false)
            .set_column_statistics_enabled(vector, EnabledStatistics::None)
            .build();
        let schema = schema(&columns).map_err(&refused)?;
        let file = NewFile::create(path)?;
        let file = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(&refused)?;
        let cells = columns.iter().map(|column| Cells::new(column.kind)).collect();
        Ok(Self {
            file,
            path: path.to_owned(),
            dim,
            columns,
            written: 0,
            images: Vec::new(),
            boxes: Vec::new(),
            vectors: Vec::new(),
            cells,
        })
    }

    /// Appends patches of an image.
    ///
    /// # Errors
    /// Lists of unequal length, a number that is not finite, metadata of another kind than its column, or the system's
    /// refusal.
    pub fn push(&mut self, rows: &PatchRows) -> Result<(), ExchangeError> {
        let PatchRows { image, boxes, vectors, metadata } = *rows;
        if vectors.len() != boxes.len() * self.dim || metadata.len() != self.columns.len() {
            let what = format!(
                "{} boxes, {} numbers for vectors of {}, and {} values for {} metadata columns",
                boxes.len(),
                vectors.len(),
                self.dim,
                metadata.len(),
                self.columns.len()
            );
            return Err(ExchangeError::Uneven { path: self.path.clone(), image: image.to_owned(), what });
        }
        let first = self.written + self.images.len() as u64;
        ExchangeError::unless_finite(&self.path, first, vectors, self.dim)?;
        ExchangeError::unless_finite(&self.path, first, boxes.as_flattened(), 4)?;
        for (column, value) in self.columns.iter().zip(metadata) {
            let fits = |value: &&Value| Cells::new(column.kind).push(value, 1);
            if let Some(value) = value.as_ref().filter(|value| !fits(value)) {
                return Err(ExchangeError::Metadata {
                    path: self.path.clone(),
                    image: image.to_owned(),
                    column: column.name.clone(),
                    kind: column.kind.name(),
                    value: value.clone(),
                });
            }
        }
        let name = ByteArray::from(Bytes::copy_from_slice(image.as_bytes()));
        let most = GROUP_PATCHES.min(GROUP_NUMBERS / self.dim).max(1);
        let mut at = 0;
        while at < boxes.len() {
            let count = (boxes.len() - at).min(most - self.images.len());
            self.images.resize(self.images.len() + count, name.clone());
            self.boxes.extend(&boxes[at..at + count]);
            self.vectors.extend(&vectors[at * self.dim..(at + count) * self.dim]);
            for (cells, value) in self.cells.iter_mut().zip(metadata) {
                cells.push(value.as_ref().unwrap_or(&Value::Null), count);
            }
            at += count;
            if self.images.len() == most {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Makes the file durable and gives it its name, replacing what had it before.
    ///
    /// # Errors
    /// The system's refusal; the former file is then still there.
    pub fn finish(mut self) -> Result<(), ExchangeError> {
        self.flush()?;
        let file = self.file.into_inner().map_err(ExchangeError::writing_parquet(&self.path))?;
        Ok(file.commit()?)
    }

    /// Writes what waits as a row group.
    fn flush(&mut self) -> Result<(), ExchangeError> {
        if !self.images.is_empty() {
            self.write_group().map_err(ExchangeError::writing_parquet(&self.path))?;
            self.written += self.images.len() as u64;
            self.images.clear();
            self.boxes.clear();
            self.vectors.clear();
            self.cells = self.columns.iter().map(|column| Cells::new(column.kind)).collect();
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        write_column::<ByteArrayType>(&mut group, &self.images, None)?;
        for side in 0..4 {
            let sides: Vec<f32> = self.boxes.iter().map(|sides| sides[side]).collect();
            write_column::<FloatType>(&mut group, &sides, None)?;
        }
        write_vectors(&mut group, &self.vectors, self.dim)?;
        for cells in &self.cells {
            match cells {
                Cells::Text(cells) => write_cells::<ByteArrayType>(&mut group, cells),
                Cells::Integer(cells) => write_cells::<Int64Type>(&mut group, cells),
                Cells::Number(cells) => write_cells::<DoubleType>(&mut group, cells),
                Cells::Boolean(cells) => write_cells::<BoolType>(&mut group, cells),
            }?;
        }
        group.close().map(|_| ())
    }
}

impl Cells {
    fn new(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Text => Self::Text(Vec::new()),
            ColumnKind::Integer => Self::Integer(Vec::new()),
            ColumnKind::Number => Self::Number(Vec::new()),
            ColumnKind::Boolean => Self::Boolean(Vec::new()),
        }
    }

    /// Appends `value` `count` times; gives whether it is of the kind, and appends nothing where it is not.
    fn push(&mut self, value: &Value, count: usize) -> bool {
        fn repeat<T: Clone>(
            cells: &mut Vec<Option<T>>,
            value: &Value,
            cell: Option<T>,
            count: usize,
        ) -> bool {
            let fits = cell.is_some() || value.is_null();
            if fits {
                cells.resize(cells.len() + count, cell);
            }
            fits
        }
        match self {
            Self::Text(cells) => {
                let text = value.as_str().map(|text| Bytes::copy_from_slice(text.as_bytes()).into());
                repeat(cells, value, text, count)
            }
            Self::Integer(cells) => repeat(cells, value, value.as_i64(), count),
            Self::Number(cells) => repeat(cells, value, value.as_f64(), count),
            Self::Boolean(cells) => repeat(cells, value, value.as_bool(), count),
        }
    }
}

type Group<'a> = SerializedRowGroupWriter<'a, NewFile>;

/// The next column of the group, with values where the level says so.
fn write_column<T: DataType>(
    group: &mut Group,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(no_column)?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

fn write_cells<T: DataType>(group: &mut Group, cells: &[Option<T::T>]) -> Result<(), ParquetError> {
    let values: Vec<T::T> = cells.iter().flatten().cloned().collect();
    let levels: Vec<i16> = cells.iter().map(|cell| cell.is_some().into()).collect();
    write_column::<T>(group, &values, Some(&levels))
}

fn write_vectors(group: &mut Group, vectors: &[f32], dim: usize) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(no_column)?;
    let batch = (BATCH_NUMBERS / dim).max(1) * dim;
    let present = vec![1; batch];
    let continued: Vec<i16> = (0..batch).map(|at| i16::from(at % dim != 0)).collect();
    for vectors in vectors.chunks(batch) {
        let (present, continued) = (&present[..vectors.len()], &continued[..vectors.len()]);
        column.typed::<FloatType>().write_batch(vectors, Some(present), Some(continued))?;
    }
    column.close()
}

fn no_column() -> ParquetError {
    ParquetError::General("there are more columns than the schema has".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::ParquetPatches;
    use super::*;
    use serde_json::json;

    fn columns(kinds: &[(&str, ColumnKind)]) -> Vec<MetadataColumn> {
        kinds.iter().map(|(name, kind)| MetadataColumn { name: (*name).to_owned(), kind: *kind }).collect()
    }

    #[test]
    fn many_patches_fill_several_row_groups_and_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let mut file = ParquetWriter::create(&path, 2, columns(&[("n", ColumnKind::Integer)])).unwrap();
        let count = GROUP_PATCHES + 1000;
        for (image, value) in [("a", Some(json!(7))), ("b", None)] {
            let boxes: Vec<[f32; 4]> = (0..count).map(|at| [at as f32, 1.0, 2.0, 3.0]).collect();
            let vectors: Vec<f32> = (0..count * 2).map(|at| at as f32).collect();
            file.push(&PatchRows { image, boxes: &boxes, vectors: &vectors, metadata: &[value] }).unwrap();
        }
        file.finish().unwrap();
        let patches = ParquetPatches::open(&path).unwrap();
        assert_eq!(patches.rows(), 2 * count as u64);
        let mut row = 0;
        for block in patches {
            let block = block.unwrap();
            assert_eq!(block.first, row as u64);
            for (at, image) in block.images.iter().enumerate() {
                let patch = row % count;
                assert_eq!(image, if row < count { "a" } else { "b" });
                assert_eq!(block.boxes.as_ref().unwrap()[at], [patch as f32, 1.0, 2.0, 3.0]);
                assert_eq!(block.vectors[at * 2..][..2], [patch as f32 * 2.0, patch as f32 * 2.0 + 1.0]);
                assert_eq!(block.metadata[0][at], (row < count).then(|| json!(7)));
                row += 1;
            }
        }
        assert_eq!(row, 2 * count);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let kinds = [ColumnKind::Text, ColumnKind::Integer, ColumnKind::Number, ColumnKind::Boolean];
        for (kind, value) in kinds.into_iter().zip([json!(1), json!(1.5), json!("1"), json!(0)]) {
            let mut file = ParquetWriter::create(&path, 1, columns(&[("extra", kind)])).unwrap();
            let rows = PatchRows {
                image: "a.jpg",
                boxes: &[[0.0; 4]],
                vectors: &[1.0],
                metadata: &[Some(value.clone())],
            };
            let message = file.push(&rows).unwrap_err().to_string();
            for part in ["a.jpg", "'extra'", kind.name(), &value.to_string()] {
                assert!(message.contains(part), "'{part}' is not in: {message}");
            }
            let rows = PatchRows { metadata: &[Some(Value::Null)], ..rows };
            file.push(&rows).unwrap();
            for (boxes, vectors) in [(&[[0.0; 4]][..], &[f32::NAN][..]), (&[[f32::INFINITY; 4]], &[1.0])] {
                let refused = file.push(&PatchRows { boxes, vectors, ..rows });
                assert!(matches!(refused, Err(ExchangeError::NotFinite { row: 1, .. })));
            }
            for rows in [
                PatchRows { vectors: &[], ..rows },
                PatchRows { boxes: &[], ..rows },
                PatchRows { metadata: &[], ..rows },
            ] {
                assert!(matches!(file.push(&rows), Err(ExchangeError::Uneven { .. })));
            }
        }
        assert!(ParquetWriter::create(&path, 0, Vec::new()).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
