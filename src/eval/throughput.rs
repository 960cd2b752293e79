//! How fast images become stored vectors: each stage of indexing alone, the model alone in several forms, and all of it together.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::Serialize;

use super::encoder::sessions;
use super::measures::median;
use super::scratch::ScratchFolder;
use super::workers::{pool, share};
use super::{EvalError, Machine};
use crate::collection::{CollectionError, GraphWish, PreparationChoice, Searching};
use crate::core::Bbox;
use crate::dims::Moments;
use crate::ingest::{self, IndexOptions, SourceFile, Sources};
use crate::model::{Device, Model, Session, tensor};
use crate::picture::{self, Picture};
use crate::segment::RowEncoding;
use crate::storage::StorageError;

/// How throughput is measured.
pub struct ThroughputOptions<'a> {
    /// What `index` is told.
    pub index: IndexOptions,
    /// Pictures of equal size that go through the model together in the batched form.
    pub batch: usize,
    /// How often everything is measured, in turn; the round in the middle counts.
    pub rounds: usize,
    /// A folder for collections that are made and thrown away.
    pub scratch: &'a Path,
}

/// How fast images become stored vectors.
#[derive(Clone, Debug, Serialize)]
pub struct ThroughputReport {
    /// Name of the model.
    pub model: String,
    /// Which of its graphs: `fp32`, `int8`, ...
    pub variant: String,
    /// Where it ran.
    pub device: Device,
    /// What it ran on.
    pub machine: Machine,
    /// Threads of everything.
    pub threads: usize,
    /// Images that were measured.
    pub images: usize,
    /// Files that are no images or copies of others, which were left out.
    pub left_out: usize,
    /// Their patches.
    pub patches: usize,
    /// Long side of an image as the model sees it, in pixels.
    pub long_side_px: u32,
    /// Rounds.
    pub rounds: usize,
    /// The stages of indexing, each alone with all threads.
    pub stages: Vec<Speed>,
    /// The model alone, in several forms.
    pub model_alone: Vec<Speed>,
    /// All of indexing, without graphs.
    pub index: Speed,
    /// Speed of indexing as a share of the fastest form of the model alone.
    pub share_of_model: f64,
}

/// How fast something is.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    /// What.
    pub name: String,
    /// Median over the rounds.
    pub images_per_s: f64,
    /// The slowest and the fastest round.
    pub range: [f64; 2],
}

impl ThroughputReport {
    /// What takes the largest part of the time, where every stage has all threads in turn, and its share.
    pub fn bottleneck(&self) -> Option<(&str, f64)> {
        let seconds = |stage: &Speed| 1.0 / stage.images_per_s;
        let all: f64 = self.stages.iter().map(seconds).sum();
        let slowest = self.stages.iter().max_by(|a, b| seconds(a).total_cmp(&seconds(b)))?;
        Some((&slowest.name, seconds(slowest) / all))
    }

    /// The fastest form of the model alone.
    pub fn fastest(&self) -> Option<&Speed> {
        self.model_alone.iter().max_by(|a, b| a.images_per_s.total_cmp(&b.images_per_s))
    }
}

/// A picture as the model takes it.
struct Ready {
    pixels: Vec<f32>,
    width: u32,
    height: u32,
}

/// What is measured.
struct Task<'a> {
    sources: Sources,
    model: &'a Model,
    options: &'a ThroughputOptions<'a>,
    pictures: Vec<Picture>,
    ready: Vec<Ready>,
    /// Tokens of each picture.
    tokens: Vec<Vec<f32>>,
}

