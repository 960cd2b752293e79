//! The metadata of a segment's images: named columns of JSON values, each distinct value stored once.
//!
//! A condition on a column is decided once for each of its distinct values; the codes carry it to the images.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write};

use serde_json::{Map, Value};

use crate::{Cause, ContainerWriter, Element, FormatError, Layout};

/// Collects the metadata of images in row order, then writes it as a `metadata` file.
#[derive(Default)]
pub struct MetadataWriter {
    rows: usize,
    columns: BTreeMap<String, ColumnWriter>,
}

#[derive(Default)]
struct ColumnWriter {
    /// Ends with the last row that has a value.
    codes: Vec<u32>,
    values: Vec<Value>,
    /// JSON text of a value to its code: as text, `1` and `1.0` are two values, and so are `0.0` and `-0.0`.
    known: HashMap<String, u32>,
}

impl ColumnWriter {
    fn set(&mut self, row: usize, value: &Value) {
        let code = *self.known.entry(value.to_string()).or_insert_with(|| {
            self.values.push(value.clone());
            self.values.len() as u32
        });
        self.codes.resize(row, 0);
        self.codes.push(code);
    }
}

impl MetadataWriter {
    /// Most columns of a file: with two more sections they stay below the sections that a container may have.
    pub const MAX_COLUMNS: usize = 1000;

    /// Adds the next image's values by column. Null is no value.
    pub fn push(&mut self, row: &Map<String, Value>) {
        for (name, value) in row.iter().filter(|(_, value)| !value.is_null()) {
            match self.columns.get_mut(name) {
                Some(column) => column.set(self.rows, value),
                None => self.columns.entry(name.clone()).or_default().set(self.rows, value),
            }
        }
        self.rows += 1;
    }

    /// Whether no image has a value: then there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The sink's; `InvalidInput` without a value, or with more than [`MetadataWriter::MAX_COLUMNS`].
    pub fn write<W: Write>(&self, sink: W, created_by: &str) -> io::Result<W> {
        let count = self.columns.len();
        if count == 0 || count > Self::MAX_COLUMNS {
            let what = format!(
                "{count} columns of metadata; 1 to {} can be stored, leave some out",
                Self::MAX_COLUMNS
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let mut writer = ContainerWriter::new(sink, MetadataTable::KIND, created_by)?;
        let names: Vec<&String> = self.columns.keys().collect();
        writer.section("columns", Element::U8, 1, &serde_json::to_vec(&names)?)?;
        writer.begin("codes", Element::U32, count as u32)?;
        let mut codes = Vec::with_capacity(count);
        for row in 0..self.rows {
            codes.clear();
            codes.extend(self.columns.values().map(|column| column.codes.get(row).copied().unwrap_or(0)));
            writer.rows(&codes)?;
        }
        for (index, column) in self.columns.values().enumerate() {
            writer.section(&values_section(index), Element::U8, 1, &serde_json::to_vec(&column.values)?)?;
        }
        writer.finish()
    }
}

/// The content of a `metadata` file.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataTable {
    columns: Vec<String>,
    values: Vec<Vec<Value>>,
    /// Row by row.
    codes: Vec<u32>,
}

impl MetadataTable {
    /// Container kind of the file.
    pub const KIND: &'static str = "metadata";

