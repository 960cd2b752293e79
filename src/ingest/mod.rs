//! From images to a collection: walk, decode, views, embed, write. Resumable, bounded in memory, rejects listed.

mod add;
mod budget;
mod error;
mod finish;
mod forecast;
mod journal;
mod listing;
mod metadata;
mod moments;
mod pipeline;
mod source;
mod views;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use add::{Addition, add};
pub use error::IngestError;
pub use forecast::{Forecast, forecast};
pub use journal::Reject;
pub use metadata::{MetadataError, MetadataFile};
pub use moments::moments;
use patchdex_format::{Manifest, ModelBinding, ViewPlan};
pub use source::{SourceFile, Sources, collect, is_image_name};
pub use views::{View, ViewChoice, views};

use crate::collection::{
    Collection, CollectionError, Draft, GraphDemand, GraphStatus, GraphWish, PreparationChoice, Published,
    Ungraphed, bytes_of_path,
};
use crate::dims::{Preparation, Source};
use crate::index::RowKind;
use crate::metric::{METRICS, Metric};
use crate::model::Model;
use crate::picture::Limits;
use crate::segment::{Listed, RowEncoding, Segment};
use crate::storage;
use journal::Journal;
use pipeline::Spooling;
use serde_json::{Map, Value};

/// What `patchdex index` is told.
#[derive(Clone, Debug)]
pub struct IndexOptions {
    /// The collection's folder.
    pub out: PathBuf,
    /// Long side of the whole-image view (and of every tile), in model input pixels.
    pub long_side_px: u32,
    /// What is seen beside the whole image.
    pub views: ViewChoice,
    /// The linear map between tokens and stored vectors.
    pub prepare: Source,
    /// Element kind of the stored vectors.
    pub vectors: RowKind,
    /// Similarity.
    pub metric: Metric,
    /// The graphs that segments get.
    pub graph: GraphWish,
    /// Whether the model's own tokens are kept beside the prepared ones.
    pub keep_raw: bool,
    /// Sessions, and threads of everything else.
    pub threads: usize,
    /// Views of one size that go through the model together, of whichever images; none: as many as suit the device.
    pub batch: Option<usize>,
    /// Bytes of images in flight, about.
    pub memory_bytes: u64,
    /// What decoding may take on.
    pub limits: Limits,
    /// What the user says about the images.
    pub metadata: Option<Arc<MetadataFile>>,
}

impl IndexOptions {
    /// What `patchdex index` does when nothing else is said.
    pub fn new(out: PathBuf, threads: usize) -> Self {
        Self {
            out,
            long_side_px: 518,
            views: ViewChoice::Whole,
            prepare: Source::Model,
            vectors: RowKind::DEFAULT,
            metric: METRICS[0],
            graph: GraphWish::default(),
            keep_raw: false,
            threads,
            batch: None,
            memory_bytes: 1 << 30,
            limits: Limits::default(),
            metadata: None,
        }
    }

    /// What is known of the image at `path` below `root`: what was `said` before, and what is said now.
    fn told(&self, root: &Path, path: &[u8], mut said: Map<String, Value>) -> Map<String, Value> {
        said.extend(self.metadata.iter().filter_map(|file| file.of(root, path)).flat_map(Map::clone));
        said.retain(|_, value| !value.is_null());
        said
    }

    /// What is said about a listed image now, where it is not what is stored.
    fn retold(&self, root: &Path, image: &Listed) -> Option<Map<String, Value>> {
        let told = self.told(root, &image.path, image.metadata.clone());
        (told != image.metadata).then_some(told)
    }

