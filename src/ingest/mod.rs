//! From images to a collection: walk, decode, views, embed, write. Resumable, bounded in memory, rejects listed.

mod budget;
mod error;
mod finish;
mod forecast;
mod journal;
mod moments;
mod pipeline;
mod source;
mod views;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

pub use error::IngestError;
pub use forecast::{Forecast, forecast};
pub use journal::Reject;
pub use moments::moments;
use patchdex_format::{ModelBinding, PreparationEntry, TilePlan, ViewPlan};
pub use source::{SourceFile, Sources, collect};
pub use views::{View, views};

use crate::collection::{self, Collection, Draft, MODEL_PREPARATION, bytes_of_path};
use crate::dims::{Method, Preparation, Source};
use crate::index::RowKind;
use crate::metric::{METRICS, Metric};
use crate::model::Model;
use crate::picture::Limits;
use crate::storage::StorageError;

/// What `patchdex index` is told.
#[derive(Clone, Debug)]
pub struct IndexOptions {
    /// The collection's folder.
    pub out: PathBuf,
    /// Long side of the whole-image view (and of every tile), in model input pixels.
    pub long_side_px: u32,
    /// Tiles beside the whole image.
    pub tiles: Option<TilePlan>,
    /// The linear map between tokens and stored vectors.
    pub prepare: Source,
    /// Element kind of the stored vectors.
    pub vectors: RowKind,
    /// Similarity.
    pub metric: Metric,
    /// Whether the model's own tokens are kept beside the prepared ones.
    pub keep_raw: bool,
    /// Sessions, and threads of everything else.
    pub threads: usize,
    /// Views of one size that go through the model together.
    pub batch: usize,
    /// Bytes of images in flight, about.
    pub memory_bytes: u64,
    /// What decoding may take on.
    pub limits: Limits,
}

impl IndexOptions {
    /// What `patchdex index` does when nothing else is said.
    pub fn new(out: PathBuf, threads: usize) -> Self {
        Self {
            out,
            long_side_px: 518,
            tiles: None,
            prepare: Source::Model,
            vectors: RowKind::DEFAULT,
            metric: METRICS[0],
            keep_raw: false,
            threads,
            batch: 1,
            memory_bytes: 1 << 30,
            limits: Limits::default(),
        }
    }
}

/// How far the work is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Images to go through, in all.
    pub images: usize,
    /// Images done, with those of an earlier run.
    pub done: usize,
    /// Of those done, how many an earlier run did.
    pub resumed: usize,
    /// Images that cannot be read.
    pub rejects: usize,
    /// Patches stored so far.
    pub patches: u64,
    /// What is being done beside embedding, when embedding is over.
    pub stage: Option<&'static str>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Final counts.
    pub status: Status,
    /// Images in the collection.
    pub images: usize,
    /// Images that are not in the collection, with reasons.
    pub rejects: Vec<Reject>,
    /// Views that went through the model in this run.
    pub embedded_views: usize,
    /// Whether the collection was there already, made by the same command.
    pub unchanged: bool,
}

/// Name of the list of rejects in a collection's folder.
pub const REJECTS_FILE: &str = "rejects.jsonl";

