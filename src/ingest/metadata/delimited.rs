//! Rows of cells: what the cells of a column have in common is the column's type.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use csv::{ErrorKind, Position, Reader, ReaderBuilder, StringRecord, Trim};
use serde_json::{Map, Number, Value};

use super::lines::Lines;
use super::{IMAGE_COLUMNS, MetadataError, Row, reserved};

pub(super) fn comma_separated(path: &Path, text: &str) -> Result<Vec<Row>, MetadataError> {
    rows(path, text, b',')
}

pub(super) fn tab_separated(path: &Path, text: &str) -> Result<Vec<Row>, MetadataError> {
    rows(path, text, b'\t')
}

/// A column of the table.
struct Column {
    /// Empty: the column has no name and is left out, as the index that some programs write is.
    name: String,
    is_image: bool,
    /// So are all cells that are not empty, up to now.
    numbers: bool,
    booleans: bool,
}

impl Column {
    fn see(&mut self, cell: &str) {
        if !cell.is_empty() {
            self.numbers &= number(cell).is_some();
            self.booleans &= boolean(cell).is_some();
        }
    }

    fn value(&self, cell: &str) -> Value {
        let typed = match (self.numbers, self.booleans) {
            (true, _) => number(cell).map(Value::Number),
            (_, true) => boolean(cell).map(Value::Bool),
            _ => None,
        };
        typed.unwrap_or_else(|| Value::from(cell))
    }
}

fn rows(path: &Path, text: &str, delimiter: u8) -> Result<Vec<Row>, MetadataError> {
    let mut columns = columns(path, reader(text, delimiter).headers(), text)?;
    each_record(path, text, delimiter, |_, record| {
        columns.iter_mut().zip(record).for_each(|(column, cell)| column.see(cell));
    })?;
    let mut rows = Vec::new();
    each_record(path, text, delimiter, |line, record| {
        let mut row = Row { line, image: None, values: Map::new() };
        for (column, cell) in columns.iter().zip(record).filter(|(_, cell)| !cell.is_empty()) {
            if column.is_image {
                row.image = Some(cell.to_owned());
            } else if !column.name.is_empty() {
                row.values.insert(column.name.clone(), column.value(cell));
            }
        }
        // Spreadsheets end their tables with rows of empty cells.
        if row.image.is_some() || !row.values.is_empty() {
            rows.push(row);
        }
    })?;
    Ok(rows)
}

fn columns(
    path: &Path,
    header: csv::Result<&StringRecord>,
    text: &str,
) -> Result<Vec<Column>, MetadataError> {
    let header = header.map_err(|error| wrong(path, text, &error))?;
    let image = IMAGE_COLUMNS.iter().find_map(|name| header.iter().position(|found| found == *name));
    let Some(image) = image else {
        let found = header.iter().collect::<Vec<_>>().join(", ");
        return Err(MetadataError::NoImageColumn { path: path.to_owned(), found });
    };
    let line =
        header.position().map_or(1, |position| start(&mut Lines::new(text.as_bytes()), text, position));
    let others = || header.iter().enumerate().filter(|&(index, _)| index != image).map(|(_, name)| name);
    if let Some(column) = reserved(others()) {
        return Err(MetadataError::Reserved { path: path.to_owned(), line, column: column.to_owned() });
    }
    let mut seen = HashSet::new();
    if let Some(name) = header.iter().find(|name| !name.is_empty() && !seen.insert(*name)) {
        let what = format!("two columns are called '{name}'");
        return Err(MetadataError::Syntax { path: path.to_owned(), line, what });
    }
    let column = |(index, name): (usize, &str)| Column {
        name: name.to_owned(),
        is_image: index == image,
        numbers: true,
        booleans: true,
    };
    Ok(header.iter().enumerate().map(column).collect())
}

fn reader(text: &str, delimiter: u8) -> Reader<&[u8]> {
    ReaderBuilder::new().delimiter(delimiter).trim(Trim::All).from_reader(text.as_bytes())
}

/// Calls `take` with each record and its line, and refuses a last one that never ends.
fn each_record(
    path: &Path,
    text: &str,
    delimiter: u8,
    mut take: impl FnMut(usize, &StringRecord),
) -> Result<(), MetadataError> {
    let mut reader = reader(text, delimiter);
    let mut lines = Lines::new(text.as_bytes());
    let mut record = StringRecord::new();
    let mut last = Position::new();
    while reader.read_record(&mut record).map_err(|error| wrong(path, text, &error))? {
        last = record.position().cloned().unwrap_or(last);
        take(start(&mut lines, text, &last), &record);
    }
    match is_open(text.as_bytes().get(last.byte() as usize..).unwrap_or_default(), delimiter) {
        true => Err(MetadataError::Syntax {
            path: path.to_owned(),
            line: start(&mut lines, text, &last),
            what: "a quote in this row is never closed, so that it takes in all that follows".to_owned(),
        }),
        false => Ok(()),
    }
}

/// Whether the only record of `rest` has a quote that is not closed: one more line would still be of that record.
fn is_open(rest: &[u8], delimiter: u8) -> bool {
    let mut reader = ReaderBuilder::new();
    reader.delimiter(delimiter).has_headers(false).flexible(true);
    !rest.is_empty() && reader.from_reader(rest.chain(&b"\nmore"[..])).into_byte_records().count() < 2
}

fn wrong(path: &Path, text: &str, error: &csv::Error) -> MetadataError {
    let position = error.position();
    let line = position.map_or(1, |position| start(&mut Lines::new(text.as_bytes()), text, position));
    let what = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells where the header has {expected_len}")
        }
        _ => error.to_string(),
    };
    MetadataError::Syntax { path: path.to_owned(), line, what }
}

/// The line of a record. Its position may be that of the line ends before it.
fn start(lines: &mut Lines<'_>, text: &str, position: &Position) -> usize {
    let from = position.byte() as usize;
    let skipped = text.as_bytes().iter().skip(from).take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    lines.of(from + skipped)
}

/// A number as JSON writes it: with a leading zero, a plus or blanks it is a text. So is an integer of more than 64
/// bits, which would lose digits.
fn number(cell: &str) -> Option<Number> {
    let number: Number = serde_json::from_str(cell).ok()?;
    let whole = cell.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    match whole && number.is_f64() {
        true => (cell == "-0").then(|| Number::from(0)),
        false => Some(number),
    }
}

fn boolean(cell: &str) -> Option<bool> {
    [("true", true), ("false", false)]
        .into_iter()
        .find_map(|(word, value)| cell.eq_ignore_ascii_case(word).then_some(value))
}
