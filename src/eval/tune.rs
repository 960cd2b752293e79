//! Which layer of a model and which preparation suit images best, without labels: each is rated by how many patches of changed
//! tiles are identified among those of the unchanged ones. How many dimensions to drop is chosen the same way.

use std::fmt::Write;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use super::encoder::{Mapping, sessions};
use super::identify::{Identification, shares};
use super::measures::Mean;
use super::transformation::Condition;
use super::{EvalError, IdentifyOptions, InOrder, Machine};
use crate::collection::{CREATED_BY, MODEL_PREPARATION, PreparationChoice};
use crate::dims::{Method, Moments, Source};
use crate::ingest::Sources;
use crate::metric::Metric;
use crate::model::{Model, ModelOptions};

/// Dimensions that may be dropped, beside as many as stand out: the numbers of arXiv 2401.00463's authors.
pub(super) const DROPPED: [usize; 10] = [10, 20, 30, 40, 50, 100, 200, 400, 600, 750];
/// What dropping must gain to be worth it: less is within what another choice of images would change.
const LEAST_GAIN: f64 = 0.02;

/// What is rated.
pub struct TuneOptions {
    /// Outputs of the graph; none: all that give tokens.
    pub outputs: Vec<String>,
    /// Preparations.
    pub preparations: Vec<Source>,
    /// How vectors are compared.
    pub metric: Metric,
    /// Pictures that go through the model at the same time.
    pub threads: usize,
    /// How patches are identified, and under which conditions.
    pub identify: IdentifyOptions,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct TuneReport {
    /// Always `tune`.
    pub protocol: &'static str,
    /// What wrote it.
    pub created_by: &'static str,
    /// The images.
    pub data: InOrder<Value>,
    /// Name of the model.
    pub model: String,
    /// BLAKE3 of its graph.
    pub model_digest: String,
    /// Which graph.
    pub variant: String,
    /// The similarity.
    pub similarity: String,
    /// What tiles went through.
    pub conditions: Vec<String>,
    /// What it was measured on.
    pub machine: Machine,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The settings, best first.
    pub settings: Vec<Setting>,
    /// Place of the one to use: of those that are not surely worse than the best, the one of the deepest layer, and of that the best.
    /// Between two images of an object lies more than what tiles go through, and deeper layers bear more of it.
    pub chosen: usize,
}

/// A layer with a preparation.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Output of the graph.
    pub output: String,
    /// The preparation as it is written.
    pub preparation: String,
    /// Numbers in a vector.
    pub dim: usize,
    /// Share of the patches that were identified: the mean of the conditions.
    pub same_patch: Mean,
    /// How much better the best setting is, tile by tile; none for the best.
    pub behind: Option<Mean>,
    /// The same by condition.
    pub metrics: InOrder<Mean>,
}

/// A preparation that was rated on the tokens of one layer.
struct Rated {
    preparation: String,
    dim: usize,
    /// For each condition the share of each tile.
    shares: Vec<Vec<f64>>,
}

impl Rated {
    /// The mean of the conditions, tile by tile.
    fn of_tiles(&self) -> Vec<f64> {
        let tiles = self.shares.first().map_or(0, Vec::len);
        let mean = |tile: usize| self.shares.iter().map(|shares| shares[tile]).sum::<f64>();
        (0..tiles).map(|tile| mean(tile) / self.shares.len() as f64).collect()
    }

    fn mean(&self) -> Mean {
        mean(&self.of_tiles())
    }

    /// How much better `self` is than `other`, tile by tile.
    fn ahead_of(&self, other: &Self) -> Mean {
        let pairs = self.of_tiles().into_iter().zip(other.of_tiles());
        mean(&pairs.map(|(mine, theirs)| mine - theirs).collect::<Vec<_>>())
    }
}

/// There is at least one tile.
fn mean(values: &[f64]) -> Mean {
    Mean::of(values).unwrap_or(Mean { value: 0.0, ci95: None, queries: 0 })
}