/// Builds a collection of `sources`, or goes on where an earlier run of the same command stopped. `stop` set by
/// another thread ends the work early; what was done stays.
///
/// # Errors
/// Nothing to index, an output folder that is something else, a full disk, a model that fails, or
/// [`IngestError::Interrupted`]. Images that cannot be read are no error: they are listed in the summary.
pub fn index(
    sources: &Sources,
    model: &Model,
    options: &IndexOptions,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Status),
) -> Result<Summary, IngestError> {
    any_image(sources)?;
    let preparation = fixed_preparation(model, options)?;
    // Read now, not after hours of embedding: it may be damaged.
    let generic = match options.prepare {
        Source::Own(Method::Whiten) => generic_preparation(model)?,
        _ => None,
    };
    let stamp = stamp(sources, model, options, preparation.as_ref().or(generic.as_ref()));
    let draft = match Draft::begin(&options.out, &stamp)? {
        Ok(draft) => draft,
        Err(manifest) => return unchanged(sources, options, &manifest),
    };
    let mut journal = journal::Journal::open(&draft, sources)?;
    let mut status = Status {
        images: sources.files.len(),
        done: journal.done(),
        resumed: journal.done(),
        rejects: journal.rejects().len(),
        patches: journal.patches(),
        stage: None,
    };
    progress(&status);
    let encoding = pipeline::Encoding {
        preparation: preparation.as_ref(),
        raw: spools_raw(options, &preparation),
        options,
    };
    let embedded_views = pipeline::run(sources, model, &encoding, &mut journal, stop, &mut status, progress)?;
    status.stage = Some("writing");
    progress(&status);
    if stop.load(Ordering::Relaxed) {
        return Err(IngestError::Interrupted { done: status.done, images: status.images });
    }
    let (images, rejects) = (journal.indexed(), journal.sorted_rejects());
    let fitting = finish::Fitting { fixed: preparation, generic };
    finish::finish(draft, journal, sources, model, options, fitting, stamp)?;
    Ok(Summary { status, images, rejects, embedded_views, unchanged: false })
}

/// Refuses what has no image at all, before anything is made.
fn any_image(sources: &Sources) -> Result<(), IngestError> {
    match (sources.files.is_empty(), sources.rejects.is_empty()) {
        (false, _) => Ok(()),
        (true, false) => Err(IngestError::all_rejected(sources.rejects.len(), &sources.rejects)),
        (true, true) => {
            Err(IngestError::NoImages { inputs: sources.inputs.join(", "), others: sources.others })
        }
    }
}

/// Whether tokens are spooled as the model gives them: to fit on them first, or to keep them.
fn spools_raw(options: &IndexOptions, fixed: &Option<Preparation>) -> bool {
    fixed.is_none() || options.keep_raw
}

/// The preparation, when it is known before the first token; none when it is to be fitted on the collection.
fn fixed_preparation(model: &Model, options: &IndexOptions) -> Result<Option<Preparation>, IngestError> {
    let dim = model.spec.hidden_size;
    let fixed = match &options.prepare {
        Source::Own(Method::None) => Preparation::none(dim),
        Source::Own(method @ Method::Keep(path)) => {
            let text =
                std::fs::read_to_string(path).map_err(StorageError::at("read the dimension list", path))?;
            Preparation::keep_listed(&text, method, dim)
                .map_err(|source| IngestError::PreparationFile { path: path.clone(), source })?
        }
        // Found out now, not after hours of embedding.
        Source::Own(method) => return Ok(Preparation::check_method(method, dim).map(|()| None)?),
        Source::Model => generic_preparation(model)?.unwrap_or_else(|| Preparation::none(dim)),
        Source::File(path) if path.is_dir() => {
            let collection = Collection::open(path)?;
            let mut borrowed = collection.preparation()?;
            borrowed.fitted_on = path.display().to_string();
            borrowed
        }
        Source::File(path) => read_preparation(path, &path.display().to_string())?,
    };
    match fixed.input_dim() == dim {
        true => Ok(Some(fixed)),
        false => {
            let found = fixed.input_dim();
            Err(crate::dims::PreparationError::Dimensions { expected: found, found: dim }.into())
        }
    }
}

/// The preparation that the model's folder brings.
///
/// # Errors
/// A file that is there but damaged.
pub fn generic_preparation(model: &Model) -> Result<Option<Preparation>, IngestError> {
    let path = model.spec.dir.join(MODEL_PREPARATION);
    path.is_file().then(|| read_preparation(&path, "model")).transpose()
}

fn read_preparation(path: &std::path::Path, fitted_on: &str) -> Result<Preparation, IngestError> {
    let bytes = std::fs::read(path).map_err(StorageError::at("read the preparation", path))?;
    Preparation::from_bytes(&bytes, fitted_on)
        .map_err(|source| IngestError::PreparationFile { path: path.to_owned(), source })
}

