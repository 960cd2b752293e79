//! The figures of a protocol on images of its own, as JSON and CSV: the same shape for every protocol.

use std::fmt::Write;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use super::encoder::{Encoder, Mapping};
use super::measures::{CI95_RESAMPLES, Mean};
use super::{InOrder, Machine, ModelData};
use crate::collection::CREATED_BY;
use crate::core::Bbox;
use crate::picture::Picture;

/// A whole run.
#[derive(Clone, Debug)]
pub struct ProtocolReport {
    /// The protocol's name.
    pub protocol: &'static str,
    /// What it was measured on: paths, counts, digests.
    pub data: InOrder<Value>,
    /// What made the vectors.
    pub model: ModelData,
    /// Dimensions of a token that the preparation drops.
    pub dims_dropped: usize,
    /// How it was measured.
    pub options: InOrder<Value>,
    /// What it was measured on.
    pub machine: Machine,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Means, by names of the form `measure.condition.level`.
    pub metrics: InOrder<Mean>,
    /// What means are over: tiles, pairs of frames, images.
    pub per_query: Vec<QueryFigures>,
    /// What a page shows: the best and the worst.
    pub examples: Vec<Example>,
}

/// One of what means are over.
#[derive(Clone, Debug, Serialize)]
pub struct QueryFigures {
    /// What it is called.
    pub query: String,
    /// The queries that are alike are of one group: the tiles of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its figures; null where one says nothing.
    pub metrics: InOrder<Option<f64>>,
}

/// Pictures with boxes drawn over them.
#[derive(Clone, Debug)]
pub struct Example {
    /// What there is to be seen.
    pub caption: String,
    /// The pictures, from left to right.
    pub panels: Vec<Panel>,
}

/// A picture with boxes.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The picture.
    pub picture: Picture,
    /// Boxes in its pixels, and what each is.
    pub marks: Vec<(Bbox, Mark)>,
}

/// What a box over an example is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// What was asked for.
    Query,
    /// Found, and right.
    Right,
    /// Found, and wrong.
    Wrong,
    /// What would have been right.
    True,
}

impl ModelData {
    /// What made the vectors of a protocol.
    pub(super) fn of_encoder(encoder: &Encoder, mapping: &Mapping) -> Self {
        let (model, preparation) = (&encoder.model, &mapping.preparation);
        Self {
            name: model.spec.name.clone(),
            variant: model.spec.variant.clone(),
            digest: model.digest.clone(),
            output: model.output.clone(),
            preparation: preparation.method.clone(),
            preparation_digest: preparation.digest(),
            similarity: mapping.metric.name.to_owned(),
            provider: model.device,
        }
    }
}

/// The first `count` of a list and the last, each once.
pub(super) fn best_and_worst<T>(order: &[T], count: usize) -> impl Iterator<Item = &T> {
    let best = count.min(order.len());
    let worst = order.len().saturating_sub(count).max(best);
    order[..best].iter().chain(&order[worst..])
}

/// Means of figures over queries, measure by measure, in the order in which the first query has them.
pub(super) fn means(per_query: &[QueryFigures]) -> InOrder<Mean> {
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in per_query.iter().flat_map(|query| &query.metrics.0) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mean = |name: &String| {
        let values = per_query.iter().filter_map(|query| query.metrics.named(name).copied().flatten());
        Some((name.clone(), Mean::of(&values.collect::<Vec<f64>>())?))
    };
    InOrder(measure_by_measure(names.into_iter().filter_map(mean).collect()))
}

/// Figures in the order in which their measures first come.
pub(super) fn measure_by_measure<T>(mut figures: Vec<(String, T)>) -> Vec<(String, T)> {
    let measure = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let mut measures: Vec<String> = Vec::new();
    for name in figures.iter().map(|(name, _)| measure(name)) {
        if !measures.contains(&name) {
            measures.push(name);
        }
    }
    figures.sort_by_key(|(name, _)| measures.iter().position(|own| *own == measure(name)));
    figures
}

impl ProtocolReport {
    /// One line a figure under a line of names.
    pub fn to_csv(&self) -> String {
        let mut text = "metric,value,ci95_low,ci95_high,queries\n".to_owned();
        for (name, Mean { value, ci95, queries }) in &self.metrics.0 {
            let [low, high] = [0, 1].map(|end| ci95.map_or_else(String::new, |ci95| ci95[end].to_string()));
            let _ = writeln!(text, "{name},{value},{low},{high},{queries}");
        }
        text
    }