    /// Rows of the metadata that name none of `images`.
    fn unmatched<'a>(&self, root: &Path, images: impl IntoIterator<Item = &'a [u8]>) -> usize {
        self.metadata.as_ref().map_or(0, |metadata| metadata.rows_without_image(root, images))
    }

    /// How tokens are stored.
    fn encoding<'a>(&self, preparation: &'a Preparation) -> RowEncoding<'a> {
        RowEncoding { preparation, metric: self.metric, rows: self.vectors }
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
    /// How far the graphs are, when all is written.
    pub graphs: Option<GraphStatus>,
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
    /// The list of rejects.
    pub rejects_file: PathBuf,
    /// Rows of the metadata that name no image of the collection.
    pub unmatched_metadata: usize,
    /// Segments that were to have a graph and have none.
    pub ungraphed: Vec<Ungraphed>,
}

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
    let (choice, stamp) = asked_for(sources, model, options)?;
    let draft = match Draft::begin(&options.out, &stamp)? {
        Ok(draft) => draft,
        Err(manifest) => return unchanged(sources, options, &manifest),
    };
    let known = HashMap::new();
    let mut journal = Journal::open(&draft, sources, &known)?;
    let raw = spools_raw(options, choice.fixed());
    let spooling = Spooling {
        encoding: choice.fixed().filter(|_| !raw).map(|fixed| options.encoding(fixed)),
        options,
        known,
    };
    let (mut status, embedded_views) = embed(sources, model, &spooling, &mut journal, stop, progress)?;
    let rejects = journal.sorted_rejects();
    let listed: Vec<Vec<u8>> = journal.listed_paths().collect();
    let images = listed.len();
    let unmatched_metadata = options.unmatched(&sources.root, listed.iter().map(Vec::as_slice));
    let manifest = finish::finish(&draft, journal, sources, model, options, choice, stamp)?;
    let mut watch = Watch { status: &mut status, stop, progress };
    let published = watch.publish(draft, &manifest, GraphDemand::Required)?;
    Ok(Summary {
        status,
        images,
        rejects,
        embedded_views,
        unchanged: false,
        rejects_file: options.out.join(&published.manifest.rejects.name),
        unmatched_metadata,
        ungraphed: published.ungraphed,
    })
}

/// Embeds what the journal does not have; gives the final counts and the number of views that went through the model.
fn embed(
    sources: &Sources,
    model: &Model,
    spooling: &Spooling<'_>,
    journal: &mut Journal,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Status),
) -> Result<(Status, usize), IngestError> {
    let mut status = Status {
        images: sources.files.len(),
        done: journal.done(),
        resumed: journal.done(),
        rejects: journal.rejects().len(),
        patches: journal.patches(),
        stage: None,
        graphs: None,
    };
    progress(&status);
    let views = pipeline::run(sources, model, spooling, journal, stop, &mut status, progress)?;
    status.stage = Some("writing");
    progress(&status);
    match stop.load(Ordering::Relaxed) {
        true => Err(IngestError::Interrupted { done: status.done, images: status.images }),
        false => Ok((status, views)),
    }
}

/// Who is told of the last step, and may stop it.
struct Watch<'a> {
    status: &'a mut Status,
    stop: &'a AtomicBool,
    progress: &'a mut dyn FnMut(&Status),
}

impl Watch<'_> {
    /// Publishes finished work. Stopped while graphs are built, it stays as it is, to be gone on with.
    fn publish(
        &mut self,
        draft: Draft,
        manifest: &Manifest,
        demand: GraphDemand,
    ) -> Result<Published, IngestError> {
        let Self { status, stop, progress } = self;
        let mut told = |graphs| {
            status.graphs = Some(graphs);
            progress(status);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        draft.publish_unless_stopped(manifest, true, demand, &mut told).map_err(|error| match error {
            CollectionError::Stopped { .. } => {
                IngestError::Interrupted { done: status.done, images: status.images }
            }
            error => error.into(),
        })
    }
}

/// The preparation that is asked for, and the stamp of the work: what building and its forecast need, and refuse, before anything
/// is made.
fn asked_for(
    sources: &Sources,
    model: &Model,
    options: &IndexOptions,
) -> Result<(PreparationChoice, String), IngestError> {
    any_image(sources)?;
    check_metadata(sources, options)?;
    let choice = PreparationChoice::of(&options.prepare, model.spec.hidden_size, &model.spec.dir)?;
    let stamp = stamp(sources, model, options, &choice.digest());
    Ok((choice, stamp))
}

/// Refuses what has no image at all.
fn any_image(sources: &Sources) -> Result<(), IngestError> {
    match (sources.files.is_empty(), sources.rejects.is_empty()) {
        (false, _) => Ok(()),
        (true, false) => Err(IngestError::all_rejected(sources.rejects.len(), &sources.rejects)),
        (true, true) => {
            Err(IngestError::NoImages { inputs: sources.inputs.join(", "), others: sources.others })
        }
    }
}

