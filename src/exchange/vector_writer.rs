//! Writing a plain vector file, row by row. It appears whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::npy::NpyHeader;
use super::{Container, ExchangeError, Number, VectorFormat};
use crate::index::RowKind;
use crate::storage::{NewFile, StorageError};

/// Bytes that are encoded at a time.
const BLOCK_BYTES: usize = 1 << 18;

/// A plain vector file under construction. It gets its name in [`VectorFileWriter::finish`]; dropped before that, it
/// leaves nothing.
pub struct VectorFileWriter {
    file: NewFile,
    path: PathBuf,
    format: &'static VectorFormat,
    rows: u64,
    dim: usize,
    written: u64,
    buffer: Vec<u8>,
}

impl VectorFileWriter {
    /// Starts a file of `rows` rows of `dim` numbers; the ending of `path` names the format.
    ///
    /// # Errors
    /// An unknown ending, more rows or longer ones than the format can say, or the system's refusal.
    pub fn create(path: &Path, rows: u64, dim: usize) -> Result<Self, ExchangeError> {
        let format = VectorFormat::of(path)?;
        let (most_rows, most_dim) = match format.container {
            Container::Npy => (u64::MAX, u64::MAX),
            Container::Bin => (u32::MAX.into(), u32::MAX.into()),
            Container::Vecs => (u64::MAX, i32::MAX as u64),
        };
        if rows > most_rows || dim as u64 > most_dim || dim == 0 {
            let what = format!(".{} cannot say {rows} rows of {dim} numbers", format.extension);
            return Err(ExchangeError::unsupported(path, what, "write .npy, and at least one number a row"));
        }
        let header = match format.container {
            Container::Npy => NpyHeader::of(rows, dim),
            Container::Bin => [(rows as u32).to_le_bytes(), (dim as u32).to_le_bytes()].concat(),
            Container::Vecs => Vec::new(),
        };
        let mut file = NewFile::create(path)?;
        file.write_all(&header).map_err(StorageError::at("write", path))?;
        Ok(Self { file, path: path.to_owned(), format, rows, dim, written: 0, buffer: Vec::new() })
    }

    /// Appends rows, one after the other. `f32` formats keep them exactly; `.i8bin` scales each so that its largest
    /// number becomes 127, which keeps the direction and not the length.
    ///
    /// # Errors
    /// A number that is not finite or that the format cannot hold, with its row; part of a row; more rows than
    /// announced; the system's refusal.
    pub fn push(&mut self, rows: &[f32]) -> Result<(), ExchangeError> {
        let count = (rows.len() / self.dim) as u64;
        if !rows.len().is_multiple_of(self.dim) || count > self.rows - self.written {
            return Err(self.row_count(rows.len() as u64));
        }
        for rows in rows.chunks((BLOCK_BYTES / 4 / self.dim).max(1) * self.dim) {
            ExchangeError::unless_finite(&self.path, self.written, rows, self.dim)?;
            self.buffer.clear();
            self.encode(rows)?;
            self.file.write_all(&self.buffer).map_err(StorageError::at("write", &self.path))?;
            self.written += (rows.len() / self.dim) as u64;
        }
        Ok(())
    }

    /// Makes the file durable and gives it its name, replacing what had it before.
    ///
    /// # Errors
    /// Fewer rows than announced, or the system's refusal; the former file is then still there.
    pub fn finish(self) -> Result<(), ExchangeError> {
        match self.written == self.rows {
            true => Ok(self.file.commit()?),
            false => Err(self.row_count(0)),
        }
    }

    fn row_count(&self, more: u64) -> ExchangeError {
        let (path, rows, dim) = (self.path.clone(), self.rows, self.dim);
        ExchangeError::RowCount { path, rows, dim, found: self.written * dim as u64 + more }
    }

