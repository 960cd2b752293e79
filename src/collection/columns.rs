//! The columns that a condition may name: what the user said about the images, and what is known of every image.

use std::collections::{BTreeSet, HashMap};

use patchdex_format::MetadataTable;
use serde_json::Value;

use super::{Collection, CollectionError, Column, Columns, Filter};
use crate::segment::{ImageView, OpenSegmentError, Segment};

/// Name of a column, and its value for an image.
type BuiltIn = (&'static str, fn(&ImageView<'_>) -> Value);

/// What is known of every image, whatever was said about it.
const BUILT_IN: [BuiltIn; 4] = [
    ("image", |image| image.path_text().into()),
    ("width", |image| image.row.width_px.into()),
    ("height", |image| image.row.height_px.into()),
    ("bytes", |image| image.row.file_bytes.into()),
];

impl Collection {
    /// Names that a condition may have: columns of what was said about any image, and of what is known of every image.
    ///
    /// # Errors
    /// Damage.
    pub fn columns(&self) -> Result<BTreeSet<&str>, CollectionError> {
        let mut known: BTreeSet<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        for segment in self.segments() {
            known
                .extend(segment.metadata()?.into_iter().flat_map(MetadataTable::columns).map(String::as_str));
        }
        Ok(known)
    }

    /// For each segment, which rows of its image table meet the condition.
    ///
    /// # Errors
    /// A column that no image has, or damage.
    pub fn matching(&self, filter: &Filter) -> Result<Vec<Vec<bool>>, CollectionError> {
        let segments = self.segments().iter().map(SegmentColumns::of).collect::<Result<Vec<_>, _>>()?;
        let known = self.columns()?;
        if let Some(name) = filter.columns().into_iter().find(|name| !known.contains(name)) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(CollectionError::NoColumn {
                path: self.path().to_owned(),
                name: name.to_owned(),
                known,
            });
        }
        Ok(segments.iter().map(|columns| filter.matches(columns)).collect())
    }

    /// Which column the condition compares with what none of its values can be compared with, as a sentence.
    ///
    /// # Errors
    /// Damage.
    pub fn mismatch(&self, filter: &Filter) -> Result<Option<String>, CollectionError> {
        let segments = self.segments().iter().map(SegmentColumns::of).collect::<Result<Vec<_>, _>>()?;
        Ok(filter.mismatch(&segments).map(|mismatch| mismatch.to_string()))
    }
}

/// The columns of one segment.
struct SegmentColumns<'a> {
    images: Vec<ImageView<'a>>,
    table: Option<&'a MetadataTable>,
}

impl<'a> SegmentColumns<'a> {
    fn of(segment: &'a Segment) -> Result<Self, OpenSegmentError> {
        Ok(Self { images: segment.images().collect::<Result<_, _>>()?, table: segment.metadata()? })
    }
}

impl Columns for SegmentColumns<'_> {
    fn rows(&self) -> usize {
        self.images.len()
    }

    fn column(&self, name: &str) -> Option<Column> {
        if let Some((_, value)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            return Some(coded(self.images.iter().map(value)));
        }
        let table = self.table?;
        let column = table.columns().iter().position(|column| column == name)?;
        Some(Column {
            codes: (0..table.len()).map(|row| table.code(row, column)).collect(),
            values: table.values(column).to_vec(),
        })
    }
}

/// A column of values, each distinct one once.
fn coded(values: impl Iterator<Item = Value>) -> Column {
    let mut column = Column::default();
    let mut codes: HashMap<Value, u32> = HashMap::new();
    for value in values {
        let next = column.values.len() as u32 + 1;
        let code = *codes.entry(value.clone()).or_insert(next);
        if code == next {
            column.values.push(value);
        }
        column.codes.push(code);
    }
    column
}
