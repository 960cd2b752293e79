//! The metadata of a collection as columns of one kind each.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::collection::{Collection, CollectionError};
use crate::exchange::{ColumnKind, MetadataColumn};

/// Whole numbers beyond it are not all numbers in double precision.
const EXACT: i64 = 1 << 53;

/// The columns that any image of the collection has a value in, in order of their names. Values of several kinds make a
/// column of text.
pub(super) fn columns(collection: &Collection) -> Result<Vec<MetadataColumn>, CollectionError> {
    let mut kinds: BTreeMap<&str, Kinds> = BTreeMap::new();
    for segment in collection.segments() {
        let Some(table) = segment.metadata()? else { continue };
        for (at, name) in table.columns().iter().enumerate() {
            let kinds = kinds.entry(name).or_default();
            table.values(at).iter().for_each(|value| kinds.add(value));
        }
    }
    let column =
        |(name, kinds): (&str, Kinds)| MetadataColumn { name: name.to_owned(), kind: kinds.joined() };
    Ok(kinds.into_iter().map(column).collect())
}

/// A value as a cell of a column: in a column of text, what is no text stands as JSON.
pub(super) fn cell(value: &Value, kind: ColumnKind) -> Value {
    match (kind, value) {
        (ColumnKind::Text, Value::String(_) | Value::Null) => value.clone(),
        (ColumnKind::Text, _) => value.to_string().into(),
        _ => value.clone(),
    }
}

/// Which kinds of values were seen.
#[derive(Default)]
struct Kinds {
    boolean: bool,
    /// Within the range in which double precision has all whole numbers.
    integer: bool,
    /// Beyond that range.
    long: bool,
    number: bool,
    /// Texts, lists, objects, whole numbers beyond 64 bits.
    other: bool,
}

impl Kinds {
    fn add(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(_) => self.boolean = true,
            Value::Number(number) => match number.as_i64() {
                Some(number) if (-EXACT..=EXACT).contains(&number) => self.integer = true,
                Some(_) => self.long = true,
                None if number.is_u64() => self.other = true,
                None => self.number = true,
            },
            _ => self.other = true,
        }
    }

    fn joined(&self) -> ColumnKind {
        match (self.boolean, self.integer || self.long, self.number, self.other) {
            (true, false, false, false) => ColumnKind::Boolean,
            (false, true, false, false) => ColumnKind::Integer,
            (false, _, true, false) if !self.long => ColumnKind::Number,
            _ => ColumnKind::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_column_has_the_one_kind_that_loses_nothing() {
        let kind = |values: &[Value]| {
            let mut kinds = Kinds::default();
            values.iter().for_each(|value| kinds.add(value));
            kinds.joined()
        };
        assert_eq!(kind(&[json!(true), json!(null)]), ColumnKind::Boolean);
        assert_eq!(kind(&[json!(1), json!(i64::MIN)]), ColumnKind::Integer);
        assert_eq!(kind(&[json!(1), json!(0.5)]), ColumnKind::Number);
        for mixed in [
            &[json!("a")][..],
            &[json!(true), json!(1)],
            &[json!(i64::MAX), json!(0.5)],
            &[json!(u64::MAX)],
            &[json!([1])],
            &[json!(1), json!("1")],
        ] {
            assert_eq!(kind(mixed), ColumnKind::Text, "{mixed:?}");
        }
        assert_eq!(cell(&json!(1), ColumnKind::Text), json!("1"));
        assert_eq!(cell(&json!("a"), ColumnKind::Text), json!("a"));
        assert_eq!(cell(&json!(1), ColumnKind::Integer), json!(1));
    }
}
