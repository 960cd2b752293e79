//! A plain vector file, mapped: its shape, and any of its rows in single precision.

use std::path::Path;

use super::npy::NpyHeader;
use super::{Container, ExchangeError, Number, VectorFormat};
use crate::storage::Map;

/// A plain vector file, mapped. Opening reads its header, reading reads the rows asked for.
pub struct VectorFile {
    map: Map,
    format: &'static VectorFormat,
    number: Number,
    /// Byte offset of row 0, with the dim before it where rows have one.
    data: usize,
    rows: usize,
    dim: usize,
}

impl VectorFile {
    /// Maps `path`, whose ending names the format.
    ///
    /// # Errors
    /// A missing file, an unknown ending, a header that is wrong or does not fit the file's length, or no vectors.
    pub fn open(path: &Path) -> Result<Self, ExchangeError> {
        let format = VectorFormat::of(path)?;
        let map = Map::open(path)?;
        let header = match format.container {
            Container::Npy => NpyHeader::parse(path, &map)?,
            Container::Bin => bin_header(path, &map, format.number)?,
            Container::Vecs => vecs_header(path, &map, format.number)?,
        };
        if header.rows == 0 || header.dim == 0 {
            let what = format!("it holds {} rows of {} numbers", header.rows, header.dim);
            return Err(ExchangeError::unsupported(path, what, "name a file with vectors"));
        }
        let prefix = prefix_bytes(format) as u64;
        let row = header.dim.checked_mul(header.number.size_bytes() as u64);
        let row = row.and_then(|bytes| bytes.checked_add(prefix));
        let end = row.and_then(|row| header.rows.checked_mul(row)?.checked_add(header.data as u64));
        if end != Some(map.len() as u64) {
            let what = format!(
                "{} rows of {} {} numbers do not make the file's {} bytes",
                header.rows,
                header.dim,
                header.number.name(),
                map.len()
            );
            return Err(ExchangeError::malformed(path, header.data, what));
        }
        // Both fit: together they fit into the file.
        let (rows, dim) = (header.rows as usize, header.dim as usize);
        let file = Self { map, format, number: header.number, data: header.data, rows, dim };
        file.check_dim(rows - 1)?;
        Ok(file)
    }

    /// Number of rows, at least one.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers in a row, at least one.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// What the numbers are in the file.
    pub fn number(&self) -> Number {
        self.number
    }

    /// Where the rows come from.
    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// Rows `first..` in single precision, as many as fill `out`. Integers beyond 2^24 and doubles are rounded.
    ///
    /// # Errors
    /// Rows that are not there, a row of another length (`.fvecs` and its kin), a number that is not finite.
    pub fn read(&self, first: usize, out: &mut [f32]) -> Result<(), ExchangeError> {
        let end = first.saturating_add(out.len().div_ceil(self.dim));
        if !out.len().is_multiple_of(self.dim) || end > self.rows {
            let (first, end, rows) = (first as u64, end as u64, self.rows as u64);
            return Err(ExchangeError::Range { path: self.path().to_owned(), first, end, rows });
        }
        match prefix_bytes(self.format) {
            0 => self.number.widen(&self.map[self.at(first)..self.at(end)], out),
            prefix => {
                for (row, out) in (first..end).zip(out.chunks_exact_mut(self.dim)) {
                    self.check_dim(row)?;
                    self.number.widen(&self.map[self.at(row) + prefix..self.at(row + 1)], out);
                }
            }
        }
        ExchangeError::unless_finite(self.path(), first as u64, out, self.dim)
    }

    /// Tells the system that the rows will be read from first to last.
    pub fn advise_sequential(&self) {
        self.map.advise_sequential();
    }

    /// Byte offset of a row, or of the file's end.
    fn at(&self, row: usize) -> usize {
        self.data + row * (prefix_bytes(self.format) + self.dim * self.number.size_bytes())
    }

    /// That a row with a dim of its own has that of row 0.
    fn check_dim(&self, row: usize) -> Result<(), ExchangeError> {
        if self.format.container != Container::Vecs {
            return Ok(());
        }
        match u32_at(&self.map, self.at(row)) {
            Some(found) if found as usize != self.dim => Err(ExchangeError::RowLength {
                path: self.path().to_owned(),
                row: row as u64,
                found: found.into(),
                dim: self.dim,
            }),
            _ => Ok(()),
        }
    }
}

