//! `--dry-run`: what an index command would do, from the images' digests and headers and a timed run of the model.

use std::collections::HashSet;
use std::time::Instant;

use patchdex_format::{ImageRow, ViewRow};
use serde::Serialize;

use super::{IndexOptions, IngestError, SourceFile, Sources, View, asked_for, spools_raw, view_plan, views};
use crate::collection::{Draft, bytes_of_path};
use crate::core::Bbox;
use crate::dims::Source;
use crate::index::HnswParameters;
use crate::model::{Model, tensor};
use crate::picture::{self, Header, Picture};

/// Manifest and its copy, about.
const MANIFEST_BYTES: u64 = 6000;
/// Timed runs.
const RUNS: usize = 2;

/// What an index command would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Images that would be in the collection, as far as their headers tell.
    pub images: usize,
    /// Images that would be rejected.
    pub rejects: usize,
    /// Views that would go through the model.
    pub views: usize,
    /// Patches that would be stored.
    pub patches: u64,
    /// Size of the collection, about.
    pub bytes: u64,
    /// Room that the unfinished build needs beside it.
    pub temporary_bytes: u64,
    /// Time that the model needs on this machine, about.
    pub seconds: f64,
}

/// Reads all images as far as their headers, and times the model on the largest view.
///
/// # Errors
/// Nothing to index, a model, preparation or metadata that cannot be used, or a place that is taken.
pub fn forecast(sources: &Sources, model: &Model, options: &IndexOptions) -> Result<Forecast, IngestError> {
    let (choice, stamp) = asked_for(sources, model, options)?;
    Draft::look(&options.out, &stamp)?;
    let plan = view_plan(options);
    let mut all: Vec<View> = Vec::new();
    let (mut images, mut rejects, mut table_bytes) = (0, sources.rejects.len(), 0);
    let mut contents = HashSet::new();
    for file in &sources.files {
        let Ok(header) = header(file, options, &mut contents) else {
            rejects += 1;
            continue;
        };
        images += 1;
        table_bytes += size_of::<ImageRow>() + bytes_of_path(&file.relative).len();
        if let Some(header) = header {
            let views = views(header.width, header.height, &plan, model);
            table_bytes += views.len() * size_of::<ViewRow>();
            all.extend(views);
        }
    }
    let patches: u64 = all.iter().map(|view| view.grid.len() as u64).sum();
    let tokens_dim = model.spec.hidden_size;
    let (dim, preparation_bytes) = match (choice.fixed(), &options.prepare) {
        (Some(map), _) if map.is_none() => (tokens_dim, 0),
        (Some(map), _) => (map.output_dim(), map.to_bytes().len()),
        (None, Source::Own(method)) => (method.output_dim(tokens_dim), method.parameters(tokens_dim) * 4),
        (None, _) => (tokens_dim, 0),
    };
    let row_bytes = options.vectors.row_bytes(dim) as u64;
    let raw_bytes = model.spec.hidden_size as u64 * 4;
    let graph = options.graph.parameters().filter(|_| HnswParameters::misfit(options.metric, dim).is_none());
    let graph_bytes = graph.map_or(0, |graph| graph.node_bytes(dim) as u64);
    let raw = spools_raw(options, choice.fixed());
    Ok(Forecast {
        images,
        rejects,
        views: all.len(),
        patches,
        bytes: patches * (row_bytes + graph_bytes + if options.keep_raw { raw_bytes } else { 0 })
            + (table_bytes + preparation_bytes) as u64
            + MANIFEST_BYTES,
        temporary_bytes: patches * if raw { raw_bytes } else { row_bytes },
        seconds: seconds(&all, model, options)?,
    })
}

/// The header of an image; none of a copy, which shares the patches of its original.
fn header(
    file: &SourceFile,
    options: &IndexOptions,
    contents: &mut HashSet<blake3::Hash>,
) -> Result<Option<Header>, Unreadable> {
    if file.bytes > options.limits.max_file_bytes {
        return Err(Unreadable);
    }
    let bytes = std::fs::read(&file.path).map_err(|_| Unreadable)?;
    let content = blake3::hash(&bytes);
    if contents.contains(&content) {
        return Ok(None);
    }
    let header = picture::header(&bytes, &options.limits).map_err(|_| Unreadable)?;
    contents.insert(content);
    Ok(Some(header))
}

/// An image would be rejected; indexing says why.
struct Unreadable;

/// Seconds for all views: one view is timed with as many sessions as would run, others count by their patches.
fn seconds(all: &[View], model: &Model, options: &IndexOptions) -> Result<f64, IngestError> {
    let Some(sample) = all.iter().max_by_key(|view| view.grid.len()) else { return Ok(0.0) };
    let grey = Picture { width: 8, height: 8, rgb: vec![127; 8 * 8 * 3] };
    let pixels = tensor(&grey, Bbox::of_image(8, 8), sample.width_px, sample.height_px, &model.spec.image);
    let count = model.device.sessions(options.threads.max(1));
    let timed = |session: &mut crate::model::Session| -> Result<f64, IngestError> {
        session.embed(&pixels, 1, sample.width_px, sample.height_px)?;
        let start = Instant::now();
        for _ in 0..RUNS {
            session.embed(&pixels, 1, sample.width_px, sample.height_px)?;
        }
        Ok(start.elapsed().as_secs_f64() / RUNS as f64)
    };
    let mut sessions = (0..count).map(|_| model.session(1)).collect::<Result<Vec<_>, _>>()?;
    let slowest = std::thread::scope(|scope| {
        let running: Vec<_> = sessions.iter_mut().map(|session| scope.spawn(|| timed(session))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| IngestError::WorkerDied).flatten())
            .try_fold(0.0f64, |most, time| Ok::<f64, IngestError>(most.max(time?)))
    })?;
    let patches: usize = all.iter().map(|view| view.grid.len()).sum();
    Ok(slowest * patches as f64 / sample.grid.len() as f64 / count as f64)
}
