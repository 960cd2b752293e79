//! A question about one value: comparisons, lists, ranges, patterns. What cannot be compared is unknown.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::Value;

/// What is asked of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Predicate {
    Equal(Literal),
    Unequal(Literal),
    Less(Literal),
    LessOrEqual(Literal),
    Greater(Literal),
    GreaterOrEqual(Literal),
    In(Vec<Literal>),
    Between(Literal, Literal),
    Like(Vec<char>),
    Null,
    True,
}

/// A value that stands in a condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// Finite.
    Number(f64),
    Text(String),
    Bool(bool),
}

/// A type of value, as messages name it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Number(_) => NUMBERS,
        Value::String(_) => TEXT,
        Value::Bool(_) => TRUTH_VALUES,
        Value::Null => "missing values",
        Value::Array(_) | Value::Object(_) => "lists",
    }
}

const NUMBERS: &str = "numbers";
const TEXT: &str = "text";
const TRUTH_VALUES: &str = "truth values";

impl Predicate {
    /// Names of the types that a value must be of one of, to be compared at all; none where any will do.
    pub(super) fn types(&self) -> BTreeSet<&'static str> {
        match self {
            Self::Equal(literal)
            | Self::Unequal(literal)
            | Self::Less(literal)
            | Self::LessOrEqual(literal)
            | Self::Greater(literal)
            | Self::GreaterOrEqual(literal) => BTreeSet::from([literal.type_name()]),
            Self::In(literals) => literals.iter().map(Literal::type_name).collect(),
            Self::Between(low, high) => BTreeSet::from([low.type_name(), high.type_name()]),
            Self::Like(_) => BTreeSet::from([TEXT]),
            Self::Null => BTreeSet::new(),
            Self::True => BTreeSet::from([TRUTH_VALUES]),
        }
    }

    /// Whether a value, or its absence, passes; `None` when that is unknown.
    pub(super) fn truth(&self, value: Option<&Value>) -> Option<bool> {
        let Some(value) = value else { return matches!(self, Self::Null).then_some(true) };
        let ordered = |literal: &Literal, passes: fn(Ordering) -> bool| literal.compare(value).map(passes);
        match self {
            Self::Equal(literal) => Some(literal.equals(value)),
            Self::Unequal(literal) => Some(!literal.equals(value)),
            Self::Less(literal) => ordered(literal, Ordering::is_lt),
            Self::LessOrEqual(literal) => ordered(literal, Ordering::is_le),
            Self::Greater(literal) => ordered(literal, Ordering::is_gt),
            Self::GreaterOrEqual(literal) => ordered(literal, Ordering::is_ge),
            Self::In(literals) => Some(literals.iter().any(|literal| literal.equals(value))),
            Self::Between(low, high) => {
                super::and(ordered(low, Ordering::is_ge), ordered(high, Ordering::is_le))
            }
            Self::Like(pattern) => value.as_str().map(|text| is_like(text, pattern)),
            Self::Null => Some(false),
            Self::True => value.as_bool(),
        }
    }
}

impl Literal {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Number(_) => NUMBERS,
            Self::Text(_) => TEXT,
            Self::Bool(_) => TRUTH_VALUES,
        }
    }

    fn equals(&self, value: &Value) -> bool {
        self.compare(value) == Some(Ordering::Equal)
    }

    /// How the value compares with the literal; none when they are of different types.
    fn compare(&self, value: &Value) -> Option<Ordering> {
        match (value, self) {
            (Value::Number(value), Self::Number(literal)) => value.as_f64()?.partial_cmp(literal),
            (Value::String(value), Self::Text(literal)) => Some(value.cmp(literal)),
            (Value::Bool(value), Self::Bool(literal)) => Some(value.cmp(literal)),
            _ => None,
        }
    }
}

/// `%` stands for any characters, `_` for one. Of all `%` only the last that was met is tried again, so the work is at
/// most the product of both lengths.
fn is_like(text: &str, pattern: &[char]) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut in_pattern) = (0, 0);
    let mut last: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(in_pattern) {
            Some('%') => {
                last = Some((at, in_pattern + 1));
                in_pattern += 1;
            }
            Some(&wanted) if wanted == '_' || wanted == text[at] => {
                (at, in_pattern) = (at + 1, in_pattern + 1)
            }
            _ => {
                let Some((start, after)) = last else { return false };
                last = Some((start + 1, after));
                (at, in_pattern) = (start + 1, after);
            }
        }
    }
    pattern[in_pattern..].iter().all(|&rest| rest == '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        let like = |text: &str, pattern: &str| is_like(text, &pattern.chars().collect::<Vec<_>>());
        for (text, pattern) in [
            ("", ""),
            ("", "%"),
            ("abc", "a%"),
            ("abc", "%b%"),
            ("abc", "a_c"),
            ("é", "_"),
            ("aab", "%ab"),
            ("abab", "a%_b"),
        ] {
            assert!(like(text, pattern), "'{text}' like '{pattern}'");
        }
        for (text, pattern) in
            [("", "_"), ("abc", "ab"), ("abc", "A%"), ("abc", "%b"), ("ab", "a%_b"), ("a", "")]
        {
            assert!(!like(text, pattern), "'{text}' not like '{pattern}'");
        }
    }

    #[test]
    fn a_pattern_of_many_wildcards_ends() {
        let pattern: Vec<char> = ("%a".repeat(500) + "b").chars().collect();
        assert!(!is_like(&"a".repeat(2000), &pattern));
    }
}