    /// Reads the whole file, whose layout was parsed before.
    ///
    /// # Errors
    /// A missing or foreign section, text that is not the JSON it should be, or a code without a value.
    pub fn parse(layout: &Layout, bytes: &[u8]) -> Result<Self, FormatError> {
        let columns: Vec<String> = read_json(layout, bytes, "columns", "no list of names")?;
        if columns.is_empty() || columns.iter().collect::<BTreeSet<_>>().len() != columns.len() {
            return Err(fault(layout, "columns", "no names, or one that stands twice"));
        }
        let section = layout.section("codes")?;
        if section.cols as usize != columns.len() {
            let what = format!("{} codes in a row for {} columns", section.cols, columns.len());
            return Err(fault(layout, "codes", what));
        }
        // As bytes, they may start on any address.
        let codes = layout.slice::<[u8; 4]>(bytes, "codes", Element::U32)?;
        let codes: Vec<u32> = codes.iter().map(|&code| u32::from_le_bytes(code)).collect();
        let values = (0..columns.len()).map(|index| {
            let name = values_section(index);
            let values: Vec<Value> = read_json(layout, bytes, &name, "no list of values")?;
            match values.iter().any(Value::is_null) {
                true => Err(fault(layout, &name, "null as a value")),
                false => Ok(values),
            }
        });
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let coded = |row: &[u32]| row.iter().zip(&values).all(|(&code, known)| code as usize <= known.len());
        match codes.chunks_exact(columns.len()).position(|row| !coded(row)) {
            Some(row) => Err(fault(layout, "codes", format!("row {row} has a code without a value"))),
            None => Ok(Self { columns, values, codes }),
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.codes.len() / self.columns.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The distinct values of a column; none of a column that does not exist.
    pub fn values(&self, column: usize) -> &[Value] {
        self.values.get(column).map_or(&[], Vec::as_slice)
    }

    /// 1 + index into the column's values; 0 where the image has none, or image or column do not exist.
    pub fn code(&self, row: usize, column: usize) -> u32 {
        let code = || self.codes.chunks_exact(self.columns.len()).nth(row)?.get(column).copied();
        code().unwrap_or(0)
    }

    /// The values that an image has, by column.
    pub fn row(&self, row: usize) -> Map<String, Value> {
        let cell = |(column, name): (usize, &String)| {
            let index = (self.code(row, column) as usize).checked_sub(1)?;
            Some((name.clone(), self.values(column).get(index)?.clone()))
        };
        self.columns.iter().enumerate().filter_map(cell).collect()
    }
}

fn values_section(column: usize) -> String {
    format!("values.{column}")
}

fn read_json<T: serde::de::DeserializeOwned>(
    layout: &Layout,
    bytes: &[u8],
    section: &str,
    otherwise: &str,
) -> Result<T, FormatError> {
    let text = layout.slice::<u8>(bytes, section, Element::U8)?;
    serde_json::from_slice(text).map_err(|error| fault(layout, section, format!("{otherwise}: {error}")))
}

fn fault(layout: &Layout, section: &str, what: impl Into<String>) -> FormatError {
    let offset = layout.section(section).ok().map(|section| section.offset);
    FormatError::section(section, offset, Cause::Structure { what: what.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(bytes: &[u8]) -> Result<MetadataTable, FormatError> {
        MetadataTable::parse(&Layout::parse(bytes, MetadataTable::KIND)?, bytes)
    }

    fn write(rows: &[Map<String, Value>]) -> io::Result<Vec<u8>> {
        let mut writer = MetadataWriter::default();
        rows.iter().for_each(|row| writer.push(row));
        writer.write(Vec::new(), "test 1")
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// A file whose sections are these, whether they belong together or not.
    fn file(columns: &[u8], codes: (u32, &[u32]), values: &[&[u8]]) -> Vec<u8> {
        let mut writer = ContainerWriter::new(Vec::new(), MetadataTable::KIND, "test 1").unwrap();
        writer.section("columns", Element::U8, 1, columns).unwrap();
        writer.section("codes", Element::U32, codes.0, codes.1).unwrap();
        for (index, values) in values.iter().enumerate() {
            writer.section(&values_section(index), Element::U8, 1, values).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn columns_are_the_union_over_images_and_values_stand_once() {
        let rows = [
            object(json!({ "year": 2020, "camera": "c2" })),
            object(json!({ "note": null })),
            object(json!({ "camera": "c1", "tags": ["a", null] })),
            object(json!({ "camera": "c2", "year": 2020.0 })),
        ];
        let table = parse(&write(&rows).unwrap()).unwrap();
        assert_eq!(table.len(), 4);
        assert!(!table.is_empty());
        assert_eq!(table.columns(), ["camera", "tags", "year"]);
        assert_eq!(table.values(0), [json!("c2"), json!("c1")]);
        assert_eq!(table.values(2), [json!(2020), json!(2020.0)]);
        assert_eq!((0..5).map(|row| table.code(row, 0)).collect::<Vec<_>>(), [1, 0, 2, 1, 0]);
        assert_eq!((table.code(0, 3), table.values(3)), (0, &[][..]));
        assert_eq!(table.row(2), rows[2]);
        assert!(table.row(1).is_empty() && table.row(9).is_empty());
    }

    #[test]
    fn without_a_value_there_is_nothing_to_write() {
        let mut writer = MetadataWriter::default();
        writer.push(&object(json!({ "camera": null })));
        assert!(writer.is_empty());
        assert_eq!(writer.write(Vec::new(), "test").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_thousand_columns_are_the_most() {
        let wide = |count: usize| write(&[(0..count).map(|index| (index.to_string(), json!(1))).collect()]);
        assert_eq!(parse(&wide(1000).unwrap()).unwrap().columns().len(), 1000);
        let error = wide(1001).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("1001 columns"), "{error}");
    }

    #[test]
    fn sections_that_do_not_fit_together_are_named() {
        let sound = file(b"[\"a\"]", (1, &[1, 0]), &[b"[5]"]);
        assert_eq!(parse(&sound).unwrap().row(0), object(json!({ "a": 5 })));
        for (bytes, section) in [
            (file(b"[]", (1, &[]), &[]), "columns"),
            (file(b"[\"a\",\"a\"]", (2, &[]), &[b"[]", b"[]"]), "columns"),
            (file(b"{\"a\":1}", (1, &[]), &[b"[]"]), "columns"),
            (file(b"[\"a\"]", (2, &[1, 1]), &[b"[5]"]), "codes"),
            (file(b"[\"a\"]", (1, &[2]), &[b"[5]"]), "codes"),
            (file(b"[\"a\"]", (1, &[1]), &[b"[null]"]), "values.0"),
            (file(b"[\"a\"]", (1, &[1]), &[b"[5"]), "values.0"),
            (file(b"[\"a\"]", (1, &[1]), &[]), "values.0"),
        ] {
            assert_eq!(parse(&bytes).unwrap_err().section.as_deref(), Some(section));
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300f64..1e300).prop_map(Value::from),
            any::<f32>().prop_map(Value::from),
            ".{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 6, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(".{0,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_rows_are_read_back(rows in prop::collection::vec(
            prop::collection::btree_map("[a-d\"é]{0,2}", value(), 0..5), 0..12,
        )) {
            let rows: Vec<Map<String, Value>> = rows.into_iter().map(|row| row.into_iter().collect()).collect();
            let kept = rows.iter().map(|row| row.iter().filter(|(_, value)| !value.is_null()));
            let kept: Vec<Map<String, Value>> =
                kept.map(|row| row.map(|(name, value)| (name.clone(), value.clone())).collect()).collect();
            if kept.iter().any(|row| !row.is_empty()) {
                let bytes = write(&rows).unwrap();
                let table = parse(&bytes).unwrap();
                let read: Vec<_> = (0..table.len()).map(|row| table.row(row)).collect();
                prop_assert_eq!(read, kept);
            }
        }

        #[test]
        fn any_bytes_in_the_sections_give_a_value_or_an_error(
            columns in "\\PC{0,8}|\\[\"[ab]\"(,\"[abc]\"){0,2}\\]",
            codes in prop::collection::vec(0u32..4, 0..12),
            cols in 1u32..4,
            values in prop::collection::vec(
                "\\[[1-3],\"x\"\\]|\\[\\]|\\PC{0,8}".prop_map(String::into_bytes)
                    .boxed().prop_union(prop::collection::vec(any::<u8>(), 0..8).boxed()), 0..4,
            ),
        ) {
            let whole = codes.len() - codes.len() % cols as usize;
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let bytes = file(columns.as_bytes(), (cols, &codes[..whole]), &values);
            if let Ok(table) = parse(&bytes) {
                (0..=table.len()).for_each(|row| drop(table.row(row)));
            }
        }
    }
}
