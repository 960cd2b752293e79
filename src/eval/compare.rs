//! Runs of a protocol side by side: each figure of every run, and how much it differs from that of the first, query by query, with
//! the interval that drawing queries anew gives.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::measures::{Mean, Part};
use super::{EvalError, InOrder};
use crate::storage::StorageError;

/// What is read of a report.
#[derive(Deserialize)]
struct Report {
    protocol: String,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    model: Value,
    #[serde(default)]
    options: Value,
    metrics: serde_json::Map<String, Value>,
    per_query: Vec<Query>,
}

#[derive(Deserialize)]
struct Query {
    query: String,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    metrics: HashMap<String, Option<f64>>,
}

/// Runs side by side.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Always `compare`.
    pub protocol: &'static str,
    /// The protocol of the runs.
    pub of: String,
    /// The runs; all others are compared with the first.
    pub runs: Vec<Run>,
    /// Options in which runs differ, `plan.ef` for `ef` of `plan`, with the value of every run; null where it has none.
    pub options: InOrder<Vec<Value>>,
    /// Figures that all runs have, by name and level.
    pub metrics: InOrder<Compared>,
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Its file.
    pub file: String,
    /// Model, layer, preparation and similarity, as far as it says.
    pub made_of: String,
    /// Whether it was measured on the data of the first.
    pub same_data: bool,
}

/// A figure of every run.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Of each run.
    pub values: Vec<f64>,
    /// Of each run but the first: how much more than the first, the mean over the queries that both have a value of.
    pub differences: Vec<Option<Mean>>,
}

/// Reads and compares the reports in `files`, which `patchdex eval ... --json` printed.
///
/// # Errors
/// A file that is no such report, reports of different protocols, no figure that all have.
pub fn compare(files: &[PathBuf]) -> Result<Comparison, EvalError> {
    let reports = files.iter().map(|file| read(file)).collect::<Result<Vec<Report>, EvalError>>()?;
    let wrong = |at: usize, wrong: String| EvalError::Report { file: files[at].clone(), wrong };
    let Some(first) = reports.first() else {
        return Err(EvalError::Report { file: PathBuf::new(), wrong: "no report was given".to_owned() });
    };
    if let Some(at) = reports.iter().position(|report| report.protocol != first.protocol) {
        let (this, other) = (&reports[at].protocol, &first.protocol);
        return Err(wrong(at, format!("it is of protocol {this}, {} of {other}", files[0].display())));
    }
    let value = |report: &Report, name: &str| report.metrics.get(name)?.get("value")?.as_f64();
    let in_all = |name: &&String| reports.iter().all(|report| value(report, name).is_some());
    let compared = |name: &String| {
        let values = reports.iter().filter_map(|report| value(report, name)).collect();
        let differences = reports[1..].iter().map(|report| difference(first, report, name)).collect();
        (name.clone(), Compared { values, differences })
    };
    let mut metrics: Vec<(String, Compared)> = first.metrics.keys().filter(in_all).map(compared).collect();
    metrics.sort_by(|a, b| by_level(&a.0, &b.0));
    if metrics.is_empty() {
        return Err(wrong(0, "it shares no figure with the others".to_owned()));
    }
    let run = |(file, report): (&PathBuf, &Report)| Run {
        file: file.display().to_string(),
        made_of: made_of(&report.model),
        same_data: !digests(&first.data).is_empty() && digests(&report.data) == digests(&first.data),
    };
    Ok(Comparison {
        protocol: "compare",
        of: first.protocol.clone(),
        runs: files.iter().zip(&reports).map(run).collect(),
        options: differing(&reports),
        metrics: InOrder(metrics),
    })
}

