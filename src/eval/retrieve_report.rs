//! The figures of a retrieval run, as JSON and CSV.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;
use serde::ser::{Error, SerializeMap, Serializer};
use serde_json::json;

use super::measures::{CI95_RESAMPLES, Calibration, Mean, percentile};
use super::{LabelledSet, Machine, RetrieveOptions};
use crate::collection::CREATED_BY;
use crate::core::Bbox;
use crate::engine::Engine;
use crate::model::Device;
use crate::query::TimingMs;

/// Named values in their order; one object in JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct InOrder<T>(pub Vec<(String, T)>);

impl<T> InOrder<T> {
    /// Of values with their names.
    pub(super) fn named_as<const N: usize>(values: [(&str, T); N]) -> Self {
        Self(values.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// The value of a name.
    pub fn named(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }
}

impl<T: Serialize> Serialize for InOrder<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct RetrieveReport {
    /// What was asked of what.
    pub setup: RetrieveSetup,
    /// What it was measured on.
    pub machine: Machine,
    /// How it was measured.
    pub options: RetrieveOptions,
    /// Index that candidates came from.
    pub index: String,
    /// Queries that nothing was right for; they are in no mean.
    pub left_out: Vec<String>,
    /// Means over the queries.
    pub metrics: InOrder<Mean>,
    /// The same for parts of what is right.
    pub slices: Vec<Slice>,
    /// Where the time went.
    pub timing: StageTimes,
    /// Whether the probabilities of the first hits of every query are what they say; those of queries with nothing to find count,
    /// where these were asked.
    pub calibration: Option<Calibration>,
    /// What is found where nothing is right, where that was asked.
    pub absent: Option<Absent>,
    /// The same queries with stages of the plan left out.
    pub variants: Vec<Variant>,
    /// Each query, in the order of its file.
    pub per_query: Vec<QueryReport>,
}

/// What is found for objects that are not there: queries are asked with the images that are right and those of junk hidden.
#[derive(Clone, Debug, Serialize)]
pub struct Absent {
    /// Queries that were asked so.
    pub queries: usize,
    /// Share of them whose first hit is more likely right than not.
    pub found: Mean,
    /// Share of the queries with something to find whose first hit is more likely right than not.
    pub found_present: Mean,
    /// The probability that the first hits of one in a hundred of them pass.
    pub one_percent: f64,
    /// Share of a query's hits in images that are right that pass it; of the queries with something to find.
    pub right_above: Mean,
    /// Each of them.
    pub per_query: Vec<AbsentQuery>,
}

/// A query with nothing to find.
#[derive(Clone, Debug, Serialize)]
pub struct AbsentQuery {
    /// What its file calls it.
    pub query: String,
    /// What was found all the same, best first.
    #[serde(serialize_with = "on_one_line")]
    pub hits: Vec<JudgedHit>,
}

/// Figures by which plans with and without a stage are compared.
pub const VARIANT_FIGURES: [&str; 4] = ["map.trapezoidal", "cmc.1", "success.iou.0.5", "recall.iou.0.5"];

/// A run with a stage of the plan left out.
#[derive(Clone, Debug, Serialize)]
pub struct Variant {
    /// The stage.
    pub without: &'static str,
    /// Means over the queries.
    pub metrics: InOrder<Mean>,
    /// Where the time went.
    #[serde(rename = "timing_ms")]
    pub timing: StageTimes,
}

/// What was asked of what.
#[derive(Clone, Debug, Serialize)]
pub struct RetrieveSetup {
    /// The labelled sets.
    pub data: LabelledData,
    /// The collection.
    pub collection: CollectionData,
    /// What made its vectors.
    pub model: ModelData,
    /// Dimensions of a token that the preparation drops.
    pub dims_dropped: usize,
}

/// The labelled sets.
#[derive(Clone, Debug, Serialize)]
pub struct LabelledData {
    /// File of the gallery.
    pub gallery: String,
    /// The form that it has.
    pub gallery_form: &'static str,
    /// Its BLAKE3.
    pub gallery_digest: String,
    /// Images in it.
    pub images: usize,
    /// Boxes in it.
    pub boxes: usize,
    /// Instances in it.
    pub instances: usize,
    /// Images of the collection that are not in it.
    pub distractors: usize,
    /// File of the queries.
    pub queries: String,
    /// The form that it has.
    pub queries_form: &'static str,
    /// Its BLAKE3.
    pub queries_digest: String,
    /// Boxes in it.
    pub query_boxes: usize,
}

/// The collection.
#[derive(Clone, Debug, Serialize)]
pub struct CollectionData {
    /// Its folder.
    pub path: String,
    /// Its commit.
    pub commit: u64,
    /// BLAKE3 of its manifest, which holds the checksums of all files.
    pub digest: String,
    /// Images in it.
    pub images: usize,
    /// Long side of an image as the model sees it.
    pub long_side_px: u32,
    /// Element kind of the stored vectors.
    pub vectors: String,
}

/// What made the vectors.
#[derive(Clone, Debug, Serialize)]
pub struct ModelData {
    /// Name of the model.
    pub name: String,
    /// Which of its graphs: `fp32`, `int8`, ...
    pub variant: String,
    /// BLAKE3 of its graph.
    pub digest: String,
    /// Output of the graph.
    pub output: String,
    /// The preparation as it is written.
    pub preparation: String,
    /// BLAKE3 of it; empty for none.
    pub preparation_digest: String,
    /// The similarity.
    pub similarity: String,
    /// Where ONNX Runtime ran the graph.
    pub provider: Device,
}

impl RetrieveSetup {
    /// What `engine` is asked with these sets.
    pub(super) fn of(
        engine: &Engine,
        gallery: &LabelledSet,
        queries: &LabelledSet,
        distractors: usize,
    ) -> Self {
        let collection = engine.collection();
        let manifest = collection.manifest();
        let (model, preparation) = (&manifest.model, &manifest.preparation);
        let drops = ["drop:", "keep:"].iter().any(|method| preparation.spec.starts_with(method));
        Self {
            data: LabelledData {
                gallery: gallery.file.display().to_string(),
                gallery_form: gallery.form,
                gallery_digest: gallery.digest.clone(),
                images: gallery.images.len(),
                boxes: gallery.boxes.len(),
                instances: gallery
                    .boxes
                    .iter()
                    .map(|labelled| &labelled.instance)
                    .collect::<HashSet<_>>()
                    .len(),
                distractors,
                queries: queries.file.display().to_string(),
                queries_form: queries.form,
                queries_digest: queries.digest.clone(),
                query_boxes: queries.boxes.len(),
            },
            collection: CollectionData {
                path: collection.path().display().to_string(),
                commit: manifest.commit,
                digest: blake3::hash(&manifest.to_bytes()).to_hex().to_string(),
                images: collection.segments().iter().map(|segment| segment.image_count()).sum(),
                long_side_px: manifest.views.long_side_px,
                vectors: manifest.vectors.clone(),
            },
            model: ModelData {
                name: model.name.clone(),
                variant: model.variant.clone(),
                digest: model.digest.clone(),
                output: model.output.clone(),
                preparation: preparation.spec.clone(),
                preparation_digest: preparation.digest.clone(),
                similarity: manifest.metric.clone(),
                provider: engine.model().device,
            },
            dims_dropped: if drops { (model.hidden_size - manifest.dim) as usize } else { 0 },
        }
    }
}

/// The figures of one bin of an attribute.
#[derive(Clone, Debug, Serialize)]
pub struct Slice {
    /// The attribute.
    pub by: &'static str,
    /// Where the bin begins.
    pub from: f64,
    /// Where it ends; it holds what is less. None for the last one.
    pub to: Option<f64>,
    /// Queries that something in it is right for.
    pub queries: usize,
    /// Boxes that are right, summed over the queries.
    pub boxes: usize,
    /// Means over those queries.
    pub metrics: InOrder<Mean>,
}

impl Slice {
    /// The bin in words.
    pub fn bin(&self) -> String {
        match self.to {
            Some(to) => format!("{} to {to}", self.from),
            None => format!("from {}", self.from),
        }
    }
}

/// Milliseconds of the stages of a query.
#[derive(Clone, Debug, Serialize)]
pub struct StageTimes {
    /// Queries asked at the same time, by one thread each.
    pub queries_at_once: usize,
    /// Queries that count; the first of each thread does not, where there are others.
    pub queries: usize,
    /// Reading and decoding the image.
    pub decode: Percentiles,
    /// Embedding it.
    pub embed: Percentiles,
    /// Similarities with every image.
    pub search: Percentiles,
    /// Places and boxes in the short list.
    pub rerank: Percentiles,
    /// All of it.
    pub total: Percentiles,
}

/// Percentiles, interpolated linearly.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// 95 in 100 are less.
    pub p95: f64,
    /// 99 in 100 are less.
    pub p99: f64,
}

impl StageTimes {
    /// Of the times that count.
    pub(super) fn of(times: &[TimingMs], queries_at_once: usize) -> Self {
        let stage = |of: fn(&TimingMs) -> f64| {
            let mut values: Vec<f64> = times.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|percent| percentile(&values, percent));
            Percentiles { p50, p95, p99 }
        };
        Self {
            queries_at_once,
            queries: times.len(),
            decode: stage(|times| times.decode),
            embed: stage(|times| times.embed),
            search: stage(|times| times.search),
            rerank: stage(|times| times.rerank),
            total: stage(|times| times.total),
        }
    }

