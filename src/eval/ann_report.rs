//! The figures of one run, as JSON and CSV.

use std::fmt::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::{DataReport, Machine, Memory};
use crate::index::HnswParameters;
use crate::storage::Residency;

/// The figures of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnReport {
    /// What was searched and asked.
    pub data: DataReport,
    /// What it was measured on.
    pub machine: Machine,
    /// Neighbours asked for.
    pub k: usize,
    /// How graphs were made.
    pub parameters: HnswParameters,
    /// How often everything was asked.
    pub rounds: usize,
    /// How files of indexes lay in memory.
    pub residency: Residency,
    /// Threads that built the indexes.
    pub build_threads: usize,
    /// Each kind of index.
    pub indexes: Vec<IndexReport>,
    /// Each kind with each `ef` and number of threads.
    pub points: Vec<AnnPoint>,
}

/// What a kind of index costs before it is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexReport {
    /// The kind.
    pub index: &'static str,
    /// Seconds that building took.
    pub build_s: f64,
    /// Bytes beside the vectors.
    pub index_bytes: u64,
    /// Milliseconds from the file's name to the first answer, with the file in the page cache.
    pub open_ms: f64,
    /// ... with the file out of the page cache, and the vectors in memory; none where that was not asked for, or the system
    /// cannot take a file out.
    pub cold_open_ms: Option<f64>,
    /// Memory while it was built; none where the system does not say.
    pub memory: Option<Memory>,
}

/// One point of the plot.
#[derive(Clone, Debug, PartialEq)]
pub struct AnnPoint {
    /// The kind of index.
    pub index: &'static str,
    /// Nodes that it kept in view; none for an exact one.
    pub ef: Option<usize>,
    /// Threads that asked: one asks query after query, more ask all together.
    pub threads: usize,
    /// Queries asked in each round.
    pub queries: usize,
    /// Mean recall at k by [`TieRule::BIG_ANN`](super::TieRule::BIG_ANN).
    pub recall: f64,
    /// ... by [`TieRule::ANN_BENCHMARKS`](super::TieRule::ANN_BENCHMARKS).
    pub recall_ann_benchmarks: f64,
    /// Queries a second in the round in the middle.
    pub qps: f64,
    /// ... in the slowest round.
    pub qps_min: f64,
    /// ... in the fastest round.
    pub qps_max: f64,
    /// Median microseconds of a query in the round in the middle; none where queries were asked together.
    pub p50_us: Option<f64>,
    /// ... of which 95 in 100 were faster.
    pub p95_us: Option<f64>,
    /// ... of which 99 in 100 were faster.
    pub p99_us: Option<f64>,
    /// Whether none with as many threads beats it in recall and speed.
    pub pareto: bool,
}

impl AnnReport {
    /// One line a point, under a line of names.
    pub fn to_csv(&self) -> String {
        let mut text = format!(
            "index,ef,m,ef_construction,builder,threads,queries,recall_at_{0},recall_at_{0}_ann_benchmarks,",
            self.k
        );
        text += "qps,qps_min,qps_max,p50_us,p95_us,p99_us,pareto,build_s,index_bytes,open_ms\n";
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        for point in &self.points {
            let HnswParameters { builder, m, ef_construction, .. } = self.parameters;
            let [ef, m, ef_construction] = match point.ef {
                Some(ef) => [ef, m, ef_construction].map(|value| value.to_string()),
                None => Default::default(),
            };
            let index = self.indexes.iter().find(|index| index.index == point.index);
            let cells = [
                point.index.to_owned(),
                ef,
                m,
                ef_construction,
                point.ef.map_or_else(String::new, |_| builder.name.to_owned()),
                point.threads.to_string(),
                point.queries.to_string(),
                point.recall.to_string(),
                point.recall_ann_benchmarks.to_string(),
                point.qps.to_string(),
                point.qps_min.to_string(),
                point.qps_max.to_string(),
                number(point.p50_us),
                number(point.p95_us),
                number(point.p99_us),
                point.pareto.to_string(),
                number(index.map(|index| index.build_s)),
                index.map_or_else(String::new, |index| index.index_bytes.to_string()),
                number(index.map(|index| index.open_ms)),
            ];
            let _ = writeln!(text, "{}", cells.join(","));
        }
        text
    }

    fn point(&self, point: &AnnPoint) -> Value {
        let HnswParameters { builder, m, ef_construction, .. } = self.parameters;
        let params = match point.ef {
            Some(ef) => {
                json!({"builder": builder.name, "ef": ef, "m": m, "ef_construction": ef_construction})
            }
            None => json!({}),
        };
        json!({
            "index": point.index,
            "params": params,
            (format!("recall_at_{}", self.k)): point.recall,
            (format!("recall_at_{}_ann_benchmarks", self.k)): point.recall_ann_benchmarks,
            "qps": point.qps,
            "qps_min": point.qps_min,
            "qps_max": point.qps_max,
            "p50_us": point.p50_us,
            "p95_us": point.p95_us,
            "p99_us": point.p99_us,
            "threads": point.threads,
            "queries": point.queries,
            "pareto": point.pareto,
        })
    }

    fn of_each_index(&self, figure: impl Fn(&IndexReport) -> Value) -> Value {
        self.indexes.iter().map(|index| (index.index.to_owned(), figure(index))).collect()
    }
}

impl Serialize for AnnReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("data", &self.data)?;
        map.serialize_entry("machine", &self.machine)?;
        map.serialize_entry("k", &self.k)?;
        map.serialize_entry("rounds", &self.rounds)?;
        map.serialize_entry("residency", self.residency.name())?;
        map.serialize_entry(
            "points",
            &self.points.iter().map(|point| self.point(point)).collect::<Vec<_>>(),
        )?;
        map.serialize_entry("build_s", &self.of_each_index(|index| index.build_s.into()))?;
        map.serialize_entry("build_threads", &self.build_threads)?;
        map.serialize_entry("index_bytes", &self.of_each_index(|index| index.index_bytes.into()))?;
        map.serialize_entry("open_ms", &self.of_each_index(|index| index.open_ms.into()))?;
        map.serialize_entry("cold_open_ms", &self.of_each_index(|index| json!(index.cold_open_ms)))?;
        map.serialize_entry("build_memory", &self.of_each_index(|index| json!(index.memory)))?;
        map.end()
    }
}
