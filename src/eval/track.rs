//! Association between frames of a video: every labelled box of a frame is matched to the box of a later frame that is most similar
//! to it, by the tokens inside. No tracker, no motion: what the features alone can tell.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::encoder::{Encoder, Mapping, embed, open_picture};
use super::protocol_report::{Example, Mark, Panel, best_and_worst, means};
use super::roi::{BINS, Samples, align};
use super::truth::check_size;
use super::workers::{pool, share};
use super::{EvalError, InOrder, LabelledBox, LabelledSet, Machine, ModelData, ProtocolReport, QueryFigures};
use crate::core::{Bbox, Grid};
use crate::dims::Moments;
use crate::index::{ExactIndex, PatchIndex, Rows, Vectors};
use crate::model::Session;
use crate::picture::Picture;

/// How association is measured.
#[derive(Clone, Debug)]
pub struct TrackOptions {
    /// Long side of a frame as the model sees it, in pixels.
    pub long_side_px: u32,
    /// Side of the tiles that go through the model alone, in pixels of its input; none: the whole frame at once.
    pub tile_px: Option<u32>,
    /// Every so many frames, from the first.
    pub every: u32,
    /// Last frame that is used.
    pub last: Option<i64>,
    /// Frames between two that are compared.
    pub gaps: Vec<u32>,
    /// Points along each side of a bin of RoIAlign.
    pub samples: Samples,
    /// Examples that are kept for a page, of the largest gap.
    pub examples: usize,
}

/// A labelled box and the tokens inside.
struct Described<'a> {
    labelled: &'a LabelledBox,
    /// `BINS² × dim` numbers.
    descriptor: Vec<f32>,
}

/// A frame of a video.
struct Frame<'a> {
    image: usize,
    video: &'a str,
    number: i64,
    boxes: Vec<Described<'a>>,
}

/// Matches the boxes of all pairs of frames. `progress` is told how many of how many frames are embedded.
///
/// # Errors
/// No two frames of a video with a labelled box at any of the gaps, a frame that cannot be read, a model that fails.
pub fn run_track(
    set: &LabelledSet,
    encoder: &Encoder,
    options: &TrackOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<ProtocolReport, EvalError> {
    let start = Instant::now();
    let mut frames = frames(set, options);
    let pool = pool(encoder.threads());
    let describe = |session: &mut Session, at: usize| describe(set, &frames[at], encoder, session, options);
    let count = frames.len();
    let described = share(encoder.sessions()?, count, describe, &mut |done| progress(done, count))?;
    let mut moments = Moments::empty(encoder.model.spec.hidden_size);
    for (frame, (boxes, of_frame)) in frames.iter_mut().zip(described) {
        frame.boxes = boxes;
        of_frame.iter().for_each(|of_frame| moments.merge(of_frame));
    }
    let mapping = encoder.mapping(|| moments)?;
    pool.install(|| {
        let prepare = |one: &mut Described<'_>| one.descriptor = prepared(&mapping, &one.descriptor);
        frames.par_iter_mut().for_each(|frame| frame.boxes.iter_mut().for_each(prepare));
    });
    let pairs: Vec<(u32, &Frame<'_>, &Frame<'_>)> = pairs(&frames, &options.gaps);
    let matched = pool.install(|| {
        let matched = |&(_, from, to): &(u32, &Frame<'_>, &Frame<'_>)| matched(from, to, &mapping);
        pairs.par_iter().map(matched).collect::<Vec<Option<Matched>>>()
    });
    let per_query: Vec<QueryFigures> =
        pairs.iter().zip(&matched).filter_map(|(pair, found)| Some(found.as_ref()?.figures(pair))).collect();
    if per_query.is_empty() {
        return Err(EvalError::NoPairs {
            set: set.file.clone(),
            frames: count,
            gaps: options.gaps.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
        });
    }
    Ok(ProtocolReport {
        protocol: "track",
        data: data(set, &frames),
        model: ModelData::of_encoder(encoder, &mapping),
        dims_dropped: mapping.preparation.dims_dropped(),
        options: told(options),
        machine: Machine::this(),
        seconds: start.elapsed().as_secs_f64(),
        metrics: means(&per_query),
        examples: examples(set, &pairs, &matched, options)?,
        per_query,
    })
}

/// The frames that are used, in the order of their videos and numbers.
fn frames<'a>(set: &'a LabelledSet, options: &TrackOptions) -> Vec<Frame<'a>> {
    let numbered = set.images.iter().enumerate().filter_map(|(image, labelled)| {
        let (video, number) = labelled.frame.as_ref()?;
        Some((video.as_str(), *number, image))
    });
    let mut numbered: Vec<(&str, i64, usize)> = numbered.collect();
    numbered.sort_unstable();
    let mut firsts: BTreeMap<&str, i64> = BTreeMap::new();
    numbered.iter().for_each(|&(video, number, _)| _ = firsts.entry(video).or_insert(number));
    let is_used = |video: &str, number: i64| {
        (number - firsts[video]) % i64::from(options.every) == 0
            && options.last.is_none_or(|last| number <= last)
    };
    numbered
        .into_iter()
        .filter(|&(video, number, _)| is_used(video, number))
        .map(|(video, number, image)| Frame { image, video, number, boxes: Vec::new() })
        .collect()
}