    /// The stages with their names.
    pub fn stages(&self) -> [(&'static str, Percentiles); 5] {
        let Self { decode, embed, search, rerank, total, .. } = *self;
        [("decode", decode), ("embed", embed), ("search", search), ("rerank", rerank), ("total", total)]
    }
}

/// One query.
#[derive(Clone, Debug, Serialize)]
pub struct QueryReport {
    /// What its file calls it.
    pub query: String,
    /// Its image as its file names it.
    pub image: String,
    /// Where the image is.
    #[serde(skip)]
    pub path: PathBuf,
    /// Its box.
    #[serde(rename = "box")]
    pub bbox: Bbox,
    /// The instance that it shows.
    pub instance: String,
    /// Images that are right.
    pub positives: usize,
    /// Boxes that are right.
    pub boxes: usize,
    /// Images that count neither way.
    pub junk: usize,
    /// Its figures; null where one says nothing.
    pub metrics: InOrder<Option<f64>>,
    /// Where the time went.
    pub timing_ms: TimingMs,
    /// Hits outside junk images, best first.
    #[serde(serialize_with = "on_one_line")]
    pub hits: Vec<JudgedHit>,
}

/// One hit.
#[derive(Clone, Debug, Serialize)]
pub struct JudgedHit {
    /// Its image.
    pub image: String,
    /// Its box.
    #[serde(rename = "box")]
    pub bbox: Bbox,
    /// Its score.
    pub score: f32,
    /// How likely it shows the object, as it was said.
    pub probability: f32,
    /// Whether its image is right.
    pub relevant: bool,
    /// Best IoU with a box of the instance; null in an image that does not show it, and where the labels do not say where.
    pub iou: Option<f64>,
    /// Best IoU with a labelled box of its image, whichever instance that shows; null where there is none.
    pub any_iou: Option<f64>,
    /// Boxes of its image that show the instance.
    #[serde(skip)]
    pub truth: Vec<Bbox>,
    /// Path below the collection's root.
    #[serde(skip)]
    pub path: Vec<u8>,
    /// BLAKE3 of the file when it was indexed.
    #[serde(skip)]
    pub content: [u8; 32],
}

impl JudgedHit {
    /// Whether it has that IoU with a box of the instance; where the labels do not say where the instance is, whether the image is right.
    pub fn shows(&self, iou: f64) -> bool {
        self.iou.map_or(self.relevant, |own| own >= iou)
    }
}

/// Hits are many and alike: indented they would be most of the file.
fn on_one_line<S: Serializer>(hits: &[JudgedHit], serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::value::to_raw_value(hits).map_err(S::Error::custom)?.serialize(serializer)
}

impl RetrieveReport {
    /// The whole plan, which is without nothing, and the plan without each stage that was left out: figures and times.
    pub fn plans(&self) -> impl Iterator<Item = (Option<&'static str>, &InOrder<Mean>, &StageTimes)> {
        let whole = (None, &self.metrics, &self.timing);
        let variants = self.variants.iter();
        let variants = variants.map(|variant| (Some(variant.without), &variant.metrics, &variant.timing));
        std::iter::once(whole).chain(variants)
    }