    /// Metrics that differ in a level alone, `measure.condition.level`: for each condition its measures, and of each the levels in
    /// ascending order.
    pub fn curves(&self) -> Vec<Curves<'_>> {
        let mut found: Vec<Curves<'_>> = Vec::new();
        for (name, mean) in &self.metrics.0 {
            let mut parts = name.splitn(3, '.');
            let (Some(measure), Some(condition), Some(level)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let Ok(level) = level.parse::<f64>() else { continue };
            if condition == "class" {
                // Classes are in no order.
                continue;
            }
            let at = found.iter().position(|one| one.condition == condition).unwrap_or_else(|| {
                found.push(Curves { condition, measures: Vec::new() });
                found.len() - 1
            });
            let measures = &mut found[at].measures;
            match measures.iter_mut().find(|(own, _)| *own == measure) {
                Some((_, points)) => points.push((level, *mean)),
                None => measures.push((measure, vec![(level, *mean)])),
            }
        }
        for (_, points) in found.iter_mut().flat_map(|one| &mut one.measures) {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        found
    }
}

/// The measures of a condition, each at some levels.
pub struct Curves<'a> {
    /// The condition.
    pub condition: &'a str,
    /// Names of measures with their levels and means.
    pub measures: Vec<(&'a str, Vec<(f64, Mean)>)>,
}

impl Serialize for ProtocolReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("protocol", self.protocol)?;
        map.serialize_entry("created_by", CREATED_BY)?;
        map.serialize_entry("data", &self.data)?;
        map.serialize_entry("model", &self.model)?;
        map.serialize_entry("dims_dropped", &self.dims_dropped)?;
        map.serialize_entry("options", &self.options)?;
        map.serialize_entry("machine", &self.machine)?;
        map.serialize_entry("seconds", &self.seconds)?;
        map.serialize_entry("ci95_resamples", &CI95_RESAMPLES)?;
        map.serialize_entry("metrics", &self.metrics)?;
        map.serialize_entry("per_query", &self.per_query)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Device;

    fn query(name: &str, metrics: &[(&str, Option<f64>)]) -> QueryFigures {
        let metrics = metrics.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        QueryFigures { query: name.to_owned(), group: None, metrics: InOrder(metrics) }
    }

    #[test]
    fn means_leave_out_what_says_nothing_and_come_measure_by_measure() {
        let queries = [
            query("a", &[("z.gap.8", Some(0.5)), ("y.gap.8", None), ("x.gap.8", Some(1.0))]),
            query("b", &[("z.gap.8", Some(1.0)), ("z.gap.24", Some(0.0))]),
        ];
        let means = means(&queries);
        let told: Vec<(&str, f64, usize)> =
            means.0.iter().map(|(name, mean)| (name.as_str(), mean.value, mean.queries)).collect();
        assert_eq!(told, [("z.gap.8", 0.75, 2), ("z.gap.24", 0.0, 1), ("x.gap.8", 1.0, 1)]);
    }

    #[test]
    fn curves_are_metrics_that_differ_in_their_level() {
        let levels =
            [("z.gap.24", Some(0.5)), ("z.gap.8", Some(1.0)), ("y.scale.0.8", Some(0.1)), ("z.all", None)];
        let per_query = vec![query("a", &levels)];
        let report = ProtocolReport {
            protocol: "track",
            data: InOrder(Vec::new()),
            model: ModelData {
                name: String::new(),
                variant: String::new(),
                digest: String::new(),
                output: String::new(),
                preparation: String::new(),
                preparation_digest: String::new(),
                similarity: String::new(),
                provider: Device::Cpu,
            },
            dims_dropped: 0,
            options: InOrder(Vec::new()),
            machine: Machine::this(),
            seconds: 0.0,
            metrics: means(&per_query),
            per_query,
            examples: Vec::new(),
        };
        let curves = report.curves();
        let told: Vec<(&str, &str, Vec<f64>)> = curves
            .iter()
            .flat_map(|one| {
                one.measures
                    .iter()
                    .map(|(name, points)| (one.condition, *name, points.iter().map(|p| p.0).collect()))
            })
            .collect();
        assert_eq!(told, [("gap", "z", vec![8.0, 24.0]), ("scale", "y", vec![0.8])]);
        assert!(report.to_csv().starts_with("metric,value,"));
    }
}
