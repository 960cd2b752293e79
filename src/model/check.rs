//! `model check`: opens a model as `index` would, runs a picture, and reports what was found.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use super::{Device, GraphFacts, Model, ModelError, SizeRule, preprocess};
use crate::core::Bbox;
use crate::picture::Picture;

/// What a model is and how fast it runs here.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// Name in `config.json`.
    pub name: String,
    /// Licence of the weights, where the folder says it.
    pub licence: Option<String>,
    /// BLAKE3 of the graph.
    pub digest: String,
    /// Inputs and outputs.
    pub graph: GraphFacts,
    /// The output that tokens are read from.
    pub output: String,
    /// Side of a patch in input pixels.
    pub patch_px: u32,
    /// Tokens before the patches.
    pub prefix_tokens: usize,
    /// Numbers in a token.
    pub hidden_size: usize,
    /// `dynamic` or `WIDTHxHEIGHT`.
    pub size: String,
    /// The input that was run: width, height.
    pub picture_px: (u32, u32),
    /// Grid of patches that came out: rows, columns.
    pub grid: (u32, u32),
    /// Where it ran.
    pub device: Device,
    /// The ONNX Runtime library.
    pub library: PathBuf,
    /// Threads of the session.
    pub threads: usize,
    /// Median time of a run.
    pub run_ms: f64,
    /// Pictures in a second, from the median.
    pub images_per_s: f64,
}

/// Runs `picture` through `model` at `long_side_px` with `threads` threads, `runs` times after a warm-up.
///
/// # Errors
/// What keeps the model from giving patch tokens.
pub fn check(
    model: &Model,
    picture: &Picture,
    long_side_px: u32,
    threads: usize,
    runs: usize,
) -> Result<CheckReport, ModelError> {
    let spec = &model.spec;
    let (width, height) =
        model.sizes.view_size(picture.width as f32, picture.height as f32, long_side_px, spec.patch_px);
    let area = Bbox::of_image(picture.width, picture.height);
    let pixels = preprocess::tensor(picture, area, width, height, &spec.image);
    let mut session = model.session(threads)?;
    let tokens = session.embed(&pixels, 1, width, height)?;
    let mut times_ms = Vec::with_capacity(runs);
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        session.embed(&pixels, 1, width, height)?;
        times_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times_ms.sort_by(f64::total_cmp);
    let run_ms = times_ms[times_ms.len() / 2];
    Ok(CheckReport {
        name: spec.name.clone(),
        licence: spec.licence.clone(),
        digest: model.digest.clone(),
        graph: model.facts.clone(),
        output: model.output.clone(),
        patch_px: spec.patch_px,
        prefix_tokens: model.prefix_tokens,
        hidden_size: spec.hidden_size,
        size: match model.sizes {
            SizeRule::Dynamic => "dynamic".to_owned(),
            SizeRule::Fixed { width, height } => format!("{width}x{height}"),
        },
        picture_px: (width, height),
        grid: (tokens.rows, tokens.cols),
        device: model.device,
        library: model.runtime().library.unwrap_or_default(),
        threads,
        run_ms,
        images_per_s: 1e3 / run_ms,
    })
}
