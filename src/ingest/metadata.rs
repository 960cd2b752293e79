//! A file of metadata: rows of values, each about an image that it names by a path.

mod delimited;
mod error;
mod json;
mod lines;

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;

pub use error::MetadataError;
use patchdex_format::MetadataWriter;
use serde_json::{Map, Value};

use super::source::absolute;
use crate::collection::bytes_of_path;
use crate::storage::StorageError;

/// The first of these that a file has names its images.
const IMAGE_COLUMNS: [&str; 5] = ["image", "path", "file", "file_name", "filename"];

/// Every image has these of itself.
const RESERVED_COLUMNS: [&str; 4] = ["image", "width", "height", "bytes"];

/// Files are read whole.
const MAX_BYTES: u64 = 1 << 30;

/// One row of a file.
struct Row {
    /// Counted from 1.
    line: usize,
    /// As it is written; none when the cell is empty.
    image: Option<String>,
    values: Map<String, Value>,
}

/// The rows of a file of metadata. A path in it is relative to the collection's root, absolute, or relative to the
/// file's own folder; the first that fits counts.
#[derive(Clone, Debug)]
pub struct MetadataFile {
    rows: Vec<Map<String, Value>>,
    /// Rows without a path.
    pathless: usize,
    /// Plain paths as they are written.
    written: HashMap<Vec<u8>, usize>,
    /// Relative paths, taken from the file's own folder.
    beside: HashMap<Vec<u8>, usize>,
}

impl MetadataFile {
    /// Reads a `.csv`, `.tsv`, `.json`, `.jsonl` or `.ndjson` file.
    ///
    /// # Errors
    /// A file that cannot be read or is no such table, two rows about one path, a column that has a name of a
    /// built-in one, more columns than can be stored.
    pub fn read(path: &Path) -> Result<Self, MetadataError> {
        Self::read_up_to(path, MAX_BYTES)
    }

    fn read_up_to(path: &Path, max_bytes: u64) -> Result<Self, MetadataError> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let parse = match extension.as_deref() {
            Some("csv") => delimited::comma_separated,
            Some("tsv") => delimited::tab_separated,
            Some("json") => json::document,
            Some("jsonl" | "ndjson") => json::lines,
            _ => return Err(MetadataError::Extension { path: path.to_owned() }),
        };
        let bytes = read_bytes(path, max_bytes)?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| MetadataError::Encoding {
            path: path.to_owned(),
            line: lines::line_of(bytes, error.valid_up_to()),
        })?;
        Self::of_rows(path, parse(path, text)?)
    }

    fn of_rows(path: &Path, rows: Vec<Row>) -> Result<Self, MetadataError> {
        let columns: BTreeSet<&String> = rows.iter().flat_map(|row| row.values.keys()).collect();
        if columns.len() > MetadataWriter::MAX_COLUMNS {
            return Err(MetadataError::Columns { path: path.to_owned(), count: columns.len() });
        }
        let folder = bytes_of_path(absolute(path).parent().unwrap_or(Path::new("/")));
        let mut file =
            Self { rows: Vec::new(), pathless: 0, written: HashMap::new(), beside: HashMap::new() };
        let mut lines = Vec::new();
        for Row { line, image, values } in rows {
            let Some(image) = image else {
                file.pathless += 1;
                continue;
            };
            let index = lines.len();
            let plain_image = plain(image.as_bytes());
            if !is_absolute(&plain_image) {
                let beside = plain(&[&folder, &b"/"[..], image.as_bytes()].concat());
                file.beside.entry(beside).or_insert(index);
            }
            if let Some(earlier) = file.written.insert(plain_image, index) {
                let first = lines[earlier];
                return Err(MetadataError::Repeated { path: path.to_owned(), image, first, second: line });
            }
            lines.push(line);
            file.rows.push(values);
        }
        Ok(file)
    }

    /// The values of the image at `relative` (bytes, `/`-separated) below `root`, by column; none when no row is
    /// about it.
    pub fn of(&self, root: &Path, relative: &[u8]) -> Option<&Map<String, Value>> {
        self.find(&bytes_of_path(&absolute(root)), relative).map(|index| &self.rows[index])
    }

    /// Number of rows that name none of these images.
    pub fn rows_without_image<'a>(&self, root: &Path, images: impl IntoIterator<Item = &'a [u8]>) -> usize {
        let root = bytes_of_path(&absolute(root));
        let found: BTreeSet<usize> =
            images.into_iter().filter_map(|relative| self.find(&root, relative)).collect();
        self.len() - found.len()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len() + self.pathless
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, root: &[u8], relative: &[u8]) -> Option<usize> {
        let inside = plain(relative);
        let whole = plain(&[root, b"/", relative].concat());
        let written = self.written.get(&inside).or_else(|| self.written.get(&whole));
        written.or_else(|| self.beside.get(&whole)).copied()
    }
}

fn read_bytes(path: &Path, max_bytes: u64) -> Result<Vec<u8>, MetadataError> {
    let refused = |error| StorageError::at("read the metadata", path)(error);
    let too_large = || MetadataError::TooLarge { path: path.to_owned(), max_bytes };
    let file = std::fs::File::open(path).map_err(refused)?;
    if file.metadata().map_err(refused)?.len() > max_bytes {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // What a pipe gives has no length beforehand.
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > max_bytes { Err(too_large()) } else { Ok(bytes) }
}

/// A path with `/` for `\`, without `.`, and without `..` where a part stands before it.
fn plain(path: &[u8]) -> Vec<u8> {
    let is_separator = |byte: &u8| matches!(byte, b'/' | b'\\');
    let rooted = path.first().is_some_and(is_separator);
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(is_separator) {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|&last| last != b"..") => drop(parts.pop()),
            b".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    if rooted { [b"/", &joined[..]].concat() } else { joined }
}

fn is_absolute(plain: &[u8]) -> bool {
    matches!(plain, [b'/', ..]) || matches!(plain, [drive, b':', b'/', ..] if drive.is_ascii_alphabetic())
}

/// A name that a file may not give to a column, if there is one.
fn reserved<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.find(|name| RESERVED_COLUMNS.contains(name))
}

#[cfg(test)]
mod tests;