    /// One line a figure, of all queries and of every slice, under a line of names.
    pub fn to_csv(&self) -> String {
        let mut text = "slice,from,to,queries,boxes,metric,value,ci95_low,ci95_high\n".to_owned();
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let boxes = self.per_query.iter().map(|query| query.boxes).sum();
        let whole = ("", None, None, boxes, &self.metrics);
        let slices = self
            .slices
            .iter()
            .map(|slice| (slice.by, Some(slice.from), slice.to, slice.boxes, &slice.metrics));
        for (by, from, to, boxes, metrics) in std::iter::once(whole).chain(slices) {
            for (name, mean) in &metrics.0 {
                let [low, high] = [0, 1].map(|end| number(mean.ci95.map(|ci95| ci95[end])));
                let (from, to, Mean { value, queries, .. }) = (number(from), number(to), mean);
                let _ = writeln!(text, "{by},{from},{to},{queries},{boxes},{name},{value},{low},{high}");
            }
        }
        text
    }
}

impl Serialize for RetrieveReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let RetrieveSetup { data, collection, model, dims_dropped } = &self.setup;
        let RetrieveOptions { gap, difficulty, ious, limit, seed, absent, plan, .. } = &self.options;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("protocol", "retrieve")?;
        map.serialize_entry("created_by", CREATED_BY)?;
        map.serialize_entry("data", data)?;
        map.serialize_entry("collection", collection)?;
        map.serialize_entry("model", model)?;
        map.serialize_entry("dims_dropped", dims_dropped)?;
        let (index, top) = (&self.index, plan.top);
        let options = json!({
            "index": index, "top": top, "gap": gap, "difficulty": difficulty, "iou": ious, "limit": limit, "seed": seed,
            "absent": absent, "plan": plan
        });
        map.serialize_entry("options", &options)?;
        map.serialize_entry("machine", &self.machine)?;
        map.serialize_entry("queries", &self.per_query.len())?;
        map.serialize_entry("left_out", &self.left_out)?;
        map.serialize_entry("ci95_resamples", &CI95_RESAMPLES)?;
        map.serialize_entry("metrics", &self.metrics)?;
        map.serialize_entry("slices", &self.slices)?;
        map.serialize_entry("timing_ms", &self.timing)?;
        map.serialize_entry("calibration", &self.calibration)?;
        map.serialize_entry("absent", &self.absent)?;
        map.serialize_entry("variants", &self.variants)?;
        map.serialize_entry("per_query", &self.per_query)?;
        map.end()
    }
}
