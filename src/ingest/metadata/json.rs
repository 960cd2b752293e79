//! Rows as JSON objects: in an array, by path in an object, or one in each line.

use std::collections::BTreeSet;
use std::fmt::{self, Formatter};
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::lines::Lines;
use super::{IMAGE_COLUMNS, MetadataError, Row, reserved};

/// An array of objects, or an object that has an object for each path.
pub(super) fn document(path: &Path, text: &str) -> Result<Vec<Row>, MetadataError> {
    let entries: Entries = serde_json::from_str(text).map_err(|error| wrong(path, 1, &error))?;
    let mut lines = Lines::new(text.as_bytes());
    // Raw values are slices of the text.
    let mut line_of = |raw: &RawValue| lines.of(raw.get().as_ptr() as usize - text.as_ptr() as usize);
    match entries {
        Entries::Listed(raws) => {
            let objects = raws.into_iter().map(|raw| object(path, line_of(raw), raw.get()));
            with_image_columns(path, objects.collect::<Result<_, _>>()?)
        }
        Entries::Named(raws) => {
            let row = |(image, raw): (String, &RawValue)| {
                let (line, values) = object(path, line_of(raw), raw.get())?;
                stored(path, line, Some(image), values)
            };
            raws.into_iter().map(row).collect()
        }
    }
}

/// An object in each line that is not blank.
pub(super) fn lines(path: &Path, text: &str) -> Result<Vec<Row>, MetadataError> {
    let filled = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let objects = filled.map(|(index, line)| object(path, index + 1, line));
    with_image_columns(path, objects.collect::<Result<_, _>>()?)
}

/// The values of a document, not read yet.
enum Entries<'a> {
    Listed(Vec<&'a RawValue>),
    Named(Vec<(String, &'a RawValue)>),
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("an array of objects, or an object with an object for each path")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some(raw) = items.next_element()? {
                    found.push(raw);
                }
                Ok(Entries::Listed(found))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some(entry) = items.next_entry()? {
                    found.push(entry);
                }
                Ok(Entries::Named(found))
            }
        }

        deserializer.deserialize_any(Form)
    }
}

/// The object in a text that starts at a line, with that line.
fn object(path: &Path, line: usize, text: &str) -> Result<(usize, Map<String, Value>), MetadataError> {
    match serde_json::from_str(text).map_err(|error| wrong(path, line, &error))? {
        Value::Object(object) => Ok((line, object)),
        _ => {
            let what = "an object with the values of an image belongs here".to_owned();
            Err(MetadataError::Syntax { path: path.to_owned(), line, what })
        }
    }
}

/// `error` in a text that starts at `line`, without the place that it counts from there.
fn wrong(path: &Path, line: usize, error: &serde_json::Error) -> MetadataError {
    let message = error.to_string();
    let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
    let what = format!("not JSON of the form that is read ({what}, column {})", error.column());
    MetadataError::Syntax { path: path.to_owned(), line: line + error.line().saturating_sub(1), what }
}

/// Takes the path out of each object.
fn with_image_columns(
    path: &Path,
    objects: Vec<(usize, Map<String, Value>)>,
) -> Result<Vec<Row>, MetadataError> {
    let has = |name: &&&str| objects.iter().any(|(_, values)| values.contains_key(**name));
    let column = IMAGE_COLUMNS.iter().find(has);
    let Some(&column) = column.or(objects.is_empty().then_some(&IMAGE_COLUMNS[0])) else {
        let found: BTreeSet<&str> =
            objects.iter().flat_map(|(_, values)| values.keys().map(String::as_str)).collect();
        let found = found.into_iter().collect::<Vec<_>>().join(", ");
        return Err(MetadataError::NoImageColumn { path: path.to_owned(), found });
    };
    let row = |(line, mut values): (usize, Map<String, Value>)| {
        let image = match values.remove(column) {
            None | Some(Value::Null) => None,
            Some(Value::String(image)) => Some(image).filter(|image| !image.is_empty()),
            Some(_) => {
                let what = format!("'{column}' is the path of an image, a text");
                return Err(MetadataError::Syntax { path: path.to_owned(), line, what });
            }
        };
        stored(path, line, image, values)
    };
    objects.into_iter().map(row).collect()
}

fn stored(
    path: &Path,
    line: usize,
    image: Option<String>,
    mut values: Map<String, Value>,
) -> Result<Row, MetadataError> {
    values.retain(|_, value| !value.is_null());
    match reserved(values.keys().map(String::as_str)) {
        Some(column) => {
            Err(MetadataError::Reserved { path: path.to_owned(), line, column: column.to_owned() })
        }
        None => Ok(Row { line, image, values }),
    }
}