/// Bytes before each row.
fn prefix_bytes(format: &VectorFormat) -> usize {
    if format.container == Container::Vecs { 4 } else { 0 }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn bin_header(path: &Path, bytes: &[u8], number: Number) -> Result<NpyHeader, ExchangeError> {
    match (u32_at(bytes, 0), u32_at(bytes, 4)) {
        (Some(rows), Some(dim)) => Ok(NpyHeader { number, rows: rows.into(), dim: dim.into(), data: 8 }),
        _ => Err(ExchangeError::malformed(path, bytes.len(), "the file ends within the header of 8 bytes")),
    }
}

fn vecs_header(path: &Path, bytes: &[u8], number: Number) -> Result<NpyHeader, ExchangeError> {
    if bytes.is_empty() {
        return Ok(NpyHeader { number, rows: 0, dim: 0, data: 0 });
    }
    let dim = u32_at(bytes, 0).ok_or_else(|| {
        ExchangeError::malformed(path, bytes.len(), "the file ends within the dim of row 0")
    })?;
    if dim == 0 || dim > i32::MAX as u32 {
        let what = format!("row 0 has {} numbers", dim as i32);
        return Err(ExchangeError::malformed(path, 0, what));
    }
    let row = 4 + u64::from(dim) * number.size_bytes() as u64;
    let (rows, rest) = (bytes.len() as u64 / row, bytes.len() as u64 % row);
    if rest != 0 {
        let what = format!("{rest} bytes are left after {rows} rows of {dim} {} numbers", number.name());
        return Err(ExchangeError::malformed(path, bytes.len() - rest as usize, what));
    }
    Ok(NpyHeader { number, rows, dim: dim.into(), data: 0 })
}

#[cfg(test)]
mod tests {
    use super::super::FORMATS;
    use super::*;
    use crate::core::Fault;
    use proptest::prelude::*;

    fn open(name: &str, bytes: &[u8]) -> Result<(tempfile::TempDir, VectorFile), ExchangeError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        VectorFile::open(&path).map(|file| (folder, file))
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_truncated_or_longer_file_is_refused_whatever_its_format() {
        let mut files: Vec<(&str, Vec<u8>)> = vec![
            ("a.fbin", words(&[2, 3, 0, 0, 0, 0, 0, 0])),
            ("a.ivecs", words(&[3, 0, 0, 0, 3, 0, 0, 0])),
            ("a.npy", [NpyHeader::of(2, 3), words(&[0; 6])].concat()),
        ];
        for (name, bytes) in &mut files {
            let (_folder, file) = open(name, bytes).unwrap();
            assert_eq!((file.rows(), file.dim()), (2, 3), "{name}");
            for len in 0..bytes.len() {
                // Whole rows less are whole files of formats without a header.
                if *name != "a.ivecs" || !len.is_multiple_of(16) {
                    assert!(open(name, &bytes[..len]).is_err(), "{name} of {len} bytes");
                }
            }
            bytes.push(0);
            assert!(open(name, bytes).is_err(), "{name}");
        }
    }

    #[test]
    fn absurd_and_empty_headers_are_refused() {
        for (name, bytes) in [
            ("a.fbin", words(&[u32::MAX, u32::MAX])),
            ("a.fbin", words(&[0, u32::MAX])),
            ("a.u8bin", words(&[u32::MAX, 0])),
            ("a.fvecs", words(&[u32::MAX, 0])),
            ("a.bvecs", words(&[0, 0])),
            ("a.fvecs", Vec::new()),
            ("a.npy", NpyHeader::of(u64::MAX, usize::MAX)),
            ("a.npy", NpyHeader::of(0, usize::MAX)),
            ("a.npy", NpyHeader::of(1 << 62, 1)),
        ] {
            let message = open(name, &bytes).err().unwrap().to_string();
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn a_row_of_another_length_is_found_at_open_or_when_it_is_read() {
        let message = open("a.ivecs", &words(&[1, 7, 2, 7])).err().unwrap().to_string();
        assert!(message.contains("row 1 has 2 numbers where row 0 has 1"), "{message}");
        let (_folder, file) = open("a.ivecs", &words(&[1, 7, 2, 8, 1, 9])).unwrap();
        let mut one = [0.0];
        file.read(2, &mut one).unwrap();
        assert_eq!(one, [9.0]);
        assert!(matches!(file.read(0, &mut [0.0; 3]), Err(ExchangeError::RowLength { row: 1, .. })));
    }

    #[test]
    fn numbers_that_are_not_finite_name_their_row() {
        let nan = f32::NAN.to_bits();
        let (_folder, file) = open("a.fbin", &words(&[2, 2, 0, 0, 0, nan])).unwrap();
        file.read(0, &mut [0.0; 2]).unwrap();
        assert!(matches!(file.read(0, &mut [0.0; 4]), Err(ExchangeError::NotFinite { row: 1, .. })));
        assert!(matches!(file.read(1, &mut [0.0; 2]), Err(ExchangeError::NotFinite { row: 1, .. })));
    }

    #[test]
    fn rows_that_are_not_there_are_refused() {
        let (_folder, file) = open("a.fbin", &words(&[2, 2, 0, 0, 0, 0])).unwrap();
        for (first, len) in [(0, 6), (2, 2), (usize::MAX, 2), (0, 3), (1, 1)] {
            let refused = file.read(first, &mut vec![0.0; len]);
            assert!(matches!(refused, Err(ExchangeError::Range { .. })), "{first} {len}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_rows_or_an_error(
            format in 0..FORMATS.len(),
            head in proptest::collection::vec(0u32..6, 0..4),
            tail in proptest::collection::vec(any::<u8>(), 0..60),
            npy in any::<bool>(),
        ) {
            let start = if npy { b"\x93NUMPY\x01\x00".to_vec() } else { words(&head) };
            let name = format!("a.{}", FORMATS[format].extension);
            match open(&name, &[start, tail].concat()) {
                Ok((_folder, file)) => {
                    let mut row = vec![0.0; file.dim()];
                    (0..file.rows()).for_each(|at| drop(file.read(at, &mut row)));
                }
                Err(error) => drop((error.kind(), error.to_string())),
            }
        }

        #[test]
        fn any_text_in_a_numpy_header_gives_rows_or_an_error(
            descr in "[<>|=]?[fiub][1248]|\\PC{0,4}", order in "True|False|\\PC{0,4}", shape in "[(]?[0-9, L-]{0,8}[)]?",
            body in proptest::collection::vec(any::<u8>(), 0..32),
        ) {
            let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
            let length = (text.len() as u16).to_le_bytes();
            let bytes = [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), &body].concat();
            if let Ok((_folder, file)) = open("a.npy", &bytes) {
                drop(file.read(0, &mut vec![0.0; file.dim()]));
            }
        }
    }
}
