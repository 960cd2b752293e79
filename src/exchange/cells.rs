//! Cells of a Parquet file's columns: read for some rows, checked, with the row where one is wrong.

use std::path::Path;

use parquet::basic::SortOrder;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};
use serde_json::Value;

use super::ExchangeError;
use super::column::VECTOR;

/// A column of a row group that is being read.
pub(super) struct Column {
    pub reader: ColumnReader,
    pub descriptor: ColumnDescPtr,
}

/// The rows of a block, for reading columns and for telling where one is wrong.
pub(super) struct Place<'a> {
    pub path: &'a Path,
    /// The first row, from 0.
    pub first: u64,
    /// How many rows.
    pub count: usize,
}

impl Place<'_> {
    fn cell(&self, at: usize, column: &str, what: &'static str) -> ExchangeError {
        let (path, row) = (self.path.to_owned(), self.first + at as u64);
        ExchangeError::Cell { path, row, column: column.to_owned(), what }
    }

    /// The cells of a column that is no list.
    pub fn cells(&self, column: &mut Column) -> Result<Vec<Option<Value>>, ExchangeError> {
        let Column { reader, descriptor } = column;
        let unsigned = descriptor.sort_order() == SortOrder::UNSIGNED;
        match reader {
            ColumnReader::BoolColumnReader(reader) => {
                self.read(reader, descriptor, |&value| Some(value.into()))
            }
            ColumnReader::Int32ColumnReader(reader) => {
                self.read(reader, descriptor, |&value| match unsigned {
                    true => Some((value as u32).into()),
                    false => Some(value.into()),
                })
            }
            ColumnReader::Int64ColumnReader(reader) => {
                self.read(reader, descriptor, |&value| match unsigned {
                    true => Some((value as u64).into()),
                    false => Some(value.into()),
                })
            }
            // JSON knows no NaN, and pandas means a missing number by it.
            ColumnReader::FloatColumnReader(reader) => self.read(reader, descriptor, |&value| {
                Some(serde_json::Number::from_f64(value.into()).map_or(Value::Null, Value::Number))
            }),
            ColumnReader::DoubleColumnReader(reader) => self.read(reader, descriptor, |&value| {
                Some(serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number))
            }),
            ColumnReader::ByteArrayColumnReader(reader) => {
                self.read(reader, descriptor, |value| Some(std::str::from_utf8(value.data()).ok()?.into()))
            }
            // `ColumnKind::of` lets no other through.
            _ => Ok(vec![None; self.count]),
        }
    }

    /// Reads a column; `convert` gives nothing for a value that is wrong, and null for one that is missing.
    fn read<T: DataType>(
        &self,
        reader: &mut ColumnReaderImpl<T>,
        descriptor: &ColumnDescriptor,
        convert: impl Fn(&T::T) -> Option<Value>,
    ) -> Result<Vec<Option<Value>>, ExchangeError> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let (records, ..) = reader
            .read_records(self.count, Some(&mut levels), None, &mut values)
            .map_err(ExchangeError::parquet(self.path, Some(self.first)))?;
        self.check_records(records, descriptor.name())?;
        let mut values = values.iter();
        let cell = |at: usize| {
            let present =
                descriptor.max_def_level() == 0 || levels.get(at) == Some(&descriptor.max_def_level());
            match present.then(|| values.next()).flatten() {
                Some(value) => match convert(value) {
                    Some(value) => Ok(Some(value).filter(|value| !value.is_null())),
                    None => Err(self.cell(at, descriptor.name(), "it is no UTF-8")),
                },
                None => Ok(None),
            }
        };
        (0..self.count).map(cell).collect()
    }

    fn check_records(&self, records: usize, column: &str) -> Result<(), ExchangeError> {
        match records == self.count {
            true => Ok(()),
            false => {
                let end = self.first + records as u64;
                let reason = format!("column '{column}' ends before row {end}, and others go on");
                Err(ExchangeError::Parquet { path: self.path.to_owned(), row: Some(self.first), reason })
            }
        }
    }

    /// The texts of a column that lacks none.
    pub fn texts(&self, column: &mut Column, name: &str) -> Result<Vec<String>, ExchangeError> {
        let text = |(at, cell)| match cell {
            Some(Value::String(text)) => Ok(text),
            _ => Err(self.cell(at, name, "it is missing")),
        };
        self.cells(column)?.into_iter().enumerate().map(text).collect()
    }

    /// The numbers of a column that lacks none.
    pub fn numbers(&self, column: &mut Column, name: &str) -> Result<Vec<f32>, ExchangeError> {
        let number = |(at, cell): (usize, Option<Value>)| {
            let number = cell.and_then(|value| value.as_f64()).map(|number| number as f32);
            number
                .filter(|number| number.is_finite())
                .ok_or_else(|| self.cell(at, name, "it is no finite number"))
        };
        self.cells(column)?.into_iter().enumerate().map(number).collect()
    }

    /// The vectors; `dim` is set by the first one.
    pub fn vectors(&self, column: &mut Column, dim: &mut Option<usize>) -> Result<Vec<f32>, ExchangeError> {
        let (mut present, mut continued) = (Vec::new(), Vec::new());
        let refused = ExchangeError::parquet(self.path, Some(self.first));
        let mut vectors = Vec::new();
        let levels = (Some(&mut present), Some(&mut continued));
        let (records, ..) = match &mut column.reader {
            ColumnReader::FloatColumnReader(reader) => {
                reader.read_records(self.count, levels.0, levels.1, &mut vectors)
            }
            ColumnReader::DoubleColumnReader(reader) => {
                let mut doubles = Vec::new();
                let read = reader.read_records(self.count, levels.0, levels.1, &mut doubles);
                vectors.extend(doubles.iter().map(|&number| number as f32));
                read
            }
            // `is_list_of_floats` lets no other through.
            _ => Ok((0, 0, 0)),
        }
        .map_err(&refused)?;
        self.check_records(records, VECTOR)?;
        if let Some(hole) = present.iter().position(|&level| level != column.descriptor.max_def_level()) {
            let row = continued[..=hole].iter().filter(|&&level| level == 0).count().saturating_sub(1);
            return Err(self.cell(row, VECTOR, "it is missing, empty, or lacks a number"));
        }
        let starts = (0..continued.len()).filter(|&at| continued[at] == 0);
        let ends = starts.clone().skip(1).chain([continued.len()]);
        for (at, (start, end)) in starts.zip(ends).enumerate() {
            let dim = *dim.get_or_insert(end - start);
            if end - start != dim {
                let (path, row) = (self.path.to_owned(), self.first + at as u64);
                return Err(ExchangeError::RowLength { path, row, found: (end - start) as u64, dim });
            }
        }
        ExchangeError::unless_finite(self.path, self.first, &vectors, dim.unwrap_or(1))?;
        Ok(vectors)
    }
}