/// By name, but levels as numbers: `gap.8` before `gap.24`.
fn by_level(a: &str, b: &str) -> Ordering {
    let parts = |name: &str| {
        let (mut parts, mut level) = (name.splitn(3, '.'), None);
        let start = [parts.next(), parts.next()].map(|part| part.unwrap_or_default().to_owned());
        if let Some(rest) = parts.next() {
            level = rest.parse::<f64>().ok();
        }
        (start, level)
    };
    let ((start_a, level_a), (start_b, level_b)) = (parts(a), parts(b));
    let levels = level_a.zip(level_b).map_or(Ordering::Equal, |(a, b)| a.total_cmp(&b));
    start_a.cmp(&start_b).then(levels).then_with(|| a.cmp(b))
}

fn read(file: &Path) -> Result<Report, EvalError> {
    let bytes = std::fs::read(file).map_err(StorageError::at("read", file))?;
    serde_json::from_slice(&bytes).map_err(|source| EvalError::Report {
        file: file.to_owned(),
        wrong: format!("no report of 'patchdex eval ... --json': {source}"),
    })
}

/// Options in which reports differ, in the order of names.
fn differing(reports: &[Report]) -> InOrder<Vec<Value>> {
    let all: Vec<BTreeMap<String, Value>> = reports.iter().map(|report| flat("", &report.options)).collect();
    let names: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    let values = |name: &String| -> Vec<Value> {
        all.iter().map(|options| options.get(name).cloned().unwrap_or_default()).collect()
    };
    let named = names.into_iter().map(|name| (name.clone(), values(name)));
    InOrder(named.filter(|(_, values)| values.iter().any(|value| *value != values[0])).collect())
}

/// What an object holds, with what objects in it hold.
fn flat(name: &str, value: &Value) -> BTreeMap<String, Value> {
    match value {
        Value::Object(object) => {
            let inner = |(key, value): (&String, &Value)| {
                flat(&if name.is_empty() { key.clone() } else { format!("{name}.{key}") }, value)
            };
            object.iter().flat_map(inner).collect()
        }
        Value::Null if name.is_empty() => BTreeMap::new(),
        value => BTreeMap::from([(name.to_owned(), value.clone())]),
    }
}

/// How much more `other` has than `first`, over the queries that both have.
fn difference<'a>(first: &'a Report, other: &Report, name: &str) -> Option<Mean> {
    let value = |query: &Query| query.metrics.get(name).copied().flatten();
    let theirs: HashMap<&str, f64> =
        other.per_query.iter().filter_map(|query| Some((query.query.as_str(), value(query)?))).collect();
    let mut groups: HashMap<&str, usize> = HashMap::new();
    let part = |query: &'a Query| {
        let (name, group) = (query.query.as_str(), query.group.as_deref());
        let right = theirs.get(name)? - value(query)?;
        let next = groups.len();
        // Queries without a group are each alone.
        let group = *groups.entry(group.unwrap_or(name)).or_insert(next);
        Some(Part { right, asked: 1.0, group })
    };
    Mean::of_groups(&first.per_query.iter().filter_map(part).collect::<Vec<Part>>())
}

