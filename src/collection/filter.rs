//! The condition that images are chosen by: its text, its columns, and which rows of a segment meet it.

mod parser;
mod predicate;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

pub use parser::FilterError;
use predicate::{Predicate, type_name};
use serde_json::Value;

/// A condition on columns, such as `camera = 'c2' and year >= 2020`. As in SQL, a comparison with a missing value is
/// unknown, `not` leaves it unknown, and what is unknown does not match.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    text: String,
    condition: Condition,
}

/// Chains are lists, so that only parentheses and `not` make it deep.
#[derive(Clone, Debug, PartialEq)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Predicate { column: String, predicate: Predicate },
}

/// The values of one column, each distinct value once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// For each row: 0 no value, else 1 + index into `values`.
    pub codes: Vec<u32>,
    /// The distinct values.
    pub values: Vec<Value>,
}

/// The columns of a segment.
pub trait Columns {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// The column `name`; none when no row has a value in it.
    fn column(&self, name: &str) -> Option<Column>;
}

/// A comparison of a column with what none of its values can be compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// The column.
    pub column: String,
    /// Types of its values.
    pub holds: BTreeSet<&'static str>,
    /// Types that the condition asks for.
    pub compared_with: BTreeSet<&'static str>,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let joined = |types: &BTreeSet<&'static str>| types.iter().copied().collect::<Vec<_>>().join(" and ");
        write!(
            f,
            "column '{}' holds {} only and is compared with {}; text stands in single quotes, numbers do not",
            self.column,
            joined(&self.holds),
            joined(&self.compared_with)
        )
    }
}

impl Filter {
    /// The first comparison of a column of `segments` with values of other types than all of its own.
    pub(super) fn mismatch(&self, segments: &[impl Columns]) -> Option<Mismatch> {
        let mut predicates = Vec::new();
        self.condition.add_predicates(&mut predicates);
        let found = |(column, predicate): (&str, &Predicate)| {
            let values = segments.iter().filter_map(|columns| columns.column(column));
            let holds: BTreeSet<_> =
                values.flat_map(|column| column.values).map(|value| type_name(&value)).collect();
            let compared_with = predicate.types();
            let differ = !holds.is_empty() && !compared_with.is_empty() && holds.is_disjoint(&compared_with);
            differ.then(|| Mismatch { column: column.to_owned(), holds, compared_with })
        };
        predicates.into_iter().find_map(found)
    }

    /// Names of the columns that the condition is on.
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut predicates = Vec::new();
        self.condition.add_predicates(&mut predicates);
        predicates.into_iter().map(|(column, _)| column).collect()
    }

    /// For each row, whether it meets the condition.
    pub fn matches(&self, columns: &dyn Columns) -> Vec<bool> {
        let fetch = |name| (name, columns.column(name).unwrap_or_default());
        let fetched: BTreeMap<&str, Column> = self.columns().into_iter().map(fetch).collect();
        let truths = self.condition.truths(columns.rows(), &fetched);
        truths.into_iter().map(|truth| truth == Some(true)).collect()
    }
}

impl Condition {
    fn add_predicates<'a>(&'a self, found: &mut Vec<(&'a str, &'a Predicate)>) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.add_predicates(found)),
            Self::Not(part) => part.add_predicates(found),
            Self::Predicate { column, predicate } => found.push((column, predicate)),
        }
    }

    /// Whether the condition holds, row by row; `None` where that is unknown.
    fn truths(&self, rows: usize, columns: &BTreeMap<&str, Column>) -> Vec<Option<bool>> {
        let joined = |parts: &[Self], join: fn(Option<bool>, Option<bool>) -> Option<bool>, empty| {
            parts.iter().fold(vec![Some(empty); rows], |mut sum, part| {
                let truths = part.truths(rows, columns);
                sum.iter_mut().zip(truths).for_each(|(sum, truth)| *sum = join(*sum, truth));
                sum
            })
        };
        match self {
            Self::All(parts) => joined(parts, and, true),
            Self::Any(parts) => joined(parts, or, false),
            Self::Not(part) => {
                let mut truths = part.truths(rows, columns);
                truths.iter_mut().for_each(|truth| *truth = truth.map(|truth| !truth));
                truths
            }
            Self::Predicate { column, predicate } => {
                let missing = predicate.truth(None);
                let Some(column) = columns.get(column.as_str()) else { return vec![missing; rows] };
                let known: Vec<_> = column.values.iter().map(|value| predicate.truth(Some(value))).collect();
                let truth = |row| {
                    let code: u32 = column.codes.get(row).copied().unwrap_or(0);
                    let value = (code as usize).checked_sub(1).and_then(|index| known.get(index));
                    value.copied().unwrap_or(missing)
                };
                (0..rows).map(truth).collect()
            }
        }
    }
}

fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Ok(Self { text: text.to_owned(), condition: parser::parse(text)? })
    }
}

#[cfg(test)]
mod tests;
