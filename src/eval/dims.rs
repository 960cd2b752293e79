//! The dimensions of a collection's tokens: variance, tails and principal directions, what other collections share of them, and what
//! dropping does.

use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::encoder::{embed, open_picture, sessions};
use super::tune::DROPPED;
use super::workers::{pool, share};
use super::{DropChoice, EvalError, IdentifyOptions, Machine, choose_drop};
use crate::collection::{CREATED_BY, Collection, require_model};
use crate::core::{Bbox, drawn};
use crate::dims::{DimProfile, Profile};
use crate::engine::{Engine, EngineOptions};
use crate::ingest::{Sources, collect};
use crate::model::Session;

/// What is wanted to know.
pub struct DimsOptions {
    /// Images that are embedded again, where the model's own tokens were not kept.
    pub sample: usize,
    /// Draws them.
    pub seed: u64,
    /// How what dropping does is measured, on the collection's own images; none: not at all.
    pub curve: Option<IdentifyOptions>,
}

/// What is known of the dimensions.
#[derive(Clone, Debug, Serialize)]
pub struct DimsReport {
    /// Always `dims`.
    pub protocol: &'static str,
    /// What wrote it.
    pub created_by: &'static str,
    /// Folder of the collection.
    pub collection: String,
    /// The model.
    pub model: String,
    /// Its output.
    pub output: String,
    /// Images whose tokens were looked at.
    pub images: usize,
    /// Whether the tokens were kept, or made again.
    pub kept: bool,
    /// The tokens.
    pub profile: Profile,
    /// What other collections share.
    pub overlaps: Vec<Overlap>,
    /// What dropping does.
    pub curve: Option<DropChoice>,
    /// What it was measured on.
    pub machine: Machine,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Dimensions of highest variance that two collections share.
#[derive(Clone, Debug, Serialize)]
pub struct Overlap {
    /// The other collection.
    pub with: String,
    /// Of so many of each.
    pub of: Vec<usize>,
    /// So many.
    pub shared: Vec<usize>,
}

/// Looks at the dimensions of the collection in `path`, and at those of `others`. `progress` is told how many of how many images are
/// done.
///
/// # Errors
/// A collection or model that cannot be opened, an image that is gone, tokens of different lengths.
pub fn run_dims(
    path: &Path,
    others: &[&Path],
    engine: &EngineOptions,
    options: &DimsOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<DimsReport, EvalError> {
    let start = Instant::now();
    let seen = Seen::of(path, engine, options, progress)?;
    let mut overlaps = Vec::new();
    for other in others {
        let theirs = Seen::of(other, engine, options, progress)?;
        let (expected, found) = (seen.profile.dims.len(), theirs.profile.dims.len());
        if expected != found {
            return Err(EvalError::Dimensions { path: other.to_path_buf(), found, expected });
        }
        let of: Vec<usize> = DROPPED.into_iter().filter(|&n| n < expected).collect();
        let shared = of.iter().map(|&n| seen.profile.shared(&theirs.profile, n)).collect();
        overlaps.push(Overlap { with: other.display().to_string(), of, shared });
    }
    let curve = |identify: &IdentifyOptions| {
        let opened = Engine::open(path, engine)?;
        let metric = opened.collection().metric();
        let sources = sources(opened.collection(), path)?;
        choose_drop(&sources, opened.model(), metric, engine.threads, identify, progress)
    };
    let curve = options.curve.as_ref().map(curve).transpose()?;
    let Seen { profile, model, output, images, kept } = seen;
    let collection = path.display().to_string();
    let (machine, seconds) = (Machine::this(), start.elapsed().as_secs_f64());
    Ok(DimsReport {
        protocol: "dims",
        created_by: CREATED_BY,
        collection,
        model,
        output,
        images,
        kept,
        profile,
        overlaps,
        curve,
        machine,
        seconds,
    })
}

impl DimsReport {
    /// How a table of figures starts.
    pub const CSV_START: &str = "rank,dim,variance,";

    /// One line a dimension, of highest variance first, with the variance along the principal direction of that rank.
    pub fn to_csv(&self) -> String {
        let mut text = format!("{}kurtosis,mean,direction_variance\n", Self::CSV_START);
        let Profile { dims, spectrum, .. } = &self.profile;
        for (rank, (DimProfile { dim, mean, variance, kurtosis }, along)) in
            dims.iter().zip(spectrum).enumerate()
        {
            let _ = writeln!(text, "{rank},{dim},{variance},{kurtosis},{mean},{along}");
        }
        text
    }
}

/// The tokens of a collection.
struct Seen {
    profile: Profile,
    model: String,
    output: String,
    images: usize,
    kept: bool,
}

impl Seen {
    fn of(
        path: &Path,
        engine: &EngineOptions,
        options: &DimsOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, EvalError> {
        let collection = Collection::open(path)?;
        require_model(path, collection.manifest())?;
        let binding = &collection.manifest().model;
        let dim = binding.hidden_size as usize;
        let (model, output) = (binding.name.clone(), binding.output.clone());
        let (profile, images, kept) = match collection.keeps_raw() {
            true => {
                let mut blocks: Vec<&[f32]> = Vec::new();
                for segment in collection.segments() {
                    blocks.extend(
                        segment.raw(dim)?.into_iter().flat_map(|rows| rows.chunks(BLOCK_TOKENS * dim)),
                    );
                }
                let profile = pool(engine.threads).install(|| Profile::of(&blocks, dim));
                (profile, collection.segments().iter().map(|segment| segment.image_count()).sum(), true)
            }
            false => {
                let tokens = embedded(path, engine, options, progress)?;
                let blocks: Vec<&[f32]> = tokens.iter().map(Vec::as_slice).collect();
                (pool(engine.threads).install(|| Profile::of(&blocks, dim)), tokens.len(), false)
            }
        };
        let profile = profile.ok_or_else(|| EvalError::NoTokens { path: path.to_owned() })?;
        Ok(Self { profile, model, output, images, kept })
    }
}

/// Tokens that are looked at together.
const BLOCK_TOKENS: usize = 4096;

/// Tokens of some of the images of the collection in `path`, each seen whole as it was when it was indexed.
fn embedded(
    path: &Path,
    options: &EngineOptions,
    wanted: &DimsOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Vec<f32>>, EvalError> {
    let engine = Engine::open(path, &EngineOptions { threads: 1, ..options.clone() })?;
    let (collection, model) = (engine.collection(), engine.model());
    let sources = sources(collection, path)?;
    let count = sources.files.len();
    let mut chosen = drawn(count, wanted.sample.min(count), wanted.seed);
    chosen.sort_unstable();
    let sessions = sessions(model, options.threads)?;
    let long_side_px = collection.manifest().views.long_side_px;
    let tokens = |session: &mut Session, at: usize| {
        let picture = open_picture(&sources.files[chosen[at]].path)?;
        let area = Bbox::of_image(picture.width, picture.height);
        Ok::<_, EvalError>(embed(model, session, &picture, area, long_side_px)?.values)
    };
    share(sessions, chosen.len(), tokens, &mut |done| progress(done, chosen.len()))
}

/// The files of a collection's images that are still there.
fn sources(collection: &Collection, path: &Path) -> Result<Sources, EvalError> {
    let mut files = Vec::new();
    for image in collection.images() {
        let image = image?;
        if image.is_original() {
            files.push(collection.image_file(image.path));
        }
    }
    files.retain(|file| file.is_file());
    match files.is_empty() {
        true => Err(EvalError::NoTokens { path: path.to_owned() }),
        false => Ok(collect(&files, None)?),
    }
}
