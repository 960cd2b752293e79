//! Filters against an evaluator that asks row by row, and texts that are no filters.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Rows as a segment has them: columns of codes.
#[derive(Debug)]
struct Rows(Vec<Map<String, Value>>);

impl Columns for Rows {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn column(&self, name: &str) -> Option<Column> {
        let mut column = Column::default();
        for row in &self.0 {
            let value = row.get(name);
            let code = value.map_or(0, |value| {
                let known = column.values.iter().position(|known| known == value);
                known.unwrap_or_else(|| {
                    column.values.push(value.clone());
                    column.values.len() - 1
                }) as u32
                    + 1
            });
            column.codes.push(code);
        }
        (!column.values.is_empty()).then_some(column)
    }
}

fn rows(rows: Value) -> Rows {
    Rows(rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect())
}

/// Indices of the rows that match.
fn matching(text: &str, rows: &Rows) -> Vec<usize> {
    let matches = text.parse::<Filter>().unwrap().matches(rows);
    assert_eq!(matches.len(), rows.0.len());
    (0..matches.len()).filter(|&row| matches[row]).collect()
}

#[test]
fn comparisons_with_what_no_value_is_are_named() {
    let segments = [
        rows(json!([{ "year": 2019, "camera": "c1" }])),
        rows(json!([{ "year": 2020.5, "mixed": 1 }, { "mixed": "a", "night": true }])),
    ];
    for (text, expected) in [
        ("year = '2019'", Some(("year", "numbers", "text"))),
        ("camera is null or not year like '20%'", Some(("year", "numbers", "text"))),
        ("camera in (1, true)", Some(("camera", "text", "numbers"))),
        ("year", Some(("year", "numbers", "truth values"))),
        ("night = 1", Some(("night", "truth values", "numbers"))),
        ("mixed = 'b' and mixed > 7 and year in (1, 'a')", None),
        ("camera is null or other = 1", None),
    ] {
        let found = text.parse::<Filter>().unwrap().mismatch(&segments);
        assert_eq!(found.is_some(), expected.is_some(), "{text}");
        if let (Some(found), Some((column, holds, compared_with))) = (found, expected) {
            assert_eq!(found.column, column);
            assert!(found.holds.contains(holds) && found.compared_with.contains(compared_with), "{found}");
        }
    }
}

#[test]
fn every_form_finds_its_rows() {
    let rows = rows(json!([
        { "camera": "c1", "year": 2019, "night": true, "odd \"name": 1 },
        { "camera": "c2", "year": 2020.5, "night": false },
        { "camera": "C2", "in": "it's" },
        { "year": 2021, "camera": 7 },
    ]));
    for (text, expected) in [
        ("camera = 'c2'", vec![1]),
        ("camera == 'c2'", vec![1]),
        ("camera != 'c2'", vec![0, 2, 3]),
        ("camera<>'c2'and year>0", vec![0, 3]),
        ("year >= 2020.5", vec![1, 3]),
        ("year > 2.0205e3", vec![3]),
        ("year < +2020.5 OR year<=-1", vec![0]),
        ("not year < 2020", vec![1, 3]),
        ("camera > 'b'", vec![0, 1]),
        ("not camera > 'b'", vec![2]),
        ("camera in ('c1', 'C2', 7)", vec![0, 2, 3]),
        ("camera not in ('c1')", vec![1, 2, 3]),
        ("camera like 'c_'", vec![0, 1]),
        ("camera NOT LIKE 'c%'", vec![2]),
        ("year between 2019 and 2020.5 and night", vec![0]),
        ("year not between 2020 and 2021", vec![0]),
        ("year is null", vec![2]),
        ("year IS NOT NULL", vec![0, 1, 3]),
        ("night", vec![0]),
        ("not night", vec![1]),
        ("night = false or night > false", vec![0, 1]),
        ("camera or not camera", vec![]),
        ("\"in\" = 'it''s'", vec![2]),
        ("\"odd \"\"name\" = 1", vec![0]),
        ("nowhere = 1 or nowhere != 1", vec![]),
        ("nowhere is null", vec![0, 1, 2, 3]),
        ("night or year > 2020 and camera = 7", vec![0, 3]),
        ("(night or year > 2020) and camera = 7", vec![3]),
        ("not (year > 2020 and camera = 'x')", vec![0, 1, 2, 3]),
    ] {
        assert_eq!(matching(text, &rows), expected, "{text}");
    }
}

