//! `--dry-run`: what an index command would do, from the headers of the images and a timed run of the model.

use std::time::Instant;

use serde::Serialize;

use super::{IndexOptions, IngestError, Sources, View, fixed_preparation, view_plan, views};
use crate::core::Bbox;
use crate::model::{Model, tensor};
use crate::picture::{self, Picture};

/// Timed runs.
const RUNS: usize = 2;

/// What an index command would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// Images found.
    pub images: usize,
    /// Images whose header cannot be read: they would be rejected.
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

/// Reads the headers of all images and times the model on a view of the commonest size.
///
/// # Errors
/// A model or preparation that cannot be used.
pub fn forecast(sources: &Sources, model: &Model, options: &IndexOptions) -> Result<Forecast, IngestError> {
    let preparation = fixed_preparation(model, options)?;
    let plan = view_plan(options);
    let mut all: Vec<View> = Vec::new();
    let mut rejects = sources.rejects.len();
    for file in &sources.files {
        let bytes = std::fs::read(&file.path).unwrap_or_default();
        match picture::header(&bytes, &options.limits) {
            Ok(header) => all.extend(views(header.width, header.height, &plan, model)),
            Err(_) => rejects += 1,
        }
    }
    let patches: u64 = all.iter().map(|view| view.grid.len() as u64).sum();
    let dim = preparation.as_ref().map_or(model.spec.hidden_size, |preparation| preparation.output_dim());
    let row_bytes = options.vectors.row_bytes(dim) as u64;
    let raw_bytes = model.spec.hidden_size as u64 * 4;
    let raw = super::spools_raw(options, &preparation);
    Ok(Forecast {
        images: sources.files.len(),
        rejects,
        views: all.len(),
        patches,
        bytes: patches * (row_bytes + if options.keep_raw { raw_bytes } else { 0 }),
        temporary_bytes: patches * if raw { raw_bytes } else { row_bytes },
        seconds: seconds(&all, model, options)?,
    })
}

/// Seconds for all views: one view is timed with as many sessions as would run, others count by their patches.
fn seconds(all: &[View], model: &Model, options: &IndexOptions) -> Result<f64, IngestError> {
    let Some(sample) = all.iter().max_by_key(|view| view.grid.len()) else { return Ok(0.0) };
    let grey = Picture { width: 8, height: 8, rgb: vec![127; 8 * 8 * 3] };
    let pixels = tensor(&grey, Bbox::of_image(8, 8), sample.width_px, sample.height_px, &model.spec.image);
    let threads = options.threads.max(1);
    let timed = |session: &mut crate::model::Session| -> Result<f64, IngestError> {
        session.embed(&pixels, 1, sample.width_px, sample.height_px)?;
        let start = Instant::now();
        for _ in 0..RUNS {
            session.embed(&pixels, 1, sample.width_px, sample.height_px)?;
        }
        Ok(start.elapsed().as_secs_f64() / RUNS as f64)
    };
    let mut sessions = (0..threads).map(|_| model.session(1)).collect::<Result<Vec<_>, _>>()?;
    let slowest = std::thread::scope(|scope| {
        let running: Vec<_> = sessions.iter_mut().map(|session| scope.spawn(|| timed(session))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| IngestError::WorkerDied).flatten())
            .try_fold(0.0f64, |most, time| Ok::<f64, IngestError>(most.max(time?)))
    })?;
    let patches: usize = all.iter().map(|view| view.grid.len()).sum();
    Ok(slowest * patches as f64 / sample.grid.len() as f64 / threads as f64)
}