impl TuneReport {
    /// How a table of figures starts.
    pub const CSV_START: &str = "output,preparation,";

    /// One line a setting, best first, under a line of names.
    pub fn to_csv(&self) -> String {
        let mut text = format!("{}dim,same_patch,ci95_low,ci95_high,behind\n", Self::CSV_START);
        for Setting { output, preparation, dim, same_patch, behind, .. } in &self.settings {
            let [low, high] =
                [0, 1].map(|end| same_patch.ci95.map_or_else(String::new, |ci95| ci95[end].to_string()));
            let behind = behind.map_or(0.0, |behind| behind.value);
            let _ = writeln!(text, "{output},{preparation},{dim},{},{low},{high},{behind}", same_patch.value);
        }
        text
    }

    /// The setting to use; none where nothing was rated.
    pub fn choice(&self) -> Option<&Setting> {
        self.settings.get(self.chosen)
    }

    /// Why it is the choice.
    pub fn reason(&self) -> String {
        let named = |setting: &Setting| format!("{} with {}", setting.output, setting.preparation);
        let (Some(best), Some(choice)) = (self.settings.first(), self.choice()) else { return String::new() };
        let identified =
            format!("{} identifies {:.3} of the patches", named(choice), choice.same_patch.value);
        match choice.behind {
            None => format!(
                "{identified}: more than any other setting, and none of a deeper layer is about as good."
            ),
            Some(Mean { value, .. }) => format!(
                "{identified}: {value:.3} less than {}, which may be chance, and of the deepest layer of which that is so.",
                named(best)
            ),
        }
    }
}

/// The images, and how they are identified.
struct Task<'a> {
    sources: &'a Sources,
    threads: usize,
    metric: Metric,
    options: &'a IdentifyOptions,
}

impl Task<'_> {
    /// Rates the preparations that `choose` gives, once the moments of the tokens are known. `progress` is told of every image that
    /// is done; there are one more times as many as conditions.
    fn rate(
        &self,
        model: &Model,
        choose: impl FnOnce(&Moments) -> Vec<Source>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(Vec<Rated>, InOrder<Value>), EvalError> {
        let Self { sources, threads, metric, options } = *self;
        let task = Identification::new(sources, model, threads, options)?;
        let mut sessions = sessions(model, threads)?;
        let (images, conditions) = (task.images(), &options.conditions);
        let mut tokens = |step: usize, condition: Option<Condition>| {
            let told = &mut |done| progress(step * images + done, images * (conditions.len() + 1));
            task.tokens(model, &mut sessions, condition, told)
        };
        let clean = tokens(0, None)?;
        let changed = conditions.iter().enumerate().map(|(at, &one)| tokens(at + 1, Some(one)));
        let changed = changed.collect::<Result<Vec<_>, EvalError>>()?;
        let dim = model.spec.hidden_size;
        let moments = task.moments(&clean, dim);
        let rate = |source: Source| {
            let choice = PreparationChoice::of(&source, dim, &model.spec.dir)?;
            let mapping = Mapping::fitted(&choice, metric, || moments.clone())?;
            let database = task.vectors(&mapping, &clean);
            let index = task.index(&mapping, &database);
            let of_condition = |(&condition, tokens): (&Condition, &Vec<Vec<f32>>)| {
                let queries = task.vectors(&mapping, tokens);
                shares(&task.identified(index.as_ref(), &queries, Some(condition))).collect()
            };
            let shares = conditions.iter().zip(&changed).map(of_condition).collect();
            Ok(Rated { preparation: source.to_string(), dim: mapping.dim(), shares })
        };
        let rated = choose(&moments).into_iter().map(rate).collect::<Result<_, EvalError>>()?;
        Ok((rated, task.data(sources)))
    }
}