#[test]
fn a_filter_shows_its_text_and_names_its_columns() {
    let filter: Filter = "b = 1 and (not a or \"c d\" is null) and b < 2".parse().unwrap();
    assert_eq!(filter.to_string(), "b = 1 and (not a or \"c d\" is null) and b < 2");
    assert_eq!(filter.columns().into_iter().collect::<Vec<_>>(), ["a", "b", "c d"]);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, position, expected) in [
        ("", 1, "a column"),
        ("camera =", 9, "a value"),
        ("caméra = c2", 10, "a text in single quotes"),
        ("camera = \"c2\"", 10, "a text in single quotes"),
        ("camera = null", 10, "'is null'"),
        ("camera = 'c2", 10, "a closing '"),
        ("\"camera", 1, "a closing \""),
        ("a = 1 b", 7, "'and', 'or' or the end"),
        ("(a = 1", 7, "a closing parenthesis"),
        ("a in ()", 7, "a value"),
        ("a in (1 2)", 9, "a comma"),
        ("a like 5", 8, "a pattern"),
        ("a between 1 or 2", 13, "'and' with the upper bound"),
        ("a is 5", 6, "'null'"),
        ("a not = 5", 7, "'in', 'like' or 'between'"),
        ("2020 <= year", 1, "a column"),
        ("a = 1e999", 5, "a finite number"),
        ("a = 20x", 5, "a finite number"),
        ("a = - 5", 5, "a finite number"),
        ("a = 5 ; b", 7, "an operator"),
        ("select = 5 and and", 16, "a column"),
    ] {
        let error = text.parse::<Filter>().unwrap_err();
        assert_eq!(error.position(), position, "{text}: {error}");
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let error = "year > 'x' und".parse::<Filter>().unwrap_err().to_string();
    let whole = "the condition `year > 'x' und` stops making sense at character 12, `und`: \
                 'and', 'or' or the end belongs there";
    assert_eq!(error, whole);
}

#[test]
fn nesting_has_a_limit_and_length_has_none() {
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth)).parse::<Filter>();
    assert!(nested(64).is_ok());
    assert_eq!(nested(65).unwrap_err().position(), 65);
    assert!(nested(100_000).is_err());
    assert!(("not ".repeat(64) + "a").parse::<Filter>().is_ok());
    assert!(("not ".repeat(65) + "a").parse::<Filter>().is_err());
    let long = vec!["a = 1"; 20_000].join(" or ");
    assert_eq!(matching(&long, &rows(json!([{ "a": 1 }, { "a": 2 }]))), [0]);
}

#[test]
fn codes_without_a_value_are_missing_ones() {
    struct Wrong;
    impl Columns for Wrong {
        fn rows(&self) -> usize {
            3
        }
        fn column(&self, _: &str) -> Option<Column> {
            Some(Column { codes: vec![1, 9], values: vec![json!(5)] })
        }
    }
    assert_eq!("a = 5".parse::<Filter>().unwrap().matches(&Wrong), [true, false, false]);
    assert_eq!("a is null".parse::<Filter>().unwrap().matches(&Wrong), [false, true, true]);
}

/// A condition that is asked row by row.
#[derive(Clone, Debug)]
enum Naive {
    Compare(String, &'static str, Value),
    In(String, Vec<Value>),
    Between(String, Value, Value),
    Like(String, String),
    Null(String),
    Bare(String),
    Not(Box<Naive>),
    And(Box<Naive>, Box<Naive>),
    Or(Box<Naive>, Box<Naive>),
}

fn literal(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| format!("'{}'", text.replace('\'', "''")))
}

/// -1, 0 or 1 for values of one type.
fn order(a: &Value, b: &Value) -> Option<i8> {
    let sign = |ordering| ordering as i8;
    if let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) {
        return a.partial_cmp(&b).map(sign);
    }
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Some(sign(a.cmp(b)));
    }
    Some(sign(a.as_bool()?.cmp(&b.as_bool()?)))
}

fn like(text: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skipped| like(&text[skipped..], rest)),
        Some((&first, rest)) => {
            !text.is_empty() && (first == '_' || first == text[0]) && like(&text[1..], rest)
        }
    }
}

impl Naive {
    fn text(&self) -> String {
        match self {
            Self::Compare(column, sign, value) => format!("\"{column}\" {sign} {}", literal(value)),
            Self::In(column, values) => {
                format!("{column} in ({})", values.iter().map(literal).collect::<Vec<_>>().join(","))
            }
            Self::Between(column, low, high) => {
                format!("{column} between {} and {}", literal(low), literal(high))
            }
            Self::Like(column, pattern) => format!("{column} like {}", literal(&json!(pattern))),
            Self::Null(column) => format!("{column} is null"),
            Self::Bare(column) => column.clone(),
            Self::Not(part) => format!("not ({})", part.text()),
            Self::And(a, b) => format!("({}) and ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({} or {})", a.text(), b.text()),
        }
    }