/// Measures how fast the images of `sources` become stored vectors. `progress` is told how many of how many measurements are done.
///
/// # Errors
/// No image, a model that fails, no room for a collection in the scratch folder.
pub fn run_throughput(
    sources: &Sources,
    model: &Model,
    options: &ThroughputOptions<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<ThroughputReport, EvalError> {
    let threads = options.index.threads.max(1);
    let (pictures, ready, tokens) = (Vec::new(), Vec::new(), Vec::new());
    let mut task = Task { sources: sources.clone(), model, options, pictures, ready, tokens };
    // What is wrong with the images or the model, it says as `index` does.
    task.indexed()?;
    (task.sources.files, task.pictures) = task.unlike(threads)?;
    task.ready = task.resized(threads)?;
    let mut on_device = sessions(model, threads)?;
    task.tokens = task.embedded(&mut on_device)?;
    let mut whole = vec![model.session(threads)?];
    let images = task.pictures.len();
    let mut seconds: [Vec<f64>; 7] = Default::default();
    let of = options.rounds * seconds.len();
    for _ in 0..options.rounds {
        let mut at = 0;
        let mut timed = |work: &mut dyn FnMut() -> Result<(), EvalError>| {
            let start = Instant::now();
            work()?;
            seconds[at].push(start.elapsed().as_secs_f64());
            at += 1;
            progress(seconds.iter().map(Vec::len).sum(), of);
            Ok::<_, EvalError>(())
        };
        timed(&mut || task.decoded(threads).map(drop))?;
        timed(&mut || task.resized(threads).map(drop))?;
        timed(&mut || task.embedded(&mut on_device).map(drop))?;
        timed(&mut || task.stored(threads))?;
        timed(&mut || task.embedded(&mut whole).map(drop))?;
        timed(&mut || task.batched(&mut on_device))?;
        timed(&mut || task.indexed())?;
    }
    let speed = |name: &str, seconds: &[f64]| {
        let mut rates: Vec<f64> = seconds.iter().map(|seconds| images as f64 / seconds).collect();
        rates.sort_by(f64::total_cmp);
        Speed {
            name: name.to_owned(),
            range: [rates[0], rates[rates.len() - 1]],
            images_per_s: median(rates),
        }
    };
    let [decode, resize, embed, store, one, batched, index] = &seconds;
    let count = on_device.len();
    let pooled = format!("{count} x 1 thread");
    let stages = [("decode", decode), ("resize", resize), ("model", embed), ("store", store)];
    let forms = [
        (pooled.clone(), embed),
        (format!("1 x {threads} threads"), one),
        (format!("{pooled}, {} at once", options.batch), batched),
    ];
    let model_alone: Vec<Speed> = forms.iter().map(|(name, seconds)| speed(name, seconds)).collect();
    let index = speed("index", index);
    let fastest = model_alone.iter().map(|form| form.images_per_s).fold(f64::MIN, f64::max);
    Ok(ThroughputReport {
        model: model.spec.name.clone(),
        variant: model.spec.variant.clone(),
        device: model.device,
        machine: Machine::this(),
        threads,
        images,
        left_out: sources.files.len() - images,
        patches: task.tokens.iter().map(|tokens| tokens.len() / model.spec.hidden_size).sum(),
        long_side_px: options.index.long_side_px,
        rounds: options.rounds,
        stages: stages.map(|(name, seconds)| speed(name, seconds)).to_vec(),
        share_of_model: index.images_per_s / fastest,
        model_alone,
        index,
    })
}

impl Task<'_> {
    /// The files that are images, each content once, with their pictures.
    fn unlike(&self, threads: usize) -> Result<(Vec<SourceFile>, Vec<Picture>), EvalError> {
        let mut known = HashSet::new();
        let decoded = self.sources.files.iter().zip(self.decoded(threads)?);
        let whole = decoded.filter_map(|(file, (content, picture))| Some((file.clone(), content, picture?)));
        Ok(whole
            .filter(|(_, content, _)| known.insert(*content))
            .map(|(file, _, picture)| (file, picture))
            .unzip())
    }

    /// Digest and picture of every file; no picture where it is no image.
    fn decoded(&self, threads: usize) -> Result<Vec<(blake3::Hash, Option<Picture>)>, EvalError> {
        let limits = &self.options.index.limits;
        let decode = |(): &mut (), at: usize| {
            let path = &self.sources.files[at].path;
            let bytes = std::fs::read(path).map_err(StorageError::at("read", path))?;
            Ok((blake3::hash(&bytes), picture::decode(&bytes, limits).ok()))
        };
        share(vec![(); threads], self.sources.files.len(), decode, &mut |_| ())
    }

    fn resized(&self, threads: usize) -> Result<Vec<Ready>, EvalError> {
        let (spec, long_side_px) = (&self.model.spec, self.options.index.long_side_px);
        let resize = |(): &mut (), at: usize| {
            let picture = &self.pictures[at];
            let area = Bbox::of_image(picture.width, picture.height);
            let (width, height) = self.model.sizes.view_size(area.w, area.h, long_side_px, spec.patch_px);
            Ok(Ready { pixels: tensor(picture, area, width, height, &spec.image), width, height })
        };
        share(vec![(); threads], self.pictures.len(), resize, &mut |_| ())
    }

    fn embedded(&self, sessions: &mut [Session]) -> Result<Vec<Vec<f32>>, EvalError> {
        let embed = |session: &mut &mut Session, at: usize| {
            let Ready { pixels, width, height } = &self.ready[at];
            Ok(session.embed(pixels, 1, *width, *height)?.values)
        };
        share(sessions.iter_mut().collect(), self.ready.len(), embed, &mut |_| ())
    }

    /// Pictures of equal size go through the model together, whichever images they are.
    fn batched(&self, sessions: &mut [Session]) -> Result<(), EvalError> {
        let mut order: Vec<&Ready> = self.ready.iter().collect();
        order.sort_by_key(|ready| (ready.width, ready.height));
        let most = self.options.batch.clamp(1, self.model.batch_limit);
        let batches: Vec<&[&Ready]> = order
            .chunk_by(|a, b| (a.width, a.height) == (b.width, b.height))
            .flat_map(|equal| equal.chunks(most))
            .collect();
        let embed = |session: &mut &mut Session, at: usize| {
            let batch = batches[at];
            let pixels: Vec<&[f32]> = batch.iter().map(|ready| ready.pixels.as_slice()).collect();
            Ok::<_, EvalError>(session.embed_together(&pixels, batch[0].width, batch[0].height)?)
        };
        share(sessions.iter_mut().collect(), batches.len(), embed, &mut |_| ()).map(|_| ())
    }

    /// Prepares and quantises the tokens.
    fn stored(&self, threads: usize) -> Result<(), EvalError> {
        let IndexOptions { prepare, metric, vectors, .. } = &self.options.index;
        let spec = &self.model.spec;
        let choice = PreparationChoice::of(prepare, spec.hidden_size, &spec.dir)?;
        let moments = || {
            let mut moments = Moments::empty(spec.hidden_size);
            let of = |tokens: &Vec<f32>| Moments::of_rows(tokens, spec.hidden_size);
            self.tokens.iter().for_each(|tokens| moments.merge(&of(tokens)));
            moments
        };
        let preparation = choice.fit(moments).map_err(CollectionError::from)?;
        let encoding = RowEncoding { preparation: &preparation, metric: *metric, rows: *vectors };
        let store = |(): &mut (), at: usize| Ok::<_, EvalError>(encoding.encode(&self.tokens[at]).0.len());
        share(vec![(); threads], self.tokens.len(), store, &mut |_| ()).map(|_| ())
    }

    /// A whole collection, which is thrown away.
    fn indexed(&self) -> Result<(), EvalError> {
        let folder = ScratchFolder::new_in(self.options.scratch, "bench")?;
        let graph = GraphWish { searching: Some(Searching::Scan), ..GraphWish::default() };
        let options =
            IndexOptions { out: folder.path().join("bench.pdx"), graph, ..self.options.index.clone() };
        let run = || ingest::index(&self.sources, self.model, &options, &AtomicBool::new(false), &mut |_| ());
        pool(options.threads.max(1)).install(run)?;
        Ok(())
    }
}