/// The boxes of a frame with the tokens inside, and the moments of all its tokens where the preparation is fitted on them.
fn describe<'a>(
    set: &'a LabelledSet,
    frame: &Frame<'_>,
    encoder: &Encoder,
    session: &mut Session,
    options: &TrackOptions,
) -> Result<(Vec<Described<'a>>, Option<Moments>), EvalError> {
    let image = &set.images[frame.image];
    let picture = open_picture(&image.path)?;
    check_size(set, image, picture.width, picture.height)?;
    let (grid, tokens) = token_map(encoder, session, &picture, options)?;
    let dim = encoder.model.spec.hidden_size;
    let boxes = set.boxes.iter().filter(|labelled| labelled.image == frame.image);
    let described = boxes.map(|labelled| Described {
        labelled,
        descriptor: align(&tokens, &grid, dim, &labelled.bbox, options.samples),
    });
    let moments = encoder.is_fitted_here().then(|| Moments::of_rows(&tokens, dim));
    Ok((described.collect(), moments))
}

/// The tokens of a frame, and where they lie in it: of the whole frame at once, or of tiles that are put together.
fn token_map(
    encoder: &Encoder,
    session: &mut Session,
    picture: &Picture,
    options: &TrackOptions,
) -> Result<(Grid, Vec<f32>), EvalError> {
    let whole = Bbox::of_image(picture.width, picture.height);
    let Some(tile_px) = options.tile_px else {
        let tokens = embed(&encoder.model, session, picture, whole, options.long_side_px)?;
        return Ok((Grid { area: whole, rows: tokens.rows, cols: tokens.cols }, tokens.values));
    };
    let dim = encoder.model.spec.hidden_size;
    let side = |px: f32| {
        ((px * options.long_side_px as f32 / whole.w.max(whole.h) / tile_px as f32).round() as u32).max(1)
    };
    let (across, down) = (side(whole.w), side(whole.h));
    let mut lines: Vec<Vec<f32>> = Vec::new();
    let mut cols = 0;
    let (tile_w, tile_h) = (whole.w / across as f32, whole.h / down as f32);
    // Every tile has the model's square input, whatever the frame's aspect makes of it.
    let resized = picture.resize(whole, across * tile_px, down * tile_px, encoder.model.spec.image.filter);
    for row in 0..down {
        let mut parts = Vec::new();
        for col in 0..across {
            let area =
                Bbox::new((col * tile_px) as f32, (row * tile_px) as f32, tile_px as f32, tile_px as f32);
            parts.push(embed(&encoder.model, session, &resized, area, tile_px)?);
        }
        cols = parts.iter().map(|part| part.cols).sum();
        for line in 0..parts.first().map_or(0, |part| part.rows as usize) {
            let of_part = |part: &crate::model::Tokens| {
                part.values[line * part.cols as usize * dim..][..part.cols as usize * dim].to_vec()
            };
            lines.push(parts.iter().flat_map(of_part).collect());
        }
    }
    let area = Bbox::new(0.0, 0.0, tile_w * across as f32, tile_h * down as f32);
    Ok((Grid { area, rows: lines.len() as u32, cols }, lines.concat()))
}

/// A descriptor as it is compared: its tokens prepared, all of it one vector. Preparing is affine and sampling a weighted mean, so
/// that preparing what was sampled is sampling what was prepared.
fn prepared(mapping: &Mapping, descriptor: &[f32]) -> Vec<f32> {
    let mut vector = mapping.preparation.apply(descriptor);
    let length = vector.len();
    mapping.metric.prepare(&mut vector, length);
    vector
}

/// Pairs of frames of a video that are so far from each other.
fn pairs<'a, 'b>(frames: &'a [Frame<'b>], gaps: &[u32]) -> Vec<(u32, &'a Frame<'b>, &'a Frame<'b>)> {
    let places: BTreeMap<(&str, i64), &Frame<'b>> =
        frames.iter().map(|frame| ((frame.video, frame.number), frame)).collect();
    let of_gap = |&gap: &u32| {
        let places = &places;
        frames.iter().filter_map(move |from| {
            Some((gap, from, *places.get(&(from.video, from.number + i64::from(gap)))?))
        })
    };
    gaps.iter().flat_map(of_gap).collect()
}

/// What came of a pair of frames.
struct Matched {
    /// For each box of the first frame that is in the second one, too: the box, and the one that was found.
    found: Vec<(usize, usize)>,
    same_instance: f64,
    same_category: Option<f64>,
}

impl Matched {
    fn figures(&self, (gap, from, to): &(u32, &Frame<'_>, &Frame<'_>)) -> QueryFigures {
        let mut metrics = vec![(format!("same_instance.gap.{gap}"), Some(self.same_instance))];
        metrics.extend(self.same_category.map(|share| (format!("same_category.gap.{gap}"), Some(share))));
        let query = format!("{}: {} to {}", from.video, from.number, to.number);
        QueryFigures { query, group: None, metrics: InOrder(metrics) }
    }
}