    fn truth(&self, row: &Map<String, Value>) -> Option<bool> {
        match self {
            Self::Compare(column, sign, value) => {
                let found = order(row.get(column)?, value);
                match *sign {
                    "=" | "==" => Some(found == Some(0)),
                    "!=" | "<>" => Some(found != Some(0)),
                    "<" => Some(found? < 0),
                    "<=" => Some(found? <= 0),
                    ">" => Some(found? > 0),
                    _ => Some(found? >= 0),
                }
            }
            Self::In(column, values) => {
                let found = row.get(column)?;
                Some(values.iter().any(|value| order(found, value) == Some(0)))
            }
            Self::Between(column, low, high) => Self::And(
                Box::new(Self::Compare(column.clone(), ">=", low.clone())),
                Box::new(Self::Compare(column.clone(), "<=", high.clone())),
            )
            .truth(row),
            Self::Like(column, pattern) => {
                let chars = |text: &str| text.chars().collect::<Vec<_>>();
                Some(like(&chars(row.get(column)?.as_str()?), &chars(pattern)))
            }
            Self::Null(column) => Some(!row.contains_key(column)),
            Self::Bare(column) => row.get(column)?.as_bool(),
            Self::Not(part) => part.truth(row).map(|truth| !truth),
            Self::And(a, b) => {
                let both = [a.truth(row), b.truth(row)];
                if both.contains(&Some(false)) { Some(false) } else { both[0].and(both[1]) }
            }
            Self::Or(a, b) => {
                let both = [a.truth(row), b.truth(row)];
                if both.contains(&Some(true)) { Some(true) } else { both[0].and(both[1]) }
            }
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-3i64..4).prop_map(Value::from),
        (-3i64..4).prop_map(|whole| json!(whole as f64 / 2.0)),
        "[ab']{0,3}".prop_map(Value::from),
    ]
}

fn condition() -> impl Strategy<Value = Naive> {
    let column = || "[a-d]";
    let signs = prop::sample::select(vec!["=", "==", "!=", "<>", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        4 => (column(), signs, value()).prop_map(|(column, sign, value)| Naive::Compare(column, sign, value)),
        1 => (column(), prop::collection::vec(value(), 1..4))
            .prop_map(|(column, values)| Naive::In(column, values)),
        1 => (column(), value(), value()).prop_map(|(column, low, high)| Naive::Between(column, low, high)),
        1 => (column(), "[ab%_']{0,4}").prop_map(|(column, pattern)| Naive::Like(column, pattern)),
        1 => column().prop_map(Naive::Null),
        1 => column().prop_map(Naive::Bare),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let pair = (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        prop_oneof![
            inner.prop_map(|part| Naive::Not(Box::new(part))),
            pair.clone().prop_map(|(a, b)| Naive::And(a, b)),
            pair.prop_map(|(a, b)| Naive::Or(a, b)),
        ]
    })
}

fn any_rows() -> impl Strategy<Value = Rows> {
    let value = prop_oneof![8 => value(), 1 => Just(json!([1])), 1 => Just(json!({ "a": true }))];
    let row = prop::collection::btree_map("[a-c]", value, 0..4);
    let whole = |rows: Vec<BTreeMap<String, Value>>| {
        Rows(rows.into_iter().map(|row| row.into_iter().collect()).collect())
    };
    prop::collection::vec(row, 0..12).prop_map(whole)
}

proptest! {
    #[test]
    fn codes_give_what_asking_row_by_row_gives(condition in condition(), rows in any_rows()) {
        let text = condition.text();
        let expected: Vec<bool> = rows.0.iter().map(|row| condition.truth(row) == Some(true)).collect();
        prop_assert_eq!(text.parse::<Filter>().unwrap().matches(&rows), expected, "{}", text);
    }

    #[test]
    fn any_text_is_a_filter_or_an_error(text in "\\PC{0,40}") {
        let _ = text.parse::<Filter>();
    }

    #[test]
    fn any_words_are_a_filter_or_an_error(words in prop::collection::vec(prop::sample::select(vec![
        "a", "\"b\"", "'c'", "1", "-", "(", ")", ",", "=", "<", "and", "or", "not", "in", "is", "null", "like",
        "between", "true", "é", "'", "\"", " ",
    ]), 0..16), spaced in any::<bool>()) {
        let text = words.join(if spaced { " " } else { "" });
        if let Ok(filter) = text.parse::<Filter>() {
            prop_assert_eq!(filter.to_string(), text);
            filter.matches(&Rows(vec![Map::new()]));
        }
    }
}