/// Rates layers and preparations of `model`. `progress` is told how many of how many images are done.
///
/// # Errors
/// As [`super::run_identify`]; an output that the graph lacks.
pub fn run_tune(
    sources: &Sources,
    model: &Model,
    options: &TuneOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<TuneReport, EvalError> {
    let start = Instant::now();
    let outputs = match options.outputs.as_slice() {
        [] => token_outputs(model),
        outputs => outputs.to_vec(),
    };
    let TuneOptions { metric, threads, identify, .. } = options;
    let task = Task { sources, threads: *threads, metric: *metric, options: identify };
    let mut rated: Vec<(String, Rated)> = Vec::new();
    let mut data = InOrder(Vec::new());
    for (at, output) in outputs.iter().enumerate() {
        let read_there = reading(model, output)?;
        let told = &mut |done, of| progress(at * of + done, outputs.len() * of);
        let preparations = options.preparations.iter().filter(|source| applies(source, model, output));
        let (of_layer, told) = task.rate(&read_there, |_| preparations.cloned().collect(), told)?;
        data = told;
        rated.extend(of_layer.into_iter().map(|one| (output.clone(), one)));
    }
    // Stable: of equal ones the earlier layer, then the simpler preparation comes first.
    rated.sort_by(|a, b| b.1.mean().value.total_cmp(&a.1.mean().value));
    let setting = |(place, (output, one)): (usize, &(String, Rated))| Setting {
        output: output.clone(),
        preparation: one.preparation.clone(),
        dim: one.dim,
        same_patch: one.mean(),
        behind: (place > 0).then(|| rated[0].1.ahead_of(one)),
        metrics: InOrder(
            identify
                .conditions
                .iter()
                .zip(&one.shares)
                .map(|(condition, shares)| (format!("same_patch.{}", condition.name()), mean(shares)))
                .collect(),
        ),
    };
    let settings: Vec<Setting> = rated.iter().enumerate().map(setting).collect();
    let as_good = |one: &&(usize, &Setting)| {
        one.1.behind.is_none_or(|behind| behind.ci95.is_some_and(|[low, _]| low <= 0.0))
    };
    let tied = settings.iter().enumerate().filter(|one| as_good(&one));
    // Of equal layers the first, which is the best.
    let chosen = tied.rev().max_by_key(|(_, one)| layer(&one.output)).map_or(0, |(at, _)| at);
    Ok(TuneReport {
        protocol: "tune",
        created_by: CREATED_BY,
        data,
        model: model.spec.name.clone(),
        model_digest: model.digest.clone(),
        variant: model.spec.variant.clone(),
        similarity: metric.name.to_owned(),
        conditions: identify.conditions.iter().map(Condition::name).collect(),
        machine: Machine::this(),
        seconds: start.elapsed().as_secs_f64(),
        settings,
        chosen,
    })
}

/// Whether a preparation can be rated at that output: the model's own is for the output that the model's folder names.
fn applies(source: &Source, model: &Model, output: &str) -> bool {
    let own = model.spec.dir.join(MODEL_PREPARATION);
    *source != Source::Model || (own.is_file() && model.spec.output.as_deref() == Some(output))
}

/// Outputs that give tokens, in the order of the graph, the last layer last.
fn token_outputs(model: &Model) -> Vec<String> {
    let is_tokens =
        |shape: &[i64]| shape.len() == 3 && [-1, model.spec.hidden_size as i64].contains(&shape[2]);
    let mut found: Vec<String> = model
        .facts
        .outputs
        .iter()
        .filter(|port| is_tokens(&port.shape))
        .map(|port| port.name.clone())
        .collect();
    found.sort_by_key(|name| layer(name));
    found
}

/// Depth of the layer that an output is named after; the last one has no number.
fn layer(output: &str) -> u32 {
    output.rsplit('.').next().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
}

/// The same model, read at another output.
fn reading(model: &Model, output: &str) -> Result<Model, EvalError> {
    let options = ModelOptions {
        variant: Some(model.spec.variant.clone()),
        output: Some(output.to_owned()),
        inputs: model.inputs.clone(),
        runtime: model.runtime(),
    };
    Ok(Model::open(&model.spec.dir, &options)?)
}

/// How many dimensions to drop, and what dropping does.
#[derive(Clone, Debug, Serialize)]
pub struct DropChoice {
    /// Dimensions of highest variance to drop; 0 where dropping does not help.
    pub drop: usize,
    /// What was tried, in order; the first drops none.
    pub curve: Vec<DropPoint>,
}

/// What dropping so many dimensions does.
#[derive(Clone, Debug, Serialize)]
pub struct DropPoint {
    /// Dimensions of highest variance that are dropped.
    pub drop: usize,
    /// Share of the patches that were identified.
    pub same_patch: Mean,
    /// How much more than without dropping, tile by tile.
    pub gain: Mean,
}

/// Chooses how many of the dimensions of highest variance to drop: the least number with which about as many patches are identified
/// as with any, if that is surely and noticeably more than without dropping. Tried are the numbers that arXiv 2401.00463's authors use, and as many as
/// stand out: up to where the variances, in descending order, fall by the largest factor.
///
/// # Errors
/// As [`super::run_identify`].
pub fn choose_drop(
    sources: &Sources,
    model: &Model,
    metric: Metric,
    threads: usize,
    options: &IdentifyOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<DropChoice, EvalError> {
    let mut tried: Vec<usize> = Vec::new();
    let choose = |moments: &Moments| {
        tried = numbers(&moments.variance());
        tried.iter().map(|&n| Source::Own(if n == 0 { Method::None } else { Method::Drop(n) })).collect()
    };
    let (rated, _) = Task { sources, threads, metric, options }.rate(model, choose, progress)?;
    let none = &rated[0];
    let points = tried.into_iter().zip(&rated).map(|(drop, one)| DropPoint {
        drop,
        same_patch: one.mean(),
        gain: one.ahead_of(none),
    });
    let curve: Vec<DropPoint> = points.collect();
    let helps = |point: &&DropPoint| {
        point.gain.value >= LEAST_GAIN && point.gain.ci95.is_some_and(|[low, _]| low > 0.0)
    };
    let most = curve.iter().filter(helps).map(|point| point.same_patch.value).fold(0.0, f64::max);
    let as_good = |point: &&DropPoint| point.same_patch.value > most - LEAST_GAIN;
    let drop = curve.iter().filter(helps).find(as_good).map_or(0, |point| point.drop);
    Ok(DropChoice { drop, curve })
}

/// Numbers of dimensions to try dropping, from none.
fn numbers(variance: &[f64]) -> Vec<usize> {
    let mut tried: Vec<usize> = DROPPED.into_iter().filter(|&n| n < variance.len()).chain([0]).collect();
    tried.extend(standing_out(variance));
    tried.sort_unstable();
    tried.dedup();
    tried
}

/// How many dimensions stand out by their variance: up to the largest fall among the upper half.
fn standing_out(variance: &[f64]) -> Option<usize> {
    let mut sorted = variance.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let fall = |n: &usize| sorted[n - 1] / sorted[*n].max(f64::MIN_POSITIVE);
    (1..=sorted.len() / 2).filter(|&n| sorted[n] > 0.0).max_by(|a, b| fall(a).total_cmp(&fall(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_out_is_what_lies_above_the_largest_fall() {
        let mut variance = vec![1.0; 40];
        assert_eq!(numbers(&variance)[0], 0);
        (0..7).for_each(|at| variance[at * 5] = 400.0 + at as f64);
        assert_eq!(standing_out(&variance), Some(7));
        assert_eq!(numbers(&variance), [0, 7, 10, 20, 30]);
        assert_eq!(standing_out(&[]), None);
        assert_eq!(standing_out(&[0.0, 0.0, 0.0]), None);
    }
}