/// The most similar box of `to` for each box of `from` whose instance is in both; none where there is no such box.
fn matched(from: &Frame<'_>, to: &Frame<'_>, mapping: &Mapping) -> Option<Matched> {
    let there: HashSet<&str> = to.boxes.iter().map(|one| one.labelled.instance.as_str()).collect();
    let rows: Vec<f32> = to.boxes.iter().flat_map(|one| &one.descriptor).copied().collect();
    let dim = BINS * BINS * mapping.dim();
    let index = ExactIndex { vectors: Vectors { rows: Rows::F32(&rows), dim, metric: mapping.metric } };
    let asked =
        from.boxes.iter().enumerate().filter(|(_, one)| there.contains(one.labelled.instance.as_str()));
    let found: Vec<(usize, usize)> = asked
        .filter_map(|(at, one)| Some((at, index.search(&one.descriptor, 1, 0).first()?.row as usize)))
        .collect();
    let share = |is_right: &dyn Fn(&LabelledBox, &LabelledBox) -> bool| {
        let right =
            |&&(at, best): &&(usize, usize)| is_right(from.boxes[at].labelled, to.boxes[best].labelled);
        found.iter().filter(right).count() as f64 / found.len() as f64
    };
    let mut boxes = from.boxes.iter().chain(&to.boxes);
    let has_categories = boxes.all(|one| one.labelled.category.is_some());
    (!found.is_empty()).then(|| Matched {
        same_instance: share(&|a, b| a.instance == b.instance),
        same_category: has_categories.then(|| share(&|a, b| a.category == b.category)),
        found: found.clone(),
    })
}

/// Pairs of the largest gap with the best and the worst matches.
fn examples(
    set: &LabelledSet,
    pairs: &[(u32, &Frame<'_>, &Frame<'_>)],
    matched: &[Option<Matched>],
    options: &TrackOptions,
) -> Result<Vec<Example>, EvalError> {
    let largest =
        pairs.iter().zip(matched).filter(|(_, found)| found.is_some()).map(|(pair, _)| pair.0).max();
    let of_largest = pairs.iter().zip(matched).filter(|(pair, _)| Some(pair.0) == largest);
    let mut order: Vec<(&(u32, &Frame<'_>, &Frame<'_>), &Matched)> =
        of_largest.filter_map(|(pair, found)| Some((pair, found.as_ref()?))).collect();
    order.sort_by(|a, b| b.1.same_instance.total_cmp(&a.1.same_instance));
    let example = |&((gap, from, to), found): &(&(u32, &Frame<'_>, &Frame<'_>), &Matched)| {
        let right = |at: usize, best: usize| match from.boxes[at].labelled.instance
            == to.boxes[best].labelled.instance
        {
            true => Mark::Right,
            false => Mark::Wrong,
        };
        let asked = found.found.iter().map(|&(at, best)| (from.boxes[at].labelled.bbox, right(at, best)));
        let answers = found.found.iter().map(|&(at, best)| (to.boxes[best].labelled.bbox, right(at, best)));
        let panel = |frame: &Frame<'_>, marks: Vec<(Bbox, Mark)>| {
            Ok::<_, EvalError>(Panel { picture: open_picture(&set.images[frame.image].path)?, marks })
        };
        Ok(Example {
            caption: format!(
                "{}, gap {gap}, frames {} and {}: {:.0} % of {} boxes; of each box at the left the most similar one is drawn at the right",
                from.video,
                from.number,
                to.number,
                100.0 * found.same_instance,
                found.found.len()
            ),
            panels: vec![panel(from, asked.collect())?, panel(to, answers.collect())?],
        })
    };
    best_and_worst(&order, options.examples).map(example).collect()
}

fn data(set: &LabelledSet, frames: &[Frame<'_>]) -> InOrder<Value> {
    let videos: HashSet<&str> = frames.iter().map(|frame| frame.video).collect();
    let boxes =
        || frames.iter().flat_map(|frame| frame.boxes.iter().map(move |one| (frame.video, one.labelled)));
    let instances: HashSet<(&str, &str)> =
        boxes().map(|(video, labelled)| (video, labelled.instance.as_str())).collect();
    let facts = [
        ("sequence", json!(set.file.display().to_string())),
        ("form", json!(set.form)),
        ("digest", json!(set.digest)),
        ("videos", json!(videos.len())),
        ("frames", json!(frames.len())),
        ("boxes", json!(boxes().count())),
        ("instances", json!(instances.len())),
    ];
    InOrder::named_as(facts)
}

fn told(options: &TrackOptions) -> InOrder<Value> {
    let views = options.tile_px.map_or_else(|| "whole".to_owned(), |px| format!("tiles:{px}"));
    let samples = match options.samples {
        Samples::Fixed(samples) => json!(samples),
        Samples::Adaptive => json!("adaptive"),
    };
    let facts = [
        ("views", json!(views)),
        ("long_side_px", json!(options.long_side_px)),
        ("every", json!(options.every)),
        ("last", json!(options.last)),
        ("gaps", json!(options.gaps)),
        ("samples", samples),
    ];
    InOrder::named_as(facts)
}