/// What makes two index commands the same: inputs, model and options that change what is stored.
fn stamp(sources: &Sources, model: &Model, options: &IndexOptions, given: Option<&Preparation>) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    add(&sources.root.to_string_lossy());
    sources.inputs.iter().for_each(|input| add(input));
    for text in [&model.digest, &model.output, &options.prepare.to_string(), &format!("{:?}", model.inputs)] {
        add(text);
    }
    add(&given.map(Preparation::digest).unwrap_or_default());
    add(&format!("{:?} {:?} {}", view_plan(options), model.spec.image, options.keep_raw));
    add(&format!("{} {} {:?}", options.vectors.name, options.metric.name, options.limits));
    hasher.finalize().to_hex().to_string()
}

fn view_plan(options: &IndexOptions) -> ViewPlan {
    ViewPlan { long_side_px: options.long_side_px, tiles: options.tiles }
}

fn model_binding(model: &Model) -> ModelBinding {
    let spec = &model.spec;
    ModelBinding {
        name: spec.name.clone(),
        digest: model.digest.clone(),
        folder: std::path::absolute(&spec.dir)
            .unwrap_or_else(|_| spec.dir.clone())
            .to_string_lossy()
            .into_owned(),
        variant: spec.variant.clone(),
        patch_px: spec.patch_px,
        hidden_size: spec.hidden_size as u32,
        prefix_tokens: model.prefix_tokens as u32,
        output: model.output.clone(),
        inputs: model.inputs.clone(),
        image: serde_json::to_value(&spec.image).unwrap_or_default(),
    }
}

fn preparation_entry(preparation: &Preparation) -> PreparationEntry {
    PreparationEntry {
        spec: preparation.method.clone(),
        fitted_on: preparation.fitted_on.clone(),
        digest: preparation.digest(),
        file: None,
    }
}

/// The same command, once more: reports what is there, and how many files are new, changed or gone since.
fn unchanged(
    sources: &Sources,
    options: &IndexOptions,
    manifest: &patchdex_format::Manifest,
) -> Result<Summary, IngestError> {
    let collection = Collection::open(&options.out)?;
    let mut known = HashMap::new();
    for segment in collection.segments() {
        for image in segment.images() {
            let image = image.map_err(collection::CollectionError::from)?;
            known.insert(image.path.to_vec(), (image.row.file_bytes, image.row.modified_ns));
        }
    }
    let list = options.out.join(REJECTS_FILE);
    let rejects = journal::read_rejects(&list)?;
    let listed_ns = std::fs::metadata(&list).map_or(i64::MAX, |about| source::modified_ns(&about));
    let listed: HashSet<&str> = rejects.iter().map(|reject| reject.path.as_str()).collect();
    let rejected = |path: &[u8]| listed.contains(&*String::from_utf8_lossy(path));
    let new = sources.files.iter().filter(|file| {
        let path = bytes_of_path(&file.relative);
        let same = known.get(&path) == Some(&(file.bytes, file.modified_ns));
        // A reject that was written to since may have been repaired.
        !same && (!rejected(&path) || file.modified_ns > listed_ns)
    });
    let new = new.count();
    let current: HashSet<Vec<u8>> = sources.files.iter().map(|file| bytes_of_path(&file.relative)).collect();
    let gone = known.keys().filter(|path| !current.contains(*path)).count();
    if new + gone > 0 {
        return Err(IngestError::Changed { path: options.out.clone(), new, gone });
    }
    let status = Status {
        images: known.len() + rejects.len(),
        done: known.len() + rejects.len(),
        resumed: known.len() + rejects.len(),
        rejects: rejects.len(),
        patches: manifest.segments.iter().map(|segment| segment.patches).sum(),
        stage: None,
    };
    Ok(Summary { status, images: known.len(), rejects, embedded_views: 0, unchanged: true })
}