    /// Bytes of `rows` into the buffer, each after its dim where the format wants that.
    fn encode(&mut self, rows: &[f32]) -> Result<(), ExchangeError> {
        let dim = self.dim;
        for (row, numbers) in (self.written..).zip(rows.chunks_exact(dim)) {
            if self.format.container == Container::Vecs {
                self.buffer.extend((dim as i32).to_le_bytes());
            }
            match (self.format.number, self.format.number.whole_range()) {
                (Number::I8, _) => self.buffer.extend(RowKind::I8.encode(numbers, dim).0),
                (number, Some((least, most))) => {
                    for &value in numbers {
                        if value.fract() != 0.0
                            || !(f64::from(least)..=f64::from(most)).contains(&value.into())
                        {
                            let (path, extension) = (self.path.clone(), self.format.extension);
                            return Err(ExchangeError::Value { path, row, value, extension, least, most });
                        }
                        let whole = (value as i32).to_le_bytes();
                        self.buffer.extend(&whole[..number.size_bytes()]);
                    }
                }
                _ => self.buffer.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FORMATS, VectorFile};
    use super::*;
    use proptest::prelude::*;

    fn written(folder: &Path, extension: &str, dim: usize, rows: &[f32]) -> Result<PathBuf, ExchangeError> {
        let path = folder.join(format!("a.{extension}"));
        let mut file = VectorFileWriter::create(&path, (rows.len() / dim) as u64, dim)?;
        let (first, rest) = rows.split_at(dim);
        file.push(first)?;
        file.push(rest)?;
        file.finish()?;
        Ok(path)
    }

    fn read(path: &Path) -> Vec<f32> {
        let file = VectorFile::open(path).unwrap();
        let mut rows = vec![0.0; file.rows() * file.dim()];
        file.read(0, &mut rows).unwrap();
        rows
    }

    #[test]
    fn whole_numbers_of_a_byte_come_back_from_every_format_but_the_scaled_one() {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<f32> = (0..15u8).map(|at| f32::from(at * 17)).collect();
        for format in FORMATS.iter().filter(|format| format.number != Number::I8) {
            let path = written(folder.path(), format.extension, 3, &rows).unwrap();
            assert_eq!(read(&path), rows, "{}", format.extension);
        }
    }

    #[test]
    fn i8bin_keeps_the_direction_at_full_scale() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), "i8bin", 2, &[0.5, -1.0, 0.0, 0.0, 3e-3, 1e-3]).unwrap();
        assert_eq!(read(&path), [64.0, -127.0, 0.0, 0.0, 127.0, 42.0]);
    }

    #[test]
    fn a_number_that_the_format_cannot_hold_names_its_row_and_other_formats() {
        let folder = tempfile::tempdir().unwrap();
        for (extension, value) in
            [("u8bin", 256.0), ("bvecs", -1.0), ("u8bin", 0.5), ("ivecs", 2147483648.0), ("ivecs", 1e-9)]
        {
            let message =
                written(folder.path(), extension, 2, &[1.0, 2.0, 3.0, value]).unwrap_err().to_string();
            assert!(message.contains("row 1") && message.contains(".fvecs"), "{message}");
        }
        for extension in FORMATS.each_ref().map(|format| format.extension) {
            let refused = written(folder.path(), extension, 1, &[1.0, 2.0, f32::INFINITY]);
            assert!(matches!(refused, Err(ExchangeError::NotFinite { row: 2, .. })), "{extension}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_wrong_number_of_rows_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let mut file = VectorFileWriter::create(&path, 2, 2).unwrap();
        assert!(matches!(file.push(&[0.0; 3]), Err(ExchangeError::RowCount { .. })));
        assert!(matches!(file.push(&[0.0; 6]), Err(ExchangeError::RowCount { found: 6, .. })));
        file.push(&[0.0; 2]).unwrap();
        assert!(matches!(file.finish(), Err(ExchangeError::RowCount { rows: 2, found: 2, .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    proptest! {
        #[test]
        fn exact_formats_give_back_every_bit(
            dim in 1usize..9,
            numbers in proptest::collection::vec(proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL, 9..80),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let rows = &numbers[..numbers.len() / dim * dim];
            for extension in ["npy", "fbin", "fvecs"] {
                let path = written(folder.path(), extension, dim, rows).unwrap();
                prop_assert_eq!(read(&path), rows);
            }
        }
    }
}