fn made_of(model: &Value) -> String {
    let said = ["name", "variant", "output", "preparation", "similarity"].map(|key| model[key].as_str());
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// All digests of some data.
fn digests(data: &Value) -> Vec<&Value> {
    let is_digest = |key: &&String| key.ends_with("digest");
    data.as_object()
        .into_iter()
        .flat_map(|data| data.keys().filter(is_digest).map(|key| &data[key]))
        .collect()
}

impl Comparison {
    /// The value of an option: a text as it is, all else as JSON, a dash where a run has none.
    pub fn shown(value: &Value) -> String {
        match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    }

    /// How a table of figures starts.
    pub const CSV_START: &str = "metric,run,";

    /// One line a figure and run under a line of names.
    pub fn to_csv(&self) -> String {
        use std::fmt::Write;
        let mut text = format!("{}value,difference,ci95_low,ci95_high,queries\n", Self::CSV_START);
        for (name, Compared { values, differences }) in &self.metrics.0 {
            let none = std::iter::once(&None);
            for ((run, value), mean) in self.runs.iter().zip(values).zip(none.chain(differences)) {
                let shown = |part: Option<f64>| part.map_or_else(String::new, |part| part.to_string());
                let end = |end: usize| shown(mean.and_then(|mean| mean.ci95).map(|ci95| ci95[end]));
                let (more, low, high) = (shown(mean.map(|mean| mean.value)), end(0), end(1));
                let queries = mean.map_or(0, |mean| mean.queries);
                let file = run.file.replace('"', "\"\"");
                let _ = writeln!(text, "{name},\"{file}\",{value},{more},{low},{high},{queries}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(folder: &Path, name: &str, protocol: &str, values: &[(&str, f64)]) -> PathBuf {
        let per_query: Vec<Value> = values
            .iter()
            .map(|(query, value)| json!({"query": query, "metrics": {"map": value, "none": null}}))
            .collect();
        let mean = values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64;
        let report = json!({
            "protocol": protocol, "data": {"digest": "d"}, "model": {"name": name}, "per_query": per_query,
            "metrics": {"map": {"value": mean}, "other": {"value": 1.0}},
        });
        let file = folder.join(name);
        std::fs::write(&file, report.to_string()).unwrap();
        file
    }

    #[test]
    fn options_that_differ_are_named_with_the_value_of_every_run() {
        let folder = tempfile::tempdir().unwrap();
        let with = |name: &str, options: Value| {
            let mut report: Value = serde_json::from_slice(
                &std::fs::read(report(folder.path(), name, "track", &[("1", 0.2)])).unwrap(),
            )
            .unwrap();
            report["options"] = options;
            std::fs::write(folder.path().join(name), report.to_string()).unwrap();
            folder.path().join(name)
        };
        let a = with("a", json!({"samples": 1, "views": "whole", "plan": {"ef": 8, "top": 5}}));
        let b = with(
            "b",
            json!({"samples": "adaptive", "views": "whole", "plan": {"ef": 9, "top": 5}, "every": 8}),
        );
        let compared = compare(&[a, b]).unwrap();
        let expected =
            [("every", json!([null, 8])), ("plan.ef", json!([8, 9])), ("samples", json!([1, "adaptive"]))];
        assert_eq!(serde_json::to_value(&compared.options).unwrap(), json!(BTreeMap::from(expected)));
    }

    #[test]
    fn levels_are_in_the_order_of_numbers() {
        let mut names = ["x.gap.24", "miou", "x.gap.8", "a.b.c", "x.gap.100"];
        names.sort_by(|a, b| by_level(a, b));
        assert_eq!(names, ["a.b.c", "miou", "x.gap.8", "x.gap.24", "x.gap.100"]);
    }

    #[test]
    fn differences_are_over_the_queries_that_both_have() {
        let folder = tempfile::tempdir().unwrap();
        let a = report(folder.path(), "a", "track", &[("1", 0.2), ("2", 0.4), ("3", 0.9)]);
        let b = report(folder.path(), "b", "track", &[("2", 0.5), ("1", 0.3), ("4", 0.0)]);
        let compared = compare(&[a.clone(), b.clone()]).unwrap();
        let map = compared.metrics.named("map").unwrap();
        let mean = map.differences[0].unwrap();
        assert!((mean.value - 0.1).abs() < 1e-12 && mean.queries == 2, "{mean:?}");
        assert!(compared.metrics.named("other").unwrap().differences[0].is_none());
        assert!(compared.runs[1].same_data && compared.runs[1].made_of == "b");
        assert_eq!(compared.to_csv().lines().count(), 5);
        let c = report(folder.path(), "c", "identify", &[("1", 0.2)]);
        let told = compare(&[a.clone(), c]).unwrap_err().to_string();
        assert!(told.contains("identify") && told.contains("track"), "{told}");
        std::fs::write(&b, "{}").unwrap();
        assert!(compare(&[a, b]).unwrap_err().to_string().contains("no report"));
    }
}