/// Refuses metadata of which not one row names an image: it is of other images, or names them otherwise.
fn check_metadata(sources: &Sources, options: &IndexOptions) -> Result<(), IngestError> {
    let Some(metadata) = &options.metadata else { return Ok(()) };
    let is_named = |file: &SourceFile| metadata.of(&sources.root, &bytes_of_path(&file.relative)).is_some();
    match metadata.is_empty() || sources.files.iter().any(is_named) {
        true => Ok(()),
        false => Err(IngestError::MetadataOfOthers { root: sources.root.clone(), rows: metadata.len() }),
    }
}

/// Whether tokens are spooled as the model gives them: to fit on them first, or to keep them.
fn spools_raw(options: &IndexOptions, fixed: Option<&Preparation>) -> bool {
    fixed.is_none() || options.keep_raw
}

/// What makes two commands the same: inputs, model and options that change what is stored.
fn stamp(sources: &Sources, model: &Model, options: &IndexOptions, preparation: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    add(&sources.root.to_string_lossy());
    sources.inputs.iter().for_each(|input| add(input));
    for text in [&model.digest, &model.output, &options.prepare.to_string(), &format!("{:?}", model.inputs)] {
        add(text);
    }
    add(preparation);
    add(&format!("{:?} {:?} {}", view_plan(options), model.spec.image, options.keep_raw));
    add(&format!("{} {} {:?}", options.vectors.name, options.metric.name, options.limits));
    hasher.finalize().to_hex().to_string()
}

fn view_plan(options: &IndexOptions) -> ViewPlan {
    let (tiles, pyramid) = match options.views {
        ViewChoice::Whole => (None, false),
        ViewChoice::Tiles(tiles) => (Some(tiles), false),
        ViewChoice::Pyramid => (None, true),
    };
    ViewPlan { long_side_px: options.long_side_px, tiles, pyramid }
}

/// What a manifest says of the model.
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
        device: Some(model.device.name().to_owned()),
        licence: spec.licence.clone(),
        patch_px: spec.patch_px,
        hidden_size: spec.hidden_size as u32,
        prefix_tokens: model.prefix_tokens as u32,
        output: model.output.clone(),
        inputs: model.inputs.clone(),
        image: serde_json::to_value(&spec.image).unwrap_or_default(),
    }
}

/// The same command, once more: reports what is there, and how many files are new, changed or gone since.
fn unchanged(sources: &Sources, options: &IndexOptions, manifest: &Manifest) -> Result<Summary, IngestError> {
    options.graph.require_met(&options.out, manifest)?;
    let collection = Collection::open(&options.out)?;
    let mut known = HashMap::new();
    let mut retold = HashSet::new();
    for image in collection.segments().iter().map(Segment::listed) {
        for image in image.map_err(CollectionError::from)? {
            if options.retold(&sources.root, &image).is_some() {
                retold.insert(image.path.clone());
            }
            known.insert(image.path, (image.row.file_bytes, image.row.modified_ns));
        }
    }
    let list = options.out.join(&manifest.rejects.name);
    let rejects = journal::read_rejects(&list)?;
    let listed_ns = std::fs::metadata(&list).map_or(i64::MAX, |about| storage::modified_ns(&about));
    let listed: HashSet<&str> = rejects.iter().map(|reject| reject.path.as_str()).collect();
    let rejected = |path: &[u8]| listed.contains(&*String::from_utf8_lossy(path));
    let new = sources.files.iter().filter(|file| {
        let path = bytes_of_path(&file.relative);
        let same = known.get(&path) == Some(&(file.bytes, file.modified_ns)) && !retold.contains(&path);
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
        graphs: None,
    };
    Ok(Summary {
        status,
        images: known.len(),
        rejects,
        embedded_views: 0,
        unchanged: true,
        rejects_file: list,
        unmatched_metadata: options.unmatched(&sources.root, known.keys().map(Vec::as_slice)),
        ungraphed: Vec::new(),
    })
}
